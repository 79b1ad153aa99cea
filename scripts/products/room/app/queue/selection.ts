/**
 * Selection of several incidents of the queue, for one verdict on all of them.
 *
 * INVARIANTS: only open incidents that this browser holds count as selected.
 * LIMITS: BULK_MAX incidents, the number that one verdict takes; further ones are not selected.
 */
import { computed, signal } from '@preact/signals';
import type { Incident } from '../../contract/incident.ts';
import { BULK_MAX } from '../../contract/terms.ts';
import { keyOf, type Line } from './lines.ts';
import { incidentsOf } from './next.ts';
import { lines, rowOf } from './store.ts';

const selectedNos = signal<ReadonlySet<number>>(new Set());
/** Reasons of refused verdicts, by incident, until the selection changes. */
export const refusals = signal<ReadonlyMap<number, string>>(new Map());

/** Line at which a range began, and the selection before it. */
let range: { readonly from: string; readonly before: ReadonlySet<number> } | undefined;

export const selectedIncidents = computed<readonly Incident[]>(() =>
  [...selectedNos.value].flatMap((no) => {
    const incident = rowOf(no);
    return incident === undefined || incident.state === 'closed' ? [] : [incident];
  }),
);

export function isSelected(line: Line): boolean {
  const nos = selectedNos.value;
  return nosOf([line]).length > 0 && nosOf([line]).every((no) => nos.has(no));
}

/** Selects a line, or removes it if it is selected. A storm counts as all of its incidents. */
export function toggleSelected(line: Line | undefined): void {
  if (line === undefined) return;
  const selected = new Set(selectedNos.value);
  const isRemoval = isSelected(line);
  for (const no of nosOf([line])) {
    if (isRemoval) selected.delete(no);
    else selected.add(no);
  }
  range = { from: keyOf(line), before: selected };
  select(selected);
}

/** Selects the storm of a line, or removes it if all of it is selected. */
export function toggleSelectedStorm(line: Line | undefined): void {
  const head =
    line?.type === 'incident' && line.storm !== undefined
      ? lines.value.find((one) => one.type === 'storm' && one.storm.id === line.storm?.id)
      : line;
  toggleSelected(head);
}

/** Selects all lines from the beginning of the range, or from `origin`, to `to`. */
export function extendSelection(origin: Line | undefined, to: Line | undefined): void {
  if (to === undefined) return;
  const all = lines.value;
  const indexOf = (key: string | undefined): number => all.findIndex((line) => keyOf(line) === key);
  if (range === undefined || indexOf(range.from) < 0) {
    range = { from: keyOf(origin ?? to), before: selectedNos.value };
  }
  const ends = [indexOf(range.from), indexOf(keyOf(to))].sort((a, b) => a - b);
  const [first = 0, last = 0] = ends;
  select(new Set([...range.before, ...nosOf(all.slice(Math.max(0, first), last + 1))]));
}

/** Ends the range, so that the next one begins at the chosen line. */
export function endRange(): void {
  range = undefined;
}

export function selectOnly(nos: readonly number[]): void {
  range = undefined;
  select(new Set(nos));
}

function select(nos: ReadonlySet<number>): void {
  selectedNos.value = new Set([...nos].slice(0, BULK_MAX));
  refusals.value = new Map();
}

function nosOf(selection: readonly Line[]): number[] {
  return incidentsOf(selection)
    .filter(({ state }) => state !== 'closed')
    .map(({ no }) => no);
}
