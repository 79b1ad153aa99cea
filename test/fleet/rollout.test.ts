/**
 * Tests rollouts over a real broker, with boxes that use the real protocol: one that halts and goes on, and reports and
 * orders of others. `rollout.all.test.ts` has the whole of it.
 */
import { generateKeyPairSync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { topicsOf } from '../../agent/contract/topics.ts';
import { UPDATE_ORDER_TYPE } from '../../agent/contract/update.ts';
import { signEnvelope } from '../../agent/orders/dsse.ts';
import { openReport } from '../../scripts/products/fleet/report.ts';
import { Rollouts } from '../../scripts/products/fleet/rollout/rollouts.ts';
import { viewOf } from '../../scripts/products/fleet/rollout/view.ts';
import { Orders, waitUntil } from '../lib/heard-orders.ts';
import { QUICK, RolloutFleet, SITE, WELL } from '../lib/rollout-fleet.ts';

const NAME = 'r-1';
const { signal } = new AbortController();

/** Connects another client to the broker. */
async function connectClient(t: Test, url: string): Promise<mqtt.MqttClient> {
  const connection = await mqtt.connectAsync(url, { protocolVersion: 5 });
  t.teardown(() => connection.end(true));
  return connection;
}

void t.test('a rollout halts on failed canaries, withdraws open orders, and can be resumed', async (t) => {
  const bad = { ...WELL, ends: 'rolled-back' } as const;
  const fleet = await new RolloutFleet(t).start(8, (i) => ({
    fate: i < 2 ? bad : i === 2 ? { ...WELL, startsOffline: true } : WELL,
  }));
  const { store, controller } = await fleet.controller();
  fleet.create(store, NAME, { ...QUICK, canary: { boxes: ['b-0', 'b-1', 'b-2'], hours: 0.02 } });
  const halted = await controller.run(NAME, signal);
  t.match(halted, { state: 'halted', reason: '2 canaries rolled back' });
  t.strictSame(fleet.states(store, NAME), [
    'rolled-back',
    'rolled-back',
    'withdrawn',
    ...Array(5).fill('planned'),
  ]);
  t.match(fleet.box(0).truth, { phase: 'rolled-back', seq: 42 });
  const { retained: remaining } = await Orders.of(t, fleet.broker.url);
  t.strictSame([...remaining.keys()], ['b-2'], 'an offline box finds the order withdrawn');
  t.match(viewOf(store, halted, fleet.clock.wallMs()).boxes[0], { reason: 'it crashed: 3 restarts' });
  t.throws(() => fleet.create(store, 'r-2'), /r-1 is halted/);
  new Rollouts(store).want(NAME, 'resume');
  // b-2 stays offline. It does not hold up the rollout, but then no canary has been healthy.
  const going = controller.run(NAME, signal);
  await waitUntil('sent for again', () => fleet.states(store, NAME)[2] === 'ordered');
  await fleet.box(2).connect();
  await waitUntil('waves', () =>
    fleet
      .states(store, NAME)
      .slice(2)
      .every((state) => state === 'confirmed'),
  );
  t.match(await going, { state: 'incomplete', reason: '2 of 8 boxes are not confirmed: 2 rolled back' });
});

void t.test('reports of others, with another key or of yesterday are counted without effect', async (t) => {
  const fleet = await new RolloutFleet(t).start(3);
  const { store, controller } = await fleet.controller();
  const before = await fleet.box(0).report({});
  await fleet.box(0).report({ journalIndex: 5000, version: '1.4.3' });
  const heardUntil = (label: string, holds: () => boolean): Promise<void> =>
    waitUntil(label, () => {
      controller.hear();
      return holds();
    });
  await heardUntil('the newer one', () => store.boxesNamed('b-0')[0]?.report?.version === '1.4.3');
  const unknownClient = await connectClient(t, fleet.broker.url);
  const topic = (box: string) => topicsOf(SITE, box).updateReported;
  const otherReport = await fleet.box(1).report({ box: 'b-0', journalIndex: 9000 });
  await unknownClient.publishAsync(topic('b-0'), before, { qos: 1 });
  await unknownClient.publishAsync(topic('b-0'), otherReport, { qos: 1 });
  await unknownClient.publishAsync(topic('b-2'), otherReport, { qos: 1 });
  await unknownClient.publishAsync(topic('b-2'), 'rubbish', { qos: 1 });
  const altered = JSON.parse(before) as { payload: string };
  altered.payload = Buffer.from(
    Buffer.from(altered.payload, 'base64').toString().replace('"1.4.2"', '"1.4.9"'),
  ).toString('base64');
  await unknownClient.publishAsync(topic('b-0'), JSON.stringify(altered), { qos: 1 });
  await heardUntil('six refusals', () => store.refusals().length === 6);
  t.equal(store.boxesNamed('b-0')[0]?.report?.version, '1.4.3');
  const refusals = store.refusals().map(({ box, reason }) => `${box}: ${reason}`);
  t.strictSame(
    refusals.sort(),
    [
      'b-0: it is older than what the box has reported',
      'b-0: its key is another than the one that is known of the box',
      'b-0: the signature does not fit the content',
      'b-1: it is of b-0 at site-1 and came from b-1 at site-1',
      'b-2: it is of b-0 at site-1 and came from b-2 at site-1',
      'b-2: the envelope is not JSON in UTF-8',
    ].sort(),
  );
  const other = store.boxesNamed('b-0')[0]?.other ?? '';
  t.throws(() => store.acceptKey(SITE, 'b-0', '0'.repeat(64), 0), /it has not reported with/);
  store.acceptKey(SITE, 'b-0', other, 0);
  await unknownClient.publishAsync(topic('b-0'), otherReport, { qos: 1 });
  await heardUntil('the other key', () => store.boxesNamed('b-0')[0]?.report?.journalIndex === 9000);
  t.match(store.boxesNamed('b-0')[0], { fingerprint: other, other: null, report: { journalIndex: 9000 } });
});

void t.test('a report that another program with this store has overtaken is not refused', async (t) => {
  const fleet = await new RolloutFleet(t).start(1);
  const { store, controller } = await fleet.controller();
  const storedIndex = (): number | undefined => store.boxesNamed('b-0')[0]?.report?.journalIndex;
  const heardUntil = (journalIndex: number): Promise<void> =>
    waitUntil(`report ${journalIndex}`, () => {
      controller.hear();
      return storedIndex() === journalIndex;
    });
  await fleet.box(0).report({ journalIndex: 5000 });
  await heardUntil(5000);
  await fleet.box(0).report({ journalIndex: 5001 });
  const later = openReport(Buffer.from(await fleet.box(0).report({ journalIndex: 5002 })), SITE, 'b-0');
  store.takeReport(later.report, later.fingerprint, Date.now());
  await fleet.box(0).report({ journalIndex: 5003 });
  await heardUntil(5003);
  t.strictSame(store.refusals(), []);
});

void t.test(
  'foreign orders are reported, many of them stop the rollout, and lost ones are resent',
  async (t) => {
    const fleet = await new RolloutFleet(t).start(6, () => ({ jitterMs: 40 * 3_600_000 }));
    const { store, controller } = await fleet.controller();
    fleet.create(store, NAME, { ...QUICK, canary: { boxes: ['b-0', 'b-1', 'b-2', 'b-3'], hours: 1 } });
    await controller.run(NAME, signal, true);
    const unknownClient = await connectClient(t, fleet.broker.url);
    const key = generateKeyPairSync('ed25519').privateKey;
    const writeRequest = (i: number, change: object = {}): Promise<unknown> => {
      const order = {
        rollout: 'theirs',
        site: SITE,
        box: `b-${i}`,
        action: 'install',
        counter: 7,
        what: 'release',
        seq: 44,
        version: '1.6.0',
        window: null,
      };
      const dates = { notBefore: '2026-01-01T00:00:00.000Z', notAfter: '2099-01-01T00:00:00.000Z' };
      const envelope = signEnvelope(
        UPDATE_ORDER_TYPE,
        JSON.stringify({ ...order, ...dates, ...change }),
        key,
      );
      return unknownClient.publishAsync(topicsOf(SITE, `b-${i}`).updateDesired, envelope, {
        qos: 1,
        retain: true,
      });
    };
    await writeRequest(0);
    await writeRequest(1, { action: 'withdraw' });
    await writeRequest(2, { notAfter: '2026-01-02T00:00:00.000Z' });
    const runUntil = async (holds: () => boolean): Promise<void> => {
      do await controller.run(NAME, signal, true);
      while (!holds() && (await sleep(20, true)));
    };
    const warning = 'rollout theirs, for site-1/b-0; not by this fleet';
    await runUntil(() => fleet.output.at(-1)?.includes(warning) === true);
    await writeRequest(1);
    await writeRequest(2);
    await t.rejects(
      runUntil(() => false),
      {
        kind: 'denied',
        message: /rollout theirs, for .*; sending has stopped/,
      },
    );
    // The broker has lost one of our orders, and no one has replaced it.
    await unknownClient.publishAsync(topicsOf(SITE, 'b-3').updateDesired, '', { qos: 1, retain: true });
    for (const i of [0, 1, 2])
      await unknownClient.publishAsync(topicsOf(SITE, `b-${i}`).updateDesired, '', { qos: 1, retain: true });
    const { controller: next, store: secondStore } = await fleet.controller();
    await next.run(NAME, signal, true);
    t.match(fleet.output.join('\n'), 'the broker does not hold 4 orders any more; sent again');
    t.equal((await Orders.of(t, fleet.broker.url)).retained.size, 4);
    t.equal(new Rollouts(secondStore).ordersOf(SITE, 'b-3').length, 1, 'the same order');
  },
);
