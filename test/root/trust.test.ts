/**
 * Tests which releases a box trusts: real TUF metadata over HTTPS, our own limits, attacks and a bad line.
 *
 * docs/design/022-updates.md names what of The Update Framework we decide; the rest is proven by tuf-js.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TargetFile } from '@tufjs/models';
import t, { type Test } from 'tap';
import type { ErrorKind } from '../../agent/base/errors.ts';
import { type BoxFacts, misfit } from '../../scripts/products/root/fits.ts';
import { ReleaseTrust, type TargetRef, type TrustOptions } from '../../scripts/products/root/trust.ts';
import { scratch } from '../lib/paths.ts';
import {
  type Fault,
  ReleaseRepository,
  type RootJson,
  type SampleRelease,
  sampleRelease,
  signingKey,
  TestReleaseServer,
} from '../lib/release-server.ts';

const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';
const SIGNAL = new AbortController().signal;
const RELEASE: SampleRelease = { seq: 42, version: '0.2.0' };
const ID = { what: 'release', seq: 42, version: '0.2.0', arch: ARCH } as const;

interface Setup {
  readonly dir: string;
  readonly repository: ReleaseRepository;
  readonly server: TestReleaseServer;
  /** A box with the root alone, or with the given folder. */
  box(over?: Partial<TrustOptions>): ReleaseTrust;
}

async function makeSetup(t: Test, release: SampleRelease = RELEASE): Promise<Setup> {
  const dir = scratch(t);
  const repository = new ReleaseRepository(join(dir, 'repository'));
  const tree = await sampleRelease(dir, { ...release, files: { 'dist/main.js': 'x' } });
  await repository.addRelease(tree, release);
  repository.publish();
  const server = await TestReleaseServer.start(repository.dir, dir);
  t.teardown(() => server.stop());
  let boxes = 0;
  const box: Setup['box'] = (over = {}) => {
    boxes += 1;
    const { url, tls } = server;
    return new ReleaseTrust({
      dir: join(dir, `box-${boxes}`),
      rootFile: repository.rootFile,
      url,
      tls,
      fetchWithinMs: 5000,
      ...over,
    });
  };
  return { dir, repository, server, box };
}

const seenSeq = async (box: ReleaseTrust): Promise<number | undefined> => {
  await box.refresh(SIGNAL);
  return (await box.release(ID))?.custom.seq;
};

const ONE_LINE = /^[^\n]{20,400}$/;

async function refusal(
  t: Test,
  box: ReleaseTrust,
  kind: ErrorKind,
  reason: RegExp,
  name: string,
): Promise<void> {
  await t.rejects(seenSeq(box), { kind, message: reason }, name);
}

void t.test('a box sees the signed releases, also with damaged stored metadata', async (t) => {
  const { dir, box, repository } = await makeSetup(t);
  const own = join(dir, 'own');
  const one = box({ dir: own });
  t.strictSame(await one.refresh(SIGNAL), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
  const release = await one.release(ID);
  t.match(release?.custom, { seq: 42, version: '0.2.0', arch: ARCH, installedBytes: Number, full: String });
  t.match(release?.manifest, {
    path: `vigie-42-0.2.0-${ARCH}.manifest`,
    length: Number,
    sha256: /^[0-9a-f]{64}$/,
  });
  const archive = (name = ''): Promise<TargetRef | undefined> => Promise.resolve(release?.archive(name));
  t.match(await archive(release?.custom.full), { length: Number, sha256: /^[0-9a-f]{64}$/ });
  t.equal(
    await one.release({ what: 'release', seq: 43, version: '0.2.0', arch: ARCH }),
    undefined,
    'there is no such release',
  );
  t.equal(await seenSeq(box({ dir: own })), 42, 'again, with stored metadata');
  t.same(readdirSync(own).sort(), [
    'root.json',
    'snapshot.json',
    'targets.json',
    'timestamp.json',
    'verified.json',
  ]);

  repository.addFile(`vigie-43-0.2.0-${ARCH}.manifest`, Buffer.from('x'), { seq: 43 });
  repository.addFile(`vigie-44-0.2.0-${ARCH}.manifest`, Buffer.from('x'), { ...release?.custom });
  repository.publish();
  await one.refresh(SIGNAL);
  await t.rejects(one.release({ what: 'release', seq: 43, version: '0.2.0', arch: ARCH }), {
    kind: 'corrupt',
    message: /not in the form of a release/,
  });
  await t.rejects(one.release({ what: 'release', seq: 44, version: '0.2.0', arch: ARCH }), {
    kind: 'corrupt',
    message: /signed as vigie-42-0\.2\.0-/,
  });

  for (const hurt of ['root', 'timestamp', 'snapshot', 'targets']) {
    for (const text of ['{"signed":{"version":7}}', '{}']) {
      writeFileSync(join(own, `${hurt}.json`), text);
      t.equal(await seenSeq(box({ dir: own })), 42, `${hurt}.json was hurt on the disk: ${text}`);
    }
  }
});

void t.test('attacks on the metadata are detected', async (t) => {
  const { dir, repository, box } = await makeSetup(t);
  const unknownKey = signingKey();
  const [one, two] = repository.targets;
  const own = join(dir, 'own');
  const names = ['targets.json', 'snapshot.json', 'timestamp.json'] as const;
  const files = () => names.map((name) => [name, repository.read(name)] as const);
  const serve = (set: ReturnType<typeof files>) =>
    set.forEach(([name, bytes]) => void repository.write(name, bytes));
  const first = files();
  await box({ dir: own }).refresh(SIGNAL);
  repository.publish();
  t.equal(await seenSeq(box({ dir: own })), 42);
  serve(first);
  await refusal(t, box({ dir: own }), 'denied', /older than what this box has seen/, 'replayed metadata');
  repository.publish({ signers: [one] });
  await refusal(t, box({ dir: own }), 'denied', /not signed by as many .*1\/2 keys/, 'one of two signatures');
  repository.publish({ signers: [one, unknownKey] });
  await refusal(t, box(), 'denied', /1\/2 keys/, 'a stranger’s second signature');
  repository.publish({ timestampDays: -1 });
  await refusal(t, box(), 'denied', /expired and must be signed again.*timestamp/, 'expired timestamp');
  repository.publish();
  // The root gets a new number: one key of root and one of targets are replaced.
  const roots = [repository.roots[0], unknownKey, repository.roots[2]];
  const targets = [two, repository.targets[2], signingKey()];
  const signers = [repository.roots[0], repository.roots[1], unknownKey];
  const foreign = [signingKey(), signingKey()];
  repository.writeRoot({ version: 2, roots: foreign, targets: foreign, signers: foreign });
  repository.publish({ signers: foreign });
  await refusal(t, box({ dir: own }), 'denied', /root was signed by 0\/2/, 'a foreign root');
  repository.writeRoot({ version: 2, roots, targets, signers });
  repository.publish({ signers: targets.slice(0, 2) });
  t.equal(await seenSeq(box({ dir: own })), 42, 'keys of root and targets were replaced');
  t.equal(await seenSeq(box()), 42, 'and a new box comes from the first root');
  repository.publish({ signers: [one, two] });
  await refusal(t, box({ dir: own }), 'denied', /1\/2 keys/, 'a withdrawn key');
  await refusal(t, box(), 'denied', /1\/2 keys/, 'a withdrawn key, to a new box');
  repository.publish({ signers: targets.slice(0, 2) });
  repository.writeRoot({ version: 3, roots, targets, signers: roots.slice(0, 2), days: -1 });
  await refusal(t, box({ dir: own }), 'denied', /expired.*root/, 'an expired root');
  t.equal(JSON.parse(readFileSync(join(own, 'root.json'), 'utf8')).signed.version, 3, 'a root stays');
  rmSync(join(repository.dir, 'metadata/3.root.json'));
  await refusal(t, box({ dir: own }), 'denied', /expired.*root/, 'and cannot be taken back');
  const withRoot2 = join(dir, 'root-2.json');
  writeFileSync(withRoot2, repository.read('2.root.json'));
  t.equal(await seenSeq(box({ rootFile: withRoot2 })), 42, 'a box that was set up with the second root');
});

void t.test('metadata beyond our own limits is refused', async (t) => {
  const { repository, box } = await makeSetup(t);
  const next = (change: (root: RootJson) => void = () => undefined): void => {
    const { roots, targets } = repository;
    repository.writeRoot({ version: 2, roots, targets, signers: roots.slice(0, 2), change });
  };
  /** Adds a role's first key again, under another id. */
  const repeatedKey =
    (role: 'root' | 'targets', form: (hex: string) => string) =>
    ({ keys, roles }: RootJson): void => {
      const key = keys[roles[role].keyids[0] ?? ''];
      if (key === undefined) throw new Error(`no key of ${role}`);
      keys['f'.repeat(64)] = { ...key, keyval: { public: form(key.keyval.public) } };
      roles[role].keyids.push('f'.repeat(64));
    };
  next(repeatedKey('targets', (hex) => hex));
  await refusal(
    t,
    box(),
    'denied',
    /2\.root\.json: refused: one key stands twice in the role targets/,
    'a root',
  );
  const rootFile = join(repository.dir, 'metadata/2.root.json');
  await refusal(t, box({ rootFile }), 'denied', /one key stands twice in the role targets/, 'the first root');
  next(repeatedKey('root', (hex) => hex.toUpperCase()));
  await refusal(t, box(), 'denied', /one key stands twice in the role root/, 'in capital letters');
  repository.write('2.root.json', Buffer.alloc(262_145, ' '));
  await refusal(t, box(), 'corrupt', /longer than 262144 bytes/, 'a long root');
  next();
  repository.publish({ timestampExpires: 'never' });
  await refusal(t, box(), 'corrupt', /timestamp\.json does not say when it expires/, 'no date');
  const [sha256, sha512] = ['a'.repeat(64), 'b'.repeat(128)];
  const odd: Readonly<Record<string, { length?: number; hashes?: Record<string, string> }>> = {
    'no-sha256': { hashes: { sha512 } },
    'no-length': { length: 0 },
    'capital-hash': { hashes: { sha256: sha256.toUpperCase() } },
    '..': {},
  };
  repository.publish({
    changeTargets: (list) => {
      for (const [path, { length = 1, hashes = { sha256 } }] of Object.entries(odd))
        list.addTarget(new TargetFile({ path, length, hashes }));
      list.addTarget(new TargetFile({ path: 'two-hashes', length: 1, hashes: { sha256, sha512 } }));
      const role = { name: 'other', keyids: [], threshold: 1, terminating: false, paths: ['delegated/*'] };
      Object.assign(list, { delegations: { toJSON: () => ({ keys: {}, roles: [role] }) } });
    },
  });
  const own = box();
  await own.refresh(SIGNAL);
  const release = await own.release(ID);
  if (release === undefined) throw new Error('the release is not found');
  t.match(await release.archive('two-hashes'), { sha256 }, 'of several hashes SHA-256 is taken');
  for (const name of Object.keys(odd))
    await t.rejects(
      release.archive(name),
      { kind: 'corrupt', message: /without a length or a SHA-256/ },
      name,
    );
  for (const name of ['toString', '__proto__', 'constructor', '', 'delegated/x'])
    await t.rejects(release.archive(name), { kind: 'corrupt', message: /not in the signed metadata/ }, name);
});

void t.test('a wrong clock or an invalid root is refused with a reason', async (t) => {
  const { dir, box, repository } = await makeSetup(t);
  const own = join(dir, 'own');
  const at = (time: string) => () => Date.parse(time);
  const clock = (over: Partial<TrustOptions>) => box({ dir: own, ...over });
  await refusal(
    t,
    clock({ wallMs: () => 0 }),
    'unavailable',
    /clock says 1970-01-01T.* later than 2026/,
    '1970',
  );
  t.equal(await seenSeq(clock({})), 42);
  const dayAgo = new Date(Date.now() - 86_400_000).toISOString();
  await refusal(t, clock({ wallMs: at(dayAgo) }), 'unavailable', /this box's clock says/, 'a day back');
  const root = join(dir, 'none.json');
  await refusal(
    t,
    box({ rootFile: root }),
    'config',
    /none.json is not a root .*: it is not there/,
    'no root',
  );
  writeFileSync(root, 'x');
  await refusal(t, box({ rootFile: root }), 'config', /none.json is not a root/, 'a root that is none');
  writeFileSync(
    root,
    repository
      .read('1.root.json')
      .toString()
      .replace(/"sig":"../, '"sig":"00'),
  );
  await refusal(
    t,
    box({ rootFile: root }),
    'denied',
    /root was signed by 1\/2 keys/,
    'a root that was changed',
  );
});

void t.test('metadata is fetched over a bad line, and an endless answer is cut', async (t) => {
  const { dir, box, server, repository } = await makeSetup(t);
  const faults: readonly (readonly [string, Fault, ErrorKind, RegExp, Partial<TrustOptions>?])[] = [
    [
      'timestamp.json',
      { kind: 'status', status: 404 },
      'unavailable',
      /\/metadata\/timestamp\.json: the server/,
    ],
    ['timestamp.json', { kind: 'endless' }, 'corrupt', /longer than 16384 bytes/],
    ['targets.json', { kind: 'endless' }, 'corrupt', /longer than \d+ bytes/],
    ['snapshot.json', { kind: 'short', length: 100 }, 'corrupt', /refused: no valid signed metadata/],
    ['targets.json', { kind: 'cut', after: 100 }, 'unavailable', /targets.json: aborted/],
    ['targets.json', { kind: 'encoded' }, 'unavailable', /encoded \(gzip\)/],
    [
      'targets.json',
      { kind: 'stall', after: 10 },
      'unavailable',
      /not answered within the|download cancelled/,
      { fetchWithinMs: 300 },
    ],
  ];
  for (const [name, fault, kind, reason, over] of faults) {
    server.faults.set(`metadata/${name}`, fault);
    await refusal(t, box(over), kind, reason, `${fault.kind}: ${name}`);
    server.faults.clear();
  }
  t.ok(server.sentBytes < 8_000_000, 'an endless one is left');
  const tls = server.tls ?? { ca: '', cert: '', key: '' };
  for (const [over, kind, reason] of [
    [{ url: 'https://127.0.0.1:1/' }, 'unavailable', /ECONNREFUSED/],
    [{ url: 'http://192.0.2.1/' }, 'config', /must be https/],
    [{ url: 'ftp://h/' }, 'config', /must be https/],
    [{ url: 'https://u:secret@h/' }, 'config', /^url: h: no user/],
    [{ tls: undefined }, 'unavailable', /self-signed|unable to/],
    [{ tls: { ...tls, ca: tls.cert } }, 'unavailable', /unable to|self-signed/],
    [{ tls: { ...tls, key: join(dir, 'x') } }, 'config', /x cannot be read: ENOENT/],
    [{ tls: { ...tls, key: tls.cert } }, 'config', /not a matching PEM file/],
  ] as const)
    await refusal(t, box(over), kind, reason, String(reason));
  await t.rejects(box().refresh(AbortSignal.abort()), { kind: 'unavailable', message: /cancelled/ });
  await t.rejects(seenSeq(box({ url: 'x' })), { message: ONE_LINE });
  repository.publish();
  t.equal(await seenSeq(box()), 42, 'and without any fault');
});

void t.test('a release that does not fit the box is refused with a reason', async (t) => {
  const { repository, dir } = await makeSetup(t);
  const tree = await sampleRelease(join(dir, 'b'), { seq: 43, version: '0.3.0' });
  const custom = await repository.addRelease(tree, {
    seq: 43,
    version: '0.3.0',
    node: ['20.17.0', '22.0.0'],
  });
  const box: BoxFacts = {
    board: 'pc',
    arch: ARCH,
    node: 'v20.17.0',
    seq: 42,
    forms: { stateWrites: 1, stateReads: [1, 1] },
    freeBytes: 2e6,
    neededBytes: 1e6,
  };
  t.equal(misfit(custom, box), undefined);
  t.equal(misfit(custom, { ...box, node: '21.99.9' }), undefined);
  const checkMisfit = (over: Partial<BoxFacts>, reason: RegExp): void => {
    const text = misfit(custom, { ...box, ...over }) ?? '';
    t.match(text, reason);
    t.match(text, ONE_LINE);
  };
  checkMisfit({ board: 'rpi4' }, /43-0.3.0 is for pc, generic, this box is rpi4/);
  checkMisfit({ arch: ARCH === 'arm64' ? 'amd64' : 'arm64' }, /is for a/);
  for (const node of ['v20.16.9', '22.0.0', '18.20.0', 'v100.0.0', 'x', ''])
    checkMisfit({ node }, /needs node from 20.17.0 to below 22.0.0/);
  checkMisfit({ seq: 43 }, /not newer than 43/);
  checkMisfit({ seq: 44 }, /not newer than 44/);
  const forms = { stateWrites: 2, stateReads: [1, 2] } as const;
  checkMisfit(
    { forms: { ...forms, stateReads: [1, 2] } },
    /reads state of form 1 to 1, the one that runs writes 2/,
  );
  checkMisfit({ freeBytes: 1.9e6 }, /needs 1.9 MiB free on the disk \(twice what it brings\), there are 1.8/);
  checkMisfit({ freeBytes: Number.NaN }, /free on the disk/);
});
