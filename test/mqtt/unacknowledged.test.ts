/**
 * Tests a broker that accepts every message while no archive acknowledges. The fault is reported after 60 s, also after
 * a restart, and ends with the first acknowledgement.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { UNACKNOWLEDGED_S_MAX } from '../../agent/contract/health.ts';
import type { Outbox } from '../../agent/contract/outbox.ts';
import { eventItem } from '../lib/events.ts';
import { keptLog, openedOutbox, rowsOf } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { clientOf, deliver, makeRoom, type Room, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

const alert = () => eventItem('alert', 'loitering');

/** Makes a delivery with a clock that the test can advance, and collects its log. */
function startDelivery(t: Test, { config }: Room, outbox: Outbox, ack: 'archive' | 'broker' = 'archive') {
  let aheadMs = 0;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
  const { log, lines } = keptLog();
  let takenCount = 0;
  const onPuback = (): void => {
    takenCount += 1;
  };
  const { delivery } = deliver(t, { ...config, ack }, outbox, { clock, log, onPuback });
  /** Resolves when the broker has accepted this number of further messages. */
  const untilTaken = (extraCount: number): Promise<number> => {
    const before = takenCount;
    return waitUntil(t, 'taken', () => takenCount >= before + extraCount, 20_000);
  };
  const waitS = (seconds: number): void => {
    aheadMs += seconds * 1000;
  };
  const errorLines = (): string[] => lines.filter((line) => /^error .*no archive acknowledges/.test(line));
  return { delivery, untilTaken, waitS, errorLines };
}

void t.test('unacknowledged messages are reported after 60 s, and again after a restart', async (t) => {
  const room = await makeRoom(t);
  // A plain subscriber, as a first attempt at a room often is.
  const subscriber = await clientOf(t, room, 'room');
  await subscriber.subscribeAsync('vigie/#', { qos: 1 });
  const outbox = openedOutbox(t, join(scratch(t), 'outbox.db'));
  outbox.append([alert(), alert()]);
  const first = startDelivery(t, room, outbox);
  await first.untilTaken(2);
  first.waitS(UNACKNOWLEDGED_S_MAX - 5);
  t.ok(first.delivery.state.unacknowledgedS < UNACKNOWLEDGED_S_MAX, 'not yet');
  first.waitS(10);
  await waitUntil(t, 'told', () => first.errorLines().length === 1);
  t.ok(first.delivery.state.unacknowledgedS >= UNACKNOWLEDGED_S_MAX);
  t.match(first.errorLines()[0], /docs\/guide\/room\.md.*mqtt\.ack: broker/, 'with what to do');
  await first.delivery.stop();
  t.equal(rowsOf(outbox), 2, 'no row is lost');

  const second = startDelivery(t, room, outbox);
  await second.untilTaken(2);
  t.ok(second.delivery.state.unacknowledgedS < 5, 'a new start has waited for nothing yet');
  second.waitS(UNACKNOWLEDGED_S_MAX + 5);
  await waitUntil(t, 'told again', () => second.errorLines().length === 1);

  await subscriber.endAsync();
  await room.archive.start();
  await waitUntil(t, 'delivered', () => rowsOf(outbox) === 0);
  t.equal(second.delivery.state.unacknowledgedS, 0, 'over with the acknowledgement');
  outbox.append([alert()]);
  second.delivery.wake();
  await waitUntil(t, 'delivered', () => rowsOf(outbox) === 0);
  second.waitS(UNACKNOWLEDGED_S_MAX + 5);
  await waitUntil(t, 'a tick', () => second.delivery.state.unacknowledgedS === 0);
  t.equal(second.errorLines().length, 1, 'no report without waiting rows');
});

void t.test(
  'time without a connection does not count against the archive',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t);
    const outbox = openedOutbox(t, join(scratch(t), 'outbox.db'));
    outbox.append([alert()]);
    const { delivery, untilTaken, waitS, errorLines } = startDelivery(t, room, outbox);
    await untilTaken(1);
    waitS(40);
    await room.broker.stop();
    await waitUntil(t, 'away', () => delivery.state.phase !== 'online');
    const beforeS = delivery.state.unacknowledgedS;
    waitS(3600);
    t.equal(delivery.state.unacknowledgedS, beforeS, 'the broker was offline');
    await room.broker.start();
    await untilTaken(1);
    t.same(errorLines(), []);
    waitS(30);
    await waitUntil(t, 'told', () => errorLines().length === 1);
  },
);
