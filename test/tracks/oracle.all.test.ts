/**
 * Tests answers of the track log on drawn lines and areas against a reading of the observations that shares no code with
 * lines, zones, paths and search. It judges only what is clear: places within a margin of a boundary are left out.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import type { PointNorm } from '../../agent/contract/geometry.ts';
import type { Observation } from '../../agent/contract/observation.ts';
import type { TrackPlace } from '../../agent/contract/track-log.ts';
import { observedStreet } from '../lib/observed-street.ts';
import { evaluationData, STREET_CLIP, scratch } from '../lib/paths.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { FULL } from '../lib/run.ts';
import { logged, pathErrorsPx, tracksFound } from '../lib/track-oracle.ts';

/** Clips at five frames a second. */
const CLIPS = [
  'car-detection.mp4',
  'crosswalk.mp4',
  'highway-320.avi',
  'parked-car-composed.mp4',
  'tud-stadtmitte.mp4',
];
const MORE_CLIPS = [
  'a14-haze.mp4',
  'boulevard25.mp4',
  'dark-yard.mp4',
  'graffiti-composed.mp4',
  'one-by-one-person-detection.mp4',
  'pets2001-d3.mp4',
  'pets2006-s1-c3.mp4',
  'shopfront-focus.mp4',
];
/** Clips that have five frames a second themselves. */
const SLOW_CLIPS = [
  'a14-haze.mp4',
  'boulevard25.mp4',
  'crosswalk.mp4',
  'dark-yard.mp4',
  'pets2001-d3.mp4',
  'shopfront-focus.mp4',
];
const SOURCES = [
  {
    clip: 'vtest.avi',
    file: STREET_CLIP,
    skip: existsSync(STREET_CLIP) ? false : 'no vtest.avi in .cache (scripts/setup)',
  },
  ...[...CLIPS, ...(FULL ? MORE_CLIPS : [])].map((clip) => ({ clip, ...evaluationData('clips', clip) })),
];
const present = SOURCES.filter(({ skip }) => skip === false);
for (const { skip } of SOURCES) if (skip !== false) t.comment(`LEFT OUT: ${skip}`);
/** Frames a second; undefined plays all of them. */
const RATES: readonly (number | undefined)[] = FULL ? [undefined, 5] : [5];

const QUESTION_PLACES = 30;
const LENGTHS_S = [2, 5, 10];
/** Margin around a boundary, in heights of the box: half more than the band of a zone. */
const MARGIN = 0.15;
/** Margin of a duration. A zone takes its time before a visit begins or ends. */
const MARGIN_MS = 1000;

/** A place of a track in a picture of height 1. */
interface Place {
  readonly atMs: number;
  readonly x: number;
  readonly y: number;
  readonly height: number;
}
type Way = readonly Place[];
/** True or false if clear; undefined within the margin. */
type Verdict = boolean | undefined;

function waysOf(observations: readonly Observation[]): Map<number, Place[]> {
  const ways = new Map<number, Place[]>();
  for (const { atMs, tracks, source } of observations) {
    const aspect = source.widthPx / source.heightPx;
    for (const { id, seen, before = [], xyxyNorm, ground } of tracks) {
      const way = ways.get(id) ?? [];
      ways.set(id, way);
      for (const {
        atMs: foundMs,
        xyxyNorm: [x1, y1, x2, y2],
      } of before)
        way.push({ atMs: foundMs, x: ((x1 + x2) / 2) * aspect, y: y2, height: y2 - y1 });
      if (seen) way.push({ atMs, x: ground[0] * aspect, y: ground[1], height: xyxyNorm[3] - xyxyNorm[1] });
    }
  }
  return ways;
}

/** Returns the position along a→b (0 at a, 1 at b) and the signed distance from its line. */
function relativeTo(
  [ax, ay]: PointNorm,
  [bx, by]: PointNorm,
  { x, y }: Place,
): { along: number; side: number } {
  const [dx, dy] = [bx - ax, by - ay];
  const length = Math.hypot(dx, dy);
  return {
    along: ((x - ax) * dx + (y - ay) * dy) / length ** 2,
    side: (dx * (y - ay) - dy * (x - ax)) / length,
  };
}

function crosses(way: Way, [from, to]: readonly [PointNorm, PointNorm]): Verdict {
  let verdict: Verdict = false;
  /** Last clear place, and whether it has passed the middle of the line since. */
  let clear: { readonly side: number; passed: boolean } | undefined;
  let before: { along: number; side: number } | undefined;
  for (const place of way) {
    const now = relativeTo(from, to, place);
    const margin = MARGIN * place.height;
    if (Math.abs(now.side) <= margin && now.along > -0.1 && now.along < 1.1) verdict ??= undefined;
    if (before !== undefined && before.side >= 0 !== now.side >= 0) {
      const ratio = before.side / (before.side - now.side);
      const along = before.along + ratio * (now.along - before.along);
      if (along > -0.1 && along < 1.1 && verdict === false) verdict = undefined;
      if (clear !== undefined) clear.passed = along > 0.05 && along < 0.95;
    }
    if (Math.abs(now.side) > margin) {
      if (clear?.passed === true && clear.side >= 0 !== now.side >= 0) return true;
      clear = { side: now.side, passed: false };
    } else if (now.along > -0.1 && now.along < 1.1 && verdict === false) verdict = undefined;
    before = now;
  }
  return verdict;
}

/** Returns how deep a place lies in the polygon, in heights of the box; negative outside. */
function depthOf(polygon: readonly PointNorm[], place: Place): number {
  let isInside = false;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < polygon.length; i += 1) {
    const [a, b] = [polygon[i] as PointNorm, polygon[(i + 1) % polygon.length] as PointNorm];
    if (
      a[1] > place.y !== b[1] > place.y &&
      place.x < a[0] + ((place.y - a[1]) / (b[1] - a[1])) * (b[0] - a[0])
    )
      isInside = !isInside;
    const { along, side } = relativeTo(a, b, place);
    const [endX, endY] = along <= 0 ? a : b;
    least = Math.min(
      least,
      along > 0 && along < 1 ? Math.abs(side) : Math.hypot(place.x - endX, place.y - endY),
    );
  }
  return (isInside ? least : -least) / place.height;
}

/** Returns the longest time of consecutive places that pass the filter, ms. */
function longestMs(way: Way, isIn: (place: Place, first: Place) => boolean): number {
  let longest = 0;
  for (let begin = 0; begin < way.length; begin += 1) {
    const first = way[begin] as Place;
    for (let i = begin; i < way.length && isIn(way[i] as Place, first); i += 1)
      longest = Math.max(longest, (way[i] as Place).atMs - first.atMs);
  }
  return longest;
}

/** Judges a duration by a narrow and a wide filter. */
function lasts(
  way: Way,
  ms: number,
  narrow: (place: Place, first: Place) => boolean,
  wide: (place: Place, first: Place) => boolean,
): Verdict {
  if (longestMs(way, narrow) >= ms + MARGIN_MS) return true;
  return longestMs(way, wide) < ms - MARGIN_MS ? false : undefined;
}

function passesInto(way: Way, polygon: readonly PointNorm[]): Verdict {
  const depths = way.map((place) => depthOf(polygon, place));
  const outside = depths.findIndex((depth) => depth < -MARGIN);
  const inside = way.slice(Math.max(0, outside));
  const stays = longestMs(inside, (place) => depthOf(polygon, place) > MARGIN) >= MARGIN_MS;
  if (outside >= 0 && stays) return true;
  return depths.every((depth) => depth < -MARGIN) || depths.every((depth) => depth > MARGIN)
    ? false
    : undefined;
}

const distance = (a: Place, b: Place): number =>
  Math.hypot(a.x - b.x, a.y - b.y) / Math.max(a.height, b.height, 0.02);

/** Questions by kind, each with the clear reading of it. */
function drawnQuestions(
  random: () => number,
  aspect: number,
): [kind: string, where: TrackPlace, judge: (way: Way) => Verdict][] {
  const point = (): PointNorm => [0.1 + 0.8 * random(), 0.2 + 0.7 * random()];
  const scaled = ([x, y]: PointNorm): PointNorm => [x * aspect, y];
  return Array.from({ length: QUESTION_PLACES }, () => {
    const line: [PointNorm, PointNorm] = [point(), point()];
    const [x, y] = [0.1 + 0.5 * random(), 0.2 + 0.4 * random()];
    const [width, height] = [0.15 + 0.25 * random(), 0.15 + 0.25 * random()];
    const polygon: PointNorm[] = [
      [x, y],
      [x + width, y + 0.05 * random()],
      [x + width, y + height],
      [x + 0.05 * random(), y + height],
    ];
    const area = polygon.map(scaled);
    const isIn = (margin: number) => (place: Place) => depthOf(area, place) > margin;
    const stops = (margin: number, heights: number) => (place: Place, first: Place) =>
      isIn(margin)(place) && distance(place, first) <= heights;
    const lengths = LENGTHS_S.flatMap((atLeastS): [string, TrackPlace, (way: Way) => Verdict][] => [
      [
        'stays',
        { polygon, does: 'stays', atLeastS },
        (way) => lasts(way, atLeastS * 1000, isIn(MARGIN), isIn(-MARGIN)),
      ],
      [
        'stops',
        { polygon, does: 'stops', atLeastS },
        (way) => lasts(way, atLeastS * 1000, stops(0.02, 0.2), stops(-0.02, 0.7)),
      ],
    ]);
    return [
      ['lines', { line, direction: 'both' }, (way: Way) => crosses(way, [scaled(line[0]), scaled(line[1])])],
      ['areas', { polygon, does: 'enters', atLeastS: 0 }, (way: Way) => passesInto(way, area)],
      ['areas', { polygon, does: 'leaves', atLeastS: 0 }, (way: Way) => passesInto([...way].reverse(), area)],
      ...lengths,
    ] as [string, TrackPlace, (way: Way) => Verdict][];
  }).flat();
}

/** Fewer clear ones prove little. */
const CLEAR_MIN: Readonly<Record<string, number>> = { lines: 300, areas: 150, stays: 70, stops: 15 };

const quantile = (values: readonly number[], ratio: number): number =>
  values[Math.min(values.length - 1, Math.floor(ratio * values.length))] ?? 0;

for (const fps of RATES) {
  const name = `drawn questions are answered as the observations read, at ${fps ?? 'all'} frames a second`;
  t.test(name, { skip: present.length === 0 && 'no clip is there', timeout: 900_000 }, async (t) => {
    const tallies = new Map<string, { yes: number; foundCount: number; no: number; extra: number }>();
    const errors = { kept: [] as number[], between: [] as number[] };
    let seams = 0;
    for (const [n, source] of present.entries()) {
      const observations = await observedStreet({ ...source, isSlow: SLOW_CLIPS.includes(source.clip) }, fps);
      const log = logged(scratch(t), observations, { flushMs: 60_000 });
      const ways = waysOf(observations);
      for (const [kind, place, judge] of drawnQuestions(randomOf(SEED + n), log.aspect)) {
        const foundTracks = new Set((await tracksFound(log, place)).map(({ track }) => track));
        const tally = tallies.get(kind) ?? { yes: 0, foundCount: 0, no: 0, extra: 0 };
        tallies.set(kind, tally);
        for (const [track, way] of ways) {
          const verdict = way.length < 3 ? undefined : judge(way);
          if (verdict === true) tally.yes += 1;
          if (verdict === true && foundTracks.has(track)) tally.foundCount += 1;
          if (verdict === false) tally.no += 1;
          if (verdict === false && foundTracks.has(track)) tally.extra += 1;
        }
      }
      const { kept, between } = pathErrorsPx(log, observations);
      for (const error of kept) errors.kept.push(error);
      for (const error of between) errors.between.push(error);
      seams += log.pieces.filter(({ goesOn }) => goesOn).length;
      log.store.close();
    }
    for (const [kind, { yes, foundCount, no, extra }] of tallies) {
      const text = `${kind}: ${foundCount} of ${yes} clear ones found, ${extra} of ${no} clear others (seed ${SEED})`;
      t.comment(text);
      t.ok(yes >= (CLEAR_MIN[kind] ?? 0) || present.length < SOURCES.length, text);
      t.ok(foundCount >= 0.95 * yes, text);
      t.ok(extra <= 0.02 * Math.max(1, foundCount), text);
    }
    for (const values of Object.values(errors)) values.sort((a, b) => a - b);
    t.ok(quantile(errors.kept, 1) <= 1, 'no stored point is off by more than a pixel');
    t.ok(quantile(errors.between, 0.95) <= 4, 'between them 95 % are off by 4 px at most');
    t.ok(seams > 0, 'tracks were cut by flushes');
  });
}
