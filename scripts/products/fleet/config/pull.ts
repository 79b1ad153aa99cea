/** `fleet config pull`: requests the boxes' files by signed commands, which the boxes journal. */

import { AgentError, rethrowBug } from '../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { askBox } from '../../../lib/room-link/box-session.ts';
import { type FleetContext, withFleet } from '../context.ts';
import { say, warn } from '../output.ts';
import { learnt } from '../rollout/status-commands.ts';
import { boxCount, someOf } from '../rollout/table.ts';
import { signingKey } from '../settings.ts';
import type { BoxRow } from '../store.ts';
import { Copies } from './copies.ts';
import { selected } from './selector.ts';

/** Number of parallel requests; each has its own connection. */
const AT_ONCE = 8;

export interface PullOptions {
  readonly dir: string;
  readonly timeout: number;
}

/** Throws AgentError `unavailable` if a box has not answered. */
export function pull(selector: string, options: PullOptions): Promise<void> {
  return withFleet(options.dir, async (context) => {
    await learnt(context);
    const boxes = selected(selector, context.store.boxes());
    context.store.record(
      `configuration requested from ${someOf(boxes.map(({ site, box }) => `${site}/${box}`))}`,
      Date.now(),
    );
    const copies = new Copies(options.dir);
    const waiting = [...boxes];
    let failed = 0;
    const worker = async (): Promise<void> => {
      for (let box = waiting.shift(); box !== undefined && !context.signal.aborted; box = waiting.shift()) {
        try {
          say(await pulled(context, box, copies, options.timeout));
        } catch (error) {
          rethrowBug(error);
          failed += 1;
          warn(`${box.site}/${box.box}: ${error.message}`);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (failed > 0)
      throw new AgentError('unavailable', `${failed} of ${boxCount(boxes.length)} gave no copy`);
  });
}

/** Stores the file of one box, and returns a line about it. */
async function pulled(
  { fleet }: FleetContext,
  place: BoxRow,
  copies: Copies,
  timeoutS: number,
): Promise<string> {
  const { site, box } = place;
  const room = { site, timeZone: fleet.timeZone, mqtt: fleet.mqtt };
  const request = { op: 'read-configuration', args: {}, box, key: signingKey(fleet), timeoutS } as const;
  const result = await askBox(room, request);
  if (sha256Of(result.yaml) !== result.sha256)
    throw new AgentError('corrupt', 'the reply is not a configuration with its SHA-256');
  const file = copies.file(place);
  const isKnown = copies.current(place, result.sha256) !== undefined;
  if (copies.keep(place, result.yaml))
    return `${site}/${box}: ${file} ${isKnown ? 'is what it has' : 'was written'}`;
  return `${site}/${box}: ${file} was edited and stays; \`config push\` shows what it would change`;
}
