/**
 * A small fleet: a real broker, boxes that speak the real protocol on a fast clock, and an ops folder with a release.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Metadata, type Targets } from '@tufjs/models';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { systemClock } from '../../agent/base/clock.ts';
import type { ReleaseKind } from '../../agent/contract/release.ts';
import { Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { FleetLink } from '../../scripts/products/fleet/broker.ts';
import { bytesOf, metaFile, snapshotOf, timestampOf } from '../../scripts/products/fleet/release/metadata.ts';
import { chooseBoxes } from '../../scripts/products/fleet/rollout/choose.ts';
import { Controller } from '../../scripts/products/fleet/rollout/controller.ts';
import { createRollout } from '../../scripts/products/fleet/rollout/create.ts';
import { planOf } from '../../scripts/products/fleet/rollout/plan.ts';
import { type RolloutRow, Rollouts } from '../../scripts/products/fleet/rollout/rollouts.ts';
import type { Fate, SimBoxOptions } from '../../scripts/products/fleet/simulate/box.ts';
import { RUNS, TARGETS, targetsOf } from '../../scripts/products/fleet/simulate/scenario.ts';
import { Simulation } from '../../scripts/products/fleet/simulate/world.ts';
import { FleetStore } from '../../scripts/products/fleet/store.ts';
import { bundled } from './bundled.ts';
import { type FastTime, fastClock } from './fast-clock.ts';
import { scratch } from './paths.ts';
import { type Program, start } from './program.ts';
import { slowness } from './slowness.ts';
import { type Output, WarmProgram } from './warm-program.ts';

const FLEET = bundled('scripts/products/fleet');
const warm = new WarmProgram('scripts/products/fleet');
/**
 * Factor at which hours of a rollout become seconds; lower on a slow machine, which would otherwise miss deadlines
 * while it is busy.
 */
const SPEED = 1200;
const SLOWER_MAX = 4;
const SETTLE_MS = 100;
export const SITE = 'site-1';
export const WELL: Fate = { ends: 'confirmed', startsOffline: false, backAfterMs: null };
/** Plan with minutes instead of hours; a minute is a tenth of a second. */
export const QUICK = {
  canary: { boxes: ['b-0', 'b-1'], hours: 0.02 },
  waves: [{ share: 0.5, soakHours: 0.02 }, { share: 1 }],
  notAfterDays: 2,
};
export const idOf = (i: number): string => `${SITE}/b-${i}`;

export class RolloutFleet {
  readonly dir: string;
  readonly time: FastTime = {
    fromMs: Date.now(),
    startMs: Date.now(),
    speed: SPEED / Math.min(SLOWER_MAX, slowness()),
  };
  readonly clock = fastClock(this.time);
  readonly keys = generateKeyPairSync('ed25519');
  readonly broker: Mosquitto;
  readonly output: string[] = [];
  /** While true, boxes receive and reply, but make no progress. */
  isFrozen = false;
  #simulation: Simulation | undefined;
  readonly #t: Test;
  #stopping = false;

  constructor(t: Test, extra: readonly string[] = []) {
    this.#t = t;
    this.dir = scratch(t);
    this.broker = new Mosquitto({ dir: join(this.dir, 'broker'), extra });
  }

  /** Makes the ops folder, the published release, and boxes that have reported; their time continues from here. */
  async start(count: number, change: (i: number) => Partial<SimBoxOptions> = () => ({})): Promise<this> {
    await this.broker.start();
    this.ops('ops');
    const publicKey = this.keys.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const boxes = Array.from(
      { length: count },
      (_, i): SimBoxOptions => ({
        site: SITE,
        box: `b-${i}`,
        board: 'rpi5',
        runs: RUNS,
        mode: 'active',
        fate: WELL,
        bytes: 17_000,
        jitterMs: 1000 * i,
        ...change(i),
      }),
    );
    const keys = [{ name: 'ops', publicKey, may: ['update' as const] }];
    this.#simulation = new Simulation({ url: this.broker.url, keys, startMs: this.clock.wallMs(), boxes });
    await this.simulation.start();
    void this.#goOn();
    this.#t.teardown(async () => {
      this.#stopping = true;
      // The last message is answered: a box that is dropped during its processing has no answer to its own message.
      await sleep(SETTLE_MS);
      for (const box of this.simulation.boxes.values()) {
        await box.settled;
        box.drop();
      }
      await this.broker.stop();
    });
    return this;
  }

  get simulation(): Simulation {
    if (this.#simulation === undefined) throw new Error('the fleet has not started');
    return this.#simulation;
  }

  box(i: number) {
    const box = this.simulation.boxes.get(idOf(i));
    if (box === undefined) throw new Error(`there is no box ${i}`);
    return box;
  }

  /** Path of an ops folder with fleet.yaml; by default with the key that boxes trust. */
  ops(name: string, key = this.keys.privateKey): string {
    const dir = join(this.dir, name);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'ops.key'), key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    writeOffer(join(this.dir, 'repository'), targetsOf());
    const mqtt = { url: this.broker.url };
    writeFileSync(join(dir, 'fleet.yaml'), stringify({ mqtt, sign: 'ops.key', repository: '../repository' }));
    return dir;
  }

  /** Starts the fleet program. */
  fleet(...args: string[]): Program {
    return start(this.#t, process.execPath, [FLEET, ...args]);
  }

  /** Runs the fleet program to its end in a thread. */
  answer(...args: string[]): Promise<Output> {
    return warm.run(args);
  }

  /** Store and controller of a folder on the fast clock; the store is closed with the test. */
  async controller(name = 'ops'): Promise<{ store: FleetStore; controller: Controller; link: FleetLink }> {
    const store = new FleetStore(join(this.dir, name));
    const say = (line: string): void => void this.output.push(line);
    const link = new FleetLink({
      config: { url: this.broker.url, ack: 'broker' },
      clock: systemClock,
      warn: say,
    });
    this.#t.teardown(async () => {
      await link.stop();
      store.close();
    });
    const key = this.keys.privateKey;
    const controller = new Controller({ store, link, clock: this.clock, key, pollMs: 60_000, say });
    await controller.start(new AbortController().signal);
    return { store, controller, link };
  }

  /** Creates a rollout to all boxes that accept it: the release of the agent, or of root's program. */
  create(store: FleetStore, name: string, plan: object = QUICK, kind: ReleaseKind = 'release'): RolloutRow {
    const targets = targetsOf();
    const { seq, version } = TARGETS[kind];
    const { takes: boxes } = chooseBoxes(targets, { name: String(seq) }, store.boxes());
    const label = `${seq}-${version}`;
    const signing = { key: this.keys.privateKey, nowMs: this.clock.wallMs() };
    return createRollout(
      store,
      { kind, name, description: label, plan: planOf(plan, 'Europe/Paris'), boxes },
      signing,
    );
  }

  /** State of each box, in their order. */
  states(store: FleetStore, name: string): string[] {
    const boxes = new Rollouts(store).boxes(name);
    return boxes.sort((a, b) => Number(a.box.slice(2)) - Number(b.box.slice(2))).map(({ state }) => state);
  }

  async #goOn(): Promise<void> {
    while (!this.#stopping) {
      if (!this.isFrozen) await this.simulation.advance(this.clock.wallMs());
      await sleep(5);
    }
  }
}

/** Writes published metadata without valid signatures; its readers here do not verify them. */
function writeOffer(dir: string, targets: Targets): void {
  mkdirSync(join(dir, 'metadata'), { recursive: true });
  const put = (name: string, bytes: Buffer): Buffer => {
    writeFileSync(join(dir, 'metadata', name), bytes);
    return bytes;
  };
  const nowMs = Date.now();
  const offered = put('1.targets.json', bytesOf(new Metadata(targets)));
  const snapshot = put('1.snapshot.json', bytesOf(snapshotOf(metaFile(offered, 1), 1, nowMs)));
  put('timestamp.json', bytesOf(timestampOf(metaFile(snapshot, 1), 1, nowMs)));
}
