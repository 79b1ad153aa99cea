/** Reads the state before a switch, for comparison during probation. */
import { messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { OwnRecord } from '../own-record.ts';
import type { AgentHealth } from './probation.ts';
import type { TrialStart } from './record.ts';

export interface TrialStartOptions {
  readonly own: Pick<OwnRecord, 'journalSize' | 'authorisedUntil'>;
  health(): Promise<AgentHealth | undefined>;
  say(line: string): void;
}

/** Returns null if the agent does not answer, or if its answer is invalid. */
export async function trialStart({ own, health, say }: TrialStartOptions): Promise<TrialStart | null> {
  try {
    const report = await health();
    if (report === undefined) return null;
    const { mode, camera } = report;
    return { mode, camera, journalSize: own.journalSize(), authorisedUntil: own.authorisedUntil() };
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
    return null;
  }
}
