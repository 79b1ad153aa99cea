/**
 * Encodes the path of a track as bytes: ground points with time and height of the box, simplified to the precision of
 * lines and areas.
 *
 * Form of the bytes:
 * - The version, then the width of the box in hundredths of its height (255 at most).
 * - Then numbers in groups of four bits, the lower half of a byte first. A group holds three bits of the number, the
 *   lowest first, and one that says whether it continues.
 * - Each point has four numbers. The first is (time since the previous point in 20 ms) × 2 + unseen.
 * - Then, in zigzag, the distance of x and y (in 1/1024 of the picture) from the place at constant movement, and the
 *   change of the height in 1/256.
 *
 * A point takes about 3.5 bytes.
 */

import { AgentError } from '../base/errors.ts';

/** Position of a track at a moment. */
export interface PathPoint {
  /** Time in ms, on any increasing scale. */
  readonly atMs: number;
  /** Bottom centre of the box, 0..1 of the picture. */
  readonly x: number;
  readonly y: number;
  /** Height of the box, 0..1 of the picture. */
  readonly height: number;
  /** True if it was in sight on the way to this point. */
  readonly wasSeen: boolean;
}

export interface StoredPath {
  /** `atMs` counts from the time with which the path was stored. */
  readonly points: readonly PathPoint[];
  readonly widthToHeight: number;
}

const VERSION = 1;
const TIME_UNIT_MS = 20;
/** Half of a unit is .4 px of a picture 768 wide. */
const PLACE_UNITS = 1024;
/** Heights only determine the band beside a line and a zone's border. */
const HEIGHT_UNITS = 256;
const SHAPE_UNITS = 100;
const BYTE_MAX = 255;
const GROUP_MAX = 7;
const GOES_ON = 8;

/**
 * Maximum distance of an omitted place from the way between its neighbours, in heights of the box. It is less than the
 * band of .1 within which a line decides nothing (contract/zone-visit.ts). It is twice the movement of the box of a
 * person who stands still.
 */
const TOLERANCE_HEIGHTS = 0.06;
/** Maximum tolerance as a ratio of the picture's height, for tall boxes: 4.6 px of 768 × 576. */
const TOLERANCE_MAX = 0.008;
/** A pixel of 768: boxes of the smallest objects jitter by more. */
const TOLERANCE_MIN = 1 / 768;

/** Largest factor of the tolerance: half of the picture's height at most. */
const COARSER_MAX = 64;
const CHUNK_POINTS = 128;

/**
 * Returns the points that are needed. The method is Douglas and Peucker (1973). Its distance is the one to the object's
 * place at that time at constant speed (Meratnia and de By, "Spatiotemporal compression techniques for moving point
 * objects", 2004). Both ends of an unseen stretch stay.
 * @param aspect width of the picture to its height
 * @param coarser factor of the tolerance
 */
export function simplified(points: readonly PathPoint[], aspect: number, coarser = 1): PathPoint[] {
  const keeps = new Uint8Array(points.length);
  keeps[0] = 1;
  keeps[points.length - 1] = 1;
  for (let i = 1; i < points.length; i += 1) {
    if ((points[i] as PathPoint).wasSeen) continue;
    keeps[i] = 1;
    keeps[i - 1] = 1;
  }
  const pieces: [number, number][] = [];
  for (let i = 1, from = 0; i < points.length; i += 1) {
    if (keeps[i] !== 1) continue;
    pieces.push([from, i]);
    from = i;
  }
  for (let piece = pieces.pop(); piece !== undefined; piece = pieces.pop()) {
    const [from, to] = piece;
    const worst = furthest(points, from, to, aspect, coarser);
    if (worst === undefined) continue;
    keeps[worst] = 1;
    pieces.push([from, worst], [worst, to]);
  }
  return points.filter((_, i) => keeps[i] === 1);
}

/**
 * Returns at most `max` points, simplified no more than that needs. A track that goes out of sight all the time is
 * thinned to every n-th point.
 */
export function withinPoints(
  points: readonly PathPoint[],
  aspect: number,
  max: number,
): readonly PathPoint[] {
  let result = points;
  for (let coarser = 1; result.length > max && coarser <= COARSER_MAX; coarser *= 2)
    result = inChunks(points, (chunk) => simplified(chunk, aspect, coarser));
  if (result.length <= max) return result;
  const every = Math.ceil((result.length - 1) / (max - 1));
  return result.flatMap((point, i) => {
    if (i % every !== 0 && i !== result.length - 1) return [];
    return [
      {
        ...point,
        wasSeen: result.slice(Math.max(0, i - every + 1), i + 1).every(({ wasSeen: seen }) => seen),
      },
    ];
  });
}

/**
 * Simplifies in chunks. The cost is quadratic in the length for a jumping path, and a track of a day would block
 * everything.
 */
function inChunks(
  points: readonly PathPoint[],
  simplify: (chunk: readonly PathPoint[]) => readonly PathPoint[],
): PathPoint[] {
  const result = points.slice(0, 1);
  for (let begin = 0; begin < points.length - 1; begin += CHUNK_POINTS)
    result.push(...simplify(points.slice(begin, begin + CHUNK_POINTS + 1)).slice(1));
  return result;
}

function furthest(
  points: readonly PathPoint[],
  from: number,
  to: number,
  aspect: number,
  coarser: number,
): number | undefined {
  const a = points[from] as PathPoint;
  const b = points[to] as PathPoint;
  let worst: number | undefined;
  let largest = coarser;
  for (let i = from + 1; i < to; i += 1) {
    const point = points[i] as PathPoint;
    const ratio = b.atMs === a.atMs ? 0 : (point.atMs - a.atMs) / (b.atMs - a.atMs);
    const dx = (point.x - a.x - ratio * (b.x - a.x)) * aspect;
    const dy = point.y - a.y - ratio * (b.y - a.y);
    const off =
      Math.hypot(dx, dy) / Math.min(TOLERANCE_MAX, Math.max(TOLERANCE_MIN, TOLERANCE_HEIGHTS * point.height));
    if (off <= largest) continue;
    largest = off;
    worst = i;
  }
  return worst;
}

/** @param fromMs start of the times; not later than the first point */
export function encodePath(points: readonly PathPoint[], fromMs: number, widthToHeight: number): Buffer {
  const groups: number[] = [];
  const way = new Way();
  for (const point of points) {
    const time = Math.max(0, Math.round((point.atMs - fromMs) / TIME_UNIT_MS) - way.time);
    const x = Math.round(point.x * PLACE_UNITS);
    const y = Math.round(point.y * PLACE_UNITS);
    const height = Math.max(1, Math.round(point.height * HEIGHT_UNITS));
    const [expectedX, expectedY] = way.expected(time);
    putNumber(groups, time * 2 + (point.wasSeen ? 0 : 1));
    for (const change of [x - expectedX, y - expectedY, height - way.height])
      putNumber(groups, change < 0 ? -2 * change - 1 : 2 * change);
    way.go(time, x, y, height);
  }
  const bytes = Buffer.alloc(2 + Math.ceil(groups.length / 2));
  bytes[0] = VERSION;
  bytes[1] = Math.min(BYTE_MAX, Math.round(SHAPE_UNITS * widthToHeight));
  // The filler in an unused half byte says that it continues, so no number ends in it.
  for (let i = 0; i < bytes.length - 2; i += 1)
    bytes[2 + i] = (groups[2 * i] as number) | ((groups[2 * i + 1] ?? GOES_ON) << 4);
  return bytes;
}

/** Throws AgentError `corrupt` for bytes that `encodePath` did not produce. */
export function decodePath(bytes: Uint8Array): StoredPath {
  if (bytes[0] !== VERSION || bytes.length < 2) throw damaged(`a path of version ${bytes[0]}`);
  const points: PathPoint[] = [];
  const reader = { bytes, at: 4 };
  const way = new Way();
  for (let step = number(reader); step !== undefined; step = number(reader)) {
    const time = Math.floor(step / 2);
    const [x, y] = way.expected(time);
    const changes = [zigzag(reader), zigzag(reader), zigzag(reader)] as const;
    way.go(time, x + changes[0], y + changes[1], way.height + changes[2]);
    points.push({
      atMs: way.time * TIME_UNIT_MS,
      x: way.x / PLACE_UNITS,
      y: way.y / PLACE_UNITS,
      height: way.height / HEIGHT_UNITS,
      wasSeen: step % 2 === 0,
    });
  }
  return { points, widthToHeight: (bytes[1] as number) / SHAPE_UNITS };
}

/** Newest point in whole units, and the predicted place of the next. */
class Way {
  time = 0;
  x = 0;
  y = 0;
  height = 0;
  #points = 0;
  #step = { time: 0, x: 0, y: 0 };

  /** Predicted place after the given time at constant movement. */
  expected(time: number): readonly [number, number] {
    const { time: lasted, x, y } = this.#step;
    if (this.#points < 2 || lasted === 0) return [this.x, this.y];
    return [this.x + Math.round((x * time) / lasted), this.y + Math.round((y * time) / lasted)];
  }

  go(time: number, x: number, y: number, height: number): void {
    this.#step = { time, x: x - this.x, y: y - this.y };
    this.#points += 1;
    this.time += time;
    this.x = x;
    this.y = y;
    this.height = height;
  }
}

const damaged = (problem: string): AgentError =>
  new AgentError('corrupt', `the log of tracks has ${problem}`);

/** Reading position; `at` counts half bytes. */
interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

function putNumber(groups: number[], value: number): void {
  let rest = value;
  while (rest > GROUP_MAX) {
    groups.push((rest % (GROUP_MAX + 1)) | GOES_ON);
    rest = Math.floor(rest / (GROUP_MAX + 1));
  }
  groups.push(rest);
}

/** Undefined at the end. */
function number(reader: Reader): number | undefined {
  const { bytes } = reader;
  let value = 0;
  for (let scale = 1; ; scale *= GROUP_MAX + 1) {
    if (scale > Number.MAX_SAFE_INTEGER) throw damaged('a path with a number that is too large');
    const byte = bytes[reader.at >> 1];
    if (byte === undefined) return undefined;
    const group = (reader.at & 1) === 0 ? byte & 15 : byte >> 4;
    reader.at += 1;
    value += (group & GROUP_MAX) * scale;
    if ((group & GOES_ON) === 0) return value;
  }
}

function zigzag(reader: Reader): number {
  const value = number(reader);
  if (value === undefined) throw damaged('a path that ends in the middle of a point');
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}
