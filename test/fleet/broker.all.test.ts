/** Tests the fleet's link to a real broker: one that returns empty or older, one with too many messages, and none. */
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import t from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { FleetLink, incomingMax } from '../../scripts/products/fleet/broker.ts';
import { Rollouts } from '../../scripts/products/fleet/rollout/rollouts.ts';
import { Orders, waitUntil } from '../lib/heard-orders.ts';
import { scratch } from '../lib/paths.ts';
import { QUICK, RolloutFleet, SITE } from '../lib/rollout-fleet.ts';

const NAME = 'r-1';
const { signal } = new AbortController();

void t.test('a broker that returns empty or older during a rollout gets its orders again', async (t) => {
  const fleet = await new RolloutFleet(t).start(8, (i) => ({ jitterMs: i < 4 ? 40 * 3_600_000 : 0 }));
  const { store, controller, link } = await fleet.controller();
  fleet.create(store, NAME, { ...QUICK, canary: { boxes: ['b-0', 'b-1', 'b-2', 'b-3'], hours: 0.02 } });
  const stop = new AbortController();
  const going = controller.run(NAME, stop.signal);
  const rollouts = new Rollouts(store);
  await waitUntil('orders are at the broker', () => installCount(rollouts) === 4);
  fleet.isFrozen = true;
  // Their reports about the orders are at the broker.
  await waitUntil('all have taken theirs', () =>
    [0, 1, 2, 3].every((i) => fleet.box(i).truth.phase === 'waiting'),
  );
  for (const box of fleet.simulation.boxes.values()) {
    await box.settled;
    box.drop();
  }
  await fleet.broker.stop();
  await sleep(200);
  await fleet.broker.start();
  const orders = await Orders.of(t, fleet.broker.url);
  await waitUntil('the orders are there again', () => orders.retained.size === 4);
  t.match(fleet.output.join('\n'), 'the broker does not hold 4 orders any more; sent again');
  t.equal(rollouts.ordersOf(SITE, 'b-0').length, 1, 'the same order');
  for (const box of fleet.simulation.boxes.values()) await box.connect();
  fleet.isFrozen = false;
  // A further order for each box, then a broker that was restored to the previous one.
  const [first] = rollouts.ordersOf(SITE, 'b-0');
  rollouts.want(NAME, 'pause');
  await waitUntil('they are paused', () => orders.retained.get('b-0')?.action === 'pause');
  stop.abort();
  await going;
  await link.stop();
  const client = await mqtt.connectAsync(fleet.broker.url, { protocolVersion: 5 });
  t.teardown(() => client.end(true));
  await client.publishAsync(topicsOf(SITE, 'b-0').updateDesired, first?.envelope ?? '', {
    qos: 1,
    retain: true,
  });
  await waitUntil('the older one lies there', () => orders.retained.get('b-0')?.action === 'install');
  const next = await fleet.controller();
  await next.controller.run(NAME, signal, true);
  await waitUntil('the newer one lies there', () => orders.retained.get('b-0')?.action === 'pause');
  new Rollouts(next.store).want(NAME, 'abort');
  await next.controller.run(NAME, signal, true);
  t.match(new Rollouts(next.store).get(NAME), { state: 'aborted' });
});

const installCount = (rollouts: Rollouts): number =>
  rollouts.expectedOrders().filter(({ published_at: at }) => at !== null).length;

void t.test(
  'too many retained messages are an error with both numbers; a higher limit loads all',
  async (t) => {
    const dir = scratch(t);
    const broker = new Mosquitto({ dir });
    await broker.start();
    t.teardown(() => broker.stop());
    const boxes = 16_667;
    const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
    t.teardown(() => client.end(true));
    const tails = ['status', 'update/reported', 'update/desired'];
    for (let i = 0; i < boxes; i += 1)
      for (const tail of tails) client.publish(`vigie/s/b-${i}/${tail}`, '{}', { retain: true });
    await client.publishAsync('vigie/s/last/status', '{}', { qos: 1, retain: true });
    t.equal(incomingMax(10_000), 50_000);
    const link = (count: number): FleetLink =>
      new FleetLink({
        config: { url: broker.url, ack: 'broker' },
        boxes: count,
        clock: systemClock,
        warn: (line) => t.fail(line),
      });
    const small = link(10_000);
    t.teardown(() => small.stop());
    await t.rejects(small.reconnect(signal, 60_000), {
      kind: 'config',
      message:
        /^fleet\.yaml: boxes: the broker retains more than 50000 messages of boxes, the limit for 10000 boxes/,
    });
    const right = link(boxes);
    t.teardown(() => right.stop());
    await right.reconnect(signal, 60_000);
    t.equal(right.take().length, 3 * boxes + 1);
  },
);

void t.test('a second connection replaces the first, so that each message arrives once', async (t) => {
  const broker = new Mosquitto({ dir: scratch(t) });
  await broker.start();
  t.teardown(() => broker.stop());
  const config = { url: broker.url, ack: 'broker' } as const;
  const link = new FleetLink({ config, clock: systemClock, warn: (line) => t.comment(line) });
  t.teardown(() => link.stop());
  for (const _ of [1, 2]) await link.connect(signal);
  const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  t.teardown(() => client.end(true));
  for (const payload of ['1', '2'])
    await client.publishAsync('vigie/s/b-1/status', payload, { qos: 1, retain: true });
  await waitUntil('the last one is there', () => link.received >= 2);
  await sleep(200);
  t.strictSame(
    link.take().map(({ payload }) => payload.toString()),
    ['1', '2'],
  );
});

void t.test('an unreachable broker ends the wait with an error', async (t) => {
  const dir = scratch(t);
  const broker = new Mosquitto({ dir });
  await broker.start();
  t.teardown(() => broker.stop());
  await broker.stop();
  const link = new FleetLink({
    config: { url: broker.url, ack: 'broker' },
    clock: systemClock,
    warn: () => undefined,
  });
  t.teardown(() => link.stop());
  const beganMs = performance.now();
  await link.reconnect(signal, 1500).then(
    () => t.fail('it has connected'),
    (error: unknown) => t.match(error, { kind: 'unavailable', message: /mqtt:\/\/localhost/ }),
  );
  t.ok(performance.now() - beganMs < 40_000);
});
