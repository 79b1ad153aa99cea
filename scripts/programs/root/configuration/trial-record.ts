/** What is known of a trial that runs: a file beside the configuration, so that a power cut does not forget it. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { TRIAL_RECORD_FILE } from '../../../../agent/contract/config-trial.ts';
import { Mode } from '../../../../agent/contract/mode.ts';

const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

/** What the room has ordered is kept by its judge, and never by who is at the pole. */
const OrderTrial = Type.Object(
  {
    /** Waits, for as long as it takes, until the box looks again; its time begins then. */
    waits: Type.Boolean(),
    /** What the agent said of itself before; null: it did not answer. */
    before: Type.Union([
      Type.Null(),
      Type.Object({ mode: Mode, camera: Type.String(), journalEntries: Type.Integer({ minimum: 0 }) }),
    ]),
  },
  { additionalProperties: false },
);
export type OrderTrial = Static<typeof OrderTrial>;

export const TrialRecord = Type.Object(
  {
    version: Type.Literal(1),
    id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
    /** By the wall clock, for people. */
    began: Type.String({ maxLength: 32 }),
    /** Of the kernel: another one is another boot. */
    boot: Type.String({ maxLength: 64 }),
    /** CLOCK_BOOTTIME, s: it counts on while a machine sleeps, and no clock that is set moves it. */
    endBoottimeS: Type.Number({ minimum: 0 }),
    former: Sha256,
    tried: Sha256,
    /** Absent: a technician's. */
    order: Type.Optional(OrderTrial),
  },
  { additionalProperties: false },
);
export type TrialRecord = Static<typeof TrialRecord>;

export interface TrialPaths {
  readonly record: string;
  /** The configuration as it was. */
  readonly former: string;
  /** Where the former one goes when somebody has changed the file during a trial. */
  readonly aside: string;
}

export function trialPaths(config: string): TrialPaths {
  const record = join(dirname(config), TRIAL_RECORD_FILE);
  return { record, former: `${config}.before-trial`, aside: `${config}.before` };
}

/** Undefined where there is none; null where it is damaged. Throws AgentError `unavailable`. */
export function readTrialRecord(config: string): TrialRecord | null | undefined {
  const file = trialPaths(config).record;
  if (!existsSync(file)) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  const record = jsonOf(text);
  return Value.Check(TrialRecord, record) ? record : null;
}
