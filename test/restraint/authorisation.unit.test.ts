/**
 * Tests authorisation and suspension: without a positive authorisation nothing runs, whatever the files or the clock
 * say.
 */

import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import {
  AUTHORISATION_BYTES_MAX,
  AUTHORISATION_TYPE,
  type Authorisation,
} from '../../agent/contract/authorisation.ts';
import { configuredStream } from '../../agent/contract/camera-address.ts';
import type { CommandRefused } from '../../agent/contract/command.ts';
import type { Config } from '../../agent/contract/config.ts';
import { RESUME_TYPE } from '../../agent/contract/mode.ts';
import { keyIdOf, signEnvelope } from '../../agent/orders/dsse.ts';
import { authorisationRefusal, openAuthorisation } from '../../agent/orders/signed-authorisation.ts';
import { coverageOf } from '../../agent/restraint/authorisation.ts';
import { Authority } from '../../agent/restraint/authority.ts';
import { LATEST_TIME_FILE } from '../../agent/restraint/latest-time.ts';
import { PIN_FILE, writePin } from '../../agent/restraint/pin.ts';
import { openResume, signResume } from '../../agent/restraint/resume.ts';
import { configOf } from '../lib/agent.ts';
import {
  AUTHORITY,
  authorisationFor,
  authorised,
  MAYOR,
  PREFECT,
  signedAuthorisation,
  testKey,
} from '../lib/authority.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import {
  flips,
  mutations,
  noneAccepted,
  REFUSAL_RUNS,
  REFUSAL_TIMEOUT_S,
  verdictOf,
} from '../lib/refusals.ts';
import { BOX, SITE } from '../lib/room.ts';
import { rectangle } from '../lib/street.ts';

t.setTimeout(REFUSAL_TIMEOUT_S * 1000);

/** Journal knowledge of a box that has never run. */
const NOTHING: { authority: string | undefined; confirmedBeforeMs: number | undefined } = {
  authority: undefined,
  confirmedBeforeMs: undefined,
};

const DAY_MS = 86_400_000;
const iso = (ms: number): string => new Date(ms).toISOString();
const CONFIG = configOf(
  {
    site: SITE,
    box: BOX,
    camera: { source: 'rtsp://admin:hunter2@10.0.0.2/main' },
    zones: ['lawn', 'square'].map((id) => ({
      id,
      polygon: rectangle(0, 0, 1, 1),
    })),
    lines: [{ id: 'kerb', from: [0, 0], to: [1, 1] }],
    rules: [
      { id: 'on-lawn', kind: 'loitering', zone: 'lawn', purpose: 'order' },
      { id: 'on-square', kind: 'loitering', zone: 'square', purpose: 'order' },
      { id: 'over-kerb', kind: 'line-crossing', line: 'kerb', purpose: 'counting' },
    ],
  },
  'replay',
);
const START_MS = new HandClock().epochMs;
const authorisation = (change: Partial<Authorisation> = {}): Authorisation =>
  authorisationFor(CONFIG, change, START_MS);
const signed = (change?: Partial<Authorisation>): Buffer => signedAuthorisation(authorisation(change));
const PLACE = { site: SITE, box: BOX, camera: configuredStream('rtsp://10.0.0.2/main') };

/** Verifies a file as the agent does: signature, form, place and time. */
function verdict(bytes: Buffer) {
  return verdictOf(() => {
    const refusal = authorisationRefusal(openAuthorisation(bytes, AUTHORITY.publicKey), PLACE, START_MS);
    if (refusal !== undefined) throw refusal;
  });
}

void t.test('no single-bit flip of an authorisation is accepted; the original is', async (t) => {
  const original = signed();
  const outcomes = flips(original, verdict);
  t.notOk(outcomes.has('accepted'), `${original.length * 8} flips: ${JSON.stringify([...outcomes])}`);
  t.ok(
    (outcomes.get('bad-signature') ?? 0) > 100 && (outcomes.get('malformed') ?? 0) > 100,
    'the flips reach far',
  );
  t.equal(verdict(original), 'accepted');
});

void t.test(
  `none of ${REFUSAL_RUNS} mutated, expired, wrong-box and wrong-key authorisations is accepted`,
  async (t) => {
    const accepted = signed();
    t.equal(verdict(accepted), 'accepted');
    const unknownKey = testKey();
    const name = fc.stringMatching(/^[a-z0-9-]{1,32}$/);
    const wrong = <T>(
      from: fc.Arbitrary<T>,
      change: (value: T) => object,
      ...codes: CommandRefused['code'][]
    ) =>
      from.map((value) => ({ bytes: signedAuthorisation({ ...authorisation(), ...change(value) }), codes }));
    const later = fc.integer({ min: 1, max: 1e12 });
    noneAccepted(
      t,
      [
        ...mutations(accepted),
        fc.jsonValue().map((value) => ({ bytes: signedAuthorisation(value), codes: ['malformed'] })),
        wrong(later, (ms) => ({ notBefore: iso(0), notAfter: iso(START_MS - (ms % 1e12)) }), 'expired'),
        wrong(
          later,
          (ms) => ({ notBefore: iso(START_MS + ms), notAfter: iso(START_MS + 2e12) }),
          'not-yet-valid',
        ),
        wrong(later, (ms) => ({ notAfter: iso(START_MS - DAY_MS - ms) }), 'malformed'),
        wrong(
          name.filter((box) => box !== BOX),
          (box) => ({ box }),
          'wrong-box',
        ),
        wrong(
          name.filter((site) => site !== SITE),
          (site) => ({ site }),
          'wrong-box',
        ),
        wrong(name, (path) => ({ camera: `rtsp://10.0.0.3/${path}` }), 'wrong-box'),
        wrong(
          fc.constantFrom(0, 1),
          (n) => ({ resumeKeys: authorisation().resumeKeys.slice(0, n) }),
          'malformed',
        ),
        wrong(name, (key) => ({ [`x-${key}`]: 1 }), 'malformed'),
        fc
          .constant(0)
          .map(() => ({ bytes: signedAuthorisation(authorisation(), unknownKey), codes: ['unknown-key'] })),
        fc.constant(0).map(() => {
          const stolen = JSON.parse(String(signedAuthorisation(authorisation(), unknownKey)));
          stolen.signatures[0].keyid = keyIdOf(AUTHORITY.publicKey);
          return { bytes: Buffer.from(JSON.stringify(stolen)), codes: ['bad-signature'] };
        }),
        fc.constantFrom('application/json', `${AUTHORISATION_TYPE} `, RESUME_TYPE).map((type) => ({
          bytes: Buffer.from(signEnvelope(type, JSON.stringify(authorisation()), AUTHORITY.privateKey)),
          codes: ['malformed'],
        })),
      ],
      verdict,
    );
    t.equal(verdict(accepted), 'accepted', 'a valid one is still accepted');
    for (const field of ['purpose', 'legalBasis']) {
      const rules = authorisation().rules.map((rule) => ({ ...rule, [field]: undefined }));
      t.equal(verdict(signed({ rules })), 'malformed', `no ${field}`);
    }
  },
);

void t.test('a resume needs two different keys of the order, for this box and this suspension', async (t) => {
  const own = { site: SITE, box: BOX, suspension: 'ab'.repeat(8) };
  const resume = {
    ...own,
    reason: 'lifted',
    notBefore: iso(START_MS - 1000),
    notAfter: iso(START_MS + 1000),
  };
  const sign = (keys: { privateKey: Parameters<typeof signResume>[1][number] }[], change = {}): Buffer =>
    Buffer.from(
      signResume(
        { ...resume, ...change },
        keys.map(({ privateKey }) => privateKey),
      ),
    );
  const verdictOfResume = (bytes: Buffer) =>
    verdictOf(() => openResume(bytes, authorisation(), own, START_MS));
  t.equal(verdictOfResume(sign([PREFECT, MAYOR])), 'accepted');
  t.same(openResume(sign([MAYOR, PREFECT]), authorisation(), own, START_MS).names, ['prefect', 'mayor']);
  t.equal(verdictOfResume(sign([PREFECT])), 'malformed', 'one key');
  t.equal(verdictOfResume(sign([PREFECT, PREFECT])), 'not-permitted', 'the same key twice');
  t.equal(verdictOfResume(sign([PREFECT, testKey()])), 'unknown-key', 'a foreign key');
  t.equal(verdictOfResume(sign([PREFECT, AUTHORITY])), 'unknown-key', 'the authority’s own key');
  t.equal(verdictOfResume(sign([PREFECT, MAYOR, testKey()])), 'malformed', 'three');
  t.equal(verdictOfResume(sign([PREFECT, MAYOR], { box: 'other' })), 'wrong-box');
  t.equal(verdictOfResume(sign([PREFECT, MAYOR], { suspension: 'cd'.repeat(8) })), 'replayed');
  t.equal(verdictOfResume(sign([PREFECT, MAYOR], { notAfter: iso(START_MS - 1) })), 'expired');
  t.equal(verdictOfResume(sign([PREFECT, MAYOR], { notBefore: iso(START_MS + 1) })), 'not-yet-valid');
  const swapped = JSON.parse(String(sign([PREFECT, MAYOR])));
  swapped.signatures[1].sig = swapped.signatures[0].sig;
  t.equal(verdictOfResume(Buffer.from(JSON.stringify(swapped))), 'bad-signature');
  const outcomes = flips(sign([PREFECT, MAYOR]), verdictOfResume);
  t.notOk(outcomes.has('accepted'), JSON.stringify([...outcomes]));
});

interface Setup {
  readonly dir: string;
  readonly clock: HandClock;
  readonly config: Config;
  readonly pinned: (string | null)[][];
  /** Reason for which a newly started program allows nothing; undefined when it allows analysis. */
  refusal(config?: Config, clock?: HandClock, journalState?: typeof NOTHING): string | undefined;
}

function makeSetup(t: Test, change: Partial<Authorisation> = {}): Setup {
  const dir = scratch(t);
  const clock = new HandClock();
  const config = authorised(CONFIG, join(dir, 'order'), { ...authorisation(), ...change });
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir);
  const pinned: (string | null)[][] = [];
  const refusal = (checkedConfig = config, at = clock, journalState = NOTHING): string | undefined => {
    const authority = new Authority({
      config: checkedConfig,
      stateDir,
      clock: at,
      journal: { recordedState: journalState },
      onPinned: (keyid, before) => pinned.push([before, keyid]),
    });
    authority.load();
    authority.keepTime();
    const ruling = authority.now();
    return 'reason' in ruling ? ruling.reason : undefined;
  };
  return { dir, clock, config, pinned, refusal };
}

void t.test('each fault of the files leaves nothing allowed and is named', async (t) => {
  const { dir, config, refusal } = makeSetup(t);
  const path = (name: string, content: string | Buffer, mode = 0o644): string => {
    const file = join(dir, name);
    writeFileSync(file, content, { mode });
    chmodSync(file, mode);
    return file;
  };
  t.equal(refusal(), undefined, 'all is right');
  const { authorisation: _a, ...noAuthorisation } = config;
  const { authorityKey: _k, ...noKey } = config;
  const pub = readFileSync(config.authorityKey ?? '');
  const pem = AUTHORITY.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const good = signed();
  const cases: [string, Config, RegExp][] = [
    ['no order', noAuthorisation, /`authorisation` is not in the configuration/],
    ['no key', noKey, /`authorityKey` is not in the configuration/],
    ['order gone', { ...config, authorisation: join(dir, 'gone') }, /authorisation .*gone cannot be read/],
    ['order is a folder', { ...config, authorisation: dir }, /is not a file/],
    ['below a file', { ...config, authorisation: join(config.authorisation ?? '', 'x') }, /cannot be read/],
    ['empty', { ...config, authorisation: path('empty', '') }, /not JSON/],
    ['cut', { ...config, authorisation: path('cut', good.subarray(0, 400)) }, /not JSON/],
    [
      'large',
      { ...config, authorisation: path('large', Buffer.alloc(AUTHORISATION_BYTES_MAX + 1, 32)) },
      /more than/,
    ],
    [
      'unsigned',
      { ...config, authorisation: path('unsigned', JSON.stringify(authorisation())) },
      /an authorisation without a signature; sign it with/,
    ],
    [
      'other key',
      { ...config, authorisation: path('forged', signedAuthorisation(authorisation(), testKey())) },
      /no key .* in authorityKey/,
    ],
    ['other box', { ...config, authorisation: path('box', signed({ box: 'x' })) }, /is for x at/],
    ['own name', { ...config, box: 'renamed' }, /this is renamed at/],
    [
      'other camera',
      { ...config, camera: { source: 'rtsp://10.0.0.9/main', fps: 5 } },
      /camera.source is rtsp:\/\/10.0.0.9/,
    ],
    [
      'expired',
      { ...config, authorisation: path('old', signed({ notAfter: iso(START_MS) })) },
      /was valid until/,
    ],
    [
      'early',
      { ...config, authorisation: path('new', signed({ notBefore: iso(START_MS + 1) })) },
      /valid from/,
    ],
    ['key gone', { ...config, authorityKey: join(dir, 'gone') }, /authorityKey .*gone cannot be read/],
    [
      'key open',
      { ...config, authorityKey: path('open', pub, 0o666) },
      /can be changed by others \(mode 0666\)/,
    ],
    ['no PEM', { ...config, authorityKey: path('text', 'key') }, /does not contain a public key in PEM/],
    ['private', { ...config, authorityKey: path('private', pem) }, /a private key, which belongs on no box/],
  ];
  for (const [name, wrong, reason] of cases) {
    const refusalText = refusal(wrong) ?? 'ALLOWED';
    t.match(refusalText, reason, `${name}: ${refusalText}`);
    t.notMatch(refusalText, /hunter2|\n/, 'one line, no secret');
  }
  t.equal(refusal(), undefined, 'and all is right again');
});

void t.test('the authority’s key is pinned at its first use, until a person changes it', async (t) => {
  const { dir, config, pinned, refusal } = makeSetup(t);
  t.equal(refusal(), undefined);
  t.equal(refusal(), undefined);
  const first = keyIdOf(AUTHORITY.publicKey);
  t.same(pinned, [[null, first]], 'told once');
  const other = testKey();
  const file = join(dir, 'other.pub');
  writeFileSync(file, other.publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o644 });
  const forged = join(dir, 'forged.json');
  writeFileSync(forged, signedAuthorisation(authorisation(), other));
  const changedConfig = { ...config, authorityKey: file, authorisation: forged };
  t.match(refusal(changedConfig), /is another key .* run `sudo vigie-root pin`/, 'not by the file alone');
  const pin = join(dir, 'state', PIN_FILE);
  writePin(pin, { keyid: keyIdOf(other.publicKey), before: first, told: false });
  t.equal(refusal(changedConfig), undefined);
  t.same(pinned.at(-1), [first, keyIdOf(other.publicKey)], 'and it is reported');
  t.match(refusal(), /is another key/, 'the first one counts no more');
  for (const damage of [
    '',
    '{}',
    '{"version":2}',
    readFileSync(pin, 'utf8').replace('"version":1', '"version":2'),
  ]) {
    writeFileSync(pin, damage);
    t.match(refusal(changedConfig), /authority.json is damaged/, damage);
  }
});

void t.test('a clock that is moved back and forth extends nothing', async (t) => {
  const { dir, clock, config, refusal } = makeSetup(t, { notAfter: iso(START_MS + 10 * DAY_MS) });
  const authority = new Authority({
    config,
    stateDir: join(dir, 'state'),
    clock,
    journal: { recordedState: NOTHING },
    onPinned: () => undefined,
  });
  const isValid = (): boolean => !('reason' in authority.now());
  authority.load();
  t.ok(isValid());
  clock.epochMs -= 300 * DAY_MS;
  t.ok(isValid(), 'put back: it still applies');
  for (let day = 0; day < 9; day += 1) clock.advance(DAY_MS);
  t.ok(isValid(), 'on the ninth day');
  clock.advance(DAY_MS);
  t.notOk(isValid(), 'on the tenth, whatever the wall clock says');
  authority.keepTime();
  t.match(refusal(), /was valid until .*; it is .* by the latest time seen/, 'after a restart as well');
  const rebooted = new HandClock();
  rebooted.monoMs = 5;
  t.match(refusal(config, rebooted), /was valid until/, 'and after a reboot without a clock');

  rmSync(join(dir, 'state', LATEST_TIME_FILE));
  const forward = new HandClock();
  t.equal(refusal(config, forward), undefined);
  forward.epochMs += 20 * DAY_MS;
  t.match(refusal(config, forward), /was valid until/, 'put forward');
  forward.epochMs -= 20 * DAY_MS;
  t.match(refusal(config, forward), /was valid until/, 'and back: it stays so');
  writePin(join(dir, 'state', PIN_FILE), { keyid: keyIdOf(AUTHORITY.publicKey), before: null, told: false });
  t.equal(refusal(config, forward), undefined, 'until a person says that the time is right');
  for (const damage of ['', '17', '1e13', 'x'.repeat(14)]) {
    writeFileSync(join(dir, 'state', LATEST_TIME_FILE), damage);
    t.match(refusal(config, forward), /latest-time is damaged/, damage);
  }
});

void t.test('a file that the journal knows and that is missing is not created again', async (t) => {
  const { dir, clock, config, refusal } = makeSetup(t, { notAfter: iso(START_MS + 10 * DAY_MS) });
  t.equal(refusal(), undefined);
  const authority = keyIdOf(AUTHORITY.publicKey);
  const journalState = { authority, confirmedBeforeMs: START_MS + 11 * DAY_MS };
  const time = join(dir, 'state', LATEST_TIME_FILE);
  rmSync(time);
  clock.epochMs -= 2 * DAY_MS;
  t.match(
    refusal(config, clock, journalState),
    /latest-time is missing, though by its journal/,
    'no latest time',
  );
  writeFileSync(time, `${START_MS}\n`);
  t.match(
    refusal(config, clock, journalState),
    /was valid until/,
    'an older one put back, and the clock too',
  );

  const pin = join(dir, 'state', PIN_FILE);
  rmSync(pin);
  const young = { authority, confirmedBeforeMs: undefined };
  t.match(refusal(config, clock, young), /authority.json is missing, though by its journal/, 'no pin');
  const foreign = testKey();
  const [file, foreignFile] = [join(dir, 'foreign.pub'), join(dir, 'foreign.json')];
  writeFileSync(file, foreign.publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o644 });
  writeFileSync(foreignFile, signedAuthorisation(authorisation(), foreign));
  const foreignConfig = { ...config, authorityKey: file, authorisation: foreignFile };
  t.match(refusal(foreignConfig, clock, young), /authority.json is missing/, 'no pin, and another authority');
  const foreignPin = { version: 1, keyid: keyIdOf(foreign.publicKey), before: null, told: true };
  writeFileSync(pin, JSON.stringify(foreignPin));
  t.match(
    refusal(foreignConfig, clock, young),
    /than this box obeys .* says its journal/,
    'a pin that was edited',
  );
  t.equal(refusal(foreignConfig, clock, NOTHING), undefined, 'without a journal it would pass (control)');
});

void t.test('a leap of an unset clock binds until a set one corrects it', async (t) => {
  const { dir, clock, config, refusal } = makeSetup(t, { notAfter: iso(START_MS + 10 * DAY_MS) });
  t.equal(refusal(), undefined);
  clock.epochMs += 55 * 365 * DAY_MS;
  t.match(refusal(), /was valid until/, 'to the year 2081');
  clock.epochMs -= 55 * 365 * DAY_MS;
  t.match(refusal(), /it is 2081-.* by the latest time seen/, 'and back, over a restart');
  const stateDir = join(dir, 'state');
  const authority = new Authority({
    config,
    stateDir,
    clock,
    journal: { recordedState: NOTHING },
    onPinned: () => undefined,
  });
  authority.load();
  t.match(authority.now(), { reason: /was valid until/ });
  authority.confirmTime();
  t.notMatch(authority.now(), { reason: String }, 'set by the network, and steady');
  authority.keepTime();
  t.equal(refusal(), undefined, 'over a restart too');
  clock.epochMs += 11 * DAY_MS;
  authority.confirmTime();
  clock.epochMs -= 11 * DAY_MS;
  authority.confirmTime();
  t.match(authority.now(), { reason: /was valid until/ }, 'a confirmed time binds');
  authority.resetTime();
  t.notMatch(authority.now(), { reason: String }, 'until an authorised caller says otherwise');
});

void t.test('a rule runs only where an entry names its kind, its place and its purpose', async (t) => {
  const coverage = (change: Partial<Authorisation>): string[] =>
    coverageOf(authorisation(change), CONFIG).map(({ rule, grant, reason }) =>
      grant === undefined
        ? `${rule}: ${reason}`
        : `${rule} ${grant.shadow ? 'shadow' : 'runs'}: ${grant.legalBasis}`,
    );
  const entry = { kind: 'loitering', zones: 'all' as const, purpose: 'order', legalBasis: 'art. 1' };
  t.same(coverage({ rules: [entry] }), [
    'on-lawn runs: art. 1',
    'on-square runs: art. 1',
    'over-kerb: authorisation 2026-77 does not name line-crossing',
  ]);
  t.same(
    coverage({
      rules: [
        { ...entry, zones: ['lawn'], shadow: true },
        { ...entry, kind: 'line-crossing', zones: ['kerb'], purpose: 'fines' },
      ],
    }),
    [
      'on-lawn shadow: art. 1',
      'on-square: authorisation 2026-77 names loitering, but not for square',
      'over-kerb: authorisation 2026-77 names line-crossing for kerb with the purpose fines, not counting',
    ],
  );
});
