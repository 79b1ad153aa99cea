/**
 * Tests the program that changes releases: with a real server, on a full disk, and by hand. Also tests that it reads a
 * configuration as `vigie check` does, and the text of `vigie-root status`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import t from 'tap';
import { inspectConfig } from '../../agent/config/load.ts';
import { ChangeRecord, UpdaterStatus } from '../../agent/contract/update.ts';
import { parseManifest, verifyTree } from '../../scripts/lib/manifest.ts';
import { boardOf } from '../../scripts/products/root/board.ts';
import { History } from '../../scripts/products/root/change/history.ts';
import { readOrderReader, readSettings } from '../../scripts/products/root/settings.ts';
import { screenOf } from '../../scripts/products/root/status.ts';
import { makeSigner } from '../lib/commands.ts';
import { scratch } from '../lib/paths.ts';
import { SEED } from '../lib/random.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';
import { UPDATER, UpdatingBox } from '../lib/updating-box.ts';

/** Steps of a release without an interruption. */
const STEPS = [
  'stop vigie-vision.socket vigie-page.socket vigie.service vigie-vision.service vigie-page.service',
  'reset-failed vigie-vision.socket vigie.service vigie-root-judge.service',
  '--no-block start vigie-vision.socket vigie.service vigie-root-judge.service',
];

const checkComplete = (box: UpdatingBox, seq: number): Promise<void> =>
  verifyTree(
    join(box.lib, 'current/'),
    parseManifest(readFileSync(join(box.treeOf(seq), 'MANIFEST'), 'utf8')),
  );

/** Runs and judges until no work is left. */
async function settle(box: UpdatingBox): Promise<string> {
  for (let n = 0; n < 3; n += 1) {
    await box.run('run');
    await box.run('judge');
    if (['confirmed', 'rolled-back', 'failed'].includes(box.record.phase)) break;
  }
  return box.record.phase;
}

void t.test(
  'two orders in sequence are confirmed, and can be rolled back by hand',
  { skip: unlessAll },
  async (t) => {
    const box = await UpdatingBox.make(t, { releases: 4 });
    t.equal((await box.run('run')).code, 0, 'without an order');
    t.match(box.status, { phase: 'idle', release: { seq: 1 }, osUpdates: { pending: 1, reboot: false } });
    box.order();
    const run = await box.run('run');
    t.equal(run.code, 0, run.err);
    t.strictSame(box.calls(), STEPS, 'all that runs is stopped before the link moves');
    t.match(box.status, { phase: 'probation', release: { seq: 2 }, previous: { seq: 1 } });
    t.ok(
      box.server.requests.some(({ path }) => path.endsWith('.from-1.tar.zst')),
      'by the delta',
    );
    t.notOk(
      box.server.requests.some(({ path }) => path.endsWith('.manifest')),
      'and so its manifest',
    );
    t.notOk(box.server.requests.some(({ path }) => path.includes('.full.')));
    const begunMs = performance.now();
    t.equal((await box.run('judge')).code, 0);
    t.ok(performance.now() - begunMs > 1000, 'a second of health');
    t.match(box.status, {
      phase: 'confirmed',
      release: { seq: 2, version: '0.2.0' },
      previous: { seq: 1 },
      rollout: 'spring-2',
      metadata: { root: 1, targets: 1 },
      history: 4,
    });
    t.ok(Value.Check(UpdaterStatus, box.status), JSON.stringify(box.status));
    t.ok(box.history.every((line) => Value.Check(ChangeRecord, line)));
    t.strictSame(
      box.history.map(({ n, phase, from, to }) => [n, phase, from?.number, to?.number]),
      ['staged', 'switching', 'probation', 'confirmed'].map((phase, index) => [index + 1, phase, 1, 2]),
    );
    await checkComplete(box, 2);
    box.calls();
    t.equal((await box.run('run')).code, 0);
    t.strictSame(box.calls(), [], 'the same order is done');

    // Deltas are from the previous release, so this one is fetched completely.
    box.order({ seq: 4 });
    t.equal(await settle(box), 'confirmed');
    t.ok(box.server.requests.some(({ path }) => path.includes('4-0.4.0') && path.includes('.full.')));
    await checkComplete(box, 4);
    t.strictSame(readdirSync(join(box.lib, 'releases')).sort(), ['2-0.2.0', '4-0.4.0'], 'two are kept');
    t.notOk(existsSync(join(box.state, 'downloads')));

    const program = await box.run('back');
    t.equal(program.code, 0, program.err);
    t.equal(box.current, '2-0.2.0');
    t.equal((await box.run('back')).code, 1, 'not in the middle of a switch');
    await box.run('judge');
    t.match(box.record, { phase: 'confirmed', previous: { seq: 4 } });
    box.setRecord({}, { seqMin: 5 });
    const refusedRun = await box.run('back');
    t.equal(refusedRun.code, 1);
    t.match(refusedRun.err, /^vigie-root: 4-0\.4\.0: .*must not be left for one below 5\n$/);

    t.match((await box.run('from-package')).err, /no package has brought a release/);
    box.setRecord({}, { seqMin: 1 });
    cpSync(box.treeOf(3), join(box.dir, 'first-release'), { recursive: true });
    const packaged = await box.run('from-package');
    t.equal(packaged.code, 0, packaged.err);
    await box.run('judge');
    t.equal(box.current, '3-0.3.0');
    await checkComplete(box, 3);
    t.match((await box.run('from-package')).err, /3-0\.3\.0 runs already\n$/);
    // dpkg replaces a file, and writes into none: the running release has hard links of them.
    const manifest = join(box.dir, 'first-release/MANIFEST');
    const text = readFileSync(manifest, 'utf8');
    rmSync(manifest);
    writeFileSync(manifest, `${text}./models/added.onnx type=file\n`);
    t.match(
      (await box.run('from-package')).err,
      /3-0\.3\.0 runs already; the package has other files under the same number: commit them, and/,
    );
    const screen = await box.run('status');
    t.match(screen.out, /^release {4}3-0\.3\.0\nprevious {3}2-0\.2\.0\nphase {6}confirmed 3-0\.3\.0, since/);
    const odd = spawnSync(process.execPath, [UPDATER, 'run', '--force'], { encoding: 'utf8' });
    t.equal(odd.status, 2);
    t.match(odd.stderr, /unknown option '--force'/);
  },
);

void t.test('an unhealthy release rolls back, and is not tried again in its rollout', async (t) => {
  const box = await UpdatingBox.make(t, { withinS: 3 });
  box.breakAgent();
  box.order();
  const begunMs = performance.now();
  t.equal(await settle(box), 'rolled-back');
  t.comment(`back ${Math.round(performance.now() - begunMs)} ms after the order`);
  t.match(box.status, { release: { seq: 1 }, reason: /it crashed: 7 restarts/ });
  t.strictSame(box.calls().slice(STEPS.length, STEPS.length + 3), [
    'stop vigie-vision.socket vigie-page.socket vigie.service vigie-vision.service vigie-page.service',
    'reset-failed vigie-vision.socket vigie.service',
    '--no-block start vigie-vision.socket vigie.service',
  ]);
  await checkComplete(box, 1);
  box.order({ counter: 50 });
  t.equal(await settle(box), 'failed');
  t.match(box.record.reason, /was rolled back in spring-2 already/);
  t.equal(box.current, '1-0.1.0');
});

void t.test('another rollout tries a release again', { skip: unlessAll }, async (t) => {
  const box = await UpdatingBox.make(t, { withinS: 3 });
  box.report = { ...box.report, frames: false };
  box.order();
  t.equal(await settle(box), 'rolled-back', 'no frames: at the deadline');
  t.match(box.record.reason, /not healthy for 1 s within 3 s: it analyses no frame/);
  box.report = { ...box.report, frames: true };
  box.setHealthTimes({ healthyS: 1, withinS: 60 });
  box.order({ rollout: 'mended', counter: 50 });
  t.equal(await settle(box), 'confirmed');
});

void t.test(
  'a release on a box without a running agent is confirmed by a start',
  { skip: unlessAll },
  async (t) => {
    const box = await UpdatingBox.make(t, { idle: true });
    box.order();
    t.equal(await settle(box), 'confirmed');
    t.match(box.record.reason, /the agent did not run before: only the start of its program was checked/);
    t.notOk(
      box.calls().some((line) => line.includes('start vigie.service')),
      'it is not started',
    );
  },
);

void t.test('the second of two programs waits for the first', { skip: unlessAll }, async (t) => {
  const box = await UpdatingBox.make(t);
  box.order();
  const both = await Promise.all([box.run('run'), box.run('run')]);
  t.strictSame(
    both.map(({ code }) => code),
    [0, 0],
  );
  t.equal(box.record.phase, 'probation');
});

void t.test(
  'a full disk stops a change, not a roll-back',
  { skip: SmallDisk.unavailable() || unlessAll },
  async (t) => {
    const disk = new SmallDisk(scratch(t), 16);
    disk.mount();
    t.teardown(() => disk.unmount());
    const box = await UpdatingBox.make(t, { disk: disk.dir, releases: 5 });
    const later = { tz: 'UTC', days: ['mon'] as 'mon'[], from: '00:00', to: '00:01' };
    box.order();
    disk.fill();
    const full = await box.run('run');
    t.match(`${full.code} ${full.err}`, /^1 [\s\S]*^vigie-root: .*state\.json cannot be written: ENOSPC/m);
    t.strictSame(box.calls(), [], 'nothing was touched');
    disk.free();
    t.equal(await settle(box), 'confirmed', 'and with room again it goes on');

    // Little room: enough for the record, too little for the release.
    disk.fill();
    truncateSync(join(disk.dir, 'filler'), statSync(join(disk.dir, 'filler')).size - 131_072);
    box.order({ seq: 4 });
    t.equal((await box.run('run')).code, 0);
    t.match(box.record, { phase: 'failed', reason: /release 4-0\.4\.0 needs .* MiB free on the disk/ });
    disk.free();

    box.order({ seq: 3, rollout: 'b' });
    await box.run('run');
    box.breakAgent();
    disk.fill();
    await box.run('judge');
    t.equal(box.current, '2-0.2.0', 'the way back needs no room');
    t.ok(existsSync(join(box.dir, 'bin/up-vigie.service')), 'and the agent runs');
    disk.free();
    spawnSync('rm', [join(box.dir, 'bin/broken')]);
    t.equal(await settle(box), 'rolled-back');
    box.order({ seq: 3, rollout: 'c', window: later });
    await box.run('run');
    box.order({ seq: 3, rollout: 'c' });
    t.equal(await settle(box), 'confirmed');
    await checkComplete(box, 3);
  },
);

void t.test('settings are validated, and boards are recognised', (t) => {
  const dir = scratch(t);
  const file = join(dir, 'update.yaml');
  t.match(readSettings(file), { healthyS: 60, withinS: 600, rateKiBps: 0, url: undefined });
  for (const [text, reason] of [
    ['url: ftp://x/', /url/],
    ['rate: 5', /rate/],
    ['healthyS: 700', /withinS must be more/],
    ['board: toaster', /board/],
    ['a: [', /update\.yaml: /],
  ] as const) {
    writeFileSync(file, text);
    t.throws(() => readSettings(file), { kind: 'config', message: reason }, text);
  }
  const config = join(dir, 'vigie.yaml');
  writeFileSync(config, `site: a\nbox: b\n`, { mode: 0o640 });
  t.match(readOrderReader(config, { VIGIE_BOX: 'c' }), { site: 'a', box: 'c', keys: [] });
  t.throws(() => readOrderReader(config, { VIGIE_SITE: 'A b' }), { message: /site/ });
  execFileSync('chmod', ['0660', config]);
  t.throws(() => readOrderReader(config, {}), { message: /others may write/ });

  t.equal(boardOf('raspberrypi,5-model-b\0brcm,bcm2712\0', 'arm64'), 'rpi5');
  t.equal(boardOf('raspberrypi,4-model-b\0brcm,bcm2711\0', 'arm64'), 'rpi4');
  t.equal(boardOf('nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0', 'arm64'), 'jetson');
  t.equal(boardOf('radxa,rock-5b\0rockchip,rk3588\0', 'arm64'), 'rk3588');
  t.equal(boardOf('friendlyarm,nanopi\0', 'arm64'), 'generic');
  t.equal(boardOf(undefined, 'amd64'), 'pc');
  t.end();
});

void t.test('the history is bounded, and drops an incomplete line', (t) => {
  const dir = scratch(t);
  const history = new History(dir, () => undefined);
  const file = join(dir, 'history.jsonl');
  const record = (n: number): ChangeRecord => ({
    n,
    what: 'release',
    at: '2026-11-25T11:00:00.000Z',
    rollout: null,
    phase: 'staged',
    from: null,
    to: null,
    reason: 'é',
  });
  for (let n = 1; n <= 3; n += 1) history.append(record(n));
  writeFileSync(file, `${readFileSync(file, 'utf8')}{"n":4,"at":"20`);
  history.append(record(4));
  t.strictSame(
    history.records().map(({ n }) => n),
    [1, 2, 3, 4],
  );
  writeFileSync(
    file,
    Array.from({ length: 2000 }, (_, index) => `${JSON.stringify(record(index + 1))}\n`).join(''),
  );
  history.append(record(2001));
  t.equal(history.records().length, 1000);
  t.match(history.last(), { n: 2001 });
  t.end();
});

const [one, two] = [makeSigner('one').config.publicKey, makeSigner('two').config.publicKey];
const configFile = join(scratch(t), 'vigie.yaml');

/** Values that each of the two reads; null where it refuses. */
function readBoth(content: string | Uint8Array): { agent: unknown; updater: unknown } {
  writeFileSync(configFile, content, { mode: 0o600 });
  const { config } = inspectConfig(configFile, { env: {}, mode: 'check', files: false });
  const agent = config && { site: config.site, box: config.box, keys: config.commands.keys };
  try {
    return { agent: agent ?? null, updater: readOrderReader(configFile, {}) };
  } catch {
    return { agent: agent ?? null, updater: null };
  }
}

const HEAD = 'site: a\nbox: b\n';
const keysOf = (key: string, may = '[update]') =>
  `commands:\n  keys:\n    - { name: desk, publicKey: ${key}, may: ${may} }\n`;

void t.test('a YAML text with two possible readings is refused by both or read alike', async (t) => {
  const shapes = (name: string) =>
    `${name}:\n${Array.from({ length: 60 }, (_, id) => `  - { id: z${id}, polygon: *area }\n`).join('')}`;
  const area = '  - { id: z, polygon: &area [[0, 0], [1, 0], [1, 1]] }\n';
  const manyAliases = shapes('zones').replace('\n', `\n${area}`) + shapes('masks');
  const acceptedTexts: Record<string, string | Uint8Array> = {
    plain: HEAD + keysOf(one),
    'a mark of the byte order in front': `\ufeff${HEAD}${keysOf(one)}`,
    'many aliases, which the library takes for a bomb': HEAD + keysOf(one) + manyAliases,
    'an alias for the rights': `${HEAD}commands:\n  keys:\n    - { name: x, publicKey: ${one}, may: &r [update] }\n    - { name: y, publicKey: ${two}, may: *r }\n`,
    JSON: JSON.stringify({
      site: 'a',
      box: 'b',
      commands: { keys: [{ name: 'x', publicKey: one, may: ['update'] }] },
    }),
  };
  for (const [name, text] of Object.entries(acceptedTexts)) {
    const { agent, updater } = readBoth(text);
    t.ok(agent, `${name}: the agent takes it`);
    t.same(updater, agent, name);
  }
  const refusedTexts: Record<string, string | Uint8Array> = {
    'keys twice': `${HEAD}${keysOf(one)}${keysOf(two)}`,
    'the box twice': `${HEAD}box: c\n${keysOf(one)}`,
    'a merge of YAML 1.1': `%YAML 1.1\n---\n${HEAD}commands:\n  <<: { keys: [{ name: x, publicKey: ${one}, may: [update] }] }\n`,
    'a tag': `${HEAD}commands: !!omap\n  - keys: []\n`,
    'bytes that are not UTF-8': Buffer.concat([Buffer.from(`${HEAD}${keysOf(one)}# `), Buffer.from([0xff])]),
    'more than a configuration has': `${HEAD}${keysOf(one)}${'# nothing\n'.repeat(30_000)}`,
    'two documents': `${HEAD}${keysOf(one)}---\n${HEAD}${keysOf(two)}`,
    'an alias for the content of a key': `&k site: a\nbox: b\n${keysOf('*k')}`,
  };
  for (const [name, text] of Object.entries(refusedTexts)) {
    const { agent, updater } = readBoth(text);
    t.notOk(agent, `${name}: the agent refuses it`);
    t.notOk(updater, name);
  }
});

void t.test('random texts with anchors, aliases, tags and directives are read alike', async (t) => {
  const pick = <T>(usual: T, ...odd: T[]) =>
    fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });
  const key = pick(one, two, '*k', `&k ${one}`, `!!str ${two}`, '*m');
  const may = pick('[update]', '&m [update]', '*m', '[search, update]', '!!seq [update]', '*k');
  const entry = fc.record({ name: pick('x', '&k z', '*k', '~', '1', 'yes'), key, may });
  const item = entry.map((e) => `    - { name: ${e.name}, publicKey: ${e.key}, may: ${e.may} }\n`);
  const list = fc.array(item, { maxLength: 2 }).map((items) => `commands:\n  keys:\n${items.join('')}`);
  const line = pick(
    HEAD,
    `&k ${HEAD}`,
    'site: a\n? box\n: c\n',
    'site: &m yes\nbox: *m\n',
    `${HEAD}site: c\n`,
  );
  const head = pick('', '%YAML 1.1\n---\n', '---\n', '\ufeff', '%TAG ! tag:x:\n---\n');
  let acceptedCount = 0;
  const agree = fc.property(head, line, list, fc.boolean(), (start, names, keys, first) => {
    const { agent, updater } = readBoth(start + (first ? keys + names : names + keys));
    if (agent !== null) acceptedCount += 1;
    // The agent may refuse another key of the file, which the updater ignores.
    return agent === null || isDeepStrictEqual(structuredClone(updater), structuredClone(agent));
  });
  fc.assert(agree, { seed: SEED, numRuns: ALL ? 400 : 100 });
  t.ok(acceptedCount > 5, `${acceptedCount} of them are configurations`);
});

const STATUS: UpdaterStatus = {
  version: 1,
  at: '2026-11-29T10:00:00.000Z',
  board: 'pc',
  arch: 'amd64',
  os: 'Debian GNU/Linux 13 (trixie)',
  kernel: '6.12',
  node: '20.19.2',
  release: { seq: 306, version: '0.1.1' },
  previous: null,
  phase: 'idle',
  since: '1970-01-01T00:00:00.000Z',
  rollout: null,
  target: null,
  reason: null,
  bytes: null,
  metadata: null,
  osUpdates: null,
  freeBytes: 1_048_576,
  history: 0,
  root: {
    release: { seq: 305, version: '0.1.0' },
    phase: 'idle',
    since: '1970-01-01T00:00:00.000Z',
    rollout: null,
    target: null,
    reason: null,
  },
  configuration: { phase: 'idle', rollout: null, target: null, former: null, reason: null },
};

function configLine(configuration: Partial<UpdaterStatus['configuration']>): string | undefined {
  const lines = screenOf({ ...STATUS, configuration: { ...STATUS.configuration, ...configuration } });
  return lines.find((line) => line.startsWith('config'));
}

void t.test('the status names the source of a configuration on trial', (t) => {
  const target = { number: 0, name: 'a'.repeat(64) };
  t.equal(configLine({}), undefined, 'none was ever changed');
  t.equal(configLine({ phase: 'probation', target }), 'config     probation, tried at the box');
  t.equal(
    configLine({ phase: 'probation', target: { ...target, number: 7 }, rollout: 'r-1' }),
    'config     probation revision 7 of r-1',
  );
  t.equal(
    configLine({ phase: 'rolled-back', target, reason: 'its time was over' }),
    'config     rolled-back, tried at the box: its time was over',
  );
  t.end();
});

void t.test('a single update of the system and a single record are named as one', (t) => {
  const lines = screenOf({ ...STATUS, osUpdates: { pending: 1, reboot: true }, history: 1 });
  t.strictSame(
    lines.filter((line) => /^(system|history)/.test(line)),
    ['system     1 update of the system waits, and a restart is required', 'history    1 record'],
  );
  t.end();
});

void t.test('the status names root’s running program and the state of another', (t) => {
  const rootLine = (root: Partial<UpdaterStatus['root']>): string | undefined =>
    screenOf({ ...STATUS, root: { ...STATUS.root, ...root } }).find((line) => line.startsWith('root'));
  const target = { seq: 309, version: '0.1.2' };
  t.equal(rootLine({}), 'root       305-0.1.0');
  t.equal(rootLine({ release: null }), 'root       none');
  t.equal(rootLine({ phase: 'waiting', target }), 'root       305-0.1.0, waiting 309-0.1.2');
  t.equal(
    rootLine({ phase: 'rolled-back', target, reason: 'vigie-root boot: it ends with 1: no' }),
    'root       305-0.1.0, rolled-back 309-0.1.2: vigie-root boot: it ends with 1: no',
  );
  t.end();
});
