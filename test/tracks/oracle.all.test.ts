/**
 * Tests that the track log's answers match vision's. Vision evaluates its lines and zones during analysis; the log
 * evaluates the stored, flushed and decoded tracks later, through its search.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import type { Observation } from '../../agent/contract/observation.ts';
import { LINES, observedStreet, ZONES } from '../lib/observed-street.ts';
import { evaluationData, STREET_CLIP, scratch } from '../lib/paths.ts';
import { FULL } from '../lib/run.ts';
import {
  foundCrossings,
  fullStays,
  type Logged,
  logged,
  pathErrorsPx,
  reportedCrossings,
  staysFound,
  staysTold,
} from '../lib/track-oracle.ts';

interface Clip {
  readonly clip: string;
  /** The clip itself has five frames a second, so both rates are one. */
  readonly isSlow?: boolean;
  /**
   * Rate that only `--full` plays: the own rate, because vision takes longer than 10 s, or both, also where no
   * one crosses a line.
   */
  readonly leftOut?: 'own rate' | 'both';
}

const CLIPS: readonly Clip[] = [
  { clip: 'a14-haze.mp4', isSlow: true, leftOut: 'both' },
  { clip: 'boulevard25.mp4', isSlow: true, leftOut: 'both' },
  { clip: 'car-detection.mp4' },
  { clip: 'crosswalk.mp4', isSlow: true },
  { clip: 'dark-yard.mp4', isSlow: true, leftOut: 'both' },
  { clip: 'graffiti-composed.mp4', leftOut: 'both' },
  { clip: 'highway-320.avi' },
  { clip: 'one-by-one-person-detection.mp4', leftOut: 'both' },
  { clip: 'parked-car-composed.mp4' },
  { clip: 'pets2001-d3.mp4', isSlow: true, leftOut: 'both' },
  { clip: 'pets2006-s1-c3.mp4', leftOut: 'both' },
  { clip: 'shopfront-focus.mp4', isSlow: true, leftOut: 'both' },
  { clip: 'tud-stadtmitte.mp4' },
];
/** Frames a second; undefined plays all of them, which takes a minute more. */
const RATES: readonly (number | undefined)[] = FULL ? [undefined, 5] : [5];
/** Fewer passages prove little about the recall. */
const PASSAGES_MIN = FULL ? 300 : 250;
const STAYS_S = [2, 5, 10];
/** Interval of media time between flushes, which cut tracks. */
const FLUSH_MS = 60_000;
interface Source extends Clip {
  readonly file: string;
  readonly skip: string | false;
}

const sources: readonly Source[] = [
  {
    clip: 'vtest.avi',
    leftOut: 'own rate',
    file: STREET_CLIP,
    skip: existsSync(STREET_CLIP) ? false : 'no vtest.avi in .cache (scripts/setup)',
  },
  ...CLIPS.map((one) => ({ ...one, ...evaluationData('clips', one.clip) })),
];

/** Clips that are played at this rate. */
function clipsAt(fps: number | undefined): readonly Source[] {
  return present.filter(
    ({ leftOut }) => FULL || leftOut === undefined || (fps !== undefined && leftOut !== 'both'),
  );
}

interface Tally {
  toldCount: number;
  foundCount: number;
  both: number;
}
const newTally = (): Tally => ({ toldCount: 0, foundCount: 0, both: 0 });
const recall = ({ toldCount, both }: Tally): number => both / Math.max(1, toldCount);
const precision = ({ foundCount, both }: Tally): number => both / Math.max(1, foundCount);

/** `toldCount` counts vision's results, `foundCount` the log's, `both` the common ones. */
function add(tally: Tally, toldKeys: ReadonlySet<string>, foundKeys: ReadonlySet<string>): void {
  tally.toldCount += toldKeys.size;
  tally.foundCount += foundKeys.size;
  tally.both += [...toldKeys].filter((key) => foundKeys.has(key)).length;
}

const tallyText = (tally: Tally): string =>
  `${String(tally.toldCount).padStart(4)} told ${String(tally.foundCount).padStart(4)} found ${String(tally.both).padStart(4)} both` +
  `  recall ${recall(tally).toFixed(3)} precision ${precision(tally).toFixed(3)}`;

const quantile = (values: readonly number[], ratio: number): number =>
  values[Math.min(values.length - 1, Math.floor(ratio * values.length))] ?? 0;

interface Stays {
  /** Vision's result compared with the log's. */
  readonly tally: Tally;
  /** The zones evaluated over every place, compared with the log's result. */
  readonly everyPlaceTally: Tally;
}

/** Compares the stays of at least `atLeastS`. */
async function compareStays(
  log: Logged,
  observations: readonly Observation[],
  atLeastS: number,
  { tally, everyPlaceTally }: Stays,
) {
  const foundKeys = new Set((await staysFound(log, ZONES, atLeastS)).keys());
  const atLeast = (stays: Iterable<[string, number]>): Set<string> =>
    new Set([...stays].filter(([, ms]) => ms >= atLeastS * 1000).map(([key]) => key));
  add(tally, atLeast(staysTold(observations)), foundKeys);
  add(everyPlaceTally, atLeast(fullStays(observations, ZONES)), foundKeys);
}

const present = sources.filter(({ skip }) => skip === false);
for (const { skip } of sources) if (skip !== false) t.comment(`LEFT OUT: ${skip}`);
/** Reason for which no clip is played at this rate. */
const noneAt = (fps: number | undefined): string | false =>
  clipsAt(fps).length === 0 && 'no clip that it is asked of is there';

for (const fps of RATES) {
  t.test(
    `lines and zones of the log agree with vision at ${fps ?? 'all'} frames a second`,
    { skip: noneAt(fps) },
    async (t) => {
      const passages = newTally();
      const stays = new Map(
        STAYS_S.map((atLeastS): [number, Stays] => [
          atLeastS,
          { tally: newTally(), everyPlaceTally: newTally() },
        ]),
      );
      const errors = { kept: [] as number[], between: [] as number[] };
      let pathBytes = 0;
      let pieces = 0;
      let seams = 0;
      for (const source of clipsAt(fps)) {
        const observations = await observedStreet(source, fps);
        const log = logged(scratch(t), observations, { flushMs: FLUSH_MS });
        const own = newTally();
        const [toldKeys, foundKeys] = [reportedCrossings(observations), await foundCrossings(log, LINES)];
        for (const tally of [own, passages]) add(tally, toldKeys, foundKeys);
        for (const [atLeastS, one] of stays) await compareStays(log, observations, atLeastS, one);
        const { kept, between } = pathErrorsPx(log, observations);
        for (const error of kept) errors.kept.push(error);
        for (const error of between) errors.between.push(error);
        pieces += log.pieces.length;
        seams += log.pieces.filter(({ goesOn }) => goesOn).length;
        pathBytes += log.pieces.reduce((sum, { path }) => sum + path.length, 0);
        t.comment(
          `${source.clip.padEnd(32)} ${String(observations.length).padStart(5)} frames  ${tallyText(own)}`,
        );
        const missed = [...toldKeys].filter((key) => !foundKeys.has(key));
        const extra = [...foundKeys].filter((key) => !toldKeys.has(key));
        if (missed.length + extra.length > 0)
          t.comment(`  missed: ${missed.join(', ') || 'none'}; extra: ${extra.join(', ') || 'none'}`);
        log.store.close();
      }
      t.comment(`passages together              ${tallyText(passages)}`);
      t.ok(
        passages.toldCount >= PASSAGES_MIN || present.length < sources.length,
        `${passages.toldCount} passages`,
      );
      t.ok(recall(passages) >= 0.98, `recall of passages ${recall(passages).toFixed(4)}`);
      t.ok(precision(passages) >= 0.98, `precision of passages ${precision(passages).toFixed(4)}`);
      for (const [atLeastS, { tally, everyPlaceTally }] of stays) {
        t.comment(`stays of ${String(atLeastS).padStart(2)} s  ${tallyText(tally)}`);
        t.comment(`      every place ${tallyText(everyPlaceTally)}`);
      }
      const together = newTally();
      for (const { everyPlaceTally } of stays.values())
        for (const name of ['toldCount', 'foundCount', 'both'] as const)
          together[name] += everyPlaceTally[name];
      t.ok(recall(together) >= 0.98, `recall of stays, of every place ${recall(together).toFixed(4)}`);
      t.ok(
        precision(together) >= 0.98,
        `precision of stays, of every place ${precision(together).toFixed(4)}`,
      );
      for (const values of Object.values(errors)) values.sort((a, b) => a - b);
      const of = (values: readonly number[]): string =>
        [0.5, 0.95, 1].map((ratio) => quantile(values, ratio).toFixed(2)).join(' / ');
      t.comment(
        `path error px of 768, median / 95 % / most: kept ${of(errors.kept)}, between ${of(errors.between)}; ` +
          `${(pathBytes / pieces).toFixed(1)} B a piece of ${pieces}, ${seams} seams`,
      );
      t.ok(quantile(errors.kept, 1) <= 1, 'no stored point is off by more than a pixel');
      t.ok(quantile(errors.between, 0.95) <= 4, 'between them 95 % are off by 4 px at most');
      t.ok(seams > 0, 'tracks were cut by flushes');
    },
  );
}
