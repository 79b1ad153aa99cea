/**
 * State of the queue: held incidents, pending actions on top of them, lines and selection.
 *
 * INVARIANTS:
 * - An action shows at once and is reverted if it is refused.
 * - The stream never overwrites a pending action.
 * - Lines are computed at most once per frame.
 */
import { computed, signal } from '@preact/signals';
import type { Incident, OpenCount, Queue } from '../../contract/incident.ts';
import { nowMs, session, tick } from '../session.ts';
import { keyOf, type Line, linesOf } from './lines.ts';
import { stormOf } from './next.ts';
import { Rows } from './rows.ts';

/** Time in ms for which an incident stays visible after one's own closing, as confirmation. */
const LINGER_MS = 1500;
/** Time in ms after which changes are drawn without a frame, as in a hidden tab. */
const NO_FRAME_MS = 500;
/** Minimum time in ms between announcements of new alerts to a screen reader, which are combined. */
const ANNOUNCE_MS = 5000;
/** Time in ms after which the announcement is cleared, so that the same number is announced again. */
const ANNOUNCED_MS = 2000;

const rows = new Rows();
/** Changes by the pending actions of each incident, in order. */
const doing = new Map<number, Partial<Incident>[]>();
/** Incidents just closed by this person. */
const lingering = new Map<number, Incident>();
const version = signal(0);
let drawing = false;

/** True once this browser has the queue. */
export const isQueueLoaded = signal(false);
export const filter = signal('');
export const openStorms = signal<ReadonlySet<string>>(new Set());
export const chosenKey = signal<string | undefined>(undefined);
/** Number of new alerts since the last announcement. */
export const announced = signal(0);
let unannounced = 0;
let chosenIndex = 0;

/** Returns the searchable text of an incident; set by the screen, which knows the language. */
export const haystack = signal<(incident: Incident) => string>(({ kind }) => kind);

/** Held incidents with pending actions applied. */
export const loadedIncidents = computed<readonly Incident[]>(() => {
  void version.value;
  const all = rows.incidents.map((incident) => withActions(incident));
  const leaving = [...lingering.values()].filter(({ no }) => rows.of(no) === undefined);
  return leaving.length === 0 ? all : [...all, ...leaving];
});

export const lines = computed<readonly Line[]>(() => {
  void tick.value;
  const words = filter.value
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const text = haystack.value;
  const open = openStorms.value;
  return linesOf(loadedIncidents.value, {
    nowMs: nowMs(),
    me: session.value?.user ?? '',
    isOpen: (storm) => open.has(storm),
    fits: (incident) => {
      if (words.length === 0) return true;
      const hay = text(incident).toLowerCase();
      return words.every((word) => hay.includes(word));
    },
  });
});

export const waiting = computed(() => loadedIncidents.value.filter(({ state }) => state === 'new').length);
/** Number of open incidents that this browser does not hold. */
export const unloadedCount = computed(() => {
  void version.value;
  return rows.more;
});
export const loadedCount = computed(() => loadedIncidents.value.length);

function waits({ state, claimedBy }: Incident): boolean {
  return state === 'new' || (state === 'closed' && claimedBy === null);
}

/** Selected line, or the one that took its place. */
export const chosenLine = computed<Line | undefined>(() => {
  const all = lines.value;
  const index = all.findIndex((line) => keyOf(line) === chosenKey.value);
  const line = all[index];
  // After an incident of one's own, the most urgent one follows; after one reviewed in passing, the next below it.
  if (line !== undefined) chosenIndex = line.type === 'storm' || waits(line.incident) ? index : 0;
  return all[index >= 0 ? index : Math.min(chosenIndex, all.length - 1)];
});

export function choose(key: string | undefined): void {
  chosenKey.value = key;
}

/** Moves the selection down by `step`, or up if negative. Returns the selected line. */
export function chooseBy(step: number): Line | undefined {
  const all = lines.value;
  const now = chosenLine.value;
  const at = now === undefined ? -1 : all.indexOf(now);
  // The selected line is gone, so the line in its place is the next one.
  const hasLeft = now !== undefined && keyOf(now) !== chosenKey.value;
  const to = all[Math.max(0, Math.min(all.length - 1, hasLeft && step > 0 ? at : at + step))];
  if (to !== undefined) chosenKey.value = keyOf(to);
  return to;
}

export function toggleStorm(id: string): void {
  const open = new Set(openStorms.value);
  if (!open.delete(id)) open.add(id);
  openStorms.value = open;
}

/** Returns the incident with pending actions applied, or undefined if it is not held. */
export function rowOf(no: number): Incident | undefined {
  void version.value;
  const row = rows.of(no) ?? lingering.get(no);
  return row === undefined ? undefined : withActions(row);
}

export function revOf(): number {
  return rows.rev;
}

/** True if many were closed and the server has more. */
export function isShort(): boolean {
  return rows.isShort;
}

export function resetRows(queue: Queue): void {
  rows.reset(queue);
  draw();
  isQueueLoaded.value = true;
}

/** Takes the server's count of open alerts, which follows each change. */
export function takeOpenCount(open: OpenCount): void {
  rows.takeOpenCount(open);
  drawSoon();
}

export function applyRows(incidents: readonly Incident[]): void {
  const newAlertCount = rows.apply(incidents).filter(({ severity }) => severity === 'alert').length;
  if (newAlertCount > 0) announce(newAlertCount);
  drawSoon();
}

/** Applies the expected change of an action before the server confirms it. */
export function begin(no: number, change: Partial<Incident>): void {
  const row = rowOf(no);
  // The stream may report the change before the answer arrives.
  if (change.state === 'closed' && row !== undefined) lingering.set(no, row);
  doing.set(no, [...(doing.get(no) ?? []), change]);
  draw();
}

/** Ends the first pending action. `incident` is the current state, if known. */
export function end(no: number, incident: Incident | undefined, isMine: boolean): void {
  const [, ...remaining] = doing.get(no) ?? [];
  if (remaining.length === 0) doing.delete(no);
  else doing.set(no, remaining);
  if (incident?.state === 'closed' && isMine) linger(incident);
  else lingering.delete(no);
  if (incident !== undefined) settle(incident);
  draw();
}

/** Applies the state after an undone action, which may bring a closed incident back. */
export function restore(incident: Incident): void {
  lingering.delete(incident.no);
  settle(incident);
}

/** Makes the line of an incident visible by expanding its storm, and selects it. */
export function reveal(no: number): void {
  const storm = stormOf(lines.value, no);
  if (storm !== undefined && !openStorms.value.has(storm.id)) toggleStorm(storm.id);
  choose(String(no));
}

/** Applies the server's answer as the current state. */
export function settle(incident: Incident): void {
  rows.settle(incident);
  draw();
}

function linger(incident: Incident): void {
  lingering.set(incident.no, incident);
  setTimeout(() => {
    lingering.delete(incident.no);
    draw();
  }, LINGER_MS);
}

function withActions(incident: Incident): Incident {
  const changes = doing.get(incident.no);
  return changes === undefined ? incident : Object.assign({}, incident, ...changes);
}

function announce(count: number): void {
  if (unannounced === 0) {
    setTimeout(() => {
      announced.value = unannounced;
      unannounced = 0;
      setTimeout(() => {
        announced.value = 0;
      }, ANNOUNCED_MS);
    }, ANNOUNCE_MS);
  }
  unannounced += count;
}

function draw(): void {
  version.value += 1;
}

function drawSoon(): void {
  if (drawing) return;
  drawing = true;
  const now = (): void => {
    if (!drawing) return;
    drawing = false;
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    draw();
  };
  const timer = setTimeout(now, NO_FRAME_MS);
  const frame = requestAnimationFrame(now);
}
