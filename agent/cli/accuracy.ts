/** `vigie accuracy`: shows the accuracy of this box with its confidence intervals. */
import { AgentError } from '../base/errors.ts';
import type { Proposal, RuleAccuracy } from '../contract/accuracy.ts';
import { print, printJson } from './print.ts';
import { openBoxRecord } from './record-file.ts';
import { stateDir } from './state-dir.ts';

export interface AccuracyOptions {
  readonly state: string | undefined;
  readonly json: boolean | undefined;
}

/**
 * Widest conclusive interval. A wider one cannot distinguish a rule that is right 7 times in 10 from one that is right
 * 9 times. A good rule needs few counts to get below it (about 30), a mediocre one more (93).
 */
const CONCLUSIVE_WIDTH = 0.2;
const BAR_CELLS = 31;

interface Estimate {
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

export function accuracy(options: AccuracyOptions): void {
  const dir = stateDir(options.state, process.env);
  const store = openBoxRecord(dir);
  try {
    const box = store.box();
    if (box === undefined) throw new AgentError('config', `no agent has run with the state in ${dir} yet`);
    const { site, box: name, retentionDays, rules } = box.watching;
    const metrics = store.statistics(rules.map(({ id }) => id));
    const { expired, dropped: droppedCount } = store.counters();
    const proposals = store.proposals(rules);
    if (options.json) {
      const report = {
        site,
        box: name,
        retentionDays,
        rules: metrics,
        expired,
        dropped: droppedCount,
        proposals,
      };
      printJson(report);
      return;
    }
    const lines = [
      `${name} at ${site}, alerts of the last ${retentionDays} days`,
      ...(droppedCount > 0
        ? [`${droppedCount} older alerts were dropped because the accuracy record was full`]
        : []),
      '',
      'Precision: the ratio of confirmed alerts to the alerts that the room reviewed as confirmed or false alarm',
      ...precisionTable(metrics),
      '',
      'Recall: the ratio of the passes of the last walk test that raised an alert',
      ...recallTable(metrics),
      ...proposals.flatMap((proposal) => ['', ...proposalLines(proposal)]),
    ];
    print(...lines);
  } finally {
    store.close();
  }
}

function precisionTable(metrics: readonly RuleAccuracy[]): string[] {
  const head = ['rule', 'alerts', 'confirmed', 'false', 'unclear', 'precision', scale(), 'interval', ''];
  const rows = metrics.map(
    ({ rule, alerts, confirmed: right, falseAlarms: wrong, unclear, precision, low, high }) => {
      const estimate =
        precision === null || low === null || high === null ? undefined : { ratio: precision, low, high };
      const note = remark(estimate, right + wrong, 'verdict', 'verdicts');
      return [rule, ...[alerts, right, wrong, unclear].map(String), ...estimateCells(estimate), note];
    },
  );
  return table([head, ...rows]);
}

function recallTable(metrics: readonly RuleAccuracy[]): string[] {
  const head = ['rule', 'passes', 'seen', 'repeated', 'recall', scale(), 'interval', 'tested', ''];
  const rows = metrics.map(({ rule, walk }) => {
    if (walk === null) return [rule, '–', '–', '–', ...estimateCells(undefined), '–', 'no walk test yet'];
    const { passes, seen: seenCount, repeated, recall, time } = walk;
    const estimate = { ratio: recall, low: walk.low, high: walk.high };
    const counts = [passes, seenCount, repeated].map(String);
    const note = remark(estimate, passes, 'pass', 'passes');
    return [rule, ...counts, ...estimateCells(estimate), `${time.slice(0, 16).replace('T', ' ')}Z`, note];
  });
  return table([head, ...rows]);
}

/** Returns proposals for the configuration. A person applies them; the box never does. */
function proposalLines({ rule, xyxyNorm, falseAlarms: wrong, confirmed: right, remedy }: Proposal): string[] {
  const spot = xyxyNorm.map((coordinate) => coordinate.toFixed(2)).join(' ');
  const head = `${rule} had ${wrong} false alarms at [${spot}], and ${right} confirmed alerts there.`;
  switch (remedy.kind) {
    case 'threshold':
      return [
        `${head} All confirmed alerts lie above a higher threshold; in the rule:`,
        `  ${remedy.parameter}: ${remedy.value}`,
      ];
    case 'mask':
      return [
        `${head} No alert there was confirmed; if nothing there needs watching, add a mask:`,
        `  masks: [{id: ${rule.slice(0, 24)}-false, polygon: ${JSON.stringify(remedy.polygon)}}]`,
      ];
    case 'redraw':
      return [`${head} Neither a threshold nor a mask would separate them; check its zone and its time.`];
  }
}

/** Returns a remark if there are too few counts. */
function remark(estimate: Estimate | undefined, n: number, one: string, plural: string): string {
  if (estimate === undefined) return `no ${one} yet`;
  const isConclusive = estimate.high - estimate.low <= CONCLUSIVE_WIDTH;
  return isConclusive ? '' : `too few ${plural} to tell (${n})`;
}

function estimateCells(estimate: Estimate | undefined): string[] {
  if (estimate === undefined) return ['–', bar(undefined), '–'];
  const { ratio, low, high } = estimate;
  return [ratio.toFixed(2), bar(estimate), `${low.toFixed(2)}–${high.toFixed(2)}`];
}

/** Returns the scale `0 … 95 % … 1`, as wide as the bars below it. */
function scale(): string {
  const middle = ' 95 % interval ';
  const leftPadding = Math.floor((BAR_CELLS - 2 - middle.length) / 2);
  return `0${' '.repeat(leftPadding)}${middle}${' '.repeat(BAR_CELLS - 2 - middle.length - leftPadding)}1`;
}

/** Returns the interval from 0 to 1 with the ratio marked: `····├───●─┤···`. */
export function bar(estimate: Estimate | undefined): string {
  const cells = Array.from({ length: BAR_CELLS }, () => '·');
  if (estimate === undefined) return cells.join('');
  const at = (ratio: number): number => Math.round(ratio * (BAR_CELLS - 1));
  cells.fill('─', at(estimate.low), at(estimate.high) + 1);
  cells[at(estimate.low)] = '├';
  cells[at(estimate.high)] = '┤';
  cells[at(estimate.ratio)] = '●';
  return cells.join('');
}

/** Formats columns as wide as their widest cell, with numbers right-aligned, words and bars left-aligned. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const number = /^[\d.–-]+$/.test((rows[1] ?? [])[column] ?? '');
        const width = widths[column] ?? 0;
        return number ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
