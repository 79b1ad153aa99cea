/**
 * Tests authorisations from the authority's offline machine to the box: keys, signing, and the check by `vigie check`.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse, stringify } from 'yaml';
import { configuredStream } from '../../agent/contract/camera-address.ts';
import { namesCamera } from '../../agent/orders/camera-pin.ts';
import { claimedAuthorisation } from '../../agent/orders/signed-authorisation.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { oversight, type Program, vigie } from '../lib/program.ts';
import { unlessAll } from '../lib/run.ts';
import { rectangle } from '../lib/street.ts';
import { type Output, WarmProgram } from '../lib/warm-program.ts';

/** The guide with its example authorisation. */
const GUIDE = readFileSync(join(ROOT, 'docs/guide/authorisation.md'), 'utf8');
/** The example's log of tracks. */
const LOG = (parse(/```yaml\n(tracks:.*?)```/s.exec(GUIDE)?.[1] ?? '') as { tracks: object }).tracks;
const AUTHORISATION = /```yaml\n(order: .*?)```/s.exec(GUIDE)?.[1] ?? '';

/** The programs in threads; each is started as a process too. */
const warmVigie = new WarmProgram('agent/cli');
const warmOversight = new WarmProgram('scripts/products/oversight');

async function toEnd(program: Program): Promise<Program> {
  await program.exit;
  return program;
}

/** Makes keys, and returns what `vigie-oversight keygen` prints. */
async function makeKeys(t: Test, dir: string, ...names: string[]) {
  const programs = await Promise.all(names.map((name) => toEnd(oversight(t, 'keygen', join(dir, name)))));
  const printedValues = (field: string): string[] =>
    programs.map(({ out }) => new RegExp(`^${field}: (\\S+)`, 'm').exec(out)?.[1] ?? '');
  return { publicKeys: printedValues('publicKey'), fingerprints: printedValues('fingerprint') };
}

void t.test('a signed authorisation is explained in full, and passes or fails vigie check', async (t) => {
  const dir = scratch(t);
  const path = (name: string): string => join(dir, name);
  const { publicKeys, fingerprints } = await makeKeys(t, dir, 'authority.key', 'prefect.key', 'mayor.key');
  const [, prefect = '', mayor = ''] = publicKeys;
  t.equal(statSync(path('authority.key')).mode & 0o777, 0o600);
  t.equal(statSync(path('authority.key.pub')).mode & 0o777, 0o644);
  t.match(await toEnd(oversight(t, 'keygen', path('authority.key'))), {
    code: 2,
    err: /exists; a key is never written over/,
  });

  const authorisation = parse(AUTHORISATION) as Record<string, unknown> & { resumeKeys: object[] };
  authorisation['notAfter'] = new Date(Date.now() + 86_400_000).toISOString();
  authorisation['notBefore'] = new Date(Date.now() - 86_400_000).toISOString();
  const holders = [
    { name: 'prefect', publicKey: prefect },
    { name: 'mayor', publicKey: mayor },
  ];
  authorisation.resumeKeys = holders;
  const PERSONS = { ...LOG, grade: 'persons', magistrate: 'Mme Test' };
  const sign = (change: object, number = ''): Promise<Output> => {
    const text = stringify({ ...authorisation, ...change });
    writeFileSync(
      path('order.yaml'),
      number === '' ? text : text.replace(/^order: .*$/m, `order: ${number}`),
    );
    const files = ['--sign', path('authority.key'), '--out', path('order.dsse.json')];
    return warmOversight.run(['authorise', path('order.yaml'), ...files]);
  };
  const wrong: [object, RegExp][] = [
    [{ rules: [] }, /order\.yaml: .*\/rules/],
    [
      { rules: [{ kind: 'loitring', zones: 'all', purpose: 'p', legalBasis: 'b' }] },
      /"loitring" is not a rule; use one of/,
    ],
    [{ notAfter: '2026-11-24' }, /notAfter: invalid time "2026-11-24"; use 2026-11-24T00:00:00\+01:00/],
    [{ notAfter: '2099-02-30T00:00:00+01:00' }, /notAfter: invalid time "2099-02-30T00:00:00\+01:00"/],
    [{ notAfter: '2099-02-28T24:00:00Z' }, /notAfter: invalid time "2099-02-28T24:00:00Z"/],
    [{ notAfter: '2020-01-01T00:00:00Z' }, /does not come before/],
    [
      { notBefore: '2020-01-01T00:00:00Z', notAfter: '2021-01-01T00:00:00Z' },
      /order\.yaml: notAfter: 2021-01-01T00:00:00\.000Z is in the past \(this machine’s clock: 20\S+\); write a later time/,
    ],
    [{ notAfter: undefined }, /notAfter: is missing; write 2026-/],
    [{ resumeKeys: authorisation.resumeKeys.slice(1) }, /\/resumeKeys/],
    [
      { resumeKeys: [1, 2].map((n) => ({ name: `n${n}`, publicKey: prefect })) },
      /two of its resumeKeys have the same publicKey/,
    ],
    [{ oder: 1 }, /\/oder/],
    [{ tracks: { ...LOG, grade: 'persons' } }, /tracks\/grade persons needs \/tracks\/magistrate/],
    [{ tracks: { ...LOG, approvers: holders } }, /\/tracks\/approvers belong to the grade persons alone/],
    [{ tracks: { ...PERSONS, approvers: holders.slice(1) } }, /\/tracks\/approvers/],
    [
      { tracks: { ...PERSONS, approvers: holders.map(({ name }) => ({ name, publicKey: prefect })) } },
      /two of its tracks\.approvers have the same publicKey/,
    ],
    [{ tracks: { ...LOG, magistrate: 'Mme Test' } }, /magistrate belongs to the grade persons alone/],
    [{ tracks: { ...LOG, grade: 'counts', colour: true } }, /colour serves nothing under the grade counts/],
    [{ tracks: { ...LOG, days: 1, spanHours: 48 } }, /spanHours is longer than \/tracks\/days \(24 h\)/],
    [{ tracks: { ...LOG, budget: { case: 1 } } }, /\/tracks\/budget/],
    [{ ageRecipients: ['AGE-SECRET-KEY-1'] }, /\/ageRecipients/],
  ];
  for (const [change, message] of wrong) {
    const { code, err, out } = await sign(change);
    t.match({ code, err, out }, { code: 2, out: '', err: message }, err.trim());
    t.match(err, /^vigie-oversight: [^\n]+\n$/, 'one line');
  }
  t.match(await sign({}), {
    code: 0,
    err: '',
    out: /order\.dsse\.json: signed by [0-9a-f]{64}\n {2}order .*\n/,
  });
  for (const [written, signed] of [
    ['2026.10', '2026.10'],
    ['0077', '0077'],
    ['"2026.10"', '2026.10'],
  ]) {
    t.match(
      (await sign({}, written)).out,
      new RegExp(`\\n {2}order {5}${signed} of `),
      `the number ${written}`,
    );
  }
  // The signer reads who may resume the box and who may open what: the keys, not their number.
  const recipients = ['q', 'p'].map((letter) => `age1${letter.repeat(58)}`);
  const sealing = await sign({ ageRecipients: recipients });
  const keyholders = ['prefect', 'mayor'].map((name, i) => `${name} +${fingerprints[i + 1]}`);
  t.match(sealing.out, new RegExp(`  resumes   with two keys of:\\n +${keyholders.join('\\n +')}\\n`));
  t.match(sealing.out, new RegExp(`  seals     evidence to:\\n +${recipients.join('\\n +')}\\n`));
  t.match((await sign({})).out, / {2}seals {5}nothing: no recipient is named\n/);
  t.match((await sign({})).out, / {2}tracks {4}none: only alerts are stored\n/);
  const tracking = await sign({ tracks: LOG });
  t.match(
    tracking.out,
    / {2}tracks {4}passing vehicles are stored and disclosed, for 7 days, for searches-after-the-fact: /,
  );
  const persons = await sign({ tracks: { ...PERSONS, approvers: holders } });
  t.match(
    persons.out,
    new RegExp(`  approves  a question about persons, one of:\\n +${keyholders.join('\\n +')}\\n`),
  );
  t.match((await sign({ tracks: PERSONS })).out, / {2}approves {2}no one: no question about persons/);
  t.match(tracking.out, /clinic: nothing that touches \(0\.45, 0\.4\)/);
  t.match(tracking.out, /a query covers at most 24 h; 200 tracks a case, 500 a key and day, 1000 a day\n/);

  const key = 'rtsp://10.0.0.2/onvif?token=s3cret';
  const pinned = await sign({ camera: key });
  t.match(pinned.out, 'camera rtsp://10.0.0.2/onvif?token=***\n');
  const pinnedOrder = claimedAuthorisation(readFileSync(path('order.dsse.json')));
  t.ok(
    namesCamera(pinnedOrder, configuredStream(key)),
    'the key that the clerk wrote is signed as its digest',
  );
  t.notMatch(`${pinned.out}${JSON.stringify(pinnedOrder)}`, /s3cret/);
  t.match(await sign({ camera: key.replace('//', '//u:p@') }), {
    code: 2,
    err: /camera must hold a digest for token/,
  });

  const square = [
    [0.1, 0.4],
    [0.9, 0.4],
    [0.9, 1],
  ];
  const masking = await sign({
    outlines: [{ id: 'forecourt', polygon: square }],
    masks: [{ id: 'windows', polygon: square }],
  });
  t.match(masking.out, / {2}outlines {2}forecourt only inside \(0\.1, 0\.4\) \(0\.9, 0\.4\) \(0\.9, 1\)\n/);
  t.match(masking.out, / {2}masks {5}windows: black in every picture: \(0\.1, 0\.4\) /);
  const day = { installation: true, rules: [], notAfter: new Date(Date.now() + 3_600_000).toISOString() };
  t.match(await sign(day), { code: 2, err: /an installation authorisation is valid for at most 24 hours/ });
  const installation = await sign({ ...day, notBefore: new Date(Date.now() - 3_600_000).toISOString() });
  t.match(
    installation.out,
    / {2}permit {4}.*\n(?:.*\n)* {2}allows {4}analysis while the box is installed; NO rule runs\n/,
  );

  const config = {
    site: authorisation['site'],
    box: authorisation['box'],
    camera: { source: 'rtsp://admin:hunter2@10.0.0.2/main' },
    zones: [
      {
        id: 'forecourt',
        polygon: rectangle(0, 0, 1, 1),
      },
    ],
    rules: [
      { id: 'parked', kind: 'illegal-parking', zone: 'forecourt', purpose: 'pedestrian-safety' },
      { id: 'stays', kind: 'loitering', zone: 'forecourt', purpose: 'public-order' },
      { id: 'crowds', kind: 'crowd-gathering', zone: 'forecourt', purpose: 'public-order' },
    ],
    mqtt: { url: 'mqtt://localhost:1883' },
    retention: { eventsDays: 300 },
    authorisation: path('order.dsse.json'),
    authorityKey: path('authority.key.pub'),
  };
  const check = (change: object, ...options: string[]): Promise<Output> => {
    writeFileSync(path('vigie.yaml'), stringify({ ...config, ...change }), { mode: 0o640 });
    return warmVigie.run(['check', ...options, path('vigie.yaml')]);
  };
  t.match(await check({ authorisation: undefined, installation: path('order.dsse.json') }), {
    code: 1,
    out: / runs +NOTHING: .* is an installation authorisation: the box analyses video under it, but no rule runs/,
  });
  await sign({ outlines: [{ id: 'forecourt', polygon: square }] });
  t.match(await check({}), {
    code: 1,
    out: / parked: NOT covered: the zone forecourt does not lie inside the outline that authorisation .* gives for it/,
  });
  await sign({});
  const { code, out } = await check({});
  t.equal(code, 0);
  t.match(out, / parked: covered: .*, until 20/);
  t.match(out, / stays: only counted \(shadow\): /);
  t.match(out, / crowds: NOT covered: authorisation .* does not name crowd-gathering/);
  t.match(out, /^\S+vigie\.yaml: ok, but 1 of 3 rules will not run: 1 zone/, 'in the first line');
  t.match(out, /\n\S+vigie\.yaml: ok, but 1 of 3 rules will not run\n$/, 'and in the last one');
  t.match(out, /warning: .*retention\.eventsDays: 300, but authorisation .* allows 30; 30 is used/);
  t.notMatch(out, 'hunter2');
  t.equal((await check({}, '--strict')).code, 1, 'an uncovered rule is a warning');
  t.match(JSON.parse((await check({}, '--json')).out), {
    authorisation: {
      holds: true,
      fault: null,
      rules: [{ state: 'covered' }, { state: 'shadow' }, { state: 'not covered' }],
    },
  });
  t.match(
    await check({ box: 'other' }),
    { code: 1, out: / runs +NOTHING: authorisation .* is for canebiere-017 at marseille-1; this is other/ },
    'a box that would run no rule fails the check',
  );
  const signed = ['authorise', path('order.dsse.json'), '--sign', path('authority.key'), '--out', path('x')];
  t.match(await warmOversight.run(signed), {
    code: 2,
    err: /order\.dsse\.json: already signed; name the/,
  });
  writeFileSync(path('garbage'), 'a: [1\nb: "\x1b[31m\n');
  const garbage = await warmOversight.run([
    ...['authorise', path('garbage'), '--sign', path('authority.key'), '--out', path('x')],
  ]);
  t.match(garbage, { code: 2, err: /^vigie-oversight: \S+garbage cannot be read \([^\n]+\)\n$/ });
  t.notMatch(garbage.err, '\x1b');
  t.match(
    await check({ rules: [{ id: 'crowds', kind: 'crowd-gathering', zone: 'forecourt', purpose: 'order' }] }),
    { code: 1, out: / runs +NOTHING: authorisation .* covers no rule of this configuration/ },
  );
  t.match(
    await check({
      rules: [{ id: 'stays', kind: 'loitering', zone: 'forecourt', purpose: 'public-order' }],
    }),
    { code: 0, out: /stays: only counted \(shadow\)/ },
    'a rule that only counts does run',
  );
});

void t.test(
  'suspend, resume and pin report what they did without an agent',
  { skip: unlessAll },
  async (t) => {
    const dir = scratch(t);
    const state = ['--state', join(dir, 'state')];
    await makeKeys(t, dir, 'a.key', 'b.key');
    const suspend = (reason: string): Promise<Program> =>
      toEnd(vigie(t, 'suspend', '--reason', reason, ...state));
    t.match(await warmVigie.run(['suspend', '--reason', ' ', ...state]), {
      code: 2,
      err: /--reason: 1 to 500 characters/,
    });
    const absent = await warmVigie.run(['suspend', '--reason', 'x', '--state', '/proc/nowhere']);
    t.match(absent, { code: 2, err: /^vigie: \/proc\/nowhere cannot be written: [^\n]+\n$/ });
    t.match(await suspend('court order'), {
      code: 0,
      out: /^suspended since .*\nno agent runs here; the next one starts suspended\n$/,
    });
    const resume = [
      'resume',
      '--reason',
      'lifted',
      '--key',
      join(dir, 'a.key'),
      join(dir, 'b.key'),
      ...state,
    ];
    t.match(await warmVigie.run(resume), {
      code: 2,
      err: /mode\.json does not tell which box this is: start the agent/,
    });
    const config = join(dir, 'vigie.yaml');
    writeFileSync(config, stringify({ site: 'lab', box: 'lab-1', authorityKey: join(dir, 'a.key.pub') }));
    const pinned = await toEnd(vigie(t, 'pin', '--config', config, ...state));
    t.match(pinned, { code: 0, out: /^this box obeys [0-9a-f]{64}; validity is checked from / });
    writeFileSync(config, stringify({ site: 'lab', box: 'lab-1', authorityKey: join(dir, 'b.key') }));
    t.match(await warmVigie.run(['pin', '--config', config, ...state]), {
      code: 2,
      err: /a private key, which belongs on no box/,
    });
  },
);
