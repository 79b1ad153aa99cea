/**
 * Tests the box as a client of The Update Framework, by the sections of its specification, with real metadata over
 * loopback.
 *
 * Specification: https://theupdateframework.github.io/specification/latest/#detailed-client-workflow
 * The parts that do not apply are in docs/design/022-updates.md.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { download, TargetMismatch } from '../../scripts/programs/root/download.ts';
import { scratch } from '../lib/paths.ts';
import { FORMATS } from '../lib/tuf-format-cases.ts';
import { SNAPSHOT, TIMESTAMP } from '../lib/tuf-online-cases.ts';
import { ed25519Key, envelope, type TufRepository, TufServer } from '../lib/tuf-repository.ts';
import { BEGIN, ROOT } from '../lib/tuf-root-cases.ts';
import { CUSTOM, MANIFEST, play, RELEASE, SEQ, SIGNAL, scene } from '../lib/tuf-scene.ts';
import { TARGETS } from '../lib/tuf-targets-cases.ts';

const GROUPS = [
  ['5.2 Load trusted root', BEGIN],
  ['5.3 Update the root role', ROOT],
  ['5.4 Update the timestamp role', TIMESTAMP],
  ['5.5 Update the snapshot role', SNAPSHOT],
  ['5.6 Update the targets role', TARGETS],
  ['4 Document formats, 6.2 Consistent snapshots', FORMATS],
] as const;

let cases = 0;
for (const [section, all] of GROUPS) {
  void t.test(section, async (t) => {
    const dir = scratch(t);
    const server = await TufServer.start();
    t.teardown(() => server.stop());
    for (const one of all) {
      cases += 1;
      await play(t, one, scene(dir, server, one.firstRoot));
    }
  });
}

/** Names that need encoding in an address. */
const UNUSUAL = [
  'a b.zst',
  'über.zst',
  'a/b.zst',
  'a%2Fb.zst',
  'a?b#c.zst',
  '日本.zst',
  '\'";&.zst',
  '...zst',
  'a\\b.zst',
];

void t.test('5.7 Fetch target', async (t) => {
  const dir = scratch(t);
  const server = await TufServer.start();
  t.teardown(() => server.stop());
  const { r, trust } = scene(dir, server);
  for (const name of UNUSUAL) r.targets.set(name, Buffer.from(`content of ${name}`));
  const listedTargets: Readonly<Record<string, object>> = {
    'two-hashes': { hashes: { sha256: 'a'.repeat(64), sha512: 'b'.repeat(128) } },
    'no-sha256': { hashes: { sha512: 'b'.repeat(128) } },
    'no-length': { length: 0 },
    'capital-hash': { hashes: { sha256: 'A'.repeat(64) } },
    '..': {},
  };
  for (const [name, fields] of Object.entries(listedTargets)) {
    r.targets.set(name, Buffer.from('x'));
    r.targetFields.set(name, fields);
  }
  r.publish({ targets: { change: (signed) => void Object.assign(signed, delegation(r)) } });
  const own = trust();
  await own.refresh(SIGNAL);
  const release = await own.release(RELEASE);
  if (release === undefined) throw new Error('the release is not found');
  t.match(release.manifest, { path: MANIFEST, length: 7 });

  for (const name of UNUSUAL) {
    cases += 1;
    const file = join(dir, 'downloads', `${cases}`);
    const options = { url: server.url, tls: undefined, rateKiBps: 0, signal: SIGNAL };
    await download(await release.archive(name), file, options);
    t.equal(readFileSync(file, 'utf8'), `content of ${name}`, `fetched: ${name}`);
  }
  for (const [name, content] of [
    ['another byte', 'archivE'],
    ['a byte less', 'archiv'],
    ['a byte more', 'archive.'],
  ] as const) {
    cases += 1;
    r.targets.set(CUSTOM.full, Buffer.from(content));
    const options = { url: server.url, tls: undefined, rateKiBps: 0, signal: SIGNAL };
    const error: unknown = await download(
      await release.archive(CUSTOM.full),
      join(dir, 'downloads/full'),
      options,
    ).catch((thrown: unknown) => thrown);
    t.ok(error instanceof TargetMismatch, `${name}: refused`);
    t.notOk(existsSync(join(dir, 'downloads/full')));
  }
  for (const name of ['toString', '__proto__', 'constructor', 'hasOwnProperty', '', 'never', 'delegated/x']) {
    cases += 1;
    await t.rejects(
      release.archive(name),
      { kind: 'corrupt', message: /which is not in the signed metadata/ },
      `not there: "${name}"`,
    );
  }
  t.equal((await release.archive('two-hashes')).sha256, 'a'.repeat(64), 'of several hashes SHA-256 is taken');
  for (const name of ['no-sha256', 'no-length', 'capital-hash', '..']) {
    cases += 1;
    await t.rejects(
      release.archive(name),
      { kind: 'corrupt', message: /signed without a length or a SHA-256/ },
      name,
    );
  }
  t.equal(await own.release({ ...RELEASE, seq: SEQ + 1 }), undefined, 'a release without a signature');
  t.notOk(
    server.requests.some((name) => name.includes('delegated')),
    'delegations are not followed',
  );
});

/** A role that would sign everything below `delegated/`. */
function delegation(r: TufRepository): object {
  const key = ed25519Key();
  const signed = {
    _type: 'targets',
    spec_version: '1.0.31',
    version: 1,
    expires: '2099-01-01T00:00:00Z',
    targets: { 'delegated/x': { length: 1, hashes: { sha256: 'a'.repeat(64) } } },
  };
  r.files.set('1.delegated.json', Buffer.from(JSON.stringify(envelope(signed, [key]))));
  const role = {
    name: 'delegated',
    keyids: [key.id],
    threshold: 1,
    terminating: false,
    paths: ['delegated/*'],
  };
  return { delegations: { keys: { [key.id]: key.content }, roles: [role] } };
}

void t.test('the number of cases is complete', (t) => {
  t.comment(`${cases} cases`);
  t.ok(cases >= 75);
  t.end();
});
