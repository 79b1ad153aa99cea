/**
 * Process that accepts events into outbox and archive until it is killed: `DIR BOOT`. Prints the id of each event when
 * it has been accepted.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { EventArchive } from '../../agent/archive/archive.ts';
import { systemClock } from '../../agent/base/clock.ts';
import { accepting } from './accepting.ts';
import { eventAt } from './history.ts';
import { makeOutbox, SILENT } from './outbox.ts';

const [dir = '', boot = ''] = process.argv.slice(2);
const { outbox } = makeOutbox(join(dir, 'outbox.db'), { limitMiB: 16, boot });
const archive = new EventArchive({
  file: join(dir, 'archive.db'),
  limitMiB: 16,
  boot,
  clock: systemClock,
  log: SILENT,
  eventsDays: () => 30,
  steady: { trusted: () => true },
});
const sink = accepting(outbox, archive);
outbox.start();
archive.start();
sink.completeAccepted();
for (let i = 0; ; i += 1) {
  const { sequence: _, ...event } = eventAt(Date.now(), { id: `${boot}-${i}` });
  sink.accept(event, [], {});
  writeSync(1, `${event.id}\n`);
}
