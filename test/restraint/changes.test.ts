/**
 * Tests that changes under a box and endings are reported to the room exactly once, across restarts and whoever caused
 * them.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { TrustedClock } from '../../agent/base/trusted-clock.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { type Ending, remindersOf } from '../../agent/incident/expiry.ts';
import { CertificateDates } from '../../agent/mqtt/certificate-dates.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { makeAgent, streetConfig } from '../lib/agent.ts';
import { authorisationFor, authorised, signedAuthorisation } from '../lib/authority.ts';
import { boxWith, fits, type Lifetime, live, RULE, zone } from '../lib/config-lives.ts';
import { contentsIn, keyOf } from '../lib/journal.ts';
import { KeptNotes, makeFlow } from '../lib/kept-notes.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { oversight, vigie } from '../lib/program.ts';
import { makeRoom, waitUntil } from '../lib/room.ts';
import { openInbox } from '../lib/room-inbox.ts';
import { unlessAll } from '../lib/run.ts';
import { rectangle } from '../lib/street.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const SLOW_MS = 60_000;

const types = ({ entered }: Lifetime): string[] => entered.map(({ type }) => type);

t.test('a redrawn zone is in the journal with both drawings, and reported once', async (t) => {
  const stateDir = scratch(t);
  const first = live(stateDir, boxWith());
  t.strictSame([types(first), first.messages], [['start'], []], 'the first start of all');
  const unchangedRun = live(stateDir, boxWith());
  t.strictSame([types(unchangedRun), unchangedRun.messages], [['start'], []], 'nothing has changed');

  const movedConfig = boxWith({
    zones: [zone('court', 0.6), zone('lawn', 0.2)],
    masks: [zone('windows', 0)],
  });
  const outline = {
    id: 'court',
    polygon: rectangle(0.5, 0.4, 1, 1),
  };
  const change = live(stateDir, movedConfig, {
    authorisation: authorisationFor(movedConfig, { outlines: [outline] }),
  });
  t.strictSame(types(change), ['config', 'geometry', 'start']);
  const polygonAt = (left: number): unknown => (zone('', left) as { polygon: unknown }).polygon;
  t.strictSame((change.entered[1] as { places?: unknown }).places, [
    { list: 'zones', id: 'court', before: polygonAt(0.1), after: polygonAt(0.6) },
    { list: 'zones', id: 'lawn', before: null, after: polygonAt(0.2) },
    { list: 'masks', id: 'windows', before: null, after: polygonAt(0) },
  ]);
  t.strictSame(
    change.messages.map(({ phase }) => phase),
    ['start', 'end'],
  );
  const cause = change.messages[0]?.cause;
  t.match(cause, {
    lists: ['zones', 'masks'],
    changed: [
      { list: 'zones', id: 'court', outlined: true },
      { list: 'zones', id: 'lawn', outlined: false },
      { list: 'masks', id: 'windows' },
    ],
    reason:
      'zones court (inside the outline of the authorisation), lawn (not in an outline of an authorisation); masks windows',
  });
  t.ok(fits('config-changed', 'cause', cause), 'fits the published schema');
  t.strictSame(live(stateDir, movedConfig).messages, [], 'once');

  const restoredRun = live(stateDir, boxWith());
  t.match(
    restoredRun.messages[0]?.cause,
    { lists: ['zones', 'masks'], reason: /court \(not in an outline/ },
    'a file that was put back',
  );
  t.match(restoredRun.entered[1], { places: [{ before: [[0.6, 0.5]] }, { after: null }, { after: null }] });
});

t.test('every other change is reported too, by its name', async (t) => {
  const stateDir = scratch(t);
  live(stateDir, boxWith());
  const steps: [object, object][] = [
    [
      { rules: [{ ...RULE, afterS: 99 }] },
      { lists: ['rules'], changed: [{ list: 'rules', id: 'stays' }], reason: 'rules stays' },
    ],
    [
      { camera: { source: 'rtsp://admin:hunter2@10.0.0.9/main' } },
      { lists: ['camera'], changed: [], reason: 'camera' },
    ],
    [
      {
        camera: {
          source: 'rtsp://admin:hunter2@10.0.0.9/main',
          substream: 'rtsp://admin:hunter2@10.0.0.9/sub',
        },
      },
      { lists: ['camera'], changed: [], reason: 'camera' },
    ],
    [{ alertsPerHour: 7 }, { lists: ['other'], changed: [] }],
    [{ lines: [{ id: 'gate', from: [0, 0], to: [1, 1] }] }, { lists: ['lines'], changed: [{ id: 'gate' }] }],
  ];
  let changes = {};
  for (const [step, cause] of steps) {
    changes = { ...changes, ...step };
    const { messages } = live(stateDir, boxWith(changes));
    t.match(messages[0]?.cause, cause);
    t.ok(fits('config-changed', 'cause', messages[0]?.cause));
  }
  const { messages: laterMessages } = live(
    stateDir,
    boxWith({
      ...changes,
      camera: {
        source: 'rtsp://admin:other@10.0.0.9/main',
        substream: 'rtsp://admin:other@10.0.0.9/sub',
      },
    }),
  );
  t.match(laterMessages[0]?.cause, { lists: ['other'] }, 'another password is the same camera');
  t.notMatch(readFileSync(join(stateDir, 'watched.json'), 'utf8'), /hunter2|admin/, 'and is stored nowhere');
});

t.test('the journal’s mark of a configuration does not allow to test passwords', async (t) => {
  const hashes = [scratch(t), scratch(t)].map((stateDir) => {
    const { entered } = live(stateDir, boxWith());
    return (entered[0] as Extract<JournalContent, { type: 'start' }>).config;
  });
  t.match(hashes[0], /^[0-9a-f]{64}$/);
  t.not(hashes[0], hashes[1], 'two boxes of one configuration have nothing in common');
  t.not(hashes[0], createHash('sha256').update(JSON.stringify(boxWith())).digest('hex'));
});

t.test('an agent killed before its report sends it at the next start, with all changes', async (t) => {
  const stateDir = scratch(t);
  live(stateDir, boxWith());
  const one = boxWith({ zones: [zone('court', 0.2)] });
  t.match(types(live(stateDir, one, { isKilled: true })), ['config', 'geometry', 'start']);
  const two = boxWith({ zones: [zone('court', 0.2)], rules: [] });
  live(stateDir, two, { isKilled: true });
  const { messages } = live(stateDir, two);
  t.match(messages[0]?.cause, { lists: ['zones', 'rules'], changed: [{ id: 'court' }, { id: 'stays' }] });
  t.strictSame(live(stateDir, two).messages, []);
});

t.test('a record that was edited, put back or removed is not believed', async (t) => {
  const stateDir = scratch(t);
  const file = join(stateDir, 'watched.json');
  live(stateDir, boxWith());
  const old = readFileSync(file, 'utf8');
  live(stateDir, boxWith({ zones: [zone('court', 0.3)] }));
  const damages: [string, () => void][] = [
    ['removed', () => rmSync(file)],
    ['put back', () => writeFileSync(file, old)],
    ['damaged', () => writeFileSync(file, 'x')],
    ['edited', () => writeFileSync(file, readFileSync(file, 'utf8').replaceAll('0.5', '0.51'))],
  ];
  for (const [i, [damageName, damage]] of damages.entries()) {
    damage();
    const { entered, messages } = live(stateDir, boxWith({ zones: [zone('court', 0.4 + i / 100)] }));
    t.match(entered[1], { type: 'geometry', places: [{ id: 'court', before: 'unknown' }] }, damageName);
    t.match(
      messages[0]?.cause,
      { lists: ['zones', 'lines', 'masks', 'unknown'], reason: /is unknown/ },
      damageName,
    );
    t.ok(fits('config-changed', 'cause', messages[0]?.cause));
  }
});

t.test('each entry fits into the journal with every list full', async (t) => {
  const stateDir = scratch(t);
  const ring = (id: number, radius: number): Config['masks'][number] => ({
    id: `place-${String(id).padStart(26, '0')}`,
    polygon: Array.from({ length: 64 }, (_, i): [number, number] => {
      const angle = (2 * Math.PI * i) / 64;
      return [0.5 + radius * Math.cos(angle), 0.5 + radius * Math.sin(angle)];
    }),
  });
  const full = (radius: number): Config => {
    const places = Array.from({ length: 64 }, (_, i) => ring(i, radius));
    return { ...boxWith(), zones: places, masks: places, rules: [] };
  };
  live(stateDir, full(0.3));
  const { entered, messages } = live(stateDir, full(0.31));
  const places = entered.flatMap((entry) => (entry.type === 'geometry' ? entry.places : []));
  t.equal(places.length, 128, 'none is left out');
  t.ok(places.every(({ before, after }) => before?.length === 64 && after?.length === 64));
  t.match(messages[0]?.cause, { changed: { length: 64 }, more: 64 });
});

t.test('an ending is reported 30 days, 7 days and 1 day before, once each, restarts included', async (t) => {
  const clock = new HandClock();
  const notes = new KeptNotes();
  let endMs: number | null | undefined = clock.epochMs + 40 * DAY_MS;
  let synced = true;
  let boot = 0;
  const takeReports = (): string[] =>
    notes.events.splice(0).map(({ data: { rule, phase, cause } }) => {
      if (phase === 'start') t.ok(fits(rule.kind, 'cause', cause) && fits(rule.kind, 'params', rule.params));
      return `${rule.id} ${phase}${cause['daysLeft'] === undefined ? '' : ` ${String(cause['daysLeft'])}`}${cause['ended'] === undefined ? '' : ` ${String(cause['ended'])}`}`;
    });
  const start = () => {
    const steady = new TrustedClock(clock, () => synced);
    const options = { boot: `b${++boot}`, clockSynced: () => synced };
    const flow = makeFlow(notes, clock, boxWith(), options);
    flow.start(notes);
    // The agent checks twice a second; here the check runs every half hour.
    return (days: number): string[] => {
      for (let step = 0; step <= days * 48; step += 1) {
        if (step > 0) clock.advance(DAY_MS / 48);
        const endings: Ending[] = [
          { what: 'order', endMs },
          { what: 'ca', endMs: null },
        ];
        if (steady.trusted()) flow.remindersAre(remindersOf(endings, clock.wallMs()));
      }
      return takeReports();
    };
  };
  let run = start();
  t.strictSame(run(9.9), [], 'in good time');
  t.strictSame(run(0.2), ['order-30 start 30']);
  t.strictSame(run(5), [], 'once');
  run = start();
  t.strictSame(
    run(5).filter((line) => !line.includes('update')),
    [],
    'over a restart too',
  );
  t.strictSame(run(13), ['order-7 start 7']);
  run = start();
  t.strictSame(
    run(3).filter((line) => !line.includes('update')),
    [],
  );
  t.strictSame(run(3), ['order-1 start 1']);
  t.strictSame(run(3), [], 'and when it is over there is no more to say');

  const old = endMs;
  endMs = undefined;
  t.strictSame(run(1), [], 'an unreadable file is not a renewal');
  run = start();
  endMs = old + 365 * DAY_MS;
  t.strictSame(run(1), ['order-30 end renewed', 'order-7 end renewed', 'order-1 end renewed']);

  endMs = clock.epochMs + 20 * DAY_MS;
  t.match(run(1), [/^order-30 start \d+$/], 'the next one');
  endMs = null;
  t.match(run(1), [/^order-30 end \d+ renewed$/], 'none is configured any more');

  synced = false;
  clock.epochMs += 20 * 365 * DAY_MS;
  endMs = START_AGAIN_MS;
  run = start();
  t.strictSame(run(2), [], 'an unset clock raises no alarm');
  synced = true;
  run = start();
  t.strictSame(run(1 / 48), [], 'nor one that has just been set');
  t.match(run(1), ['order-30 start 0', 'order-7 start 0', 'order-1 start 0'], 'after an hour it counts');
});
/** A date long expired for the clock that has leapt. */
const START_AGAIN_MS = Date.UTC(2027, 0, 1);

t.test('the certificates of the broker’s connection are read again each day and on request', async (t) => {
  const dir = scratch(t);
  const authority = new CertificateAuthority(join(dir, 'pki'));
  await authority.start();
  const [near, far] = ['20270101120000Z', '20280101120000Z'];
  const first = await authority.client('near', { notAfter: near });
  const second = await authority.client('far', { notAfter: far });
  const [cert, ca] = [join(dir, 'box.pem'), join(dir, 'ca.pem')];
  const place = (file: string, ...pems: string[]): void =>
    writeFileSync(file, pems.map((pem) => readFileSync(pem, 'utf8')).join(''));
  place(cert, first.cert);
  place(ca, authority.ca);
  const clock = new HandClock();
  const dates = new CertificateDates({ config: { cert, ca }, clock });
  const caEndMs = dates.ends.ca ?? 0;
  t.ok(Math.abs(caEndMs - Date.now() - 30 * DAY_MS) < HOUR_MS, 'the authority’s, made for 30 days');
  t.strictSame(dates.report?.notAfter, '2027-01-01T12:00:00.000Z');
  place(cert, second.cert, authority.ca);
  clock.advance(23 * HOUR_MS);
  t.equal(dates.report?.notAfter, '2027-01-01T12:00:00.000Z', 'not at each check');
  clock.advance(HOUR_MS);
  t.equal(dates.report?.notAfter, '2028-01-01T12:00:00.000Z', 'after a day; the box’s own of a chain');
  place(cert, first.cert);
  dates.reload();
  t.equal(dates.report?.notAfter, '2027-01-01T12:00:00.000Z', 'when asked');
  writeFileSync(cert, '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n');
  rmSync(ca);
  dates.reload();
  t.strictSame(dates.ends, { certificate: undefined, ca: undefined }, 'an unreadable file reports nothing');
  t.equal(dates.report, null);
  t.strictSame(new CertificateDates({ config: undefined, clock }).ends, { certificate: null, ca: null });
});

t.test('a mask that is removed or gets smaller is an event of its own, sent at least once', async (t) => {
  const stateDir = scratch(t);
  const mask = (id: string, left: number, right: number): Config['masks'][number] => ({
    id,
    polygon: rectangle(left, 0.1, right, 0.4),
  });
  const masked = (...masks: Config['masks']): Config => boxWith({ masks });
  const removalsOf = (config: Config, options: Parameters<typeof live>[2] = {}): object[] => {
    const all = live(stateDir, config, options).messages.filter(({ kind }) => kind === 'mask-removed');
    for (const { cause } of all) t.ok(fits('mask-removed', 'cause', cause), 'fits the published schema');
    const { severities } = EVENT_KINDS.find(({ kind }) => kind === 'mask-removed') ?? {};
    t.strictSame(severities, ['system']);
    return all.filter(({ phase }) => phase === 'start').map(({ cause }) => cause);
  };
  t.strictSame(
    removalsOf(masked(mask('windows', 0, 0.4), mask('garden', 0.5, 0.9))),
    [],
    'the first start of all',
  );
  t.strictSame(removalsOf(masked(mask('panes', 0, 0.4), mask('garden', 0.5, 1))), [], 'renamed, and larger');
  t.strictSame(
    removalsOf(masked(mask('panes-1', 0, 0.2), mask('panes-2', 0.2, 0.4), mask('garden', 0.5, 1))),
    [],
    'in two',
  );

  const less = masked(mask('garden', 0.5, 0.8));
  t.strictSame(removalsOf(less, { isKilled: true }), [], 'killed before it could tell');
  t.match(removalsOf(less), [
    {
      masks: [
        { id: 'panes-1', change: 'removed' },
        { id: 'panes-2', change: 'removed' },
        { id: 'garden', change: 'smaller' },
      ],
      removed: 'panes-1, panes-2',
      smaller: 'garden',
      by: 'box',
      reason:
        'mask panes-1 removed on the box itself; mask panes-2 removed on the box itself; mask garden smaller on the box itself',
    },
  ]);
  t.strictSame(removalsOf(less), [], 'and once');

  live(stateDir, less, { isKilled: true });
  live(stateDir, masked(mask('garden', 0.5, 0.7)), { isKilled: true });
  t.match(
    removalsOf(masked()),
    [{ masks: [{ id: 'garden', change: 'removed' }] }],
    'two changes that were not reported yet',
  );

  const maskedConfig = masked(mask('windows', 0, 0.4));
  live(stateDir, maskedConfig);
  const authorisation = authorisationFor(masked(), {
    masks: [mask('ordered', 0, 0.2), mask('ordered-2', 0.2, 0.5)],
  });
  t.strictSame(removalsOf(masked(), { authorisation }), [], 'the order has it black');
  live(stateDir, maskedConfig);
  const part = authorisationFor(masked(), { masks: [mask('ordered', 0, 0.3)] });
  t.match(removalsOf(masked(mask('windows', 0.31, 0.4)), { authorisation: part }), [
    { masks: [{ id: 'windows', change: 'smaller' }] },
  ]);

  live(stateDir, masked(mask('windows', 0, 0.2), mask('garden', 0.5, 0.9)), { by: 'technician' });
  live(stateDir, masked(mask('garden', 0.5, 0.9)), { by: 'technician', isKilled: true });
  t.match(
    removalsOf(masked(), { by: 'order' }),
    [
      {
        by: 'several',
        reason:
          'mask windows removed by a technician at the page; mask garden removed by an order of the room',
      },
    ],
    'each with its origin, also if it is reported later',
  );
});

t.test(
  'the box looks under a permit to install, runs no rule, and says so everywhere',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t);
    const inbox = await openInbox(t, room);
    const dir = scratch(t);
    const stateDir = join(dir, 'state');
    const box = (left: number): Config =>
      streetConfig(room, {
        camera: { source: 'test:pattern', fps: 5 },
        zones: [zone('court', left)],
        rules: [RULE],
      });
    const first = makeAgent(t, authorised(box(0.1), join(dir, 'order')), stateDir);
    await first.start();
    t.match(first.report(), { mode: 'active', restraint: { order: '2026-77', installation: false } });
    await first.stop();

    const over = { notAfter: new Date(Date.now() - 1000).toISOString() };
    const config = authorised(box(0.6), join(dir, 'order'), over);
    const installation = join(dir, 'permit.dsse.json');
    const now = new Date().toISOString();
    const until24 = new Date(Date.parse(now) + DAY_MS).toISOString();
    const fields = { order: '2026-80-I', installation: true, rules: [], notBefore: now, notAfter: until24 };
    writeFileSync(installation, signedAuthorisation(authorisationFor(box(0.6), fields)));
    const agent = makeAgent(t, { ...config, installation }, stateDir);
    await agent.start();
    await waitUntil(t, 'it looks', () => agent.report().frames.analysed > 2, SLOW_MS);
    const report = agent.report();
    t.match(report, {
      mode: 'active',
      certificate: { notAfter: /^20/, caNotAfter: /^20/ },
      restraint: {
        order: '2026-80-I',
        installation: true,
        validUntil: until24,
        reason: null,
        rules: [
          {
            id: 'stays',
            state: 'unauthorised',
            reason: /is an installation authorisation: no rule runs under it/,
          },
        ],
      },
    });
    await waitUntil(t, 'the room knows', () => inbox.modes.at(-1)?.installation === true, SLOW_MS);
    t.match(inbox.modes.at(-1), { order: '2026-80-I', installation: true, mode: 'active' });
    const kinds = (): string[] => inbox.events().map(({ data }) => `${data.rule.kind} ${data.phase}`);
    await waitUntil(t, 'the change was reported', () => kinds().includes('config-changed end'), SLOW_MS);
    t.match(inbox.events('config-changed')[0], {
      subject: 'camera',
      data: { severity: 'system', cause: { changed: [{ id: 'court', outlined: false }] } },
    });
    t.ok(kinds().includes('rule-unauthorised start'));
    const status = vigie(t, 'status', '--state', stateDir);
    await status.exit;
    t.match(status.out.replace(/\s+/g, ' '), /under the installation authorisation 2026-80-I: no rule runs/);
    t.equal(status.code, 1, 'a person must place the order');
    await agent.stop();
    t.notOk(
      inbox.events().some(({ data }) => data.severity === 'alert'),
      'no alert was raised',
    );
    const entries = contentsIn(stateDir);
    t.match(
      entries.find((entry) => entry.type === 'authorisation' && entry.order === '2026-80-I'),
      { installation: true },
    );
    const journalReport = oversight(t, 'report', join(stateDir, 'journal'), '--key', keyOf(stateDir));
    await journalReport.exit;
    t.match(journalReport.out, /installation authorisation, under which no rule runs: 2026-80-I, valid/);
    t.match(
      journalReport.out,
      /redrawn: zone court from \(0\.1, 0\.5\) \(0\.3, 0\.5\) \(0\.3, 0\.9\) to \(0\.6, 0\.5\)/,
    );
  },
);
