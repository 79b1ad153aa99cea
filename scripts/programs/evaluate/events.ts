/** `evaluate events`: replays every label of a folder and says, rule by rule, what was found, missed and false. */
import { join, resolve } from 'node:path';
import { packageRoot } from '../../../agent/base/package-root.ts';
import type { VigieEvent } from '../../../agent/contract/event.ts';
import { CAMERA_CONDITIONS } from '../../../agent/contract/observation.ts';
import { type Label, type RuleScore, readLabels, type Start, scoreStarts } from './labels.ts';
import { replayClip } from './replay-clip.ts';

export interface EventsReport {
  readonly scores: readonly RuleScore[];
  /** Length of all clips, hours. */
  readonly hours: number;
  readonly cpuS: number;
  readonly frames: number;
}

/** Replays one label and scores its starts. */
export async function evaluateLabel(label: Label): Promise<EventsReport> {
  const replayed = await replayClip(label.clipPath, label.config);
  try {
    const { summary, events } = replayed;
    const starts: Start[] = events
      .filter(({ data }) => data.phase === 'start')
      .map(({ time, data }) => ({ rule: data.rule.id, atS: Date.parse(time) / 1000 }));
    const { vision, agent } = summary.cpuS;
    return {
      scores: [...scoreStarts(label, starts), ...cameraConditions(label, events)],
      hours: summary.clipS / 3600,
      cpuS: vision + agent,
      frames: summary.frames,
    };
  } finally {
    replayed.forget();
  }
}

/** No clip of the labels has anything wrong with its camera: each such condition is a false one. */
function cameraConditions({ name }: Label, events: readonly VigieEvent[]): RuleScore[] {
  const conditions: readonly string[] = CAMERA_CONDITIONS;
  return events
    .filter(({ data }) => data.phase === 'start' && conditions.includes(data.rule.kind))
    .map(({ time, data: { rule } }) => ({
      rule: rule.id,
      kind: rule.kind,
      truePositives: 0,
      falseNegatives: 0,
      falsePositives: 1,
      errorsS: [],
      faults: [`${name}: ${rule.kind} false at ${(Date.parse(time) / 1000).toFixed(1)} s`],
    }));
}

/** Clips are looked for beside the labels' folder, then in the project's cache. */
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
      faults: own.flatMap((s) => s.faults),
    };
  });
}

export async function evaluateEvents(dir: string, say: (line: string) => void): Promise<boolean> {
  const reports: EventsReport[] = [];
  for (const label of labelsIn(dir)) {
    if (process.stderr.isTTY) process.stderr.write(`\r${label.name} …\x1b[K`);
    reports.push(await evaluateLabel(label));
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const kinds = byKind(reports.flatMap(({ scores }) => scores));
  const hours = reports.reduce((total, report) => total + report.hours, 0);
  say('| rule kind | TP | FN | FP | mean distance from the window’s middle, s | false alerts per hour |');
  say('| --- | --- | --- | --- | --- | --- |');
  for (const { kind, truePositives, falseNegatives, falsePositives, errorsS } of kinds) {
    const mean = errorsS.reduce((total, e) => total + Math.abs(e), 0) / Math.max(1, errorsS.length);
    const error = errorsS.length === 0 ? '–' : mean.toFixed(1);
    const perHour = (falsePositives / hours).toFixed(1);
    say(`| ${kind} | ${truePositives} | ${falseNegatives} | ${falsePositives} | ${error} | ${perHour} |`);
  }
  for (const fault of kinds.flatMap(({ faults }) => faults)) say(`- ${fault}`);
  say(`${reports.length} clips, ${(hours * 60).toFixed(1)} minutes of video`);
  return kinds.every(({ falseNegatives, falsePositives }) => falseNegatives + falsePositives === 0);
}
