/**
 * Plays a scene through the real tracker, observer, rules and incidents, as the vision process and the agent compose
 * them, on the scene's own clock.
 */

import { createHash } from 'node:crypto';
import { modelsDir } from '../../../agent/base/package-root.ts';
import type { Config } from '../../../agent/contract/config.ts';
import type { UnnumberedEvent } from '../../../agent/contract/event-sink.ts';
import type { Observation } from '../../../agent/contract/observation.ts';
import type { Detection, Frame } from '../../../agent/contract/picture.ts';
import type { AgentFlow } from '../../../agent/flow.ts';
import { permitReplay } from '../../../agent/restraint/permit.ts';
import { visionSettings } from '../../../agent/supervisor/vision-settings.ts';
import { PixelMotion } from '../../../agent/vision/observe/pixel-motion.ts';
import { SceneObserver } from '../../../agent/vision/observe/scene.ts';
import { StaticFalsePositives } from '../../../agent/vision/observe/static-false-positives.ts';
import { StationaryVehicles } from '../../../agent/vision/observe/stationary-vehicles.ts';
import { TrackPlaces } from '../../../agent/vision/observe/track-places.ts';
import { Tracker } from '../../../agent/vision/track/tracker.ts';
import { type RuleScore, scoreStarts, startsOf } from '../../../scripts/workshop/evaluate/labels.ts';
import { configOf as checkedConfigOf } from '../../lib/agent.ts';
import { allowing, makeFlow } from '../../lib/kept-notes.ts';
import { randomOf } from '../../lib/random.ts';
import { StreetPainter } from './picture.ts';
import { configOf, type StreetScene } from './scene.ts';
import { INPUT, type Stage } from './stage.ts';
import { StandInDetector } from './stand-in-detector.ts';

const NO_BYTES = new Uint8Array();

/** Seed of the scenes' randomness: none of the figures below may depend on it. */
const SEED = Number(process.env['VIGIE_SCENES_SEED'] ?? 1);
/** Ratio by which a camera's frames come early or late. */
const UNEVEN = 0.08;
/** Seconds until vision is back after it has died (the supervisor's first wait and its start). */
const RESTART_S = 1.5;

interface Played {
  readonly score: RuleScore;
  readonly events: readonly UnnumberedEvent[];
  readonly frames: number;
  /** CPU time of observer and rules, and of the tracker, ms; measured where rules run beside the scene's own. */
  readonly observeMs: number;
  readonly trackMs: number;
}

export function play(scene: StreetScene, stage: Stage): Played {
  const seed = createHash('sha256').update(`${SEED} ${scene.name}`).digest().readUInt32BE(0);
  const painter = new StreetPainter(scene, stage, seed % 100_003);
  const standInDetector = new StandInDetector(seed, scene.ghosts ?? [], scene.runsFromS === undefined);
  const street = new Street(scene);
  const random = randomOf(seed + 1);
  let frames = 0;
  for (let k = 0; k < scene.lengthS * scene.fps; k += 1) {
    const atS = Math.max(0, (k + UNEVEN * (random() - 0.5)) / scene.fps);
    if (isUnavailable(scene, atS)) continue;
    const actors = painter.visibleActors(atS);
    frames += 1;
    const frame: Frame = {
      index: frames,
      ptsNs: BigInt(Math.round(atS * 1e9)),
      atMs: atS * 1000,
      wallMs: atS * 1000,
      source: stage.source,
      input: INPUT,
      rgb: painter.paint(atS, k, actors),
    };
    const clipped = painter.clipFrame(atS)?.detections ?? [];
    street.take(frame, standInDetector.detect(actors, clipped, atS, stage.source));
  }
  return { ...street.end(), frames };
}

function isUnavailable({ outages = [], restartS = [] }: StreetScene, atS: number): boolean {
  const breaks = [...outages, ...restartS.map((s) => [s, s + RESTART_S] as const)];
  return breaks.some(([fromS, toS]) => atS >= fromS && atS < toS);
}

/** Tracker, observers and the agent's flow, as `agent/vision/flow.ts` and `agent/main.ts` compose them. */
class Street {
  readonly #scene: StreetScene;
  readonly #config: Config;
  readonly #flow: AgentFlow;
  readonly #events: UnnumberedEvent[] = [];
  readonly #restarts: number[];
  #atMs = 0;
  #runs = 0;
  #observeMs = 0;
  #trackMs = 0;
  #vision: ReturnType<typeof visionOf>;

  constructor(scene: StreetScene) {
    this.#scene = scene;
    this.#config = checkedConfigOf(configOf(scene), 'replay');
    this.#restarts = [...(scene.restartS ?? [])];
    const sink = {
      accept: (event: UnnumberedEvent) => this.#events.push(event),
      remember: () => undefined,
    };
    const clock = {
      nowMs: () => this.#atMs,
      wallMs: () => this.#atMs,
      sleep: () => Promise.reject(new Error('a scene does not wait')),
    };
    this.#flow = makeFlow(sink, clock, this.#config);
    this.#flow.permit(allowing(this.#config.rules));
    this.#vision = visionOf(this.#config, this.#runs);
  }

  take(frame: Frame, detections: readonly Detection[]): void {
    const restart = this.#restarts[0];
    if (restart !== undefined && frame.atMs >= restart * 1000) {
      this.#restarts.shift();
      this.#runs += 1;
      this.#flow.visionReturns();
      this.#vision = visionOf(this.#config, this.#runs);
    }
    this.#atMs = frame.atMs;
    const { tracker, pixels, staticFalsePositives, places, stationaryVehicles, regions } = this.#vision;
    const before = this.#cpuMs();
    const tracks = tracker.update(frame, detections);
    const tracked = this.#cpuMs();
    const { index, atMs, wallMs, source } = frame;
    const moving = pixels.update(frame, tracks);
    const falsePositiveIds = staticFalsePositives.update(frame, tracks, moving);
    const observation: Observation = {
      frame: index,
      atMs,
      wallMs,
      source,
      ...places.update(frame, tracks, { moving, staticFalsePositives: falsePositiveIds }),
      standing: stationaryVehicles.flatMap((vehicles) => vehicles.update(frame, tracks, detections)),
    };
    if (regions !== undefined) observation.regions = regions.update(frame, tracks, detections);
    const { evidence } = this.#flow.observe(observation);
    this.#trackMs += tracked - before;
    this.#observeMs += this.#cpuMs() - tracked;
    for (const { request } of evidence) {
      const reason = 'a scene makes no snapshots';
      this.#flow.evidence({ message: { kind: 'no-snapshot', request, reason }, binary: NO_BYTES });
    }
  }

  /** CPU time, read only where it is used, because reading it is a system call. */
  #cpuMs(): number {
    if (this.#scene.extraRules === undefined) return 0;
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  }

  end(): Omit<Played, 'frames'> {
    this.#flow.end('the scene is over');
    const phases = (phase: string) => this.#events.filter(({ data }) => data.phase === phase);
    const [startPhases, endCount] = [phases('start'), phases('end').length];
    if (startPhases.length !== endCount) {
      throw new Error(`${this.#scene.name}: ${startPhases.length} incidents began and ${endCount} ended`);
    }
    const starts = startsOf(startPhases);
    const { name, rule, expected } = this.#scene;
    const label = {
      name,
      clip: name,
      clipPath: name,
      config: { rules: [{ id: 'rule', kind: rule.kind }] },
      expected: expected.map(([from, to]) => ({ rule: 'rule', startS: [from, to] as [number, number] })),
    };
    const [score] = scoreStarts(label, starts) as [RuleScore];
    return { score, events: this.#events, observeMs: this.#observeMs, trackMs: this.#trackMs };
  }
}

function visionOf(config: Config, run: number) {
  let places = 0;
  const nextPlace = (): number => ++places;
  const { zones, lines, moveTolerances, regions } = visionSettings(config, permitReplay(config), {
    modelDir: modelsDir(),
    mode: 'replay',
    camera: { source: 'test:pattern', fps: null },
  });
  return {
    pixels: new PixelMotion(),
    staticFalsePositives: new StaticFalsePositives(),
    tracker: new Tracker(undefined, 1 + 100_000 * run),
    places: new TrackPlaces({ zones, lines }),
    stationaryVehicles: moveTolerances.map(
      (moveTolerance) => new StationaryVehicles({ zones, moveTolerance, nextPlace }),
    ),
    regions: regions ? new SceneObserver({ zones }) : undefined,
  };
}
