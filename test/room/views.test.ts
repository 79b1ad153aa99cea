/** Tests the console's data on SQLite and PostgreSQL, with arbitrary content from boxes. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import { dataHandlers } from '../../scripts/products/room/console/handlers.ts';
import { OPEN_MAX } from '../../scripts/products/room/console/queue.ts';
import { type IncidentQuery, ROUTES } from '../../scripts/products/room/contract/api.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { TIME_ZONE } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident, addStill, insert, putCamera } from '../lib/console-rows.ts';
import { onEachDatabase } from '../lib/databases.ts';
import { HOSTILE } from '../lib/hostile.ts';
import { picture } from '../lib/outbox.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const handlersOf = (db: Sql, plan?: string) =>
  dataHandlers(db, { timeZone: TIME_ZONE, people: async () => ['ben'], plan, patrols: [] });

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const day = (dayText: string, hour: number, change: Record<string, string | number>) => ({
  day: dayText,
  hour,
  site: 'lyon',
  box: 'b-1',
  rule: 'r-1',
  kind: 'loitering',
  alerts: 0,
  confirmed: 0,
  false_alarms: 0,
  unclear: 0,
  claims: 0,
  claim_s: 0,
  ...change,
});

async function textOf(parts: AsyncIterable<unknown> | Promise<AsyncIterable<unknown>>): Promise<string> {
  let text = '';
  for await (const part of await parts) text += String(part);
  return text;
}

onEachDatabase('the console shows the room’s data', async (t, database) => {
  const db = await database.prepared(NOW);
  const handlers = handlersOf(db);
  const detailOf = (no: number) => handlers.incident(callOf<'incident'>('anna', NOW, { params: { no } }));
  const page = (query: IncidentQuery) => handlers.incidents(callOf<'incidents'>('anna', NOW, { query }));

  await t.test('text of a hostile box stays text, and breaks no page', async (t) => {
    const kind = 'lens-iced';
    const cause = JSON.stringify({
      reason: `<b>${HOSTILE}</b>${'x'.repeat(1000)}`,
      n: 1.5,
      is: true,
      list: [1],
    });
    const nos = [
      await addIncident(db, NOW, { kind, cause, site: 'evil', still: HOSTILE.slice(0, 80) }),
      await addIncident(db, NOW, { started_at: '0001-01-01T00:00:00.000Z', site: 'evil', objects: '{}' }),
      await addIncident(db, NOW, {
        started_at: '9999-12-31T23:59:59.999Z',
        site: 'evil',
        detail: '[]',
        cause: '7',
      }),
    ];
    const { incidents } = await page({ site: 'evil' });
    t.same(
      incidents.map(({ no }) => no),
      [...nos].reverse(),
    );
    t.ok(Value.Check(ROUTES.incidents.gives, { incidents, next: null }), 'all within the contract');
    const [odd] = incidents.filter((one) => one.kind === kind);
    t.match(odd?.cause, { n: 1.5, is: true });
    t.equal(odd?.cause['reason'], `<b>${HOSTILE}</b>${'x'.repeat(1000)}`.slice(0, 300), 'unchanged');
    t.notOk('list' in (odd?.cause ?? {}));
    t.equal((await page({ kind })).incidents.length, 1, 'a kind of a newer agent is found by its name');
    for (const no of nos) {
      const detail = await detailOf(no);
      t.ok(Value.Check(ROUTES.incident.gives, detail));
    }
    for (const query of [
      { from: '2026-99-01T00:00:00.000Z' },
      { from: '2026-02-30T00:00:00Z' },
      { to: '0000-01-01T00:00:00.000Z' },
      { kind: 'a\0b' },
      { cursor: '2026-11-27T12:00:00.000Z' },
      { cursor: '2026-13-27T12:00:00.000Z_1' },
    ]) {
      const { status, message } = await refusalOf(page(query));
      t.equal(status, 400, message);
    }
    const startedSince = async (from: string): Promise<number[]> =>
      (await page({ kind, from })).incidents.map(({ no }) => no);
    const { received = '' } = (await page({ kind })).incidents[0] ?? {};
    t.equal((await startedSince(received)).length, 1, 'with milliseconds');
    t.strictSame(
      await startedSince(received.replace('Z', '000+00:00')),
      await startedSince(received),
      'with an offset',
    );
  });

  await t.test('pages contain each incident once, whatever arrives meanwhile', async (t) => {
    const atMs = NOW - 20 * DAY_MS;
    const nos: number[] = [];
    // Three at the same moment, so the number decides.
    for (let index = 0; index < 25; index += 1) {
      const box = `p-${index % 2}`;
      nos.push(await addIncident(db, atMs + Math.floor(index / 3) * 1000, { site: 'paging', box }));
    }
    const foundNos: number[] = [];
    for (let cursor: string | undefined; ; ) {
      const query = { site: 'paging', limit: 4, ...(cursor !== undefined && { cursor }) };
      const { incidents, next } = await page(query);
      foundNos.push(...incidents.map(({ no }) => no));
      await addIncident(db, NOW, { site: 'paging', box: 'p-new' });
      if (next === null) break;
      cursor = next;
    }
    t.same(foundNos, [...nos].reverse());
    await putCamera(db, 'p-1', NOW, { site: 'paging' });
    const span = { from: iso(atMs), to: iso(atMs + 2000) };
    t.same(
      (await page({ box: 'p-1', ...span })).incidents.map(({ no }) => no),
      [5, 3, 1].map((i) => nos[i]),
    );
    t.equal((await page({ site: 'paging', box: 'p-0', state: 'closed' })).incidents.length, 0);
    t.equal((await page({ site: 'paging', verdict: 'none', severity: 'alert' })).incidents.length > 25, true);
    const query = { site: 'paging', box: 'p-0' };
    const table = handlers.incidentsCsv(callOf<'incidentsCsv'>('supervisor', NOW, { query }));
    const csv = (await textOf(table)).trim().split('\r\n');
    t.equal(csv.length, 14, 'a line of names, and each');
    t.match(csv[0], /^no,received,startedAt,/);
    const [entry] = await db.all<{ account: string; more: string }>(
      "SELECT * FROM audit WHERE act = 'export'",
    );
    t.same([entry?.account, JSON.parse(entry?.more ?? '')], ['supervisor', { table: 'incidents', ...query }]);
    const bad = { query: { from: '2026-99-01T00:00:00.000Z' } };
    t.equal(
      (await refusalOf(handlers.incidentsCsv(callOf<'incidentsCsv'>('supervisor', NOW, bad)))).status,
      400,
      'before a line is out',
    );
  });

  await t.test('a picture is audited before it is given, and is the one of its event', async (t) => {
    const jpegs = ['snapshot', 'before', 'deposit'].map((_, index) =>
      Buffer.from(picture(900 + index).bytes),
    );
    const [genuine, forged, late] = jpegs as [Buffer, Buffer, Buffer];
    const stillOf = (moment: string, jpeg: Buffer) => ({
      moment,
      name: `${moment}.jpg`,
      time: iso(NOW),
      sha256: sha256(jpeg),
    });
    const stills = [stillOf('snapshot', genuine), stillOf('before', genuine), stillOf('deposit', late)];
    const detail = JSON.stringify({ stills, absent: 'none' });
    const no = await addIncident(db, NOW, { detail });
    await addStill(db, stills[0] as never, forged, NOW - 1);
    await addStill(db, stills[0] as never, genuine, NOW);
    await addStill(db, stills[1] as never, forged, NOW);
    const ask = (moment: 'snapshot' | 'before' | 'deposit', of = no) =>
      handlers.still(callOf<'still'>('anna', NOW, { params: { no: of, moment } }));
    t.same(await ask('snapshot'), genuine, 'of two of one name the one that was announced');
    const rows = () => db.all<{ more: string }>("SELECT more FROM audit WHERE act = 'see-still'");
    t.same(JSON.parse((await rows())[0]?.more ?? ''), {
      moment: 'snapshot',
      picture: 'snapshot.jpg',
      sha256: sha256(genuine),
    });
    t.match((await refusalOf(ask('before'))).message, /is not the one that the event names/);
    t.match((await refusalOf(ask('deposit'))).message, /has not come, or is no longer kept/);
    const bare = await addIncident(db, NOW, {
      detail: JSON.stringify({ absent: 'the camera was covered' }),
    });
    t.match(
      (await refusalOf(ask('snapshot', bare))).message,
      /picture 'snapshot' does not exist: the camera was covered/,
    );
    t.equal((await rows()).length, 1, 'a picture that was not shown is not audited');
    const incident = await detailOf(no);
    t.same(
      incident.stills.map(({ isStored }) => isStored),
      [true, false, false],
    );

    await db.run('ALTER TABLE audit RENAME TO audit_away');
    await t.rejects(ask('snapshot'), 'what cannot be put on record is not shown');
    await db.run('ALTER TABLE audit_away RENAME TO audit');
  });

  await t.test('an incident has its rule’s precision, notes and context', async (t) => {
    const place = { site: 'whole', box: 'b-9', rule: 'r-9' };
    const no = await addIncident(db, NOW, { ...place, detail: JSON.stringify({ purpose: 'safety' }) });
    const near = [await addIncident(db, NOW - HOUR_MS, place), await addIncident(db, NOW + HOUR_MS, place)];
    await addIncident(db, NOW - HOUR_MS - 1, place);
    await addIncident(db, NOW, { ...place, box: 'b-10' });
    for (let index = 0; index < 60; index += 1) await addIncident(db, NOW + 90 * 60_000 + index, place);
    await insert(
      db,
      'day_figure',
      day('2026-11-27', 13, { ...place, alerts: 9, confirmed: 6, false_alarms: 2 }),
    );
    await insert(db, 'day_figure', day('2026-10-29', 0, { ...place, alerts: 1, unclear: 1 }));
    await insert(db, 'day_figure', day('2026-10-28', 23, { ...place, alerts: 99, false_alarms: 99 }));
    const detail = await detailOf(no);
    t.ok(Value.Check(ROUTES.incident.gives, detail));
    t.same(
      detail.nearby.map((one) => one.no),
      near,
    );
    const counts = { alerts: 10, confirmed: 6, falseAlarms: 2, unclear: 1 };
    t.same(detail.precision, { ...counts, share: 0.75, low: 0.409, high: 0.929 }, 'of the last 30 days');
    t.equal(detail.purpose, 'safety');
    t.equal((await refusalOf(detailOf(99_999))).status, 404);
  });

  await t.test('a camera list has condition and blind time', async (t) => {
    const system = { severity: 'system', site: 'eyes', box: 'e-1' };
    const timeSpan = { started_at: iso(NOW - 3 * DAY_MS), ended_at: iso(NOW - 23 * HOUR_MS) };
    await addIncident(db, NOW - 3 * DAY_MS, { ...system, kind: 'covered', ...timeSpan });
    await addIncident(db, NOW - 60_000, { ...system, kind: 'stream-lost' });
    await addIncident(db, NOW - 30_000, { ...system, kind: 'frozen' });
    await addIncident(db, NOW - HOUR_MS, { ...system, kind: 'load-shed' });
    await putCamera(db, 'e-1', NOW, { site: 'eyes', conditions: '["frozen","stream-lost"]' });
    await putCamera(db, 'e-2', NOW - 120_000, { site: 'eyes', order_ends: iso(NOW) });
    const all = await handlers.cameras(callOf<'cameras'>('anna', NOW));
    t.ok(Value.Check(ROUTES.cameras.gives, all));
    const siteCameras = all.cameras.filter(({ site }) => site === 'eyes');
    t.match(siteCameras, [
      { box: 'e-1', condition: 'blind', blindS: 3660, reasons: ['frozen', 'stream-lost'] },
      { box: 'e-2', condition: 'offline', blindS: 0, reasons: ['silent', 'authorisation-expiring'] },
    ]);
    const csv = (await textOf(handlers.camerasCsv(callOf<'camerasCsv'>('anna', NOW)))).trim().split('\r\n');
    t.equal(csv.length, all.cameras.length + 1);
  });

  await t.test('statistics and the shift report count verdicts and suppressed alerts', async (t) => {
    const span = { from: '2026-06-01T10:20:00.000Z', to: '2026-06-02T09:10:00.000Z' };
    const place = { site: 'sums', box: 'b-1', rule: 'r-1' };
    const rows = [
      day('2026-06-01', 11, { ...place, alerts: 100 }),
      day('2026-06-01', 12, { ...place, alerts: 2, confirmed: 1, claims: 2, claim_s: 25 }),
      day('2026-06-02', 11, { ...place, alerts: 3, false_alarms: 1, box: 'b-2' }),
      day('2026-06-02', 12, { ...place, alerts: 100 }),
    ];
    for (const row of rows) await insert(db, 'day_figure', row);
    const suppressedRow = { ...place, severity: 'system', kind: 'alert-limit', cause: '{"suppressed":7}' };
    await addIncident(db, Date.parse(span.from), {
      ...suppressedRow,
      ended_at: '2026-06-01T11:00:00.000Z',
    });
    await addIncident(db, Date.parse(span.from) - DAY_MS, {
      ...suppressedRow,
      ended_at: iso(Date.parse(span.from) - 1),
    });
    const statisticsBy = (by: 'rule' | 'hour' | 'day' | 'kind' | 'box' | 'site') =>
      handlers.figures(callOf<'figures'>('supervisor', NOW, { query: { ...span, by } }));
    const byRule = await statisticsBy('rule');
    t.ok(Value.Check(ROUTES.figures.gives, byRule));
    t.match(byRule.rows, [
      { key: 'sums/b-1/r-1', alerts: 2, confirmed: 1, share: 1, high: 1, meanClaimS: 12.5 },
      { key: 'sums/b-2/r-1', alerts: 3, falseAlarms: 1, share: 0, low: 0, meanClaimS: null },
    ]);
    t.same(byRule.muted, [{ ...place, kind: 'loitering', suppressed: 7, at: span.from }]);
    const keys = async (by: Parameters<typeof statisticsBy>[0]) =>
      (await statisticsBy(by)).rows.map(({ key }) => key);
    t.same(await keys('hour'), ['11', '12']);
    t.same(await keys('day'), ['2026-06-01', '2026-06-02']);
    t.same(
      [await keys('kind'), await keys('site'), await keys('box')],
      [['loitering'], ['sums'], ['sums/b-1', 'sums/b-2']],
    );
    const wrong = { ...span, to: span.from, by: 'day' } as const;
    const { message } = await refusalOf(handlers.figures(callOf<'figures'>('s', NOW, { query: wrong })));
    t.match(message, /^to: .* is not after from/);

    const shift = { query: { from: iso(NOW - HOUR_MS * 8), to: iso(NOW + 1) } };
    const [first] = (await page({ site: 'whole', box: 'b-10' })).incidents;
    await handlers.judge({
      ...callOf<'judge'>('anna', NOW, { params: { no: first?.no ?? 0 } }),
      body: { revision: 0, verdict: 'confirmed' },
    });
    const report = await handlers.handOver(callOf<'handOver'>('supervisor', NOW, shift));
    t.ok(Value.Check(ROUTES.handOver.gives, report));
    t.match(report, {
      closed: 1,
      verdicts: { confirmed: 1, 'false-alarm': 0 },
      stillsSeen: 1,
      more: 0,
      dispatches: [],
    });
    t.same(
      report.camerasDown.map(({ box }) => box),
      ['e-1', 'e-2'],
    );
    const alerts = report.open.reduce((sum, { count }) => sum + count, 0);
    t.ok(report.received > 10 && alerts > 10);
    const causes = report.open.map(({ incident: { site, box, rule, kind, state } }) =>
      [site, box, rule, kind, state].join(),
    );
    t.equal(new Set(causes).size, causes.length, 'one row for each cause');
    t.ok(report.open.length < alerts, 'alerts of one cause share it');
    for (const { incident, count, firstReceived, lastReceived } of report.open)
      t.ok(incident.received === lastReceived && (count > 1 || firstReceived === lastReceived));
    const table = await textOf(handlers.handOverCsv(callOf<'handOverCsv'>('supervisor', NOW, shift)));
    const [head, ...lines] = table.trim().split('\r\n');
    t.match(head, /^.?state,count,firstReceived,lastReceived,site,/);
    t.equal(lines.length, report.open.length);
  });

  await t.test('the audit log is read and exported page by page', async (t) => {
    for (let index = 0; index < 120; index += 1) {
      const call = callOf<'incidentsCsv'>('auditor', NOW, { query: { site: 'nowhere' } });
      await handlers.incidentsCsv(call);
    }
    const ask = (query: { before?: number; account?: string; incident?: number }) =>
      handlers.audit(callOf<'audit'>('auditor', NOW, { query }));
    const newest = await ask({});
    t.ok(Value.Check(ROUTES.audit.gives, newest));
    t.same([newest.isIntact, newest.fault, newest.entries.length], [true, null, 100]);
    const rest = await ask({ before: newest.next ?? 0 });
    t.equal(rest.entries[0]?.no, (newest.entries.at(-1)?.no ?? 0) - 1);
    t.ok((await ask({ account: 'anna' })).entries.every(({ account }) => account === 'anna'));
    t.equal((await ask({ incident: 2 ** 70 })).entries.length, 0);
    const text = await textOf(handlers.auditCsv(callOf<'auditCsv'>('auditor', NOW)));
    t.equal(text.trimEnd().split('\n').length, 2 + (newest.entries[0]?.no ?? 0), 'its own export is in it');
    await db.run("UPDATE audit SET more = '{}' WHERE no = 2");
    t.equal((await ask({})).isIntact, true, 'a verified log is verified again after an hour');
    const later = await handlersOf(db).audit(callOf<'audit'>('auditor', NOW));
    t.match(later, { isIntact: false, fault: 'entry 2 was changed after it was written' });

    const slow: Sql = {
      dialect: db.dialect,
      run: db.run.bind(db),
      transaction: db.transaction.bind(db),
      listen: db.listen.bind(db),
      scrub: db.scrub.bind(db),
      close: db.close.bind(db),
      all: async (sql, values) => {
        if (/FROM audit WHERE no >/.test(sql)) await sleep(4000);
        return db.all(sql, values);
      },
    };
    const soon = await handlersOf(slow).audit(callOf<'audit'>('auditor', NOW));
    t.equal(soon.entries.length, 100, 'a long record holds up no page');
    t.match(soon, {
      isIntact: false,
      fault: /^verification is still running: entries 1 to 0 of \d+ are intact/,
    });
  });

  await t.test('the queue has the most urgent and newest first, and counts the rest', async (t) => {
    const queue = () => handlers.queue(callOf<'queue'>('anna', NOW));
    const before = await queue();
    t.ok(Value.Check(ROUTES.queue.gives, before));
    const urgent = await addIncident(db, NOW - DAY_MS, { priority: 1, kind: 'wrong-way' });
    const last = await addIncident(db, NOW - 20 * DAY_MS, { priority: 3 });
    await addIncident(db, NOW + 5000, { priority: 3, severity: 'notice' });
    await addIncident(db, NOW, { severity: 'system', kind: 'covered' });
    await addIncident(db, NOW, { state: 'closed' });
    const after = await queue();
    t.equal(after.incidents[0]?.no, urgent);
    t.equal(after.incidents.at(-1)?.no, last);
    t.equal(after.incidents.length, before.incidents.length + 2);
    t.ok(after.rev > before.rev);
    const missingCount = OPEN_MAX + 7 - after.incidents.length;
    await db.transaction(async (transaction) => {
      for (let index = 0; index < missingCount; index += 1) {
        await transaction.run(
          `INSERT INTO incident (rev, revision, site, box, episode, entry, severity, priority, kind, rule, place,
               started_at, received, clock_doubt, objects, cause, events, newest, detail, state)
             SELECT rev, revision, site, box, $1, entry, severity, priority, kind, rule, place, started_at, received,
               clock_doubt, objects, cause, events, newest, detail, state FROM incident WHERE no = $2`,
          [`many-${index}`, urgent],
        );
      }
    });
    // These have no change number, so a console that knows the queue would not read it again.
    const full = await handlersOf(db).queue(callOf<'queue'>('anna', NOW));
    t.same([full.incidents.length, full.more], [OPEN_MAX, 7]);
    t.equal((await refusalOf(handlers.plan(callOf<'plan'>('anna', NOW)))).status, 404);
    t.equal(
      await handlersOf(db, '{"type":"FeatureCollection"}').plan(callOf<'plan'>('anna', NOW)),
      '{"type":"FeatureCollection"}',
    );
  });
});
