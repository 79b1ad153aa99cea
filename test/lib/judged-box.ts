/**
 * A box reduced to delivery and audit log, made to be killed: `FILE URL CA CERT KEY LIFE`. Raises 20 alerts and prints
 * `taken` for each verdict that is in the log.
 */
import { writeSync } from 'node:fs';
import { AccuracyRecord } from '../../agent/accuracy/record.ts';
import { systemClock } from '../../agent/base/clock.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { alert, WATCHING } from './accuracy.ts';
import { makeOutbox, SILENT } from './outbox.ts';
import { BOX, makeDelivery, SITE } from './room.ts';

const [file = '', url = '', ca = '', cert = '', key = '', runNo = ''] = process.argv.slice(2);
const record = new AccuracyRecord({ file, watching: WATCHING, clock: systemClock, log: SILENT });
record.start();
for (let i = 0; i < 20; i += 1) {
  record.note(
    alert(`life${runNo}-e${i}`, 'start', { id: `life${runNo}-${i}`, time: new Date().toISOString() }),
  );
}
const { outbox } = makeOutbox(`${file}.outbox`, { boot: `boot-${process.pid}` });
outbox.start();
let acceptedCount = 0;
const take = (payload: Buffer): void => {
  record.verdict(payload);
  const now = record.report()?.verdicts.taken ?? 0;
  if (now > acceptedCount) writeSync(1, 'taken\n');
  acceptedCount = now;
};
const mqtt = { url, ca, cert, key, ack: 'broker' } as const;
makeDelivery(mqtt, outbox, { boot: `boot-${process.pid}` }).start(
  new Map([[topicsOf(SITE, BOX).verdict, take]]),
);
