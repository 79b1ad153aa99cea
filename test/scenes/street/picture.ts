/**
 * Paints a moment of a scene: the stage, its actors from the farthest to the nearest, and the weather. An actor is a
 * drawing.
 */
import type { SizePx, XyxyPx } from '../../../agent/contract/geometry.ts';
import { groupOf, type Label } from '../../../agent/contract/label.ts';
import { placementOf } from '../../../agent/contract/letterbox.ts';
import { randomOf } from '../../lib/random.ts';
import { type Canvas, paint } from './paint.ts';
import { type Actor, placeOf, type StreetScene } from './scene.ts';
import { INPUT, type Stage, toInput } from './stage.ts';
import type { VisibleActor } from './stand-in-detector.ts';

/** Height and width of a box, in heights of a person at the same distance; vehicles from the side. */
const SIZES: Readonly<Partial<Record<Label, readonly [number, number]>>> = {
  person: [1, 0.39],
  bicycle: [1, 0.9],
  motorcycle: [0.85, 1.1],
  car: [0.85, 1.9],
  truck: [1.5, 3],
  bus: [1.8, 4.4],
  dog: [0.4, 0.6],
};
/** Speed in heights a second from which an actor walks or drives. */
const MOVES_FROM = 0.3;
/** Number of points along one side of a box at which occlusion is tested. */
const PROBES = 8;
/** Grain of a drawn thing, in levels. */
const GRAIN = 14;
const DRAWING_SIZE = { widthPx: 48, heightPx: 48 };

interface Drawing {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly rgb: Uint8Array;
  /** 1 for each pixel that is part of the thing, otherwise 0. */
  readonly solid: Uint8Array;
}

export class StreetPainter {
  readonly #scene: StreetScene;
  readonly #stage: Stage;
  readonly #drawings: ReadonlyMap<Actor, Drawing>;
  readonly #fixed: (index: number) => number;
  readonly #seed: number;

  constructor(scene: StreetScene, stage: Stage, seed: number) {
    this.#scene = scene;
    this.#stage = stage;
    this.#seed = seed;
    const table = Float64Array.from({ length: 1024 }, randomOf(seed));
    this.#fixed = (index) => table[Math.abs(Math.trunc(index)) % table.length] as number;
    this.#drawings = new Map(
      scene.actors.map((actor, i) => [actor, drawingOf(actor.label, (actor.look ?? i) + 1000 * seed)]),
    );
  }

  /** Actors in the frame, the farthest first. */
  visibleActors(atS: number): VisibleActor[] {
    const { source } = this.#stage;
    const boxes = this.#scene.actors.flatMap((actor) => {
      const place = placeOf(actor, atS);
      const boxPx = place && this.#boxOf(actor, place);
      return boxPx === undefined || outsideRatio(boxPx, source) > 0.7
        ? []
        : [{ actor, boxPx, motion: motionOf(actor, boxPx, source, atS) }];
    });
    boxes.sort((a, b) => a.boxPx[3] - b.boxPx[3]);
    return boxes.map(({ boxPx, ...rest }, i) => {
      const before = boxes.slice(i + 1).map(({ boxPx: other }) => other);
      return { ...rest, boxPx, inSight: inSight(boxPx, before) };
    });
  }

  /** RGB at the detector's input size. */
  paint(atS: number, frame: number, actors: readonly VisibleActor[]): Uint8Array {
    const { empty } = this.#stage;
    const under = this.clipFrame(atS)?.rgb ?? (empty[(frame * 5 + this.#seed) % empty.length] as Uint8Array);
    const rgb = new Uint8Array(under);
    for (const { actor, boxPx } of actors) {
      if (actor.illusion) continue;
      paste(
        rgb,
        this.#drawings.get(actor) as Drawing,
        toInput(boxPx, this.#stage.source),
        this.#stage.source,
      );
    }
    const canvas: Canvas = {
      picture: { ...INPUT, rgb },
      empty: { ...INPUT, rgb: under },
      atS,
      random: randomOf(this.#seed + frame),
      fixed: this.#fixed,
    };
    for (const edit of this.#scene.weather ?? []) paint(edit, canvas);
    return rgb;
  }

  /** The clip's frame under this moment, where the clip runs. */
  clipFrame(atS: number): Stage['frames'][number] | undefined {
    const { runsFromS } = this.#scene;
    if (runsFromS === undefined) return undefined;
    const frame = this.#stage.frames[Math.round((runsFromS + atS) * 5)];
    if (frame === undefined) throw new Error(`${this.#scene.name}: the stage's clip ends before the scene`);
    return frame;
  }

  #boxOf(actor: Actor, [x, y]: readonly [number, number]): XyxyPx {
    const { widthPx, heightPx } = this.#stage.source;
    const person = this.#stage.heightAt(y) * heightPx * (actor.scale ?? 1);
    const [high, wide] = SIZES[actor.label] ?? [1, 1];
    const [h, w] = [person * high, person * wide];
    const [gx, gy] = [x * widthPx, y * heightPx];
    return [gx - w / 2, gy - h, gx + w / 2, gy];
  }
}

/** Motion over the last half second: 0 = stands, 1 = moves. */
function motionOf(actor: Actor, boxPx: XyxyPx, { widthPx, heightPx }: SizePx, atS: number): number {
  const [now, before] = [placeOf(actor, atS), placeOf(actor, atS - 0.5)];
  if (now === undefined || before === undefined) return 1;
  const wayPx = Math.hypot((now[0] - before[0]) * widthPx, (now[1] - before[1]) * heightPx);
  return Math.min(1, wayPx / 0.5 / (boxPx[3] - boxPx[1]) / MOVES_FROM);
}

function outsideRatio([x1, y1, x2, y2]: XyxyPx, { widthPx, heightPx }: SizePx): number {
  const width = Math.max(0, Math.min(x2, widthPx) - Math.max(x1, 0));
  const height = Math.max(0, Math.min(y2, heightPx) - Math.max(y1, 0));
  return 1 - (width * height) / ((x2 - x1) * (y2 - y1));
}

/** Ratio of a box that none of the others covers. */
function inSight([x1, y1, x2, y2]: XyxyPx, before: readonly XyxyPx[]): number {
  const near = before.filter((b) => b[0] < x2 && b[2] > x1 && b[1] < y2 && b[3] > y1);
  if (near.length === 0) return 1;
  let free = 0;
  for (let k = 0; k < PROBES * PROBES; k += 1) {
    const x = x1 + (((k % PROBES) + 0.5) / PROBES) * (x2 - x1);
    const y = y1 + ((Math.floor(k / PROBES) + 0.5) / PROBES) * (y2 - y1);
    if (!near.some((b) => x > b[0] && x < b[2] && y > b[1] && y < b[3])) free += 1;
  }
  return free / (PROBES * PROBES);
}

function paste(
  rgb: Uint8Array,
  drawing: Drawing,
  [x1, y1, x2, y2]: readonly [number, number, number, number],
  source: SizePx,
): void {
  const { leftPx, topPx, widthPx, heightPx } = placementOf(source, INPUT);
  const [left, right] = [Math.max(leftPx, Math.round(x1)), Math.min(leftPx + widthPx, Math.round(x2))];
  const [top, bottom] = [Math.max(topPx, Math.round(y1)), Math.min(topPx + heightPx, Math.round(y2))];
  for (let y = top; y < bottom; y += 1) {
    const row = Math.min(
      drawing.heightPx - 1,
      Math.max(0, Math.floor(((y + 0.5 - y1) / (y2 - y1)) * drawing.heightPx)),
    );
    for (let x = left; x < right; x += 1) {
      const column = Math.min(
        drawing.widthPx - 1,
        Math.max(0, Math.floor(((x + 0.5 - x1) / (x2 - x1)) * drawing.widthPx)),
      );
      const from = row * drawing.widthPx + column;
      if (drawing.solid[from] === 0) continue;
      const to = (y * INPUT.widthPx + x) * 3;
      for (let c = 0; c < 3; c += 1) rgb[to + c] = drawing.rgb[from * 3 + c] as number;
    }
  }
}

/** A body in two colours, or a vehicle with windows and wheels: enough for colour prints and pictures of places. */
function drawingOf(label: Label, seed: number): Drawing {
  const random = randomOf(seed);
  const { widthPx, heightPx } = DRAWING_SIZE;
  const colour = (): number[] => [30 + 190 * random(), 30 + 190 * random(), 30 + 190 * random()];
  const [upper, lower, dark] = [colour(), colour(), [25, 28, 32]];
  const rgb = new Uint8Array(widthPx * heightPx * 3);
  const solid = new Uint8Array(widthPx * heightPx);
  const vehicle = groupOf(label) === 'vehicle';
  for (let at = 0; at < solid.length; at += 1) {
    const [u, v] = [((at % widthPx) + 0.5) / widthPx, (Math.floor(at / widthPx) + 0.5) / heightPx];
    const level = vehicle ? vehicleAt(u, v, upper, dark) : bodyAt(u, v, upper, lower);
    if (level === undefined) continue;
    solid[at] = 1;
    const grain = GRAIN * (random() - 0.5);
    for (let c = 0; c < 3; c += 1) rgb[at * 3 + c] = Math.max(0, Math.min(255, (level[c] as number) + grain));
  }
  return { widthPx, heightPx, rgb, solid };
}

function bodyAt(u: number, v: number, upper: number[], lower: number[]): number[] | undefined {
  if (v < 0.14) return Math.hypot((u - 0.5) / 0.22, (v - 0.07) / 0.07) < 1 ? [150, 120, 100] : undefined;
  if (v < 0.55) return Math.abs(u - 0.5) < 0.42 ? upper : undefined;
  return Math.abs(u - 0.5) < 0.3 ? lower : undefined;
}

function vehicleAt(u: number, v: number, body: number[], dark: number[]): number[] | undefined {
  if (v < 0.45 && (u < 0.15 + 0.3 * (0.45 - v) || u > 0.9 - 0.3 * (0.45 - v))) return undefined;
  if (v > 0.12 && v < 0.42 && u > 0.28 && u < 0.82 && Math.abs(u - 0.55) > 0.02) return dark;
  if (v > 0.75 && [0.22, 0.78].some((wheel) => Math.hypot((u - wheel) / 0.11, (v - 0.87) / 0.14) < 1))
    return dark;
  return v > 0.92 ? undefined : body.map((level) => level * (1.1 - 0.35 * v));
}
