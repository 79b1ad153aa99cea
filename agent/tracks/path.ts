/**
 * The path of a track: ground points with time and height of the box, simplified to what a line or an area needs to know, as
 * bytes.
 *
 * Bytes: version, width of the box in hundredths of its height (255 at most), then for each point the LEB128 varint of
 * (time since the point before in 20 ms) × 2 + unseen, and zigzag varints of the change of x, y and height in 1/2048 of the
 * picture. Some 90 bytes a track.
 */

/** Where a track was at a moment. */
export interface PathPoint {
  /** ms, in any one scale that rises. */
  readonly atMs: number;
  /** Bottom centre of the box, 0..1 of the picture. */
  readonly x: number;
  readonly y: number;
  /** Height of the box, 0..1 of the picture. */
  readonly height: number;
  /** It was in sight on the way to this point. */
  readonly seen: boolean;
}

export interface StoredPath {
  /** `atMs` counts from the time that the path was stored with. */
  readonly points: readonly PathPoint[];
  readonly widthToHeight: number;
}

const VERSION = 1;
const TIME_UNIT_MS = 20;
const PLACE_UNITS = 2048;
const SHAPE_UNITS = 100;
const BYTE_MAX = 255;

/**
 * How far a place that is left out may lie from the line between its neighbours, in heights of the box: half of the band
 * within which a line decides nothing (CLEAR_HEIGHTS in contract/zone-visit.ts).
 */
const TOLERANCE_HEIGHTS = 0.05;
/** Of the picture's height: a pixel of 768. Boxes of the smallest objects jitter by more. */
const TOLERANCE_MIN = 1 / 768;

/**
 * The points that are needed: Douglas and Peucker (1973) with the distance to where the object would be at that time if it
 * moved evenly (Meratnia and de By, "Spatiotemporal compression techniques for moving point objects", 2004). Both ends
 * of what was out of sight stay.
 * @param aspect width of the picture to its height
 */
export function simplified(points: readonly PathPoint[], aspect: number): PathPoint[] {
  const keeps = new Uint8Array(points.length);
  keeps[0] = 1;
  keeps[points.length - 1] = 1;
  for (let i = 1; i < points.length; i += 1) {
    if ((points[i] as PathPoint).seen) continue;
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
    const worst = furthest(points, from, to, aspect);
    if (worst === undefined) continue;
    keeps[worst] = 1;
    pieces.push([from, worst], [worst, to]);
  }
  return points.filter((_, i) => keeps[i] === 1);
}

function furthest(
  points: readonly PathPoint[],
  from: number,
  to: number,
  aspect: number,
): number | undefined {
  const a = points[from] as PathPoint;
  const b = points[to] as PathPoint;
  let worst: number | undefined;
  let most = 1;
  for (let i = from + 1; i < to; i += 1) {
    const point = points[i] as PathPoint;
    const share = b.atMs === a.atMs ? 0 : (point.atMs - a.atMs) / (b.atMs - a.atMs);
    const dx = (point.x - a.x - share * (b.x - a.x)) * aspect;
    const dy = point.y - a.y - share * (b.y - a.y);
    const off = Math.hypot(dx, dy) / Math.max(TOLERANCE_MIN, TOLERANCE_HEIGHTS * point.height);
    if (off <= most) continue;
    most = off;
    worst = i;
  }
  return worst;
}

/** @param fromMs what the times count from; not later than the first point */
export function encodePath(points: readonly PathPoint[], fromMs: number, widthToHeight: number): Buffer {
  const bytes: number[] = [VERSION, Math.min(BYTE_MAX, Math.round(SHAPE_UNITS * widthToHeight))];
  let [time, x, y, height] = [0, 0, 0, 0];
  const places = (value: number): number => Math.round(value * PLACE_UNITS);
  for (const point of points) {
    const nextTime = Math.max(time, Math.round((point.atMs - fromMs) / TIME_UNIT_MS));
    const [nextX, nextY, nextHeight] = [places(point.x), places(point.y), places(point.height)];
    putVarint(bytes, (nextTime - time) * 2 + (point.seen ? 0 : 1));
    for (const change of [nextX - x, nextY - y, nextHeight - height])
      putVarint(bytes, change < 0 ? -2 * change - 1 : 2 * change);
    [time, x, y, height] = [nextTime, nextX, nextY, nextHeight];
  }
  return Buffer.from(bytes);
}

/** Throws RangeError for bytes that `encodePath` has not made. */
export function decodePath(bytes: Uint8Array): StoredPath {
  if (bytes[0] !== VERSION || bytes.length < 2) throw new RangeError(`a path of version ${bytes[0]}`);
  const points: PathPoint[] = [];
  let [time, x, y, height] = [0, 0, 0, 0];
  const reader = { bytes, at: 2 };
  while (reader.at < bytes.length) {
    const step = varint(reader);
    time += Math.floor(step / 2);
    x += zigzag(reader);
    y += zigzag(reader);
    height += zigzag(reader);
    points.push({
      atMs: time * TIME_UNIT_MS,
      x: x / PLACE_UNITS,
      y: y / PLACE_UNITS,
      height: height / PLACE_UNITS,
      seen: step % 2 === 0,
    });
  }
  return { points, widthToHeight: (bytes[1] as number) / SHAPE_UNITS };
}

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

function putVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

function varint(reader: Reader): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = reader.bytes[reader.at];
    if (byte === undefined) throw new RangeError('a path that ends in the middle of a number');
    reader.at += 1;
    value += (byte % 128) * scale;
    if (byte < 128) return value;
  }
}

function zigzag(reader: Reader): number {
  const value = varint(reader);
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}
