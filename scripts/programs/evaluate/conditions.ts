/**
 * `evaluate conditions`: every labelled film in bad light, bad weather and bad focus: what is still found, what is
 * false, and whether the box says that it cannot see. Copies are kept in .cache/conditions.
 */
import { DEGRADATIONS, type Degradation } from './degradations.ts';
import { degradedClip } from './degraded-clip.ts';
import { type EventsReport, evaluateLabel, labelsIn } from './events.ts';
import { BLINDNESS_BY_S, type Label, type RuleScore } from './labels.ts';

/** The rate at which a box looks at a street where nothing is fast. */
const FPS = 5;
/** A film of this name is the one to which others are compared. */
const UNCHANGED = 'none';

export interface ConditionRow {
  readonly condition: string;
  readonly films: number;
  readonly hours: number;
  readonly expected: number;
  readonly found: number;
  readonly forgiven: number;
  readonly falseAlerts: number;
  /** Boxes of the detector, to those in the films as they are. */
  readonly detectionsShare: number | null;
  /** Conditions of the camera that were told, and when, seconds of the film, the earliest first. */
  readonly told: Readonly<Record<string, readonly number[]>>;
  /** Films on which the box said in time that it cannot see, of those on which that was asked. */
  readonly blind: { readonly told: number; readonly asked: number } | null;
  /** Misses and false alerts, each with its rule and time. */
  readonly faults: readonly string[];
  readonly forgave: readonly string[];
}

export interface ConditionsOptions {
  /** Folders of labels. */
  readonly dirs: readonly string[];
  /** Names of conditions; all where empty. */
  readonly only: readonly string[];
  say(line: string): void;
  /** A row is ready; the others take long. */
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
    const asked = new Set<string>();
    for (const [i, label] of labels.entries()) {
      say(`${one.name}: ${label.name} (${i + 1} of ${labels.length}) …`);
      // Rules do not change what the camera sees: a film is asked once.
      const asks = one.blinding === true && !asked.has(label.clipPath);
      if (asks) asked.add(label.clipPath);
      reports.push(await evaluateDegraded(label, one, asks));
    }
    if (one.name === UNCHANGED) unchanged = detectionsOf(reports);
    const row = rowOf(one, reports, unchanged, asked.size);
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
  asked: number,
): ConditionRow {
  const scores = reports.flatMap((report) => report.scores);
  const sum = (pick: (score: RuleScore) => number): number =>
    scores.reduce((total, score) => total + pick(score), 0);
  const [found, missed, forgiven] = [
    sum((s) => s.truePositives),
    sum((s) => s.falseNegatives),
    sum((s) => s.forgiven.reduce((total, fault) => total + fault.count, 0)),
  ];
  const told: Record<string, number[]> = {};
  for (const { kind, atS } of reports.flatMap(({ conditions }) => conditions)) {
    told[kind] = [...(told[kind] ?? []), atS].sort((a, b) => a - b);
  }
  return {
    condition: name,
    films: reports.length,
    hours: reports.reduce((total, { hours }) => total + hours, 0),
    expected: found + missed + forgiven,
    found,
    forgiven,
    falseAlerts: sum((s) => s.falsePositives),
    detectionsShare: unchanged === null ? null : detectionsOf(reports) / unchanged,
    told,
    blind: blinding ? { told: reports.filter(({ blind }) => blind !== undefined).length, asked } : null,
    faults: scores.flatMap(({ faults }) => faults.map(({ line }) => line)),
    forgave: scores.flatMap((score) => score.forgiven.map(({ line }) => line)),
  };
}

function detectionsOf(reports: readonly EventsReport[]): number {
  return reports.reduce((total, { detections }) => total + detections, 0);
}

export const CONDITIONS_HEAD = [
  `| condition | found of expected | recall | forgiven | false alerts | an hour | detections | blind, told by ${BLINDNESS_BY_S} s | told, s |`,
  '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
].join('\n');

export function conditionRow(row: ConditionRow): string {
  const { condition, found, expected, forgiven, falseAlerts, hours, detectionsShare, told, blind } = row;
  const times = Object.entries(told).map(([kind, atS]) => {
    const [first, last] = [atS[0] ?? 0, atS.at(-1) ?? 0];
    return `${kind} × ${atS.length} (${first.toFixed(0)}–${last.toFixed(0)})`;
  });
  return [
    '',
    condition,
    `${found} of ${expected}`,
    expected === 0 ? '–' : (found / expected).toFixed(2),
    forgiven,
    falseAlerts,
    (falseAlerts / hours).toFixed(1),
    detectionsShare === null ? '–' : `${Math.round(100 * detectionsShare)} %`,
    blind === null ? '–' : `${blind.told} of ${blind.asked} films`,
    times.length === 0 ? '–' : times.join(', '),
    '',
  ]
    .join(' | ')
    .trim();
}
