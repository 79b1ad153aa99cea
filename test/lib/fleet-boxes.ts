/**
 * Program that runs many boxes in one process. Its only argument is a JSON file with their options. It prints `online`
 * when all of them are, and ends on SIGTERM.
 */
import { readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeOutbox } from './outbox.ts';
import { SearchableBox, type SearchableBoxOptions } from './searchable-box.ts';

// The disk refuses this place: one empty outbox in memory is enough for all of them.
const { outbox } = makeOutbox('/proc/nowhere/outbox.db');
outbox.start();
const all = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Omit<SearchableBoxOptions, 'outbox'>[];
const boxes = all.map((options) => new SearchableBox({ ...options, outbox }));
let stopping = false;
process.once('SIGTERM', () => {
  stopping = true;
});
for (const [i, box] of boxes.entries()) {
  if (stopping) break;
  box.start();
  // A fleet does not connect within the same millisecond either.
  if (i % 10 === 9) await sleep(50);
}
while (!stopping && boxes.some(({ delivery }) => delivery.state.phase !== 'online')) await sleep(100);
if (!stopping) writeSync(1, 'online\n');
while (!stopping) await sleep(100);
process.exit(0);
