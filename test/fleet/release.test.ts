/** Tests releases from their creation to the box: keyholders with real keys, a real nginx, and the box's client. */
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { deltaTarget, fullTarget, releaseName } from '../../agent/contract/release.ts';
import { type MakeOptions, makeRelease } from '../../scripts/products/fleet/release/make.ts';
import { signersOf, signWith } from '../../scripts/products/fleet/release/metadata.ts';
import { publishReleases, refresh } from '../../scripts/products/fleet/release/publish.ts';
import {
  addSignature,
  readSigningFile,
  signingFileOf,
  writeSigningFile,
} from '../../scripts/products/fleet/release/signing-file.ts';
import { checkState } from '../../scripts/products/fleet/release/state-check.ts';
import { targetsWithout } from '../../scripts/products/fleet/release/withdraw.ts';
import { download } from '../../scripts/products/root/download.ts';
import { stage } from '../../scripts/products/root/stage.ts';
import type { ReleaseTrust } from '../../scripts/products/root/trust.ts';
import { FLEET, Fleet, keyPair } from '../lib/fleet-keyholders.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { type SampleRelease, sampleRelease } from '../lib/release-server.ts';
import { served, status } from '../lib/release-site.ts';
import { FULL, unlessAll } from '../lib/run.ts';

const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';
const OTHER = ARCH === 'amd64' ? 'arm64' : 'amd64';
const SIGNAL = new AbortController().signal;
const DAY_MS = 86_400_000;
const FILES = { 'dist/main.js': 'one\n', 'bin/tool': '#!/bin/sh\n', 'models/m.onnx': 'x'.repeat(50_000) };

/** Makes a release of given files in the fleet's folder; its trial is in another test. */
async function make(
  f: Fleet,
  release: SampleRelease,
  over: Partial<MakeOptions> = {},
  lines: string[] = [],
): Promise<string> {
  const dir = mkdtempSync(join(f.dir, 'tree-'));
  const tree = await sampleRelease(dir, { files: FILES, ...release });
  const options: MakeOptions = {
    kind: undefined,
    arches: [release.arch ?? ARCH],
    boards: [],
    seq: undefined,
    seqMin: undefined,
    deltas: 5,
    keep: 5,
    out: join(dir, 'out'),
    allowDirty: false,
    trees: new Map([[release.arch ?? ARCH, tree]]),
    clip: STREET_CLIP,
    nowMs: Date.now(),
    ...over,
  };
  const say = (line: string): void => void lines.push(line);
  return await makeRelease(f.repository, options, { say, warn: say, checkState: () => Promise.resolve() });
}

const online = (f: Fleet) => [createPrivateKey(readFileSync(f.onlineKey))];

/** Signs and publishes as two keyholders do, without their terminals. */
async function signedAndPublished(f: Fleet, file: string, nowMs = Date.now()): Promise<void> {
  const content = readSigningFile(file);
  for (const signer of ['ben', 'carl']) addSignature(content, f.unlocked(f.key(signer, 'targets')));
  writeSigningFile(file, content);
  await publishReleases(f.repository, file, { online: online(f), nowMs });
}

const id = (seq: number, version: string) => ({ what: 'release', seq, version, arch: ARCH }) as const;

const isOffered = async (box: ReleaseTrust, seq: number, version: string): Promise<boolean> => {
  await box.refresh(SIGNAL);
  return (await box.release(id(seq, version))) !== undefined;
};

void t.test('a release is signed on two machines and reaches a box by the guide’s nginx', async (t) => {
  const f = new Fleet(scratch(t));
  const [init, , , published] = f.begin();
  t.match(init, { code: 0 });
  t.match(init?.out, /root: 2 of anna, ben, carl/);
  t.match(published, { code: 0 });

  const first = await make(f, { seq: 41, version: '0.1.0' });
  const one = f.sign('release', first, 'anna');
  t.match(one.out, /\+ release 41 of the agent, version 0\.1\.0, .*; no way back below 1;/, 'it is said');
  t.match(one.out, /signed by anna; more must sign/);
  t.match(f.publish('release', first), {
    code: 1,
    err: /not enough have signed: 1 of 2 signatures \(anna\)/,
  });
  t.match(f.sign('release', first, 'anna'), { code: 1, err: /anna has signed this already/ });
  t.match(f.sign('release', first, 'ben', f.key('ben', 'root')), { code: 1, err: /may not sign targets/ });
  t.match(f.sign('release', first, 'ben').out, /complete: fleet release publish/);
  t.match(f.publish('release', first), { code: 0, out: /the newest is release 41 of the agent/ });

  const { box, pem, url, revoke } = await served(t, f);
  const old = box('old');
  t.ok(await isOffered(old, 41, '0.1.0'), 'a box finds the release');
  const metadata = `${url}metadata/timestamp.json`;
  t.equal(await status(metadata, pem('box-1')), 200);
  t.equal(await status(metadata, { ca: pem('box-1').ca }), 400, 'without a certificate: refused');
  t.equal(await status(metadata, pem('box-2')), 200);
  await revoke('box-2');
  t.equal(await status(metadata, pem('box-2')), 400, 'with a revoked one: refused');
  t.equal(await status(metadata, pem('box-1')), 200);
  for (const path of ['', 'metadata', 'metadata/', 'targets/', 'targets/../metadata/', 'targets/x.zst.new'])
    t.equal(await status(`${url}${path}`, pem('box-1')), 404, `no listing: ${path}`);
  t.equal(await status(metadata, pem('box-1'), 'POST'), 403);

  const lines: string[] = [];
  const next = await make(
    f,
    { seq: 42, version: '0.2.0', files: { ...FILES, 'dist/main.js': 'two\n' } },
    {},
    lines,
  );
  t.match(lines.join('\n'), /from 41: \d+ B, 2 paths written, 0 removed\n {2}VERSION\n {2}dist\/main\.js/);
  const otherFleet = new Fleet(scratch(t));
  await otherFleet.beginQuickly();
  t.match(otherFleet.sign('release', next, 'anna'), {
    code: 1,
    err: /of another fleet: its root 1 is not yours/,
  });
  await signedAndPublished(f, next);
  t.ok(await isOffered(old, 42, '0.2.0'), 'a box that knew the one before, too');
  t.match(f.sign('release', first, 'carl'), { code: 0 }, 'staleness is unknown without the repository');
  t.match(f.publish('release', first), {
    code: 1,
    err: /is stale: made when targets 0 were published, and now they are 1|now they are 2/,
  });

  const lib = join(f.dir, 'lib');
  mkdirSync(join(lib, 'releases'), { recursive: true });
  const ids = [id(41, '0.1.0'), id(42, '0.2.0')] as const;
  const release = await old.release(ids[0]);
  const newer = await old.release(ids[1]);
  if (release === undefined || newer === undefined) throw new Error('not offered');
  const tls = pem('box-1');
  const fetchPath = async (path: string, from: typeof release): Promise<string> => {
    const file = join(f.dir, 'downloads', path);
    const ref = path === from.manifest.path ? from.manifest : await from.archive(path);
    await download(ref, file, { url, tls, rateKiBps: 0, signal: SIGNAL });
    return file;
  };
  const full = fullTarget(ids[0]);
  const was = await stage({
    lib,
    current: undefined,
    custom: release.custom,
    manifest: await fetchPath(release.manifest.path, release),
    delta: undefined,
    full: () => fetchPath(full, release),
    signal: SIGNAL,
  });
  const is = await stage({
    lib,
    current: was.dir,
    custom: newer.custom,
    manifest: await fetchPath(newer.manifest.path, newer),
    delta: await fetchPath(deltaTarget(41, ids[1]), newer),
    full: () => Promise.reject(new Error('whole')),
    signal: SIGNAL,
  });
  t.match(is, { by: 'delta', dir: join(lib, 'releases', releaseName(42, '0.2.0')) });
  t.equal(readFileSync(join(is.dir, 'dist/main.js'), 'utf8'), 'two\n', 'the difference makes the release');
});

void t.test('a release can be refused, withdrawn, renewed, and expires', { skip: unlessAll }, async (t) => {
  const f = new Fleet(scratch(t));
  await f.beginQuickly();
  await signedAndPublished(f, await make(f, { seq: 41, version: '0.1.0' }));
  await signedAndPublished(f, await make(f, { seq: 42, version: '0.2.0' }));
  const { box } = await served(t, f);
  const one = box('one');
  t.ok(await isOffered(one, 42, '0.2.0'));

  await t.rejects(make(f, { seq: 42, version: '0.2.1' }), /release 42 of the agent: .*before; .*--seq 43$/);
  await t.rejects(make(f, { seq: 40, version: '0.2.1' }), /release 40 of the agent is older than .*, 42;/);
  await t.rejects(
    make(f, { seq: 43, version: '0.3.0', stateWrites: 2, stateReads: [1, 2] }),
    /so rollback is impossible; pass --seq-min 43 to accept/,
  );
  const other = await make(f, { seq: 43, version: '0.3.0', arch: OTHER });
  await t.rejects(
    signedAndPublished(f, other),
    new RegExp(`release 43 of the agent lacks ${ARCH}, which the release before has`),
  );
  const damaged = await make(f, { seq: 43, version: '0.3.0' });
  writeFileSync(join(damaged, '../targets', fullTarget(id(43, '0.3.0'))), 'another');
  await t.rejects(signedAndPublished(f, damaged), /is not what was signed/);
  const stale = await make(f, { seq: 43, version: '0.3.0' });
  await signedAndPublished(f, await make(f, { seq: 44, version: '0.4.0' }));
  t.match(f.signQuickly('release', stale, 'anna').code, 0);
  await t.rejects(
    signedAndPublished(f, stale),
    /is stale: made when targets 2 were published, and now they are 3/,
  );
  t.ok(await isOffered(one, 44, '0.4.0'), 'refusals have changed nothing');

  const file = join(f.dir, 'withdraw.json');
  t.match(
    f.inRepository('release', 'withdraw', '44', '--out', file).out,
    /- release 44 of the agent, version 0\.4\.0, \w+ is offered no more/,
  );
  await signedAndPublished(f, file);
  t.notOk(await isOffered(one, 44, '0.4.0'), 'a withdrawn release is found no more');
  t.ok(await isOffered(one, 42, '0.2.0'));
  await t.rejects(make(f, { seq: 44, version: '0.4.1' }), /one is never given twice, of either program/);
  t.equal(f.repository.clean(Date.now()), 0, 'a box may still be fetching it');
  const laterMs = Date.now() + 3 * DAY_MS;
  t.ok((await refresh(f.repository, { online: online(f), nowMs: laterMs })) > 0);
  const files = readdirSync(join(f.repository.dir, 'targets')).filter((name) => name.includes('44-0.4.0'));
  t.strictSame(files, [], 'after two days its files go');

  await refresh(f.repository, { online: online(f), nowMs: Date.now() - 2 * DAY_MS });
  await t.rejects(
    isOffered(box('two'), 42, '0.2.0'),
    { kind: 'denied', message: /has expired/ },
    'an expired timestamp is refused after a day',
  );
  t.match(
    f.inRepository('release', 'list').err,
    /timestamp ended on .*: boxes take nothing more; run `fleet release refresh`/,
  );
  const refreshed = f.inRepository('release', 'refresh', '--online-key', f.onlineKey);
  t.match(refreshed, { code: 0, out: /timestamp good until/ });
  t.ok(await isOffered(one, 42, '0.2.0'));
  const renewal = join(f.dir, 'renew.json');
  writeSigningFile(
    renewal,
    signingFileOf(f.repository, targetsWithout(f.repository, [], Date.now() - 70 * DAY_MS)),
  );
  await signedAndPublished(f, renewal);
  t.match(f.inRepository('release', 'list').err, /targets ends in 19 days .*; run `fleet release renew`/);
});

void t.test('keys of root, targets and the room can be replaced', { skip: unlessAll }, async (t) => {
  const f = new Fleet(scratch(t));
  await f.beginQuickly();
  await signedAndPublished(f, await make(f, { seq: 41, version: '0.1.0' }));
  const { box } = await served(t, f);
  const offlineBox = box('away');
  t.ok(await isOffered(offlineBox, 41, '0.1.0'));
  mkdirSync(join(f.dir, 'dora'));
  for (const role of ['root', 'targets']) keyPair(f.key('dora', role));
  f.trust('dora');

  const second = join(f.dir, 'room/root2.json');
  const rotated = f.inRepository(
    'root',
    'rotate',
    '--root-key',
    `dora=${f.key('dora', 'root')}.pub`,
    '--drop-root',
    'carl',
    '--out',
    second,
  );
  t.match(
    rotated.out,
    /difference: root: \+ dora, fingerprint .*\n.*difference: root: - carl, fingerprint .*\n.*difference: expires: /,
  );
  t.equal(f.signQuickly('root', second, 'anna').code, 0);
  t.equal(f.signQuickly('root', second, 'dora').code, 0);
  t.match(
    f.publish('root', second),
    { code: 1, err: /not enough have signed: 1 of 2 signatures \(anna\); 1 more of ben, carl/ },
    'old holders must agree too',
  );
  t.equal(f.signQuickly('root', second, 'ben').code, 0);
  t.match(f.publish('root', second), { code: 0, out: /published: root 2/ });
  f.trust('anna', 'ben', 'dora');

  const renewal = join(f.dir, 'renew.json');
  t.match(f.signQuickly('root', second, 'anna'), {
    code: 1,
    err: /is stale: made with root 1, and root 2 is the fleet's/,
  });
  const next = await make(f, { seq: 42, version: '0.2.0' });
  for (const signer of ['anna', 'ben']) t.equal(f.signQuickly('release', next, signer).code, 0);
  t.equal(f.publish('release', next).code, 0);

  // The room's own key was copied: a new one replaces it, and no box is refused meanwhile.
  const previousKey = f.onlineKey;
  const newKey = keyPair(join(f.dir, 'room/online-2.key'), false);
  const third = join(f.dir, 'room/root3.json');
  f.inRepository('root', 'rotate', '--online-key', `${newKey}.pub`, '--out', third);
  for (const signer of ['anna', 'ben']) t.equal(f.signQuickly('root', third, signer).code, 0);
  t.match(f.publish('root', third), { code: 2, err: /--online-key: is not the snapshot key of root 3/ });
  const now = ['--online-key', newKey];
  const published = f.publish('root', third, ...now, '--previous-online-key', previousKey);
  t.match(published, { code: 0, out: /published: root 3/ }, published.err);
  const [roots, timestamp] = [f.repository.roots(), f.repository.timestamp()];
  for (const root of roots.slice(1))
    t.equal(
      timestamp && signersOf(timestamp, root.signed, 'timestamp').length,
      1,
      `root ${root.signed.version} believes it`,
    );
  if (timestamp === undefined) throw new Error('no timestamp');
  t.ok(await isOffered(offlineBox, 42, '0.2.0'), 'a box that was offline follows two roots');
  // Two keys of targets at once: the new keyholders sign the current offer, and are shown all of it.
  const fourth = join(f.dir, 'room/root4.json');
  const newKeys = ['anna', 'ben'].map(
    (signer) => `${signer}=${keyPair(join(f.dir, signer, 'targets-2.key'))}.pub`,
  );
  f.inRepository('root', 'rotate', '--targets-key', ...newKeys, '--out', fourth);
  for (const signer of ['anna', 'ben']) t.equal(f.signQuickly('root', fourth, signer).code, 0);
  t.match(f.publish('root', fourth, ...now), {
    code: 1,
    err: /would no longer accept the published releases/,
  });
  const later = f.publish('root', fourth, '--releases-later', ...now);
  t.match(later, { code: 0, err: /targets is not signed by the keys of the newest root/ });
  await t.rejects(isOffered(offlineBox, 42, '0.2.0'), { kind: 'denied', message: /not signed by as many/ });
  const output = f.inRepository('release', 'renew', '--out', renewal).out;
  t.match(
    output,
    /after none that .*\n {2}\+ release 42 of the agent, /,
    'nothing passes for published that old keys signed',
  );
  f.trust('anna', 'ben');
  for (const signer of ['anna', 'ben'])
    t.equal(f.signQuickly('release', renewal, signer, join(f.dir, signer, 'targets-2.key')).code, 0);
  t.equal(f.inRepository('release', 'publish', renewal, ...now).code, 0);
  t.ok(await isOffered(offlineBox, 42, '0.2.0'));

  const forged = f.repository.timestamp();
  if (forged === undefined) throw new Error('no timestamp');
  Object.assign(forged.signed, { version: 99 });
  for (const id of Object.keys(forged.signatures)) delete forged.signatures[id];
  signWith(
    forged,
    createPrivateKey(readFileSync(previousKey)),
    roots[0]?.signed.roles['timestamp']?.keyIDs[0] ?? '',
  );
  f.repository.putTimestamp(forged);
  await t.rejects(
    isOffered(offlineBox, 42, '0.2.0'),
    { kind: 'denied', message: /not signed by as many/ },
    'the stolen key says nothing any more',
  );
});

void t.test('a reader during a publication gets the old or the new state', { skip: unlessAll }, async (t) => {
  const f = new Fleet(scratch(t));
  await f.beginQuickly();
  await signedAndPublished(f, await make(f, { seq: 41, version: '0.1.0' }));
  const { box } = await served(t, f);
  let isDone = false;
  let reads = 0;
  const versions = new Set<number>();
  const readers = [1, 2, 3].map(async (n) => {
    const reader = box(`reader-${n}`);
    while (!isDone) {
      versions.add((await reader.refresh(SIGNAL)).targets);
      reads += 1;
    }
  });
  const file = join(f.dir, 'renew.json');
  for (let i = 0; i < 5; i += 1) {
    writeSigningFile(file, signingFileOf(f.repository, targetsWithout(f.repository, [], Date.now())));
    for (const signer of ['ben', 'carl']) t.equal(f.signQuickly('release', file, signer).code, 0);
    // In a process of its own, so that readers can interleave.
    const args = ['publish', file, '--online-key', f.onlineKey, '--repository', f.repository.dir];
    const publishing = start(t, process.execPath, [FLEET, 'release', ...args]);
    t.equal(await publishing.exit, 0, publishing.err);
  }
  isDone = true;
  await t.resolves(Promise.all(readers), `none of ${reads} readings failed`);
  t.ok(versions.size > 2, `${versions.size} states were seen`);
});

const hashes = (dir: string): string[] =>
  readdirSync(dir)
    .sort()
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(dir, name)))
          .digest('hex')}`,
    );

void t.test('the same tree makes the same bytes', { skip: unlessAll }, async (t) => {
  const f = new Fleet(scratch(t));
  await f.beginQuickly();
  await signedAndPublished(f, await make(f, { seq: 41, version: '0.1.0' }));
  const hashLists: string[][] = [];
  for (const turn of [1, 2]) {
    const dir = scratch(t);
    let tree = join(dir, 'tree');
    if (FULL)
      execFileSync(join(ROOT, 'scripts/package'), ['--release-tree', tree, '--arch', ARCH, '--seq', '42'], {
        stdio: 'ignore',
      });
    else
      tree = await sampleRelease(dir, { seq: 42, version: '0.2.0', files: { ...FILES, 'dist/a/b.js': 'x' } });
    utimesSync(join(tree, 'VERSION'), turn, turn);
    const copy = join(dir, 'copy');
    // Another order of names on the disk.
    cpSync(tree, copy, { recursive: true, verbatimSymlinks: true });
    await make(f, { seq: 42, version: '0.2.0' }, { trees: new Map([[ARCH, copy]]), out: join(dir, 'out') });
    hashLists.push(hashes(join(dir, 'out/targets')));
  }
  t.equal(hashLists[0]?.length, 3, 'manifest, full archive and delta');
  t.strictSame(hashLists[0], hashLists[1]);
});

/** Makes a release of this checkout's program that changes the state at its start or end. */
function tree(t: Test, atStart: string, atEnd = ''): string {
  const dir = scratch(t);
  mkdirSync(join(dir, 'dist/agent/cli'), { recursive: true });
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  const program = [
    `import Database from ${JSON.stringify(join(ROOT, 'node_modules/better-sqlite3/lib/index.js'))};`,
    `const state = process.argv[process.argv.indexOf('--state') + 1];`,
    `import { existsSync } from 'node:fs';`,
    `if (process.argv[2] === 'run') { ${atStart}; process.on('exit', () => { ${atEnd} }); }`,
    `await import(${JSON.stringify(join(ROOT, 'dist/agent/cli/main.js'))});`,
  ];
  writeFileSync(join(dir, 'dist/agent/cli/main.js'), program.join('\n'));
  return dir;
}

void t.test('a release that damages the state is not offered for signing', { skip: unlessAll }, async (t) => {
  const lines: string[] = [];
  const common = { wayBack: true, clip: STREET_CLIP, say: (line: string) => void lines.push(line) };
  const good = tree(t, '');
  const forgets = tree(
    t,
    `if (existsSync(state + '/outbox.db')) new Database(state + '/outbox.db').exec('DELETE FROM alert; DELETE FROM bulk')`,
  );
  const outgrows = tree(t, '', `new Database(state + '/archive.db').pragma('user_version = 99')`);
  const checkRefusal = async (next: string, before: string | undefined, reason: RegExp): Promise<void> => {
    const error = await checkState({ ...common, next, before }).then(
      () => undefined,
      (e: unknown) => e,
    );
    t.ok(error instanceof AgentError && error.kind === 'denied', String(error));
    t.match(String(error), reason);
  };
  await Promise.all([
    checkRefusal(forgets, undefined, /after the new release, once more: .* lost: row of the outbox/),
    ...(FULL ? [checkRefusal(outgrows, good, /the release before/)] : []),
  ]);
  if (FULL) await t.resolves(checkState({ ...common, next: good, before: good }), 'and a good one is');
});
