/** How a rollout goes: a YAML file of ops. What it does not say is as docs/design/023-rollouts.md decides. */
import { type Static, Type } from '@sinclair/typebox';
import { AgentError } from '../../../../agent/base/errors.ts';
import { Window } from '../../../../agent/contract/update.ts';
import { checkTimeZone } from '../fleet-file.ts';
import { ofSchema, readYaml } from '../strict-yaml.ts';

const strict = { additionalProperties: false } as const;
const Hours = Type.Number({ minimum: 0, maximum: 720, description: 'hours from 0 to 720' });
const Share = Type.Number({ minimum: 0, maximum: 1, description: 'a share from 0 to 1' });
const BoxName = Type.String({ pattern: '^[a-z0-9-]{1,32}$', description: 'the name of a box' });

export const Thresholds = Type.Object(
  {
    /** Of the online boxes of a wave, those that have gone back or failed left out; then it soaks. */
    confirmed: { ...Share, default: 0.95 },
    /** So many boxes among the canaries that went back or failed end the rollout. */
    canaryFailures: Type.Integer({ minimum: 1, maximum: 1000, default: 2, description: 'a number of boxes' }),
    /** More than this share, and at least so many, of those that were tried. */
    failures: { ...Share, default: 0.02 },
    failuresMin: Type.Integer({ minimum: 1, maximum: 1000, default: 3, description: 'a number of boxes' }),
    /** A box that is not heard for longer is silent. */
    silentHours: { ...Hours, default: 1 },
    /** A box that has confirmed must be heard at least so long after it; the broker tells of a lost one within 45 s. */
    heardMinutes: Type.Number({
      minimum: 0,
      maximum: 1440,
      default: 10,
      description: 'minutes, at most 1440',
    }),
    /** A wave in which nothing changes for longer halts; days without a window are not counted. */
    stuckHours: Type.Number({ minimum: 0.001, maximum: 720, default: 48, description: 'hours, at most 720' }),
  },
  { ...strict, default: {} },
);
export type Thresholds = Static<typeof Thresholds>;

const PlanYaml = Type.Object(
  {
    canary: Type.Object(
      {
        boxes: Type.Array(BoxName, {
          minItems: 1,
          maxItems: 100,
          uniqueItems: true,
          description: 'the names of the boxes that try first, one of each board at least',
        }),
        hours: { ...Hours, default: 24 },
      },
      strict,
    ),
    /** Shares of all boxes of the rollout, canaries and waves before included; the last is 1. */
    waves: Type.Array(Type.Object({ share: Share, soakHours: { ...Hours, default: 0 } }, strict), {
      minItems: 1,
      maxItems: 20,
      default: [
        { share: 0.05, soakHours: 4 },
        { share: 0.25, soakHours: 12 },
        { share: 1, soakHours: 0 },
      ],
    }),
    /** Null: at any time. Without `tz` that of fleet.yaml. */
    window: Type.Union(
      [
        Type.Null(),
        Type.Composite([Type.Omit(Window, ['tz']), Type.Partial(Type.Pick(Window, ['tz']))], strict),
      ],
      {
        default: null,
        description: 'null or {days: [mon, …], from: "02:00", to: "05:00"}',
      },
    ),
    notAfterDays: Type.Number({ minimum: 0.01, maximum: 365, default: 30, description: 'days, at most 365' }),
    thresholds: Thresholds,
  },
  strict,
);

export interface Plan extends Omit<Static<typeof PlanYaml>, 'window'> {
  readonly window: Window | null;
}

/** Throws AgentError `config`: a line for each mistake. `timeZone`: of a window that names none. */
export function readPlan(file: string, timeZone: string): Plan {
  return checked(file, readYaml(file, PlanYaml), timeZone);
}

/** As `readPlan`, of content that is no file. */
export function planOf(content: unknown, timeZone: string): Plan {
  return checked('the plan', ofSchema('the plan', content, PlanYaml), timeZone);
}

function checked(file: string, plan: Static<typeof PlanYaml>, timeZone: string): Plan {
  let before = 0;
  for (const [index, { share }] of plan.waves.entries()) {
    if (share <= before) {
      const message = `is not more than the ${before} before: each wave names the share that is reached with it`;
      throw new AgentError('config', `${file}: waves.${index}.share: ${share} ${message}`);
    }
    before = share;
  }
  if (before !== 1) {
    throw new AgentError('config', `${file}: waves: the last share is ${before}; it must be 1, all boxes`);
  }
  const { window } = plan;
  if (window === null) return { ...plan, window };
  const tz = window.tz ?? timeZone;
  checkTimeZone(`${file}: window.tz`, tz);
  return { ...plan, window: { ...window, tz } };
}
