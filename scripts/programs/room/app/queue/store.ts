/**
 * What the queue shows: the held incidents, what a person has just done on top of them, the lines, and which is chosen.
 *
 * INVARIANTS: an act shows at once and is taken back when it is refused; the stream never overwrites an act under way.
 * Lines are made at most once for each frame of the screen.
 */
import { computed, signal } from '@preact/signals';
import type { Incident, Queue } from '../../contract/incident.ts';
import { nowMs, session, tick } from '../session.ts';
import { keyOf, type Line, linesOf } from './lines.ts';
import { Rows } from './rows.ts';

/** What one has closed oneself stays this long on the list, so that the eye sees that it was done. */
const LINGER_MS = 1500;
/** Where no frame comes within this, as in a tab that is not shown, it is drawn without one. */
const NO_FRAME_MS = 500;
/** New alerts are told to a screen reader together, no more often. */
const ANNOUNCE_MS = 5000;
/** The line is emptied after this, so that the same number is said again. */
const ANNOUNCED_MS = 2000;

const rows = new Rows();
/** What the acts under way will make of each incident, in their order. */
const doing = new Map<number, Partial<Incident>[]>();
/** Closed by this person just now. */
const lingering = new Map<number, Incident>();
const version = signal(0);
let drawing = false;

export const filter = signal('');
export const openStorms = signal<ReadonlySet<string>>(new Set());
export const chosenKey = signal<string | undefined>(undefined);
/** How many came since they were last told. */
export const announced = signal(0);
let unannounced = 0;
let chosenIndex = 0;

/** Texts by which an incident is found; set by the screen, which knows the language. */
export const haystack = signal<(incident: Incident) => string>(({ kind }) => kind);

/** With what the acts under way make of them. */
export const held = computed<readonly Incident[]>(() => {
  void version.value;
  const all = rows.held.map((incident) => withActs(incident));
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
  return linesOf(held.value, {
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

export const waiting = computed(() => held.value.filter(({ state }) => state === 'new').length);
/** Open ones that this browser does not hold. */
export const more = computed(() => {
  void version.value;
  return rows.more;
});
export const heldCount = computed(() => held.value.length);

function waits({ state, claimedBy }: Incident): boolean {
  return state === 'new' || (state === 'closed' && claimedBy === null);
}

/** The chosen line; where it has gone, the one that took its place. */
export const chosen = computed<Line | undefined>(() => {
  const all = lines.value;
  const index = all.findIndex((line) => keyOf(line) === chosenKey.value);
  const line = all[index];
  // After what one had in hand comes the most pressing; after what one judged in passing, the one below it.
  if (line !== undefined) chosenIndex = line.type === 'storm' || waits(line.incident) ? index : 0;
  return all[index >= 0 ? index : Math.min(chosenIndex, all.length - 1)];
});

export function choose(key: string | undefined): void {
  chosenKey.value = key;
}

/** Down by `step`, up where it is negative. Returns the line that is chosen now. */
export function chooseBy(step: number): Line | undefined {
  const all = lines.value;
  const now = chosen.value;
  const at = now === undefined ? -1 : all.indexOf(now);
  // What was chosen has gone: the one in its place is the next.
  const gone = now !== undefined && keyOf(now) !== chosenKey.value;
  const to = all[Math.max(0, Math.min(all.length - 1, gone && step > 0 ? at : at + step))];
  if (to !== undefined) chosenKey.value = keyOf(to);
  return to;
}

export function toggleStorm(id: string): void {
  const open = new Set(openStorms.value);
  if (!open.delete(id)) open.add(id);
  openStorms.value = open;
}

/** As it is shown, with what this person is doing to it; undefined where it is not held. */
export function rowOf(no: number): Incident | undefined {
  void version.value;
  const row = rows.of(no) ?? lingering.get(no);
  return row === undefined ? undefined : withActs(row);
}

export function revOf(): number {
  return rows.rev;
}

/** Many were closed, and the server has more. */
export function isShort(): boolean {
  return rows.isShort;
}

export function resetRows(queue: Queue): void {
  rows.reset(queue);
  draw();
}

export function applyRows(incidents: readonly Incident[]): void {
  const fresh = rows.apply(incidents).filter(({ severity }) => severity === 'alert').length;
  if (fresh > 0) announce(fresh);
  drawSoon();
}

/** What an act will make of it, before the server has said so. */
export function begin(no: number, change: Partial<Incident>): void {
  const row = rowOf(no);
  // The stream may say so before the answer does.
  if (change.state === 'closed' && row !== undefined) lingering.set(no, row);
  doing.set(no, [...(doing.get(no) ?? []), change]);
  draw();
}

/** The first of the acts under way is over: `incident` is what is true now, where that is known. */
export function end(no: number, incident: Incident | undefined, isMine: boolean): void {
  const [, ...left] = doing.get(no) ?? [];
  if (left.length === 0) doing.delete(no);
  else doing.set(no, left);
  if (incident?.state === 'closed' && isMine) linger(incident);
  else lingering.delete(no);
  if (incident !== undefined) settle(incident);
  draw();
}

/** What the server has answered is true now. */
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

function withActs(incident: Incident): Incident {
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
