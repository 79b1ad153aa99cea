/** Simulates a rollout to a fleet, from the first report to the last box, and returns the result. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../../agent/base/clock.ts';
import { releaseName } from '../../../../agent/contract/release.ts';
import { Mosquitto } from '../../../lib/mosquitto.ts';
import { FleetLink, type FleetLinkOptions, type Outgoing } from '../broker.ts';
import { chooseBoxes } from '../rollout/choose.ts';
import { Controller } from '../rollout/controller.ts';
import { createRollout } from '../rollout/create.ts';
import { type RolloutRow, Rollouts } from '../rollout/rollouts.ts';
import { OVER } from '../rollout/states.ts';
import { type RolloutView, viewOf } from '../rollout/view.ts';
import { FleetStore } from '../store.ts';
import { OldCopy, StoreLost, takeOver } from './old-copy.ts';
import { type ScenarioOptions, scenarioOf, TARGETS } from './scenario.ts';
import { Simulation } from './simulation.ts';
import type { Truth } from './world.ts';

export interface SimulateOptions extends ScenarioOptions {
  readonly processes: number;
  /** Wave in which the controller dies halfway, and another one continues. */
  readonly dieInWave?: number | undefined;
  /** Wave with whose first orders the broker loses all its messages and restarts. */
  readonly emptyInWave?: number | undefined;
  /** Wave after whose orders the store is restored to its state before the previous wave, and adopts again. */
  readonly restoreInWave?: number | undefined;
}

export interface Simulated {
  readonly view: RolloutView;
  readonly truth: readonly Truth[];
  /** Boxes that are neither on the previous release nor healthy on the new one. */
  readonly halfWay: readonly string[];
  /** Number of boxes of the inventory without messages from the broker. */
  readonly missing: number;
  readonly simulatedHours: number;
  readonly wallS: { readonly connect: number; readonly learn: number; readonly rollout: number };
  readonly deaths: number;
  /** Boxes that the release has taken off the network. */
  readonly lostBoxes: readonly string[];
}

const NAME = 'simulated';
const EVER_MS = 10 * 365 * 86_400_000;
const HOUR_MS = 3_600_000;
const SETTLE_HOURS = 8;
const DAY_MS = 24 * HOUR_MS;
/** Hour of the first day, UTC, at which the rollout is made, whenever it is simulated. */
const START_HOUR = 9;

class Death extends Error {}

/** Reports what is sent, and dies halfway through a batch when requested. */
class SimulatedLink extends FleetLink {
  readonly #simulation: Simulation;
  dies: (() => boolean) | undefined;
  /** Called before and after a batch is sent. */
  published: ((moment: 'before' | 'after') => void) | undefined;

  constructor(options: FleetLinkOptions, simulation: Simulation) {
    super(options);
    this.#simulation = simulation;
  }

  override async connect(signal: AbortSignal): Promise<void> {
    await super.connect(signal);
    await this.#simulation.follow(this);
  }

  override async publish<O extends Outgoing>(
    messages: readonly O[],
    onSent: (messages: readonly O[]) => void,
  ): Promise<void> {
    const dies = messages.length > 1 && this.dies?.() === true;
    const batch = dies ? messages.slice(0, messages.length / 2) : messages;
    this.published?.('before');
    for (const message of batch) this.#simulation.recordSent(message);
    // Half of the batch reaches the broker, but its acknowledgement is never stored.
    await super.publish(batch, dies ? () => undefined : onSent);
    if (dies) throw new Death('the controller dies');
    this.published?.('after');
  }
}

export async function simulate(options: SimulateOptions, log: (line: string) => void): Promise<Simulated> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-simulated-'));
  const startMs = Math.floor(Date.now() / DAY_MS) * DAY_MS + START_HOUR * HOUR_MS;
  const { boxes, plan, targets } = scenarioOf(options);
  const broker = new Mosquitto({ dir: join(dir, 'broker') });
  const simulation = new Simulation(startMs);
  const ops = generateKeyPairSync('ed25519');
  const publicKey = ops.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const config = { url: '', ack: 'broker' } as const;
  let link: SimulatedLink | undefined;
  let store = new FleetStore(dir);
  const signal = new AbortController().signal;
  const say = (line: string): void => {
    if (!/its first report/.test(line)) log(line);
  };
  const began = performance.now();
  const seconds = (sinceMs: number): number => (performance.now() - sinceMs) / 1000;
  try {
    await broker.start();
    await simulation.start(
      { url: broker.url, keys: [{ name: 'ops', publicKey, may: ['update'] }], boxes },
      options.processes,
    );
    const connect = seconds(began);
    const make = async (isBehind = false): Promise<Controller> => {
      const own = new SimulatedLink(
        { config: { ...config, url: broker.url }, boxes: boxes.length, clock: systemClock, warn: log },
        simulation,
      );
      link = own;
      const controller = new Controller({
        store,
        link: own,
        clock: simulation,
        key: ops.privateKey,
        pollMs: EVER_MS,
        say,
      });
      store.transaction(() => {
        for (const { site, box, fate } of boxes) {
          store.addBox(site, box, startMs);
          // The room has listened for two weeks.
          if (fate.dark !== undefined)
            store.links.addSilence(
              site,
              box,
              startMs - (fate.dark.toHour - fate.dark.fromHour) * HOUR_MS,
              startMs,
            );
        }
      });
      if (isBehind) await takeOver(controller, store, { key: ops.privateKey, nowMs: simulation.wallMs() });
      await controller.start(signal);
      return controller;
    };
    const learning = performance.now();
    let controller = await make();
    const learn = seconds(learning);
    const missing = controller.knowledge.missing().length;
    const { kind } = options;
    const { seq, version } = TARGETS[kind];
    const choice = chooseBoxes(targets, { name: version, isRoot: kind === 'root' }, store.boxes());
    createRollout(
      store,
      { kind, name: NAME, description: releaseName(seq, version), plan, boxes: choice.takes },
      { key: ops.privateKey, nowMs: startMs },
    );
    let deaths = 0;
    const running = performance.now();
    const at = (): number | undefined => new Rollouts(store).get(NAME)?.wave;
    if (link !== undefined) link.dies = () => options.dieInWave !== undefined && at() === options.dieInWave;
    const copy = new OldCopy(dir, options.restoreInWave);
    const keepsCopy = (): void => {
      if (link !== undefined) link.published = (moment) => copy.published(moment, at(), store);
    };
    keepsCopy();
    let isEmptied = false;
    simulation.before(async () => {
      if (isEmptied || options.emptyInWave === undefined || at() !== options.emptyInWave) return false;
      isEmptied = true;
      log('the broker loses all retained messages, and returns');
      await broker.stop();
      await broker.start();
      await simulation.reconnect();
      return true;
    });
    let row: RolloutRow | undefined;
    while (row === undefined) {
      try {
        row = await controller.run(NAME, signal);
      } catch (error) {
        if (!(error instanceof Death) && !(error instanceof StoreLost)) throw error;
        const isLost = error instanceof StoreLost;
        deaths += 1;
        log(
          isLost
            ? 'the store is lost; an older copy adopts the state of boxes and broker'
            : 'the controller died with half of the orders sent; another one continues',
        );
        await link?.stop();
        store.close();
        if (isLost) copy.putBack();
        store = new FleetStore(dir);
        controller = await make(isLost);
        keepsCopy();
      }
    }
    const rollout = seconds(running);
    const simulatedHours = (simulation.wallMs() - startMs) / HOUR_MS;
    // Withdrawn boxes need a moment to report.
    const untilMs = simulation.wallMs() + SETTLE_HOURS * HOUR_MS;
    while (simulation.wallMs() < untilMs && !OVER.includes(row.state)) await simulation.sleep(HOUR_MS);
    controller.hear();
    row = await controller.run(NAME, signal, true);
    const truth = await simulation.truth();
    return {
      view: viewOf(store, row, simulation.wallMs()),
      truth,
      missing,
      simulatedHours,
      deaths,
      wallS: { connect, learn, rollout },
      halfWay: truth.filter((box) => isHalfWay(box, seq)).map(({ id }) => id),
      lostBoxes: truth.filter(({ hasVanished: gone }) => gone).map(({ id }) => id),
    };
  } finally {
    await link?.stop();
    await simulation.stop();
    await broker.stop();
    store.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * Reports whether a box is halfway. An offline box is not: without power it continues later, and lost boxes are counted
 * separately.
 */
function isHalfWay({ phase, seq, online }: Truth, target: number): boolean {
  if (!online) return false;
  if (phase === 'confirmed') return seq !== target;
  return !['idle', 'rolled-back', 'failed', 'waiting'].includes(phase) || seq === target;
}
