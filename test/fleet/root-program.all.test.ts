/**
 * Tests releases of root's program beside those of the agent: made, signed, kept on offer, and rolled out over a real
 * broker on their common topic.
 */
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Arch, ReleaseKind, ReleaseTarget } from '../../agent/contract/release.ts';
import { type MakeOptions, makeRelease } from '../../scripts/products/fleet/release/make.ts';
import { publishReleases } from '../../scripts/products/fleet/release/publish.ts';
import { offered } from '../../scripts/products/fleet/release/repository.ts';
import {
  addSignature,
  readSigningFile,
  type SigningFile,
  writeSigningFile,
} from '../../scripts/products/fleet/release/signing-file.ts';
import { Rollouts } from '../../scripts/products/fleet/rollout/rollouts.ts';
import type { RolloutState } from '../../scripts/products/fleet/rollout/states.ts';
import { Fleet } from '../lib/fleet-keyholders.ts';
import { Orders, waitUntil } from '../lib/heard-orders.ts';
import { scratch } from '../lib/paths.ts';
import { type SampleRelease, sampleRelease } from '../lib/release-server.ts';
import { QUICK, RolloutFleet, SITE, WELL } from '../lib/rollout-fleet.ts';
import type { Output } from '../lib/warm-program.ts';

const { signal } = new AbortController();
const ARCHES = ['amd64', 'arm64'] as const;
const FILES = { 'vigie-root.js': 'console.log(1)\n' };

/** The builder and the room: releases of both programs, of given trees, for both architectures. */
class Builder {
  readonly fleet: Fleet;
  #madeCount = 0;

  private constructor(t: Test) {
    this.fleet = new Fleet(scratch(t));
  }

  static async begin(t: Test): Promise<Builder> {
    const builder = new Builder(t);
    await builder.fleet.beginQuickly();
    return builder;
  }

  async #trees(release: SampleRelease, arches: readonly Arch[]): Promise<Map<Arch, string>> {
    this.#madeCount += 1;
    const trees = new Map<Arch, string>();
    for (const arch of arches) {
      const dir = join(this.fleet.dir, `made-${this.#madeCount}`, arch);
      mkdirSync(dir, { recursive: true });
      trees.set(arch, await sampleRelease(dir, { files: FILES, ...release, arch }));
    }
    return trees;
  }

  get #out(): string {
    return join(this.fleet.dir, `made-${this.#madeCount}`, 'out');
  }

  /** Makes a release by the command. */
  async command(
    release: SampleRelease,
    ...args: readonly string[]
  ): Promise<Output & { readonly file: string }> {
    const trees = [...(await this.#trees(release, ARCHES))].map(([arch, tree]) => `${arch}=${tree}`);
    const out = this.#out;
    const program = this.fleet.inRepository('release', 'make', '--tree', ...trees, '--out', out, ...args);
    return { ...program, file: join(out, 'release.json') };
  }

  /** Makes a release in this process; the trial of an agent's release is in another test. */
  async make(release: SampleRelease, arches: readonly Arch[] = ARCHES): Promise<string> {
    const options: MakeOptions = {
      kind: undefined,
      arches,
      boards: [],
      seq: undefined,
      seqMin: undefined,
      deltas: 1,
      keep: 2,
      trees: await this.#trees(release, arches),
      out: this.#out,
      allowDirty: false,
      clip: '',
      nowMs: Date.now(),
    };
    const surroundings = { say: () => undefined, warn: () => undefined, checkState: () => Promise.resolve() };
    return await makeRelease(this.fleet.repository, options, surroundings);
  }

  async publish(file: string): Promise<void> {
    const content = readSigningFile(file);
    const { fleet } = this;
    for (const signer of ['ben', 'carl']) addSignature(content, fleet.unlocked(fleet.key(signer, 'targets')));
    writeSigningFile(file, content);
    const online = [createPrivateKey(readFileSync(fleet.onlineKey))];
    await publishReleases(fleet.repository, file, { online, nowMs: Date.now() });
  }

  get offered(): readonly ReleaseTarget[] {
    const targets = this.fleet.repository.targets();
    return targets === undefined ? [] : offered(targets.signed).map(({ custom }) => custom);
  }

  seqs(kind: ReleaseKind): number[] {
    return [...new Set(this.offered.filter(({ what }) => what === kind).map(({ seq }) => seq))];
  }
}

void t.test('a release of root’s program is made of trees, signed, and offered to all boards', async (t) => {
  const builder = await Builder.begin(t);
  const { fleet } = builder;
  const program = await builder.command({ what: 'root', seq: 42, version: '0.2.0' }, '--root');
  t.match(program, { code: 0 }, program.err);
  for (const arch of ARCHES)
    t.match(
      program.out,
      `${arch}: no release of root’s program was published before; root’s program is not run here`,
    );
  const signed = fleet.sign('release', program.file, 'anna');
  const words = 'record form 1, reads 1 to 1; ';
  for (const arch of ARCHES)
    t.match(
      signed.out,
      new RegExp(
        `\\+ release 42 of root’s program, version 0\\.2\\.0, ${arch}: boards .*generic; .*${words}`,
      ),
    );
  t.match(fleet.sign('release', program.file, 'ben'), { code: 0 });
  t.match(fleet.publish('release', program.file), {
    code: 0,
    out: /the newest is release 42 of root’s program/,
  });
  t.match(fleet.inRepository('release', 'list').out, /release 42 of root’s program, version 0\.2\.0, arm64/);
  t.match(builder.offered[0], {
    what: 'root',
    full: 'vigie-root-42-0.2.0-amd64.full.tar.zst',
    deltas: {},
    boards: ['pc', 'generic'],
  });

  const checkRefusal = async (
    err: RegExp,
    release: SampleRelease,
    ...args: readonly string[]
  ): Promise<void> => {
    t.match(await builder.command(release, ...args), { code: 2, err });
  };
  const next = { seq: 43, version: '0.2.0' };
  await checkRefusal(
    /^fleet: --root: .* is a release of the agent; leave --root out, or give other folders\n$/,
    ...([next, '--root'] as const),
  );
  await checkRefusal(
    /^fleet: --boards: a release of root’s program is for all boards; leave it out\n$/,
    ...([{ ...next, what: 'root' }, '--root', '--boards', 'pc'] as const),
  );
});

void t.test('offers, differences and architectures are counted for each program', async (t) => {
  const builder = await Builder.begin(t);
  const { fleet } = builder;
  for (const seq of [41, 42, 43, 44, 45, 46, 47])
    await builder.publish(
      await builder.make({ what: seq % 2 === 0 ? 'root' : 'release', seq, version: '0.1.0' }),
    );
  t.strictSame(builder.seqs('release'), [47, 45], 'the two newest of the agent');
  t.strictSame(builder.seqs('root'), [46, 44], 'and the two newest of root’s program');
  const deltas = builder.offered.filter(({ arch }) => arch === 'arm64').map((one) => [one.seq, one.deltas]);
  t.strictSame(Object.fromEntries(deltas), {
    47: { 45: 'vigie-47-0.1.0-arm64.from-45.tar.zst' },
    46: { 44: 'vigie-root-46-0.1.0-arm64.from-44.tar.zst' },
    45: { 43: 'vigie-45-0.1.0-arm64.from-43.tar.zst' },
    44: { 42: 'vigie-root-44-0.1.0-arm64.from-42.tar.zst' },
  });

  const one = await builder.make({ what: 'root', seq: 48, version: '0.1.0' }, ['amd64']);
  await t.rejects(
    builder.publish(one),
    /release 48 of root’s program lacks arm64, which the release before has/,
  );
  const [agent, root] = [
    await builder.make({ seq: 48, version: '0.1.0' }),
    await builder.make({ what: 'root', seq: 48, version: '0.1.0' }),
  ];
  const both = readSigningFile(agent);
  Object.assign(both.metadata.signed, {
    targets: { ...targetsIn(readSigningFile(root)), ...targetsIn(both) },
  });
  writeSigningFile(agent, both);
  await t.rejects(
    builder.publish(agent),
    /release 48 of the agent and release 48 of root’s program have one number/,
  );

  const file = join(fleet.dir, 'withdraw.json');
  t.match(
    fleet.inRepository('release', 'withdraw', '44', '--out', file).out,
    /- release 44 of root’s program, version 0\.1\.0, amd64 is offered no more/,
  );
  await builder.publish(file);
  t.strictSame([builder.seqs('release'), builder.seqs('root')], [[47, 45], [46]]);
  t.match(fleet.inRepository('release', 'withdraw', '41', '--out', file), {
    code: 2,
    err: /release 41 is not on offer; there are 47 \(the agent\), 46 \(root’s program\), 45 \(the agent\)/,
  });
});

const targetsIn = ({ metadata }: SigningFile): object =>
  'targets' in metadata.signed ? metadata.signed.targets : {};

/**
 * Makes a fleet whose boxes all run the agent's new release, except the last one, which is offline; the rollout waits
 * for it.
 */
async function makeWaiting(t: Test) {
  const fleet = await new RolloutFleet(t).start(6, (i) => ({
    jitterMs: 0,
    fate: i === 5 ? { ...WELL, startsOffline: true } : WELL,
  }));
  const orders = await Orders.of(t, fleet.broker.url);
  const { store, controller, link } = await fleet.controller();
  fleet.create(store, 'r-1', PLAN);
  const waitUntilState = async (name: string, state: RolloutState): Promise<void> => {
    for (const untilMs = Date.now() + 60_000; ; await sleep(20)) {
      const row = await controller.run(name, signal, true);
      if (row.state === state) return;
      if (Date.now() > untilMs) throw new Error(`${name} is ${row.state}, not ${state}`);
    }
  };
  return { fleet, orders, store, controller, link, waitUntilState };
}

const PLAN = { ...QUICK, thresholds: { heardMinutes: 0 } };

void t.test('a rollout of root’s program replaces one of the agent that only waits', async (t) => {
  const { fleet, orders, store, link, waitUntilState } = await makeWaiting(t);
  await waitUntilState('r-1', 'running');
  t.throws(() => fleet.create(store, 'r-2', PLAN, 'root'), {
    kind: 'denied',
    message: /the rollout r-1 is running; let it end/,
  });
  await waitUntilState('r-1', 'finishing');
  t.match(orders.retained.get('b-5'), { what: 'release', action: 'install', rollout: 'r-1' });
  fleet.create(store, 'r-2', PLAN, 'root');
  t.match(new Rollouts(store).get('r-1'), { state: 'incomplete', reason: 'replaced by r-2' });
  await waitUntilState('r-2', 'finishing');
  t.strictSame([...orders.retained.keys()], ['b-5'], 'completed orders are cleared');
  t.match(orders.retained.get('b-5'), { what: 'root', action: 'install', rollout: 'r-2', seq: 44 });
  const counters = new Map<string, number>();
  for (const { box, counter } of orders.all) {
    if (counter <= (counters.get(box) ?? 0)) t.fail(`${box}: ${counter} is not above what came before`);
    counters.set(box, counter);
  }
  t.ok(
    orders.all.every(({ what, rollout }) => what === (rollout === 'r-1' ? 'release' : 'root')),
    'each order names its program',
  );

  // Another controller connects: the release's withdrawal does not overwrite the order of root's program.
  await link.stop();
  const sentCount = orders.all.length;
  const { controller: next } = await fleet.controller();
  await next.run('r-2', signal, true);
  t.equal(orders.all.length, sentCount);
  t.notMatch(fleet.output.join('\n'), /does not hold/);

  await fleet.box(5).connect();
  t.match(await next.run('r-2', signal), { state: 'done' });
  t.match(fleet.box(5).truth, { phase: 'confirmed', seq: 44 });
  t.match(store.boxesNamed('b-5')[0]?.report?.updater, {
    release: { seq: 42 },
    phase: 'idle',
    rollout: null,
    root: { release: { seq: 44 }, rollout: 'r-2' },
  });
  t.match(store.boxesNamed('b-0')[0]?.report?.updater, {
    release: { seq: 43 },
    phase: 'confirmed',
    rollout: 'r-1',
    root: { release: { seq: 44 }, previous: undefined, phase: 'confirmed', rollout: 'r-2' },
  });
  t.match(store.history(SITE, 'b-0').map(({ release, root, rollout }) => [release, root, rollout])[0], [
    '43-1.5.0',
    '44-1.5.0 confirmed',
    'r-2',
  ]);
  await waitUntil('the last order is cleared', () => orders.retained.size === 0);
});
