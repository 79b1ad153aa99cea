/** What the agent reports before a switch, for the judge to compare with. */
import { messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { AgentHealth } from './probation.ts';
import type { Trial } from './record.ts';

/** Null where the agent does not answer, or answers with something else. */
export async function agentReport(
  health: () => Promise<AgentHealth | undefined>,
  say: (line: string) => void,
): Promise<Trial['before']> {
  try {
    const said = await health();
    if (said === undefined) return null;
    return { mode: said.mode, camera: said.camera, journalEntries: said.journalEntries };
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
    return null;
  }
}
