/**
 * Tests how the archive turns events and reports into incidents, cameras and statistics, and refuses tables of another
 * layout.
 */
import t from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { Arrival, EventArrival, ReportArrival } from '../../scripts/programs/room/archive/message.ts';
import { arrivalOf } from '../../scripts/programs/room/archive/message.ts';
import type { Row } from '../lib/databases.ts';
import { DATABASES } from '../lib/databases.ts';
import { eventText } from '../lib/events.ts';
import { healthOf } from '../lib/fleet-reports.ts';

/** Time by the control room's clock at which these tests store. */
const NOW = Date.parse('2026-11-24T23:30:00.000Z');
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

let seq = 0;

/** An event as the broker delivers it: validated, and with the next number. */
function arrival(change: (event: VigieEvent) => unknown = () => undefined, box = 'b-1'): EventArrival {
  seq += 1;
  const event = JSON.parse(eventText({ site: 'lyon', box, id: `e1-${seq}`, seq, time: at(0) })) as VigieEvent;
  event.data.episode = 'ep-1';
  change(event);
  const result = arrivalOf(
    {
      cmd: 'publish',
      qos: 1,
      dup: false,
      retain: false,
      topic: `vigie/lyon/${box}/evt/${event.data.severity}/${event.data.rule.kind}`,
      payload: JSON.stringify(event),
      properties: { userProperties: { seq: String(seq), first: '1', lane: 'alert', epoch: 'e1' } },
    },
    NOW,
  );
  if (result.kind !== 'event') throw new Error('no event');
  return result;
}

const phase =
  (name: VigieEvent['data']['phase'], seconds: number, cause: Record<string, unknown> = {}) =>
  (event: VigieEvent): void => {
    event.data.phase = name;
    event.time = at(seconds);
    event.data.cause = cause;
  };

function report(topic: ReportArrival['topic'], body: unknown, isRetained = false): ReportArrival {
  return { kind: 'report', site: 'lyon', box: 'b-1', topic, body: JSON.stringify(body), isRetained };
}

const parseField = (row: Row | undefined, name: string): unknown => JSON.parse(String(row?.[name]));

for (const name of ['sqlite', 'postgres'] as const) {
  void t.test(`events become incidents in ${name}`, async (t) => {
    const database = await DATABASES[name](t);
    const archive = await database.open(() => NOW);
    const db = database.sql();
    const incidents = (): Promise<Row[]> => db.all('SELECT * FROM incident ORDER BY no');

    await t.test('the events of one episode become one incident, in any order of arrival', async (t) => {
      const end = arrival(phase('end', 30, { durationS: 30 }));
      const start = arrival(phase('start', 0, { durationS: 0, dwellS: 10 }));
      const update = arrival(phase('update', 10, { durationS: 10, dwellS: 20 }));
      await archive.store([end]);
      const [late] = await incidents();
      t.match(late, { started_at: at(0), ended_at: at(30), events: 1 }, 'by how long it stood');
      await archive.store([update, start]);
      const [row, ...otherRows] = await incidents();
      t.same(otherRows, []);
      t.match(row, {
        episode: 'ep-1',
        started_at: at(0),
        ended_at: at(30),
        events: 3,
        state: 'new',
        priority: 2,
      });
      t.same(parseField(row, 'cause'), { durationS: 30 }, 'the newest by its own time');
      t.match(parseField(row, 'detail'), { event: start.id, purpose: 'public-order' });
      t.ok(Number(row?.['rev']) > Number(late?.['rev']), 'each change has a number of its own');
      await archive.store([end, update]);
      t.match(await incidents(), [{ events: 3, rev: row?.['rev'] }], 'a repeated event changes nothing');
    });

    await t.test('alerts are counted by day and hour of the room’s time zone', async (t) => {
      t.match(await db.all('SELECT * FROM day_figure'), [
        {
          day: '2026-11-25',
          hour: 0,
          site: 'lyon',
          box: 'b-1',
          rule: 'waiting',
          kind: 'loitering',
          alerts: 1,
        },
      ]);
    });

    await t.test('an event with an impossible time is stored once', async (t) => {
      const future = arrival((event) => {
        event.data.episode = 'ahead';
        event.time = '2199-01-01T00:00:00.000Z';
      });
      const old = arrival((event) => {
        event.data.episode = 'old';
        event.time = '1970-01-01T00:00:12.000Z';
        event.data.clock.synced = false;
      });
      await archive.store([future, old]);
      await archive.store([future, old]);
      const rows = await db.all("SELECT * FROM incident WHERE episode IN ('ahead', 'old') ORDER BY episode");
      t.match(rows, [
        { started_at: at(0), received: at(0), events: 1 },
        { started_at: at(0), received: at(0), events: 1 },
      ]);
      t.ok(rows.every((row) => Boolean(row['clock_doubt'])));
      t.equal(
        Number((await db.all('SELECT count(*) AS n FROM event'))[0]?.['n']),
        5,
        'no row is stored twice',
      );
    });

    await t.test('hostile or unknown contents are stored as text', async (t) => {
      const strange = arrival((event) => {
        event.data.episode = 'strange';
        event.type = 'vigie.from-the-future.v1';
        event.data.rule.kind = 'from-the-future';
        Object.assign(event.data, { unheardOf: { deep: [1] } });
        event.data.cause = {
          durationS: 0,
          reason: `\u0000\ud800<img src=x>${'x'.repeat(200_000)}`,
          list: [1, 2],
          ...Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i])),
        };
      });
      t.equal(strange.unread, undefined, 'unknown fields of a newer agent hide no incident');
      const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
      const rubbish: Arrival[] = ['{', '"\\ud800\\u0000"', deep, '1e999'].map((body, index) => ({
        ...arrival(),
        body,
        id: `unread-${index}`,
        time: '',
        type: '',
        unread: 'rubbish',
        event: undefined as never,
      }));
      await archive.store([strange, ...rubbish]);
      const [row] = await db.all("SELECT * FROM incident WHERE episode = 'strange'");
      t.match(row, { kind: 'from-the-future', state: 'new' });
      const cause = parseField(row, 'cause') as Record<string, unknown>;
      t.equal(Object.keys(cause).length <= 16, true);
      t.equal(String(cause['reason']).length <= 300, true);
      const unreadRows = await db.all<{ body: string }>(
        "SELECT body FROM event WHERE unread = 'rubbish' ORDER BY id",
      );
      t.equal(unreadRows.length, 4, 'unreadable messages are stored');
      t.equal(JSON.parse(unreadRows[0]?.body ?? ''), '{', 'as text if it is not JSON');
    });
    // Both readers see one order of changes.
    const revs = (await incidents()).map((row) => Number(row['rev']));
    t.equal(new Set(revs).size, revs.length);
  });

  void t.test(`reports become cameras in ${name}`, async (t) => {
    const database = await DATABASES[name](t);
    let nowMs = NOW;
    const archive = await database.open(() => nowMs);
    const db = database.sql();
    const camera = async (): Promise<Row | undefined> => (await db.all('SELECT * FROM camera'))[0];
    const health = healthOf({ site: 'lyon', box: 'b-1', n: 1 } as never, NOW - 3_600_000);
    await archive.store([report('health', health, true)]);
    t.equal((await camera())?.['last_report'], at(-3600), 'a retained report is as old as its own time');
    nowMs = NOW + 1000;
    await archive.store([
      report('status', { state: 'online', boot: 'x', time: at(0) }),
      report('health', { ...health, conditions: ['covered'], time: at(0), newer: 'member' }),
    ]);
    const now = await camera();
    t.match(now, { state: 'online', last_report: at(1), mode: health.mode });
    t.same(parseField(now, 'conditions'), ['covered']);
    nowMs += 30_000;
    await archive.store([report('health', { ...health, conditions: ['covered'], time: at(30) })]);
    t.match(await camera(), { rev: now?.['rev'], last_report: at(31) }, 'a repetition is not a change');
    const uncovered = arrival((event) => {
      phase('end', 31)(event);
      event.data.severity = 'system';
      event.data.rule = { id: 'covered', kind: 'covered', params: {} };
      event.type = 'vigie.covered.v1';
      event.subject = 'camera';
    });
    await archive.store([uncovered]);
    t.same(parseField(await camera(), 'conditions'), []);
    await archive.store([report('status', { state: 'offline', boot: 'x', time: at(0) })]);
    t.match(await camera(), { state: 'offline' });
    const before = await camera();
    await archive.store([report('health', 'rubbish'), report('status', { state: 'dancing' })]);
    const elses = { ...health, conditions: ['blinded'], time: at(60) };
    await archive.store([
      report('health', { ...elses, box: 'b-2' }),
      report('health', { ...elses, site: 'paris' }),
    ]);
    t.same(await camera(), before, 'neither rubbish nor a report in another box’s name changes it');
  });

  void t.test(`tables of another layout are refused in one line: ${name}`, async (t) => {
    const database = await DATABASES[name](t);
    await database.open(() => NOW);
    const db = database.sql();
    await db.run("UPDATE setting SET value = '2' WHERE name = 'version'");
    const remedy = 'run the program that made it, or name another database';
    const message = `the database has tables of version 2, this program knows 6; ${remedy}`;
    await t.rejects(
      database.open(() => NOW),
      { message },
    );
    await db.run('DROP TABLE setting');
    await t.rejects(
      database.open(() => NOW),
      { message: message.replace('version 2', 'version unknown') },
    );
    t.same(await db.all('SELECT * FROM event'), [], 'the existing rows stay');
  });
}
