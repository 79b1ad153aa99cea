/**
 * `evaluate events`: replays every label of a folder and reports for each rule the incidents found, missed and false.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { contactSheet } from './contact-sheet.ts';
import { loopedClip } from './ffmpeg.ts';
import {
  BLINDNESS_BY_S,
  blindnessTold,
  conditionsOf,
  forgive,
  type Label,
  type RuleScore,
  readLabels,
  type Start,
  scoreConditions,
  scoreStarts,
  startsOf,
} from './labels.ts';
import { type Replayed, replayClip } from './replay-clip.ts';

export interface EventsReport {
  readonly scores: readonly RuleScore[];
  /** Length of all clips, hours. */
  readonly hours: number;
  readonly cpuS: number;
  readonly frames: number;
  /** Number of boxes that the detector found. */
  readonly detections: number;
  /** Reported camera conditions, right or wrong. */
  readonly conditions: readonly Start[];
  /** Report of having no usable image that came in time, if one was required. */
  readonly blind?: Start;
}

export interface EvaluateOptions {
  /** True to test, even without a miss, that the box reports in time that it has no usable image. */
  readonly askBlindness?: boolean;
  /** Makes the film's loop; by default the clip's own pictures are repeated. */
  loop?(lengthS: number): Promise<string>;
  /** Replays a film; by default with every frame of it. */
  replay?(clip: string, config: object): Promise<Replayed>;
  /** Folder for a contact sheet of each miss and each false alert. */
  readonly pictureDir?: string;
}

/**
 * Replays one label and scores its starts. If a label with `orCannotSee` has misses, its film is replayed in a loop.
 * There the box must report in time that it has no usable image. Windows and false alerts are evaluated on the film
 * itself, once. The cut from a loop's end to its beginning is not a real event, and its further rounds have no expected
 * incidents.
 */
export async function evaluateLabel(label: Label, options: EvaluateOptions = {}): Promise<EventsReport> {
  const replayed = await (options.replay ?? replayClip)(label.clipPath, label.config);
  try {
    const { summary, events } = replayed;
    const starts = startsOf(events);
    const { vision, agent } = summary.cpuS;
    const scores = scoreStarts(label, starts);
    const misses = scores.some(({ falseNegatives }) => falseNegatives > 0);
    const asks = options.askBlindness === true || (label.orCannotSee === true && misses);
    const blind = asks ? await blindnessOf(label, starts, summary.clipS, options) : undefined;
    const forgives = blind !== undefined && label.orCannotSee === true;
    const all = [
      ...(forgives ? scores.map((score) => forgive(score, blind)) : scores),
      ...scoreConditions(label, starts),
    ];
    if (options.pictureDir !== undefined)
      for (const mistake of all.flatMap(({ mistakes, forgiven }) => [...mistakes, ...forgiven]))
        await contactSheet(mistake, label, replayed.dir, options.pictureDir);
    return {
      scores: all,
      conditions: conditionsOf(starts),
      ...(blind === undefined ? {} : { blind }),
      hours: summary.clipS / 3600,
      cpuS: vision + agent,
      frames: summary.frames,
      detections: summary.detections,
    };
  } finally {
    replayed.forget();
  }
}

async function blindnessOf(
  label: Label,
  starts: readonly Start[],
  clipS: number,
  { loop, replay = replayClip }: EvaluateOptions,
): Promise<Start | undefined> {
  const blindness = blindnessTold(starts);
  if (blindness !== undefined || clipS >= BLINDNESS_BY_S) return blindness;
  const dir = mkdtempSync(join(tmpdir(), 'vigie-loop-'));
  try {
    const lengthS = BLINDNESS_BY_S + 1;
    const looped = await (loop?.(lengthS) ?? loopedClip(label.clipPath, lengthS, dir));
    const replayed = await replay(looped, label.config);
    replayed.forget();
    return blindnessTold(startsOf(replayed.events));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Reads labels. Their clips are searched beside the labels' folder, then in the project's cache. */
export function labelsIn(dir: string): Label[] {
  return readLabels(dir, [resolve(dir, '..'), dir, join(packageRoot(), '.cache')]);
}

/** Sums the scores of several labels by rule kind. */
export function byKind(scores: readonly RuleScore[]): RuleScore[] {
  const kinds = [...new Set(scores.map(({ kind }) => kind))].sort();
  return kinds.map((kind) => {
    const own = scores.filter((score) => score.kind === kind);
    const sum = (pick: (score: RuleScore) => number): number =>
      own.reduce((total, score) => total + pick(score), 0);
    return {
      rule: '*',
      kind,
      truePositives: sum((s) => s.truePositives),
      falseNegatives: sum((s) => s.falseNegatives),
      falsePositives: sum((s) => s.falsePositives),
      errorsS: own.flatMap((s) => s.errorsS),
      mistakes: own.flatMap((s) => s.mistakes),
      forgiven: own.flatMap((s) => s.forgiven),
    };
  });
}

/** Returns true if all expected incidents were found and nothing else. */
export async function evaluateEvents(
  dir: string,
  say: (line: string) => void,
  options: EvaluateOptions,
): Promise<boolean> {
  const reports: EventsReport[] = [];
  for (const label of labelsIn(dir)) {
    if (process.stderr.isTTY) process.stderr.write(`\r${label.name} …\x1b[K`);
    reports.push(await evaluateLabel(label, options));
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const kinds = byKind(reports.flatMap(({ scores }) => scores));
  const hours = reports.reduce((total, report) => total + report.hours, 0);
  say(
    '| rule kind | TP | FN | forgiven | FP | mean distance from the window’s middle, s | false alerts per hour |',
  );
  say('| --- | --- | --- | --- | --- | --- | --- |');
  for (const { kind, truePositives, falseNegatives, forgiven, falsePositives, errorsS } of kinds) {
    const mean = errorsS.reduce((total, e) => total + Math.abs(e), 0) / Math.max(1, errorsS.length);
    const error = errorsS.length === 0 ? '–' : mean.toFixed(1);
    const perHour = (falsePositives / hours).toFixed(1);
    const counts = [truePositives, falseNegatives, forgiven.length, falsePositives].join(' | ');
    say(`| ${kind} | ${counts} | ${error} | ${perHour} |`);
  }
  for (const { line } of kinds.flatMap(({ mistakes, forgiven }) => [...mistakes, ...forgiven]))
    say(`- ${line}`);
  say(`${reports.length} clips, ${(hours * 60).toFixed(1)} minutes of video`);
  return kinds.every(({ falseNegatives, falsePositives }) => falseNegatives + falsePositives === 0);
}
