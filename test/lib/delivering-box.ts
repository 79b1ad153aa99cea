/**
 * A box reduced to outbox and delivery, made to be killed: `FILE URL CA CERT KEY ROWS_PER_S`. Prints each number it was
 * given. `SIGUSR2` ends the appending; the delivery continues.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventWithStill, namedEvent } from './events.ts';
import { makeOutbox } from './outbox.ts';
import { makeDelivery } from './room.ts';

const [file = '', url = '', ca = '', cert = '', key = '', rowsPerS = '50'] = process.argv.slice(2);
const boot = `boot-${process.pid}`;
const { outbox } = makeOutbox(file, { limitMiB: 64, boot });
outbox.start();
const delivery = makeDelivery({ url, ca, cert, key, ack: 'archive' }, outbox, { boot });
delivery.start();
let appending = true;
process.on('SIGUSR2', () => {
  appending = false;
});
for (let i = 0; appending; i += 1) {
  const id = `${boot}-${i}`;
  const items = i % 2 === 0 ? eventWithStill(id, 8000) : [namedEvent('bulk', id)];
  const seqs = outbox.append(items);
  writeSync(1, `${i % 2 === 0 ? 'alert' : 'bulk'} ${seqs.join(' ')}\n`);
  delivery.wake();
  await sleep(1000 / Number(rowsPerS));
}
