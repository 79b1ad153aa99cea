/**
 * Names the colours of vehicles, one or two of eight, for a track log whose authorisation includes them.
 *
 *   Frame ─▶ white and brightness of the empty street ─┐
 *   Foreground ─▶ the vehicle without its background ──▶ a vote a second ─▶ names, by the mean of a track's votes
 *
 * INVARIANTS:
 * - Only cars, buses and trucks have names. A motorcycle's box shows its rider's clothes.
 * - Only names are output. The votes end with the track.
 * - There is no vote at night, when the picture has no colours, or under a lamp of one colour.
 * - There is no vote for a vehicle that is unseen, uncertain, small, upright or covered by another box.
 * - There is no vote where the picture does not differ from the learnt empty street.
 * LIMITS: names are often off by a neighbour (white and grey, grey and black, black and blue in the shade).
 */
import { ratioInside, type XyxyPx } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import type { Foreground, Frame, Track } from '../../contract/picture.ts';
import { COLOURS, type Colour } from '../../contract/track-log.ts';
import type { Light } from './condition-light.ts';

/** Media time between two votes of a vehicle, in ms: slightly less than a second, since frames come early and late. */
const VOTE_MS = 990;
/** Score below which detections are wrong more often than right. */
const SCORE_MIN = 0.3;
/** Ratio of a box that another box may cover. */
const CROWDED_RATIO = 0.2;
/** Minimum width of a box, in its heights; a narrower one has the shape of an upright person, whatever its label. */
const WIDTH_MIN = 0.5;
/** Minimum width and height of a box, in cells of the learnt street; a smaller one contains no complete cell. */
const CELLS_MIN = 2;

/** Samples along each side of a box. 10 and 12 gave the same names when measured. */
const SAMPLES = 12;
/** Sampled part of a box, without the street beside the vehicle and without its shadow and wheels. */
const [X_FROM, X_TO, Y_FROM, Y_TO] = [0.15, 0.85, 0.15, 0.8];
/** Samples that must lie in the picture and outside of privacy masks: half. */
const INSIDE_MIN = (SAMPLES * SAMPLES) / 2;
/**
 * Ratio of samples that must differ from the empty street. Boxes of vehicles that have come have 0.31 and more, nine of
 * ten 0.65, though a box lags behind a fast vehicle. Boxes over an unchanged street have 0.24 and less.
 */
const VEHICLE_RATIO = 0.3;

/** Interval of measuring the street's white and brightness, in ms; automatic exposure settles within it. */
const STREET_MS = 2000;
/** Minimum ratio of empty cells for measuring white: a tenth of the picture's cells. */
const STREET_RATIO = 0.1;
/**
 * Largest ratio of the street's strongest to its weakest channel. Streets by day have at most 1.2, sodium lamps 3 and
 * more.
 */
const CAST_MAX = 2;

/** Difference of the strongest to the weakest channel from which a sample has a hue, in levels. */
const HUE_LEVELS_MIN = 18;
/** The same as a ratio of the strongest channel. */
const HUE_RATIO_MIN = 0.2;
/** Brightness below which a sample is black, and from which it is white, relative to the empty street. */
const BLACK_BELOW = 0.5;
const WHITE_FROM = 1.25;
/** Level from which a sample is white on the brightest street. */
const WHITE_LEVELS = 205;

const NAMES = COLOURS.length;
const BLACK = COLOURS.indexOf('black');
const GREY = COLOURS.indexOf('grey');
const WHITE = COLOURS.indexOf('white');
/** Upper limit of each hue, in degrees. */
const HUES: readonly (readonly [to: number, name: Colour])[] = [
  [16, 'red'],
  [46, 'brown'],
  [68, 'yellow'],
  [175, 'green'],
  [320, 'blue'],
  [360, 'red'],
];
const NAME_OF_DEGREE = Uint8Array.from({ length: 361 }, (_, degree) =>
  COLOURS.indexOf(HUES.find(([to]) => degree < to)?.[1] ?? 'red'),
);

/**
 * Ratios of a vehicle from which a name is its main one, tested in this sequence. Glass, tyres and sky reflections take
 * up to two thirds of any vehicle, so a hue needs little. Half of the white counts as grey, because silver shines.
 */
const HUE_MAIN = 0.22;
const WHITE_MAIN = 0.35;
const GREY_MAIN = 0.4;
const BLACK_MAIN = 0.5;
/** Ratios from which a name is the second one. Glass, tyres and the shadow make a third of many vehicles black. */
const SECOND = 0.25;
const BLACK_SECOND = 0.4;

/** Grey in the present light, and its brightness. */
interface Street {
  readonly atMs: number;
  /** Factors that make the street's median grey: red, green, blue. */
  readonly gains: readonly [number, number, number];
  /** 0..255. */
  readonly level: number;
}

interface Votes {
  /** Sums of the ratios of each name. */
  readonly ratioSums: Float64Array;
  count: number;
  dueMs: number;
  names: readonly Colour[];
}

/** Data of a frame beside its pixels. */
export interface Lit {
  /** The frame's own; undefined if the last one is older or unusable. */
  readonly foreground: Foreground | undefined;
  /** Undefined while unknown. */
  readonly light: Light | undefined;
}

const NO_NAMES: readonly Colour[] = [];

export class VehicleColours {
  #votes = new Map<number, Votes>();
  #street: Street | undefined;

  /** Takes the next frame and all its tracks. */
  update(frame: Frame, tracks: readonly Track[], { foreground, light }: Lit): void {
    const votesById = new Map<number, Votes>();
    for (let i = 0; i < tracks.length; i += 1) {
      const track = tracks[i] as Track;
      if (track.group !== 'vehicle' || track.label === 'motorcycle') continue;
      const { id } = track;
      const votes = this.#votes.get(id) ?? {
        ratioSums: new Float64Array(NAMES),
        count: 0,
        dueMs: Number.NEGATIVE_INFINITY,
        names: NO_NAMES,
      };
      votesById.set(id, votes);
      if (foreground === undefined || light === undefined || light === 'night') continue;
      if (frame.atMs < votes.dueMs || !isPlain(track, tracks)) continue;
      const street = this.#streetOf(frame, foreground);
      if (street === undefined || !vote(votes, track.xyxyPx, frame, foreground, street)) continue;
      votes.dueMs = frame.atMs + VOTE_MS;
      votes.names = namesOf(votes);
    }
    this.#votes = votesById;
  }

  /** Returns the names of a track's vehicle, the main one first; none if they are unknown. */
  namesOf(track: number): readonly Colour[] {
    return this.#votes.get(track)?.names ?? NO_NAMES;
  }

  #streetOf(frame: Frame, foreground: Foreground): Street | undefined {
    const { atMs } = frame;
    if (this.#street === undefined || atMs - this.#street.atMs >= STREET_MS)
      this.#street = streetOf(frame, foreground);
    return this.#street;
  }
}

function isPlain(track: Track, tracks: readonly Track[]): boolean {
  const { seen: isSeen, score, xyxyPx: box } = track;
  if (!isSeen || score < SCORE_MIN || box[2] - box[0] < WIDTH_MIN * (box[3] - box[1])) return false;
  for (let i = 0; i < tracks.length; i += 1) {
    const other = tracks[i] as Track;
    if (other !== track && other.seen && ratioInside(box, other.xyxyPx) > CROWDED_RATIO) return false;
  }
  return true;
}

/** Measures the street; undefined if too little of it is empty, or a lamp of one colour lights it. */
function streetOf({ rgb, input, source, masked, atMs }: Frame, foreground: Foreground): Street | undefined {
  const { columns, rows, cells, cellNorm } = foreground;
  const { leftPx, topPx, widthPx, heightPx } = placementOf(source, input);
  const counts = [new Uint32Array(256), new Uint32Array(256), new Uint32Array(256)] as const;
  let read = 0;
  for (let row = 0; row < rows; row += 1) {
    const y = topPx + Math.floor((row + 0.5) * cellNorm[1] * heightPx);
    for (let column = 0; column < columns; column += 1) {
      if (cells[row * columns + column] !== 0) continue;
      const pixel = y * input.widthPx + leftPx + Math.floor((column + 0.5) * cellNorm[0] * widthPx);
      if (masked?.[pixel] === 1) continue;
      read += 1;
      for (let channel = 0; channel < 3; channel += 1) {
        const of = counts[channel] as Uint32Array;
        const level = rgb[pixel * 3 + channel] as number;
        of[level] = (of[level] as number) + 1;
      }
    }
  }
  if (read < STREET_RATIO * cells.length) return undefined;
  const [red, green, blue] = counts.map((of) => Math.max(1, medianOf(of, read))) as [number, number, number];
  if (Math.max(red, green, blue) > CAST_MAX * Math.min(red, green, blue)) return undefined;
  const level = brightness(red, green, blue);
  return { atMs, gains: [level / red, level / green, level / blue], level };
}

function medianOf(counts: Uint32Array, count: number): number {
  let remaining = count / 2;
  for (let level = 0; level < counts.length; level += 1) {
    remaining -= counts[level] as number;
    if (remaining < 0) return level;
  }
  return counts.length - 1;
}

/** Adds the box's colours; returns false if it shows too little of a vehicle. */
function vote(
  votes: Votes,
  box: XyxyPx,
  { rgb, input, source, masked }: Frame,
  { columns, rows, cells, cellNorm }: Foreground,
  street: Street,
): boolean {
  const { leftPx, topPx, widthPx, heightPx } = placementOf(source, input);
  // As ratios of the picture.
  const left = box[0] / source.widthPx;
  const top = box[1] / source.heightPx;
  const width = box[2] / source.widthPx - left;
  const height = box[3] / source.heightPx - top;
  if (width < CELLS_MIN * cellNorm[0] || height < CELLS_MIN * cellNorm[1]) return false;
  const counts = new Float64Array(NAMES);
  let inside = 0;
  let own = 0;
  for (let j = 0; j < SAMPLES; j += 1) {
    const y = top + height * (Y_FROM + ((Y_TO - Y_FROM) * (j + 0.5)) / SAMPLES);
    const row = Math.floor(y / cellNorm[1]);
    if (row < 0 || row >= rows) continue;
    const line = (topPx + Math.floor(y * heightPx)) * input.widthPx + leftPx;
    for (let i = 0; i < SAMPLES; i += 1) {
      const x = left + width * (X_FROM + ((X_TO - X_FROM) * (i + 0.5)) / SAMPLES);
      const column = Math.floor(x / cellNorm[0]);
      if (column < 0 || column >= columns) continue;
      const pixel = line + Math.floor(x * widthPx);
      if (masked?.[pixel] === 1) continue;
      inside += 1;
      if (cells[row * columns + column] === 0) continue;
      own += 1;
      const name = nameOf(rgb, pixel * 3, street);
      counts[name] = (counts[name] as number) + 1;
    }
  }
  if (inside < INSIDE_MIN || own < VEHICLE_RATIO * inside) return false;
  for (let k = 0; k < NAMES; k += 1)
    votes.ratioSums[k] = (votes.ratioSums[k] as number) + (counts[k] as number) / own;
  votes.count += 1;
  return true;
}

/** Returns the index of the name of one pixel. */
function nameOf(rgb: Uint8Array, at: number, { gains, level }: Street): number {
  const red = gains[0] * (rgb[at] as number);
  const green = gains[1] * (rgb[at + 1] as number);
  const blue = gains[2] * (rgb[at + 2] as number);
  const maxChannel = Math.max(red, green, blue);
  const range = maxChannel - Math.min(red, green, blue);
  if (range < Math.max(HUE_LEVELS_MIN, HUE_RATIO_MIN * maxChannel)) {
    const shade = brightness(red, green, blue);
    if (shade < BLACK_BELOW * level) return BLACK;
    return shade < Math.min(WHITE_LEVELS, WHITE_FROM * level) ? GREY : WHITE;
  }
  const sixth =
    maxChannel === red
      ? (green - blue) / range
      : maxChannel === green
        ? 2 + (blue - red) / range
        : 4 + (red - green) / range;
  const degrees = sixth * 60;
  return NAME_OF_DEGREE[Math.floor(degrees < 0 ? degrees + 360 : degrees)] as number;
}

function brightness(red: number, green: number, blue: number): number {
  return 0.25 * (red + 2 * green + blue);
}

function namesOf({ ratioSums, count }: Votes): Colour[] {
  const ratioOf = (k: number): number => (ratioSums[k] as number) / count;
  const order = COLOURS.map((_, k) => k).sort((a, b) => ratioOf(b) - ratioOf(a));
  const main = mainOf(ratioOf, order);
  if (main === undefined) return [];
  const second = order.find((k) => k !== main && ratioOf(k) >= (k === BLACK ? BLACK_SECOND : SECOND));
  return [main, ...(second === undefined ? [] : [second])].map((k) => COLOURS[k] as Colour);
}

function mainOf(ratioOf: (k: number) => number, order: readonly number[]): number | undefined {
  const hue = order.find((k) => k > WHITE);
  if (hue !== undefined && ratioOf(hue) >= HUE_MAIN) return hue;
  if (ratioOf(WHITE) >= WHITE_MAIN) return WHITE;
  if (ratioOf(GREY) + 0.5 * ratioOf(WHITE) >= GREY_MAIN) return GREY;
  return ratioOf(BLACK) >= BLACK_MAIN ? BLACK : undefined;
}
