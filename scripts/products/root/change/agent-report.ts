/** Reads the agent's health before a switch, for comparison during probation. */
import { messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { AgentHealth } from './probation.ts';
import type { Trial } from './record.ts';

/** Returns null if the agent does not answer, or if its answer is invalid. */
export async function agentReport(
  health: () => Promise<AgentHealth | undefined>,
  say: (line: string) => void,
): Promise<Trial['before']> {
  try {
    const report = await health();
    if (report === undefined) return null;
    return { mode: report.mode, camera: report.camera, journalEntries: report.journalEntries };
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
    return null;
  }
}
