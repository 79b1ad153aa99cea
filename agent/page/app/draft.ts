/**
 * Draft on this phone: shapes and settings that are not applied yet.
 *
 * INVARIANTS:
 * - It follows the installed configuration until it is changed. A trial that rolls back leaves it unchanged.
 * - The browser's session stores shapes and rules only, so that a phone that drops the page loses no drawing. A
 *   camera's address may contain a password, and stays in memory.
 * LIMITS: 100 undo steps.
 */
import { computed, effect, signal } from '@preact/signals';
import { shownSource } from '../../contract/camera-address.ts';
import type { CameraStreams } from '../../contract/page-api.ts';
import type { Proposable, Proposal } from '../../contract/proposal.ts';
import { committed, type Drawing, type History, redone, type ShapeName, undone } from './drawing.ts';
import { problemsOf } from './problems.ts';
import type { RuleFields } from './rule-fields.ts';
import { authorisation, config, trial } from './store.ts';

/** Fields of every kind of rule, inserted by the build. */
declare const RULE_FIELDS: RuleFields;
export const ruleFields = RULE_FIELDS;

const KEY = 'draft';
const EMPTY: Drawing = { groundPlane: null, zones: [], lines: [], masks: [], rules: [] };

interface Saved {
  readonly drawing: Drawing;
  /** SHA-256 of the configuration from which it was started. */
  readonly base: string | null;
}

export const history = signal<History>({ past: [], now: EMPTY, future: [] });
export const source = signal<string | undefined>(undefined);
/** Second stream that the chosen camera offers, and whether it is used. */
export interface SecondStream {
  readonly address: string;
  readonly isTaken: boolean;
}
export const secondStream = signal<SecondStream | undefined>(undefined);
export const selected = signal<ShapeName | undefined>(undefined);
const base = signal<string | null | undefined>(undefined);

/** Drawing while a finger moves it; not an undo step yet. */
export const dragged = signal<Drawing | undefined>(undefined);
export const drawing = computed(() => dragged.value ?? history.value.now);
export const installed = computed((): Drawing | null => {
  const proposable = config.value?.installed ?? null;
  return proposable === null ? null : drawingOf(proposable);
});

type Part = 'camera' | keyof Drawing;
/** Parts that the draft changes. */
export const changes = computed((): Part[] => {
  const before = installed.value;
  const parts = Object.keys(EMPTY) as (keyof Drawing)[];
  return [
    ...(source.value === undefined ? [] : (['camera'] as const)),
    ...(before === null ? [] : parts.filter((part) => !same(drawing.value[part], before[part]))),
  ];
});

export const problems = computed(() =>
  problemsOf(
    { drawing: drawing.value, source: source.value },
    { authorisation: authorisation.value, installed: installed.value, fields: ruleFields },
  ),
);

/** True if someone else has changed the configuration in the meantime. */
export const stale = computed(
  () =>
    trial.value === null &&
    changes.value.length > 0 &&
    typeof base.value === 'string' &&
    (config.value?.sha256 ?? base.value) !== base.value,
);

/**
 * Chooses a camera. A second stream is off unless it is the installed one; a camera without one leaves the choice to
 * the box.
 */
export function chooseCamera(streams: CameraStreams | undefined): void {
  const address = streams?.substream;
  const isInstalled =
    address !== undefined && config.value?.installed?.substreamAddress === shownSource(address);
  source.value = streams?.source;
  secondStream.value = address === undefined ? undefined : { address, isTaken: isInstalled };
}

export function change(next: Drawing): void {
  if (next !== history.value.now) history.value = committed(history.value, next);
}

export function undo(): void {
  history.value = undone(history.value);
}

export function redo(): void {
  history.value = redone(history.value);
}

/** Resets the draft to the installed configuration. */
export function discard(): void {
  chooseCamera(undefined);
  if (installed.value !== null) history.value = committed(history.value, installed.value);
  base.value = config.value?.sha256;
}

/** Marks the draft, with its camera, as installed. */
export function keptDraft(): void {
  chooseCamera(undefined);
  base.value = config.value?.sha256;
}

export function proposal(): Proposal {
  const second = secondStream.value;
  return {
    ...drawing.value,
    ...(source.value !== undefined && { source: source.value }),
    ...(second !== undefined && { substream: second.isTaken ? second.address : null }),
  };
}

/** Restores the draft after the phone dropped the page; otherwise starts with the installed configuration. */
export function startDraft(): void {
  const saved = read();
  if (saved !== undefined) {
    history.value = { past: [], now: saved.drawing, future: [] };
    base.value = saved.base;
  }
  let followedDrawing: Drawing | undefined;
  let wasOnTrial = false;
  effect(() => {
    const now = installed.value;
    if (now === null) return;
    const onTrial = trial.peek() !== null;
    const draft = history.peek().now;
    // A trial may be this phone's or another's: the draft waits for its end.
    const clean = !onTrial && !wasOnTrial && followedDrawing !== undefined && same(draft, followedDrawing);
    followedDrawing = now;
    wasOnTrial = onTrial;
    if (base.peek() !== undefined && !clean) return;
    if (!same(draft, now)) history.value = { past: [], now, future: [] };
    base.value = config.peek()?.sha256 ?? null;
  });
  effect(() => {
    // A trial may roll back, and is then a draft again.
    const dirty = trial.value !== null || changes.value.some((part) => part !== 'camera');
    if (base.value === undefined) return;
    if (dirty) sessionStorage.setItem(KEY, JSON.stringify({ drawing: drawing.value, base: base.value }));
    else sessionStorage.removeItem(KEY);
  });
}

function read(): Saved | undefined {
  const text = sessionStorage.getItem(KEY);
  return text === null ? undefined : (JSON.parse(text) as Saved);
}

function drawingOf({ groundPlane, zones, lines, masks, rules }: Proposable): Drawing {
  return { groundPlane, zones, lines, masks, rules };
}

/** Compares plain data, in which the order of keys may differ by writer. */
function same(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
