/** Tests that an action leaves the room once its undo window is over, and never if it was undone. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { WebhookSettings } from '../../scripts/programs/room/console/webhook-sender.ts';
import { WEBHOOK_TYPES } from '../../scripts/programs/room/contract/webhook.ts';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { roomDatabase } from '../lib/console.ts';
import { addIncident, changeIncident, putCamera } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { waitUntil } from '../lib/room.ts';
import { personIn } from '../lib/room-acts.ts';
import { MortalDatabase, settled, startOutlets } from '../lib/room-outlets.ts';
import { countOf } from '../lib/room-rows.ts';
import { type Receiver, receiverFor } from '../lib/webhook-receiver.ts';

const SECRET = `whsec_${randomBytes(32).toString('base64')}`;
const WRITER = fileURLToPath(new URL('../lib/webhook-writer.js', import.meta.url));
/** More statements than a delivery has. */
const NEVER = 1e9;

const hooks = ({ url }: Receiver): WebhookSettings[] => [
  { name: 'city', url, secret: SECRET, types: WEBHOOK_TYPES, patrols: undefined },
];

/** Ends all windows, as ten seconds would. */
const pass = (db: Sql): Promise<number> => db.run('UPDATE undo_window SET until = $1', [iso(Date.now() - 1)]);

/** Messages about an incident: their types without `incident.`, and states. */
const heardOf = ({ all }: Receiver, no: number): string[] =>
  all.flatMap(({ message: { type, data } }) =>
    'no' in data && data.no === no ? [`${type.slice('incident.'.length)} ${data.state}`] : [],
  );

async function makeOutside(t: Test, address: string) {
  const db = await roomDatabase(t, address);
  await putCamera(db, 'b-1', Date.now());
  const receiver = await receiverFor(t);
  return { db, receiver, sent: [] as string[] };
}

for (const name of ['sqlite', 'postgres'] as const) {
  void t.test(`actions leave the room after their window, from ${name}`, async (t) => {
    const { db, receiver, sent } = await makeOutside(t, (await DATABASES[name](t)).address);
    const startMs = Date.now();
    const [anna, supervisor] = [personIn(db, 'anna', startMs), personIn(db, 'supervisor', startMs)];
    const mortal = new MortalDatabase(db, NEVER);
    const outlets = await startOutlets(db, mortal, hooks(receiver), sent);
    t.teardown(() => outlets.stop());

    const old = await addIncident(db, startMs, { episode: 'old', state: 'closed', closed_at: iso(startMs) });
    const keptNo = await addIncident(db, startMs, { episode: 'kept' });
    const undoneNo = await addIncident(db, startMs, { episode: 'undone' });
    await waitUntil(t, 'they are received', () => receiver.all.length >= 4);
    await anna.claim(keptNo);
    await anna.review(keptNo, 'confirmed', { revision: 1 });
    const { undo } = await anna.review(undoneNo, 'false-alarm');
    const entry = await supervisor.reopen(old, { revision: 0, key: 'r-1' });
    await changeIncident(db, keptNo, { ended_at: iso(startMs) });
    await waitUntil(t, 'the box’s event is sent at once', () => heardOf(receiver, keptNo).length === 2);
    await sleep(500);
    t.same(
      heardOf(receiver, keptNo),
      ['received new', 'changed new'],
      'in the state before the open actions',
    );
    t.same([heardOf(receiver, entry.no), sent], [[], []], 'no action leaves');

    const claimedNo = await addIncident(db, startMs, { episode: 'revoked' });
    await anna.claim(claimedNo);
    await changeIncident(db, claimedNo, {
      state: 'closed',
      closed_reason: 'box-revoked',
      closed_at: iso(startMs),
    });
    await waitUntil(t, 'what the room closes itself is sent at once', () =>
      heardOf(receiver, claimedNo).includes('closed closed'),
    );

    await anna.undo(undo.acts);
    await supervisor.undo(entry.undo.acts);
    const second = await supervisor.reopen(old, { revision: 0, key: 'r-2' });
    await pass(db);
    await settled(db, mortal);
    t.match(
      sent.map((text) => JSON.parse(text)),
      [{ episode: 'kept', verdict: 'confirmed' }],
      'one verdict',
    );
    t.same(heardOf(receiver, keptNo).at(-1), 'closed closed');
    t.same(new Set(heardOf(receiver, undoneNo).slice(1)), new Set(['changed new']), 'never closed');
    t.same(heardOf(receiver, entry.no), [], 'an undone reopening is never sent');
    t.same(heardOf(receiver, second.no)[0], 'received new', 'and the next one as new');
  });

  void t.test(`a program that dies at any statement loses and leaks nothing, in ${name}`, async (t) => {
    const { db, receiver, sent } = await makeOutside(t, (await DATABASES[name](t)).address);
    // A webhook gets the changes since its first start.
    await (await startOutlets(db, new MortalDatabase(db, NEVER), hooks(receiver), sent)).stop();
    let deaths = 0;
    for (let diesAt = 1; ; diesAt += 1) {
      const [keptNo, undoneNo] = [
        await addIncident(db, Date.now(), { episode: `kept-${diesAt}` }),
        await addIncident(db, Date.now(), { episode: `undone-${diesAt}` }),
      ];
      await personIn(db, 'anna', Date.now()).review(keptNo, 'confirmed');
      const { undo } = await personIn(db, 'anna', Date.now()).review(undoneNo, 'false-alarm');
      await personIn(db, 'anna', Date.now()).undo(undo.acts);
      await pass(db);
      const mortal = new MortalDatabase(db, diesAt);
      const first = await startOutlets(db, mortal, hooks(receiver), sent);
      await settled(db, mortal);
      await first.stop();
      const survivor = new MortalDatabase(db, NEVER);
      const next = await startOutlets(db, survivor, hooks(receiver), sent);
      await settled(db, survivor);
      await next.stop();
      const verdicts = sent.map((text) => JSON.parse(text) as { episode: string });
      const count = (episode: string): number => verdicts.filter((one) => one.episode === episode).length;
      const isRight =
        count(`kept-${diesAt}`) >= 1 &&
        count(`kept-${diesAt}`) <= 2 &&
        count(`undone-${diesAt}`) === 0 &&
        heardOf(receiver, keptNo).at(-1) === 'closed closed' &&
        heardOf(receiver, undoneNo).every((text) => text.endsWith(' new'));
      t.ok(isRight, `dead at statement ${diesAt}`);
      if (!mortal.isDead) break;
      deaths += 1;
    }
    t.comment(`${deaths} deaths`);
    t.ok(deaths >= 20, 'each statement of a delivery');
    t.same([await countOf(db, 'undo_window'), await countOf(db, 'verdict_due')], [0, 0]);
  });
}

/** Starts a console's webhooks in a process of their own. */
async function startWriter(t: Test, address: string, settings: WebhookSettings[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [WRITER, address, JSON.stringify(settings)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

void t.test('a console killed with kill -9 within a window leaves its end to the next one', async (t) => {
  const { address } = await DATABASES.sqlite(t);
  const { db, receiver } = await makeOutside(t, address);
  const child = await startWriter(t, address, hooks(receiver));
  const startMs = Date.now();
  const no = await addIncident(db, startMs);
  await waitUntil(t, 'it is received', () => receiver.all.length === 1);
  await personIn(db, 'anna', Date.now()).review(no, 'confirmed');
  await sleep(500);
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
  t.notOk(heardOf(receiver, no).includes('closed closed'), 'no verdict within the window');
  await db.run('UPDATE webhook SET holder = NULL');
  await startWriter(t, address, hooks(receiver));
  await waitUntil(t, 'it is sent', () => heardOf(receiver, no).includes('closed closed'), 20_000);
  t.equal(heardOf(receiver, no).at(-1), 'closed closed');
  t.ok(Date.now() - startMs >= 10_000, 'after its window of ten seconds');
});
