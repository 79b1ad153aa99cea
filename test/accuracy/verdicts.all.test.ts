/** Tests verdicts from a real broker into the record, and from there into health reports and commands. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AccuracyRecord } from '../../agent/accuracy/record.ts';
import { RECORD_FILE, RecordStore } from '../../agent/accuracy/store.ts';
import { systemClock } from '../../agent/base/clock.ts';
import type { AccuracyReport } from '../../agent/contract/accuracy.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { alert, verdictOf, WATCHING } from '../lib/accuracy.ts';
import { makeAgent, noStreet, streetConfig } from '../lib/agent.ts';
import { bundledHelper } from '../lib/bundled.ts';
import { eventItem } from '../lib/events.ts';
import { keptLog, makeOutbox, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { start, vigie } from '../lib/program.ts';
import { BOX, clientOf, deliver, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';
import { openInbox } from '../lib/room-inbox.ts';
import { ALL, unlessAll } from '../lib/run.ts';

const REVIEWED_BOX = bundledHelper(new URL('../lib/judged-box.js', import.meta.url));
const TOPICS = topicsOf(SITE, BOX);

/** Connects delivery and record as the agent does. */
function box(t: Test, room: Room, file: string): { record: AccuracyRecord; report(): AccuracyReport } {
  const record = new AccuracyRecord({ file, watching: WATCHING, clock: systemClock, log: SILENT });
  record.start();
  const { outbox } = makeOutbox(join(scratch(t), 'outbox.db'));
  outbox.start();
  const inbox = new Map([[TOPICS.verdict, (payload: Buffer) => record.verdict(payload)]]);
  const { delivery } = deliver(t, room.config, outbox, {}, inbox);
  t.teardown(async () => {
    await delivery.stop();
    await outbox.stop();
    record.stop();
  });
  const report = (): AccuracyReport => {
    const current = record.report();
    if (current === null) throw new Error('no report');
    return current;
  };
  return { record, report };
}

void t.test('only the room may send a verdict, and the box counts it', async (t) => {
  const room = await makeRoom(t);
  const { record, report } = box(t, room, join(scratch(t), RECORD_FILE));
  for (let i = 1; i <= 4; i += 1) record.note(alert(`b-e${i}`, 'start', { id: `b-${i}` }));
  const operators = await clientOf(t, room, 'archive.inbox');
  const publishVerdict = (payload: Buffer | string, retain = false): Promise<unknown> =>
    operators.publishAsync(TOPICS.verdict, payload, { qos: 1, retain });
  // Published until the box receives it, because the box may not have subscribed yet.
  await waitUntil(t, 'the first verdict', () => {
    void publishVerdict(verdictOf({ episode: 'b-e1' }, 'confirmed', systemClock));
    return report().verdicts.taken > 0;
  });
  await publishVerdict(verdictOf({ event: 'b-2' }, 'false-alarm', systemClock));
  await publishVerdict(verdictOf({ event: 'b-3' }, 'unclear', systemClock));
  await publishVerdict(verdictOf({ event: 'b-77' }, 'confirmed', systemClock));
  for (const text of ['', 'x', '{"operator":"Smith"}', 'x'.repeat(50_000)]) await publishVerdict(text);
  await waitUntil(t, 'all of them', () => report().verdicts.malformed === 4);
  t.match(report().rules[0], {
    rule: 'long-stay',
    alerts: 4,
    confirmed: 1,
    falseAlarms: 1,
    unclear: 1,
    precision: 0.5,
  });
  t.equal(report().verdicts.unknown, 1);

  const neighbour = await clientOf(t, room, 'canebiere-018');
  const forged = verdictOf({ event: 'b-4' }, 'confirmed', systemClock);
  const refusal = neighbour.publishAsync(TOPICS.verdict, forged, { qos: 1 });
  await t.rejects(refusal, { code: 135 }, 'another box may not');
  t.match(report().rules[0], { confirmed: 1 });

  // A room that retains a verdict by mistake: the old verdict arrives at every connection and changes nothing.
  const old = verdictOf({ event: 'b-4' }, 'confirmed', systemClock);
  await publishVerdict(old, true);
  await waitUntil(t, 'the retained one', () => report().rules[0]?.confirmed === 2);
  await publishVerdict(
    verdictOf({ event: 'b-4' }, 'false-alarm', { ...systemClock, wallMs: () => Date.now() + 5000 }),
  );
  await waitUntil(t, 'the later one', () => report().rules[0]?.falseAlarms === 2);
  const repeated = report().verdicts.repeated;
  await room.broker.stop();
  await room.broker.start();
  await waitUntil(t, 'connected again', () => {
    if (!operators.connected) return false;
    void publishVerdict(old, true);
    return report().verdicts.repeated > repeated;
  });
  t.match(report().rules[0], { confirmed: 1, falseAlarms: 2, unclear: 1, alerts: 4 });
});

void t.test(
  'a verdict topic that cannot be subscribed holds no alert back',
  { skip: unlessAll },
  async (t) => {
    const { archive, config } = await makeRoom(t);
    await archive.start();
    const { outbox } = makeOutbox(join(scratch(t), 'outbox.db'));
    outbox.start();
    t.teardown(() => outbox.stop());
    outbox.append([eventItem('alert', 'loitering')]);
    const { log, lines } = keptLog();
    // Not a valid topic filter (MQTT 5.0, 4.7.1.2), so subscribing fails immediately.
    const inbox = new Map([['vigie/#/verdict', () => t.fail('nothing can come')]]);
    const { delivery } = deliver(t, config, outbox, { log }, inbox);
    const warned = (): string[] => lines.filter((line) => line.startsWith('warn'));
    await waitUntil(t, 'warned', () => warned().length > 0);
    await waitUntil(t, 'the alert', () => archive.stored.alert.size === 1);
    t.match(delivery.state, { phase: 'online', reconnects: 0 });
    t.match(warned(), [/not subscribed on this connection .*vigie\/#\/verdict/]);
  },
);

void t.test('verdicts acknowledged to the broker survive a kill', async (t) => {
  const room = await makeRoom(t);
  const file = join(scratch(t), RECORD_FILE);
  const operators = await clientOf(t, room, 'archive.inbox');
  const { url, ca, cert, key } = room.config;
  let acknowledged = 0;
  for (let run = 0; run < (ALL ? 5 : 1); run += 1) {
    const args = [file, url, ca ?? '', cert ?? '', key ?? '', `${run}`];
    const program = start(t, process.execPath, [REVIEWED_BOX, ...args]);
    const takenCount = (): number => program.out.match(/taken/g)?.length ?? 0;
    let next = 0;
    const hasSome = (): boolean => {
      next = (next + 1) % 20;
      const verdict = verdictOf({ event: `life${run}-${next}` }, 'confirmed', systemClock);
      void operators.publishAsync(TOPICS.verdict, verdict, { qos: 1 });
      return takenCount() >= 5;
    };
    await waitUntil(t, 'some verdicts are recorded', hasSome, 30_000);
    program.child.kill('SIGKILL');
    await program.exit;
    acknowledged += takenCount();
    const store = RecordStore.open(file);
    const statistics = store.statistics(['long-stay'])[0];
    store.close();
    t.ok(
      (statistics?.confirmed ?? 0) >= acknowledged,
      `life ${run}: ${statistics?.confirmed} on record, ${acknowledged} were reported`,
    );
    acknowledged = statistics?.confirmed ?? 0;
  }
});

void t.test(
  'a verdict on an alert of the whole agent reaches health and the command',
  { skip: unlessAll || noStreet },
  async (t) => {
    const room = await makeRoom(t);
    const inbox = await openInbox(t, room);
    const operators = inbox.client;
    const alerts = (): VigieEvent[] => inbox.events('line-crossing');
    const stateDir = join(scratch(t), 'state');
    const agent = makeAgent(t, streetConfig(room), stateDir);
    await agent.start();
    await waitUntil(t, 'an alert', () => alerts().length > 0, 60_000);

    const { id, data } = alerts()[0] as VigieEvent;
    const payload = verdictOf({ episode: data.episode }, 'confirmed', systemClock);
    await operators.publishAsync(TOPICS.verdict, payload, { qos: 1 });
    await operators.publishAsync(TOPICS.verdict, verdictOf({ event: id }, 'confirmed', systemClock), {
      qos: 1,
    });
    const line = (): AccuracyReport['rules'][number] | undefined => inbox.health.at(-1)?.accuracy?.rules[0];
    await waitUntil(t, 'health says so', () => line()?.confirmed === 1, 60_000);
    t.match(line(), { rule: 'passing', confirmed: 1, falseAlarms: 0, precision: 1, low: 0.207, high: 1 });
    t.ok((line()?.alerts ?? 0) >= 1);
    const json = vigie(t, 'accuracy', '--json', '--state', stateDir);
    t.equal(await json.exit, 0, json.err);
    t.match(JSON.parse(json.out), { box: BOX, rules: [{ rule: 'passing', confirmed: 1 }] });
    await agent.stop();
  },
);
