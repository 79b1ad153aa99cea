/**
 * Tests what a running agent says of itself, by `vigie status` and by the doctor: each problem with its remedy, also in
 * 40 columns, and the exit code.
 */
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { StateLock } from '../../agent/base/state-lock.ts';
import { statusText } from '../../agent/cli/status/screen.ts';
import type { Finding } from '../../agent/contract/finding.ts';
import { LOCAL_SOCKET, LocalStatus, STATUS_PATH } from '../../agent/contract/local-status.ts';
import { FINDING_TEXTS, type FindingTexts } from '../../agent/local/finding-texts.ts';
import { clockText, durationText, statusFindings } from '../../agent/local/findings.ts';
import { LocalServer } from '../../agent/local/local-server.ts';
import { SITE_REMEDIES } from '../../agent/local/site-remedies.ts';
import { EVENT as event, STATUS as WELL } from '../lib/local-status.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { type Output, WarmProgram } from '../lib/warm-program.ts';

const warm = new WarmProgram('agent/cli');

/** Some members of a value, at any depth. */
type Part<T> = T extends readonly unknown[] ? T : T extends object ? { [K in keyof T]?: Part<T[K]> } : T;

function merged(value: unknown, change: unknown): unknown {
  const isGroup = typeof change === 'object' && change !== null && !Array.isArray(change);
  if (!isGroup) return change;
  const members = Object.entries(change).map(([key, part]) => [key, merged(Object(value)[key], part)]);
  return { ...Object(value), ...Object.fromEntries(members) };
}

/** The status of a healthy box with these changes. */
const changedStatus = (change: Part<LocalStatus>): LocalStatus => merged(WELL, change) as LocalStatus;
const standing = (kind: string, reason: string | null = null): Part<LocalStatus> => ({
  standing: [{ ...event, kind, severity: 'system', reason }],
});
const EARLY = '2026-11-20T00:00:00.000Z';
const SOON = '2026-11-30T00:00:00.000Z';
const LATER = '2027-11-30T00:00:00.000Z';
const LATE_ORDER = 'the order was valid until yesterday';
const CASES: readonly (readonly [name: string, detail: RegExp, change: Part<LocalStatus>])[] = [
  ['mode', /unauthorised/, { report: { mode: 'unauthorised' } }],
  [
    'mode',
    /installation authorisation 2026\/17: no rule runs/,
    { report: { restraint: { installation: true } } },
  ],
  [
    'mode',
    /unauthorised.*: the order was valid until yesterday/,
    { report: { mode: 'unauthorised', restraint: { reason: LATE_ORDER } } },
  ],
  ['order', /2026\/17 until 2026-11-30/, { report: { restraint: { validUntil: SOON } } }],
  [
    'certificate',
    /box’s until 2026-11-30/,
    { report: { certificate: { notAfter: SOON, caNotAfter: null } } },
  ],
  ['ca', /until 2026-11-20/, { report: { certificate: { notAfter: LATER, caNotAfter: EARLY } } }],
  ['camera', /no route/, { report: { camera: { state: 'lost', reason: 'no route' } } }],
  ['camera', /no picture \(opening\)/, { report: { camera: { state: 'opening' } } }],
  ['config-refused', /^since .*: line 3: no such zone/, standing('config-refused', 'line 3: no such zone')],
  ['analysis', /^0 fps/, { analysedFps: 0 }],
  ['detector', /the detector is off/, { report: { detector: null } }],
  [
    'detector',
    /nano.* runs on cpu: no answer$/,
    { report: { detector: { provider: 'cpu', fallback: 'no answer' } }, ...standing('detector-fallback') },
  ],
  ['frozen', /^since/, standing('frozen')],
  ['outbox', /IN MEMORY/, { report: { outbox: { store: 'memory' } } }],
  ['outbox', /3 lost/, { report: { outbox: { lanes: { alert: { dropped: { alert: 3 } } } } } }],
  ['outbox', /; no archive has acknowledged .* for 1 min$/, { report: { mqtt: { unacknowledgedS: 60 } } }],
  ['outbox', /too large/, { report: { outbox: { lanes: { alert: { tooLarge: { snapshot: 2 } } } } } }],
  [
    'broker',
    /certificate/,
    { report: { mqtt: { phase: 'waiting', fault: { code: 'certificate', message: 'expired' } } } },
  ],
  ['broker', /connecting since/, { report: { mqtt: { phase: 'connecting' } } }],
  ['clock', /not set/, { report: { clock: { synced: false } } }],
  ['journal', /there is none/, { journal: null }],
  ['journal', /5 missed/, { report: { counters: { journal_missed: 5 } } }],
  ['disk', /100 MiB free \(0 %\)/, { disk: { freeMiB: 100 } }],
  ['heat', /84 °C/, { report: { temperatureC: 84 } }],
];
const failures = (status: LocalStatus) => statusFindings(status).filter(({ state }) => state === 'failed');

void t.test('each problem is named with a remedy, and no healthy part is', async (t) => {
  t.same([...Value.Errors(LocalStatus, WELL)], []);
  t.ok(statusFindings(WELL).every(({ state }) => state === 'ok'));
  for (const [name, detail, change] of CASES) {
    const status = changedStatus(change);
    const wrong = failures(status);
    t.equal(wrong.length, 1, `${name}: one thing`);
    t.match(wrong[0], { name, detail, fix: /\w/ });
    for (const language of ['en', 'fr'] as const) {
      const onSite = statusFindings(status, language, 'site').find(({ state }) => state === 'failed');
      t.ok(Object.values(SITE_REMEDIES[language]).includes(onSite?.fix ?? ''), `${name}: from the table`);
    }
  }
  const starting = { camera: { state: 'opening' }, detector: null, mqtt: { phase: 'connecting' } } as const;
  const young = changedStatus({ report: { uptimeS: 5, ...starting } });
  t.same(failures(young), [], 'a box that just started is given time');
  const suspended = changedStatus({
    report: { mode: 'suspended', detector: null, camera: { state: 'off' } },
  });
  t.same(failures(suspended), [], 'a suspended box is as ordered');
});

void t.test('an accelerator with time for a larger input is named, in both languages', async (t) => {
  const fast = changedStatus({ report: { detector: { provider: 'hailonet' } }, inferenceMs: 12 });
  const detail = (status: LocalStatus, language: 'en' | 'fr'): string =>
    statusFindings(status, language).find(({ name }) => name === 'detector')?.detail ?? '';
  t.match(detail(fast, 'en'), /on hailonet; it has time for input 640×384/);
  t.match(detail(fast, 'fr'), /sur hailonet ; il reste du temps pour une entrée de 640×384/);
  for (const status of [{ ...fast, inferenceMs: null }, WELL])
    t.notMatch(detail(status, 'en'), /640/, 'not on the CPU, nor untimed');
});

void t.test('no action on site is a command or a file', async (t) => {
  const { en, fr } = SITE_REMEDIES;
  t.strictSame(Object.keys(fr), Object.keys(en));
  for (const remedies of [en, fr]) {
    for (const [reason, text] of Object.entries(remedies)) {
      t.notMatch(text, /sudo|ctl|vigie|doctor|docs\/|\.md|`|\w+\.\w+:/, reason);
      t.match(text, /^[A-Z].*\.$/, `${reason}: whole sentences`);
    }
  }
  for (const reason of Object.keys(en) as (keyof typeof en)[]) t.not(fr[reason], en[reason], reason);
});

void t.test('every text has a French version with the same figures', async (t) => {
  const { en, fr } = FINDING_TEXTS;
  t.strictSame(Object.keys(fr), Object.keys(en));
  for (const key of Object.keys(en) as (keyof FindingTexts)[]) {
    const [english, french] = [en[key], fr[key]];
    if (typeof english === 'function') {
      const values = Array.from({ length: english.length }, (_, i) => String(1234 + i));
      const [one, other] = [english, french].map((text) =>
        (text as (...args: string[]) => string)(...values),
      );
      t.not(other, one, key);
      // Values of yes-or-no fields are shown in words.
      const shownValues = values.filter((value) => one?.includes(value) === true);
      t.ok(shownValues.length >= Math.min(3, values.length), `${key} tells them`);
      for (const figure of shownValues) t.match(other, figure, key);
    } else if (typeof english === 'object') {
      for (const [word, text] of Object.entries(english)) {
        t.not((french as Record<string, string>)[word], text, `${key}.${word}`);
      }
    } else t.not(french, english, key);
  }
  const camera = { state: 'lost', reason: 'no route' } as const;
  const status = changedStatus({ report: { mode: 'unauthorised', camera }, ...standing('preview') });
  const findings = statusFindings(status, 'fr', 'site');
  const findingOf = (name: string) => findings.find((finding) => finding.name === name);
  t.match(findingOf('mode'), {
    state: 'failed',
    detail: /^sans autorisation, démarré depuis/,
    fix: /^Appelez le CSU/,
  });
  t.match(findingOf('preview'), { state: 'ok', detail: /^un technicien regarde/ });
  t.strictSame(
    findings.map(({ name, state }) => [name, state]),
    statusFindings(status, 'en').map(({ name, state }) => [name, state]),
  );
});

void t.test('the status fits 40 and 80 columns, and has colours only on request', async (t) => {
  const camera = { state: 'lost', reason: `rtsp server ${'x'.repeat(90)} refuses` } as const;
  const status = changedStatus({ report: { clock: { synced: false }, camera } });
  for (const width of [40, 80]) {
    const text = statusText(status, statusFindings(status), { width, colours: false });
    const lines = text.split('\n');
    t.same(
      lines.filter((line) => [...line].length > width),
      [],
      `${width} columns are enough`,
    );
    t.match(text, /2 problems need attention/);
    t.match(text, /✗ clock {5}not set by the network\n {4}→ sudo timedatectl/);
    t.notMatch(text, '\x1b');
    t.ok(lines.length <= (width === 40 ? 50 : 36), `${lines.length} lines`);
  }
  t.match(statusText(WELL, statusFindings(WELL), { width: 80, colours: true }), '\x1b[32mno problems\x1b[0m');
  t.same(
    [5, 61, 7260, 200_000].map((s) => durationText(s)),
    ['5 s', '1 min', '2 h 1 min', '2 days'],
  );
  // By the site's time zone, independent of the box's own: midnight there is 23:00 UTC.
  const at = (time: string): string => clockText(time, 'Europe/Paris', new Date('2026-11-23T23:30:00.000Z'));
  t.equal(at('2026-11-23T23:05:00.000Z'), '00:05 CET');
  t.equal(at('2026-11-23T22:05:00.000Z'), '2026-11-23 23:05 CET');
  t.match(
    statusText(WELL, statusFindings(WELL), { width: 80, colours: false }),
    /\n {2}(?:\S+ )?15:00 CET illegal-parking/,
  );
});

async function boxWith(t: Test, body: string): Promise<string> {
  const dir = scratch(t);
  const pages = { [STATUS_PATH]: () => ({ contentType: 'application/json', body }) };
  const socket = join(dir, LOCAL_SOCKET);
  const server = new LocalServer({ port: 0, socket, pages, onPort: [], clock: systemClock, log: SILENT });
  await server.start();
  t.teardown(() => server.stop());
  return dir;
}

void t.test('vigie status ends with exit code 0, 1 or 2', async (t) => {
  const statusOf = (dir: string, ...options: string[]): Promise<Output> =>
    warm.run(['status', '--state', dir, ...options]);
  const well = await boxWith(t, JSON.stringify(WELL));
  t.match(await statusOf(well), { code: 0, out: /no problems/, err: '' });
  const json = await statusOf(well, '--json');
  t.match(JSON.parse(json.out), { ok: true, report: { box: 'canebiere-017' }, findings: [{ name: 'mode' }] });
  const hot = await boxWith(t, JSON.stringify(changedStatus({ report: { temperatureC: 90 } })));
  t.match(await statusOf(hot), { code: 1, out: /1 problem needs attention/, err: '' });
  t.match(await statusOf(hot, '--json'), { code: 1, out: /"ok": false/ });

  const none = scratch(t);
  t.match(await statusOf(none), { code: 2, out: '', err: /agent\.sock: no agent runs here; .*--state\n$/ });
  const old = await boxWith(t, JSON.stringify({ ...WELL, journal: 7 }));
  t.match(await statusOf(old), { code: 2, out: '', err: /another version of the agent runs \(\/journal\)/ });
  t.notOk(existsSync(join(none, LOCAL_SOCKET)), 'asking leaves nothing behind');
});

void t.test('the doctor asks a running agent, and a second connection does not cut it off', async (t) => {
  const dir = scratch(t);
  const stateDir = await boxWith(
    t,
    JSON.stringify(changedStatus({ report: { mqtt: { unacknowledgedS: 75 } } })),
  );
  const lock = new StateLock(stateDir);
  lock.take();
  t.teardown(() => lock.release());
  let connections = 0;
  const broker = createServer((client) => {
    connections += 1;
    client.destroy();
  }).listen(0, '127.0.0.1');
  await once(broker, 'listening');
  t.teardown(() => broker.close());
  const file = join(dir, 'vigie.yaml');
  const mqtt = `{ url: "mqtt://127.0.0.1:${(broker.address() as AddressInfo).port}" }`;
  writeFileSync(file, `site: lab\nbox: lab-1\ncamera: { source: "test:pattern" }\nmqtt: ${mqtt}\n`);
  const doctor = await warm.run(['doctor', '--config', file, '--state', stateDir, '--json']);
  t.equal(doctor.code, 1, doctor.err);
  const { findings } = JSON.parse(doctor.out) as { findings: Finding[] };
  t.match(
    findings.filter(({ name }) => ['broker', 'outbox'].includes(name)),
    [
      { name: 'broker', state: 'ok', detail: /^online since / },
      { name: 'outbox', state: 'failed', fix: /^run an archive .*or set mqtt\.ack: broker/ },
    ],
  );
  t.equal(connections, 0, 'the broker hears nothing of it');
});
