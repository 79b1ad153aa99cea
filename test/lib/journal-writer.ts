/**
 * Process that appends to a journal until it is killed, or COUNT times: `DIR ORIGIN [COUNT]`. Prints each index when it
 * is durable. Once in 50 entries the previous one is erased.
 */
import { writeSync } from 'node:fs';
import { Journal } from '../../agent/restraint/journal/journal.ts';

const [stateDir = '', origin = '', count = 'Infinity'] = process.argv.slice(2);
const journal = new Journal({ stateDir, origin });
journal.start();
for (let i = 0; i < Number(count); i += 1) {
  const at = new Date().toISOString();
  writeSync(1, `${journal.append({ at, type: 'clock-step', stepMs: journal.size })}\n`);
  if (journal.size % 50 === 49) journal.erase([journal.size - 1], 'test', at);
}
