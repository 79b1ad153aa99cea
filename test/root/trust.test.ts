/** Tests which releases a box trusts, and how it fetches them: real TUF metadata over HTTPS, attacks and a bad line. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AgentError, type ErrorKind } from '../../agent/base/errors.ts';
import { download } from '../../scripts/programs/root/download.ts';
import { type BoxFacts, misfit } from '../../scripts/programs/root/fits.ts';
import { ReleaseTrust, type TargetRef, type TrustOptions } from '../../scripts/programs/root/trust.ts';
import { FULL } from '../lib/run.ts';
import { scratch } from '../lib/paths.ts';
import {
  type Fault,
  ReleaseRepository,
  type SampleRelease,
  sampleRelease,
  signingKey,
  TestReleaseServer,
} from '../lib/release-server.ts';

const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';
const SIGNAL = new AbortController().signal;
const RELEASE: SampleRelease = { seq: 42, version: '0.2.0' };

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
  return (await box.release({ what: 'release', seq: 42, version: '0.2.0', arch: ARCH }))?.custom.seq;
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
  const release = await one.release({ what: 'release', seq: 42, version: '0.2.0', arch: ARCH });
  t.match(release?.custom, { seq: 42, version: '0.2.0', arch: ARCH, installedBytes: Number, full: String });
  t.match(release?.manifest, {
    path: `vigie-42-0.2.0-${ARCH}.manifest`,
    length: Number,
    sha256: /^[0-9a-f]{64}$/,
  });
  const archive = (name = ''): Promise<TargetRef | undefined> => Promise.resolve(release?.archive(name));
  t.match(await archive(release?.custom.full), { length: Number, sha256: /^[0-9a-f]{64}$/ });
  await t.rejects(archive('another'), { kind: 'corrupt', message: /not in the signed metadata/ });
  await t.rejects(archive('constructor'), { kind: 'corrupt', message: /not in the signed metadata/ });
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
  repository.publish({ snapshotDays: -1 });
  await refusal(t, box(), 'denied', /expired.*snapshot/, 'expired snapshot');
  repository.publish({ targetsDays: -1 });
  await refusal(t, box(), 'denied', /expired.*targets/, 'expired targets');
  repository.publish();
  const newer = files();
  repository.publish();
  for (const mixed of names) {
    repository.write(mixed, newer.find(([name]) => name === mixed)?.[1] ?? Buffer.alloc(0));
    // An older timestamp with the files that it names is a replay, which a new box cannot detect.
    if (mixed !== 'timestamp.json')
      await refusal(t, box(), 'corrupt', /refused: no valid signed metadata/, `mixed: ${mixed}`);
    repository.publish();
  }
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

void t.test('a flipped bit in the list of releases is detected', async (t) => {
  const { dir, repository } = await makeSetup(t);
  const plain = await TestReleaseServer.start(repository.dir);
  t.teardown(() => plain.stop());
  const { rootFile } = repository;
  const raw = repository.read('targets.json');
  const step = FULL ? 7 : 293;
  let [tries, accepted] = [0, 0];
  for (let bit = 0; bit < raw.length * 8; bit += step) {
    const bytes = Buffer.from(raw);
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    repository.write('targets.json', bytes);
    const own = join(dir, 'flips');
    rmSync(own, { recursive: true, force: true });
    const box = new ReleaseTrust({ dir: own, rootFile, url: plain.url, tls: undefined, fetchWithinMs: 5000 });
    tries += 1;
    await seenSeq(box).then(
      () => (accepted += 1),
      (error: unknown) => {
        if (!(error instanceof AgentError) || !/^(corrupt|denied)$/.test(error.kind)) throw error;
      },
    );
  }
  t.comment(`${tries} of ${raw.length * 8} bits`);
  t.ok(tries > 20);
  t.equal(accepted, 0);
});

void t.test('metadata is fetched over a bad line, and an endless answer is cut', async (t) => {
  const { dir, box, server, repository } = await makeSetup(t);
  const checkFault = async (
    name: string,
    is: Fault,
    kind: ErrorKind,
    reason: RegExp,
    over = {},
  ): Promise<void> => {
    server.faults.set(`metadata/${name}`, is);
    await refusal(t, box(over), kind, reason, `${is.kind}: ${name}`);
    server.faults.clear();
  };
  for (const name of ['timestamp.json', 'snapshot.json', 'targets.json']) {
    const place = new RegExp(`127.0.0.1:\\d+/fleet/metadata/${name}: the server`);
    await checkFault(name, { kind: 'status', status: 404 }, 'unavailable', place);
  }
  await checkFault('2.root.json', { kind: 'status', status: 500 }, 'unavailable', /answers 500, not 200/);
  await checkFault('timestamp.json', { kind: 'status', status: 403 }, 'unavailable', /answers 403/);
  await checkFault('targets.json', { kind: 'endless' }, 'corrupt', /longer than \d+ bytes/);
  await checkFault('timestamp.json', { kind: 'endless' }, 'corrupt', /longer than 16384 bytes/);
  t.ok(server.sentBytes < 8_000_000, 'an endless one is left');
  await checkFault(
    'snapshot.json',
    { kind: 'short', length: 100 },
    'corrupt',
    /refused: no valid signed metadata/,
  );
  await checkFault('targets.json', { kind: 'cut', after: 100 }, 'unavailable', /targets.json: aborted/);
  await checkFault(
    'targets.json',
    { kind: 'swap', content: Buffer.from('{}') },
    'corrupt',
    /no valid signed/,
  );
  await checkFault('targets.json', { kind: 'redirect', to: server.url }, 'unavailable', /redirect \(302\)/);
  await checkFault('targets.json', { kind: 'encoded' }, 'unavailable', /encoded \(gzip\)/);
  const within = { fetchWithinMs: 300 };
  await checkFault(
    'targets.json',
    { kind: 'stall', after: 10 },
    'unavailable',
    /not answered within the time/,
    within,
  );
  await checkFault('targets.json', { kind: 'stall', after: 10 }, 'unavailable', /sent nothing for 0.2 s/, {
    patience: { silenceMs: 200 },
  });
  await refusal(t, box({ url: 'https://127.0.0.1:1/' }), 'unavailable', /ECONNREFUSED/, 'no server there');
  await refusal(t, box({ url: 'http://192.0.2.1/' }), 'config', /must be https/, 'without TLS');
  await refusal(t, box({ url: 'https://u:secret@h/' }), 'config', /^url: h: no user/, 'a password');
  await refusal(t, box({ url: 'ftp://h/' }), 'config', /must be https/, 'ftp');
  const tls = server.tls ?? { ca: '', cert: '', key: '' };
  await refusal(t, box({ tls: undefined }), 'unavailable', /self-signed|unable to/, 'an unknown server');
  await refusal(
    t,
    box({ tls: { ...tls, ca: tls.cert } }),
    'unavailable',
    /unable to|self-signed/,
    'another authority',
  );
  await refusal(
    t,
    box({ tls: { ...tls, key: join(dir, 'x') } }),
    'config',
    /x cannot be read: ENOENT/,
    'no key',
  );
  await refusal(
    t,
    box({ tls: { ...tls, key: tls.cert } }),
    'config',
    /not a matching PEM file/,
    'no key in it',
  );
  const cancelled = AbortSignal.abort();
  await t.rejects(box().refresh(cancelled), { kind: 'unavailable', message: /cancelled/ });
  await t.rejects(seenSeq(box({ url: 'x' })), { message: ONE_LINE });
  repository.publish();
  t.equal(await seenSeq(box()), 42, 'and without any fault');
});

void t.test('a download is resumed, verified, limited in rate, and can be cancelled', async (t) => {
  const { dir, server, repository } = await makeSetup(t);
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251));
  repository.addFile('big', content);
  repository.publish();
  const box = new ReleaseTrust({
    dir: join(dir, 'b'),
    rootFile: repository.rootFile,
    url: server.url,
    tls: server.tls,
    fetchWithinMs: 5000,
  });
  await box.refresh(SIGNAL);
  const ref = (await (
    await box.release({ what: 'release', seq: 42, version: '0.2.0', arch: ARCH })
  )?.archive('big')) as TargetRef;
  const file = join(dir, 'downloads/big');
  const part = `${file}.${ref.sha256.slice(0, 16)}.part`;
  const { url, tls } = server;
  const fetch = (over: object = {}) =>
    download(ref, file, { url, tls, rateKiBps: 0, signal: SIGNAL, ...over });
  const reset = () => rmSync(join(dir, 'downloads'), { recursive: true, force: true });
  const size = () => statSync(part, { throwIfNoEntry: false })?.size;
  const failure = async (
    fault: Fault,
    kind: ErrorKind,
    message: RegExp,
    keptBytes: number | undefined,
    over = {},
  ) => {
    server.faults.set('targets/big', fault);
    await t.rejects(fetch(over), { kind, message }, `${fault.kind}: ${kind}`);
    server.faults.clear();
    t.equal(size(), keptBytes, `${fault.kind}: stored bytes`);
    t.notOk(existsSync(file));
  };
  const checkDownload = async (name: string, ranges: (string | undefined)[]): Promise<void> => {
    server.requests.length = 0;
    await fetch();
    t.ok(readFileSync(file).equals(content), name);
    t.same(
      server.requests.map(({ range }) => range),
      ranges,
      `${name}: requested ranges`,
    );
    t.same(readdirSync(join(dir, 'downloads')), ['big'], `${name}: no part is left`);
  };
  await checkDownload('at once', [undefined]);
  await checkDownload('what is there is not fetched', []);
  writeFileSync(file, 'not it');
  await checkDownload('what is there is not it', [undefined]);

  reset();
  await failure({ kind: 'cut', after: 100_000 }, 'unavailable', /aborted/, 100_000);
  await failure({ kind: 'cut', after: 50_000 }, 'unavailable', /aborted/, 150_000);
  await failure({ kind: 'stall', after: 10 }, 'unavailable', /nothing for 0.1 s/, 150_010, {
    patience: { silenceMs: 100 },
  });
  await failure({ kind: 'status', status: 503 }, 'unavailable', /answers 503, not 206/, 150_010);
  await failure({ kind: 'redirect', to: '/x' }, 'unavailable', /redirect/, 150_010);
  const progress: number[] = [];
  await t.resolves(fetch({ onProgress: (doneBytes: number) => progress.push(doneBytes) }));
  t.ok((progress[0] ?? 0) > 150_010 && progress.at(-1) === 300_000, 'progress counts stored bytes');

  reset();
  await failure({ kind: 'cut', after: 1000 }, 'unavailable', /aborted/, 1000);
  await failure(
    { kind: 'wrong-range' },
    'corrupt',
    /bytes 1000-299999\/300000 were requested, bytes 1001-/,
    undefined,
  );
  await failure({ kind: 'cut', after: 1000 }, 'unavailable', /aborted/, 1000);
  server.faults.set('targets/big', { kind: 'no-range' });
  await checkDownload('a server without ranges', ['bytes=1000-', undefined]);
  server.faults.clear();
  reset();
  await failure(
    { kind: 'short', length: 299_999 },
    'corrupt',
    /has 299999 bytes, 300000 were signed/,
    undefined,
  );
  await failure(
    { kind: 'swap', content: Buffer.alloc(300_000) },
    'corrupt',
    /hash mismatch with the signed metadata/,
    undefined,
  );
  await failure({ kind: 'swap', content: Buffer.alloc(300_001) }, 'corrupt', /has 300001 bytes/, undefined);
  server.sentBytes = 0;
  await failure({ kind: 'endless' }, 'corrupt', /more than the 300000 bytes/, undefined);
  t.ok(server.sentBytes < 8_000_000, 'an endless one is left');
  await failure({ kind: 'status', status: 404 }, 'unavailable', /targets\/big: the server answers 404/, 0);
  server.faults.set('targets/big', { kind: 'slow', everyMs: 5 });
  const cancel = new AbortController();
  const onProgress = (doneBytes: number): void => void (doneBytes > 3000 && cancel.abort());
  const cancelled = { kind: 'unavailable', message: /cancelled/ };
  await t.rejects(fetch({ signal: cancel.signal, onProgress }), cancelled, 'cancelled');
  t.ok((size() ?? 0) > 3000, 'received bytes are stored');
  server.faults.clear();

  writeFileSync(part, Buffer.from(content.subarray(0, 1000)).fill(0, 900));
  writeFileSync(`${file}.0123456789abcdef.part`, 'of another content');
  await checkDownload('a part that a power cut has hurt', ['bytes=1000-', undefined]);
  reset();
  mkdirSync(join(dir, 'downloads'));
  writeFileSync(part, content);
  await checkDownload('a complete part', []);
  rmSync(file);
  writeFileSync(part, content);
  truncateSync(part, 300_001);
  await checkDownload('a part that is too long', [undefined]);
  rmSync(file);
  const began = performance.now();
  await fetch({ rateKiBps: 200 });
  const tookS = (performance.now() - began) / 1000;
  t.ok(tookS > 0.4 && tookS < 3, `293 KiB at 200 KiB/s with 200 at once: ${tookS.toFixed(2)} s`);
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
    stateWrites: 1,
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
  checkMisfit({ stateWrites: 2 }, /reads state of form 1 to 1, the one that runs writes 2/);
  checkMisfit({ freeBytes: 1.9e6 }, /needs 1.9 MiB free on the disk \(twice what it brings\), there are 1.8/);
  checkMisfit({ freeBytes: Number.NaN }, /free on the disk/);
});
