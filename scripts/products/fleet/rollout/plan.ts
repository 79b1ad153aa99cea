/** Schema of a rollout plan, a YAML file of ops. Defaults are explained in docs/design/023-rollouts.md. */
import { type Static, Type } from '@sinclair/typebox';
import { AgentError } from '../../../../agent/base/errors.ts';
import { Window } from '../../../../agent/contract/update.ts';
import { checkTimeZone } from '../settings.ts';
import { ofSchema, readYaml } from '../strict-yaml.ts';

const strict = { additionalProperties: false } as const;
const Hours = Type.Number({ minimum: 0, maximum: 720, description: 'hours from 0 to 720' });
const Ratio = Type.Number({ minimum: 0, maximum: 1, description: 'a share from 0 to 1' });
const BoxName = Type.String({ pattern: '^[a-z0-9-]{1,32}$', description: 'the name of a box' });

export const Thresholds = Type.Object(
  {
    /**
     * Ratio of the wave's online boxes that must confirm before it soaks; boxes that rolled back or failed are left
     * out.
     */
    confirmed: { ...Ratio, default: 0.95 },
    /** Number of canaries that roll back or fail at which the rollout ends. */
    canaryFailures: Type.Integer({ minimum: 1, maximum: 1000, default: 2, description: 'a number of boxes' }),
    /** Ratio of tried boxes that roll back or fail above which the rollout halts, with at least `failuresMin` boxes. */
    failures: { ...Ratio, default: 0.02 },
    failuresMin: Type.Integer({ minimum: 1, maximum: 1000, default: 3, description: 'a number of boxes' }),
    /** Time without a message after which a box is silent. */
    silentHours: { ...Hours, default: 1 },
    /** Time after its confirmation at which a box must still be heard. The broker reports a lost one within 45 s. */
    heardMinutes: Type.Number({
      minimum: 0,
      maximum: 1440,
      default: 10,
      description: 'minutes, at most 1440',
    }),
    /** Time without a change after which a wave halts; days without a window are not counted. */
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
    /** Cumulative ratios of all boxes of the rollout, including canaries and earlier waves; the last is 1. */
    waves: Type.Array(Type.Object({ share: Ratio, soakHours: { ...Hours, default: 0 } }, strict), {
      minItems: 1,
      maxItems: 20,
      default: [
        { share: 0.05, soakHours: 4 },
        { share: 0.25, soakHours: 12 },
        { share: 1, soakHours: 0 },
      ],
    }),
    /** Null means at any time. Without `tz`, the time zone of fleet.yaml. */
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

/**
 * Reads a plan. `timeZone` is for a window that names none. Throws AgentError `config` with a line for each validation
 * error.
 */
export function readPlan(file: string, timeZone: string): Plan {
  return checked(file, readYaml(file, PlanYaml), timeZone);
}

/** Checks a plan that is not in a file. */
export function planOf(content: unknown, timeZone: string): Plan {
  return checked('the plan', ofSchema('the plan', content, PlanYaml), timeZone);
}

function checked(file: string, plan: Static<typeof PlanYaml>, timeZone: string): Plan {
  let before = 0;
  for (const [index, { share: ratio }] of plan.waves.entries()) {
    if (ratio <= before) {
      const message = `is not more than the ${before} before: each wave names the share that is reached with it`;
      throw new AgentError('config', `${file}: waves.${index}.share: ${ratio} ${message}`);
    }
    before = ratio;
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
