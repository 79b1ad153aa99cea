/**
 * `evaluate conditions`: evaluates every labelled film in bad light, bad weather and bad focus. It counts incidents
 * found and false alerts, and whether the box reports that it has no usable image. Copies are cached in
 * .cache/conditions.
 */
import { DEGRADATIONS, type Degradation } from './degradations.ts';
import { degradedClip } from './degraded-clip.ts';
import { type EventsReport, evaluateLabel, labelsIn } from './events.ts';
import { BLINDNESS_BY_S, type Label, type RuleScore } from './labels.ts';

/** Detector rate of a box on a street where nothing is fast. */
const FPS = 5;
/** Name of the film with which others are compared. */
const UNCHANGED = 'none';

export interface ConditionRow {
  readonly condition: string;
  readonly films: number;
  readonly hours: number;
  readonly expected: number;
  readonly foundCount: number;
  readonly forgiven: number;
  readonly falseAlerts: number;
  /** Ratio of detected boxes to those in the unchanged films. */
  readonly detectionsShare: number | null;
  /** Reported camera conditions with their times, seconds of the film, earliest first. */
  readonly reportTimes: Readonly<Record<string, readonly number[]>>;
  /** Films on which the box reported in time that it has no usable image, of those where that was required. */
  readonly blind: { readonly reportedCount: number; readonly askedCount: number } | null;
  /** Misses and false alerts, each with its rule and time. */
  readonly mistakes: readonly string[];
  readonly forgave: readonly string[];
}

export interface ConditionsOptions {
  /** Folders of labels. */
  readonly dirs: readonly string[];
  /** Names of conditions; all if empty. */
  readonly only: readonly string[];
  say(line: string): void;
  /** Called with each row as it is ready, because the others take long. */
  onRow(row: ConditionRow): void;
}

export async function evaluateConditions({
  dirs,
  only,
  say,
  onRow,
}: ConditionsOptions): Promise<ConditionRow[]> {
  const labels = dirs.flatMap((dir) => labelsIn(dir));
  const rows: ConditionRow[] = [];
  let unchanged: number | null = null;
  for (const one of DEGRADATIONS.filter(({ name }) => only.length === 0 || only.includes(name))) {
    const reports: EventsReport[] = [];
    const askedClips = new Set<string>();
    for (const [i, label] of labels.entries()) {
      say(`${one.name}: ${label.name} (${i + 1} of ${labels.length}) …`);
      // Rules do not change the camera's picture, so each film is tested once.
      const asks = one.blinding === true && !askedClips.has(label.clipPath);
      if (asks) askedClips.add(label.clipPath);
      reports.push(await evaluateDegraded(label, one, asks));
    }
    if (one.name === UNCHANGED) unchanged = detectionsOf(reports);
    const row = rowOf(one, reports, unchanged, askedClips.size);
    rows.push(row);
    onRow(row);
  }
  return rows;
}

async function evaluateDegraded(
  label: Label,
  one: Degradation,
  askBlindness: boolean,
): Promise<EventsReport> {
  const degraded: Label = {
    ...label,
    clipPath: await degradedClip(label.clipPath, one, { fps: FPS }),
    mayTell: [...(label.mayTell ?? []), ...one.mayTell],
    orCannotSee: label.orCannotSee === true || one.blinding === true,
  };
  const loop = (lengthS: number): Promise<string> =>
    degradedClip(label.clipPath, one, { fps: FPS, loopS: lengthS });
  return await evaluateLabel(degraded, { askBlindness, loop });
}

function rowOf(
  { name, blinding }: Degradation,
  reports: readonly EventsReport[],
  unchanged: number | null,
  askedCount: number,
): ConditionRow {
  const scores = reports.flatMap((report) => report.scores);
  const sum = (pick: (score: RuleScore) => number): number =>
    scores.reduce((total, score) => total + pick(score), 0);
  const [foundCount, missed, forgiven] = [
    sum((s) => s.truePositives),
    sum((s) => s.falseNegatives),
    sum((s) => s.forgiven.reduce((total, mistake) => total + mistake.count, 0)),
  ];
  const reportTimes: Record<string, number[]> = {};
  for (const { kind, atS } of reports.flatMap(({ conditions }) => conditions)) {
    reportTimes[kind] = [...(reportTimes[kind] ?? []), atS].sort((a, b) => a - b);
  }
  return {
    condition: name,
    films: reports.length,
    hours: reports.reduce((total, { hours }) => total + hours, 0),
    expected: foundCount + missed + forgiven,
    foundCount,
    forgiven,
    falseAlerts: sum((s) => s.falsePositives),
    detectionsShare: unchanged === null ? null : detectionsOf(reports) / unchanged,
    reportTimes,
    blind: blinding
      ? { reportedCount: reports.filter(({ blind }) => blind !== undefined).length, askedCount }
      : null,
    mistakes: scores.flatMap(({ mistakes: faults }) => faults.map(({ line }) => line)),
    forgave: scores.flatMap((score) => score.forgiven.map(({ line }) => line)),
  };
}

function detectionsOf(reports: readonly EventsReport[]): number {
  return reports.reduce((total, { detections }) => total + detections, 0);
}

export const CONDITIONS_HEAD = [
  `| condition | found of expected | recall | forgiven | false alerts | an hour | detections | blind, reported within ${BLINDNESS_BY_S} s | reported, s |`,
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
].join('\n');

export function conditionRow(row: ConditionRow): string {
  const {
    condition,
    foundCount,
    expected,
    forgiven,
    falseAlerts,
    hours,
    detectionsShare: detectionsRatio,
    reportTimes,
    blind,
  } = row;
  const times = Object.entries(reportTimes).map(([kind, atS]) => {
    const [first, last] = [atS[0] ?? 0, atS.at(-1) ?? 0];
    return `${kind} × ${atS.length} (${first.toFixed(0)}–${last.toFixed(0)})`;
  });
  return [
    '',
    condition,
    `${foundCount} of ${expected}`,
    expected === 0 ? '–' : (foundCount / expected).toFixed(2),
    forgiven,
    falseAlerts,
    (falseAlerts / hours).toFixed(1),
    detectionsRatio === null ? '–' : `${Math.round(100 * detectionsRatio)} %`,
    blind === null ? '–' : `${blind.reportedCount} of ${blind.askedCount} films`,
    times.length === 0 ? '–' : times.join(', '),
    '',
  ]
    .join(' | ')
    .trim();
}
