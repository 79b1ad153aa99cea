/** A rollout to a simulated fleet, from the first report to the last box, and what became of it. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../../agent/base/clock.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { Mosquitto } from '../../../lib/mosquitto.ts';
import { FleetLink, type FleetLinkOptions, type Outgoing } from '../broker.ts';
import { bytesText } from '../release/words.ts';
import { chooseBoxes } from '../rollout/choose.ts';
import { Controller } from '../rollout/controller.ts';
import { createRollout } from '../rollout/create.ts';
import { type RolloutRow, Rollouts } from '../rollout/rollouts.ts';
import { columns } from '../rollout/table.ts';
import { type RolloutView, viewOf } from '../rollout/view.ts';
import { FleetStore } from '../store.ts';
import type { Truth } from './protocol.ts';
import { type ScenarioOptions, scenarioOf, TARGET } from './scenario.ts';
import { Simulation } from './simulation.ts';

export interface SimulateOptions extends ScenarioOptions {
  readonly processes: number;
  /** `max_queued_messages` of the broker; undefined: as a room has it. */
  readonly maxQueued: number | undefined;
  /** The controller dies in the middle of that wave, and another goes on. */
  readonly dieInWave: number | undefined;
}

export interface Simulated {
  readonly view: RolloutView;
  readonly truth: readonly Truth[];
  /** Boxes that are neither on the release before nor on the new one and well. */
  readonly halfWay: readonly string[];
  /** Of the inventory, that the broker did not bring. */
  readonly missing: number;
  readonly simulatedHours: number;
  readonly wallS: { readonly connect: number; readonly learn: number; readonly rollout: number };
  readonly deaths: number;
}

const NAME = 'simulated';
const EVER_MS = 10 * 365 * 86_400_000;
const HOUR_MS = 3_600_000;
const SETTLE_HOURS = 8;

class Death extends Error {}

/** Counts what goes out, and dies half way through an amount where it is told to. */
class SimulatedLink extends FleetLink {
  readonly #simulation: Simulation;
  dies: (() => boolean) | undefined;

  constructor(options: FleetLinkOptions, simulation: Simulation) {
    super(options);
    this.#simulation = simulation;
  }

  override async publish<O extends Outgoing>(
    messages: readonly O[],
    sent: (messages: readonly O[]) => void,
  ): Promise<void> {
    const dies = messages.length > 1 && this.dies?.() === true;
    const some = dies ? messages.slice(0, messages.length / 2) : messages;
    for (const message of some) this.#simulation.sent(message);
    // Half of them are at the broker, and it never writes down that they are.
    await super.publish(some, dies ? () => undefined : sent);
    if (dies) throw new Death('the controller dies');
  }
}

export async function simulate(options: SimulateOptions, log: (line: string) => void): Promise<Simulated> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-simulated-'));
  const startMs = Date.now();
  const { boxes, plan, targets } = scenarioOf(options);
  const { maxQueued, processes } = options;
  const extra = maxQueued === undefined ? [] : [`max_queued_messages ${maxQueued}`];
  const broker = new Mosquitto({ dir: join(dir, 'broker'), extra });
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
  const seconds = (since: number): number => (performance.now() - since) / 1000;
  try {
    await broker.start();
    await simulation.start(
      { url: broker.url, keys: [{ name: 'ops', publicKey, may: ['update'] }], boxes },
      processes,
    );
    const connect = seconds(began);
    const make = async (): Promise<Controller> => {
      const own = new SimulatedLink(
        { config: { ...config, url: broker.url }, clock: systemClock, warn: log },
        simulation,
      );
      link = own;
      const controller = new Controller({
        store,
        link: own,
        clock: simulation,
        key: ops.privateKey,
        lookMs: EVER_MS,
        say,
      });
      store.transaction(() => {
        for (const { site, box } of boxes) store.addBox(site, box, startMs);
      });
      await controller.start(signal);
      await simulation.follow(own);
      return controller;
    };
    const learning = performance.now();
    let controller = await make();
    const learn = seconds(learning);
    const missing = controller.knowledge.missing().length;
    const choice = chooseBoxes(targets, TARGET.version, store.boxes());
    createRollout(
      store,
      { kind: 'release', name: NAME, what: `${TARGET.seq}-${TARGET.version}`, plan, boxes: choice.takes },
      { key: ops.privateKey, nowMs: startMs },
    );
    let deaths = 0;
    const running = performance.now();
    const at = (): number | undefined => new Rollouts(store).get(NAME)?.wave;
    if (link !== undefined) link.dies = () => options.dieInWave !== undefined && at() === options.dieInWave;
    let row: RolloutRow | undefined;
    while (row === undefined) {
      try {
        row = await controller.run(NAME, signal);
      } catch (error) {
        if (!(error instanceof Death)) throw error;
        deaths += 1;
        log('the controller died with half of the orders sent; another one goes on');
        await link?.stop();
        store.close();
        store = new FleetStore(dir);
        controller = await make();
      }
    }
    const rollout = seconds(running);
    const simulatedHours = (simulation.wallMs() - startMs) / HOUR_MS;
    // Who has been called back needs a moment to say so.
    const until = simulation.wallMs() + SETTLE_HOURS * HOUR_MS;
    while (simulation.wallMs() < until && row.state !== 'done') await simulation.sleep(HOUR_MS);
    controller.hear();
    row = await controller.run(NAME, signal, true);
    const truth = await simulation.truth();
    return {
      ...{
        view: viewOf(store, row),
        truth,
        missing,
        simulatedHours,
        deaths,
        wallS: { connect, learn, rollout },
      },
      halfWay: truth.filter(isHalfWay).map(({ id }) => id),
    };
  } finally {
    await link?.stop();
    await simulation.stop();
    await broker.stop();
    store.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function isHalfWay({ phase, seq }: Truth): boolean {
  if (phase === 'confirmed') return seq !== TARGET.seq;
  return !['idle', 'rolled-back', 'failed', 'waiting'].includes(phase) || seq === TARGET.seq;
}

export function simulatedLines({
  view,
  halfWay,
  missing,
  simulatedHours,
  wallS,
  deaths,
  truth,
}: Simulated): string[] {
  const rows = view.waves.map((wave) => {
    const { states, bytes } = wave;
    const began =
      wave.began === null
        ? '-'
        : `${((Date.parse(wave.began) - Date.parse(view.made)) / HOUR_MS).toFixed(1)}`;
    return [
      ...[
        wave.wave === 0 ? 'canaries' : `wave ${wave.wave}`,
        `${wave.boxes}`,
        `${states.confirmed}`,
        `${states['rolled-back']}`,
      ],
      ...[
        `${wave.offline + states.expired - muteIn(view, wave.wave)}`,
        `${muteIn(view, wave.wave)}`,
        `${states.withdrawn}`,
        `${states.planned}`,
      ],
      ...[began, bytesText(bytes.delta), bytesText(bytes.full)],
    ];
  });
  const suspended = truth.filter(({ mode, phase }) => mode === 'suspended' && phase === 'confirmed').length;
  return [
    ...columns([
      [
        '',
        'BOXES',
        'CONFIRMED',
        'BACK',
        'OFFLINE',
        'MUTE',
        'WITHDRAWN',
        'NOT SENT',
        'BEGAN h',
        'DELTA',
        'FULL',
      ],
      ...rows,
    ]),
    `${view.state}${view.reason === null ? '' : `: ${view.reason}`}; ${simulatedHours.toFixed(1)} simulated hours`,
    `wall seconds: ${wallS.connect.toFixed(1)} to connect, ${wallS.learn.toFixed(1)} to learn, ${wallS.rollout.toFixed(1)} for the rollout`,
    `${missing} boxes missing at the broker; ${deaths} deaths of the controller; ${suspended} suspended boxes updated and suspended still`,
    halfWay.length === 0 ? 'nobody is left half way' : `LEFT HALF WAY: ${halfWay.join(', ')}`,
  ];
}

function muteIn({ boxes }: RolloutView, wave: number): number {
  return boxes.filter((box) => box.wave === wave && box.online && (box.state === 'expired' || box.mute))
    .length;
}

/** Throws AgentError `unavailable` where somebody is left half way. */
export function assertWhole({ halfWay }: Simulated): void {
  if (halfWay.length > 0)
    throw new AgentError(
      'unavailable',
      `${halfWay.length} boxes are left half way: ${halfWay.slice(0, 10).join(', ')}`,
    );
}
