/**
 * The draft on this phone: what is drawn and chosen, and not yet in force.
 *
 * INVARIANTS: it follows what is installed until it is changed; a trial that goes back leaves it as it is. What is kept
 * in the browser's session, so that a phone that drops the page loses no drawing, holds shapes and rules only: a
 * camera's address may have a password in it, and lives in memory alone.
 * LIMITS: 100 steps back.
 */
import { computed, effect, signal } from '@preact/signals';
import { shownSource } from '../../contract/camera-address.ts';
import type { CameraStreams } from '../../contract/page-api.ts';
import type { Proposable, Proposal } from '../../contract/proposal.ts';
import { committed, type Drawing, type History, redone, type ShapeName, undone } from './drawing.ts';
import { problemsOf } from './problems.ts';
import type { RuleFields } from './rule-fields.ts';
import { config, order, trial } from './store.ts';

/** Of every kind of rule, put in by the build. */
declare const RULE_FIELDS: RuleFields;
export const ruleFields = RULE_FIELDS;

const KEY = 'draft';
const EMPTY: Drawing = { groundPlane: null, zones: [], lines: [], masks: [], rules: [] };

interface Saved {
  readonly drawing: Drawing;
  /** SHA-256 of the configuration that it was begun from. */
  readonly base: string | null;
}

export const history = signal<History>({ past: [], now: EMPTY, future: [] });
export const source = signal<string | undefined>(undefined);
/** Second stream that the chosen camera offers, and whether it is to be used. */
export interface SecondStream {
  readonly address: string;
  readonly isTaken: boolean;
}
export const secondStream = signal<SecondStream | undefined>(undefined);
export const selected = signal<ShapeName | undefined>(undefined);
const base = signal<string | null | undefined>(undefined);

/** While a finger is on it: not a step yet. */
export const dragged = signal<Drawing | undefined>(undefined);
export const drawing = computed(() => dragged.value ?? history.value.now);
export const installed = computed((): Drawing | null => {
  const proposable = config.value?.installed ?? null;
  return proposable === null ? null : drawingOf(proposable);
});

type Part = 'camera' | keyof Drawing;
/** What the draft changes. */
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
    { order: order.value, installed: installed.value, fields: ruleFields },
  ),
);

/** Somebody else has changed the configuration meanwhile. */
export const stale = computed(
  () =>
    trial.value === null &&
    changes.value.length > 0 &&
    typeof base.value === 'string' &&
    (config.value?.sha256 ?? base.value) !== base.value,
);

/** Off unless this second stream is the installed one; a camera that offers none leaves it to the box. */
export function chooseCamera(chosen: CameraStreams | undefined): void {
  const address = chosen?.substream;
  const isInstalled =
    address !== undefined && config.value?.installed?.substreamAddress === shownSource(address);
  source.value = chosen?.source;
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

/** Back to what is installed. */
export function discard(): void {
  chooseCamera(undefined);
  if (installed.value !== null) history.value = committed(history.value, installed.value);
  base.value = config.value?.sha256;
}

/** What was kept is installed: the camera with it. */
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

/** After a while in which the phone was away the draft is where it was; else it is what is installed. */
export function startDraft(): void {
  const saved = read();
  if (saved !== undefined) {
    history.value = { past: [], now: saved.drawing, future: [] };
    base.value = saved.base;
  }
  let followed: Drawing | undefined;
  let wasOnTrial = false;
  effect(() => {
    const now = installed.value;
    if (now === null) return;
    const onTrial = trial.peek() !== null;
    const draft = history.peek().now;
    // What is on trial is this phone's own, or another's: the draft waits for how it ends.
    const clean = !onTrial && !wasOnTrial && followed !== undefined && same(draft, followed);
    followed = now;
    wasOnTrial = onTrial;
    if (base.peek() !== undefined && !clean) return;
    if (!same(draft, now)) history.value = { past: [], now, future: [] };
    base.value = config.peek()?.sha256 ?? null;
  });
  effect(() => {
    // What is on trial may go back, and is a draft again then.
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

/** Plain data of the same makers: their order of keys may differ by who wrote them. */
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
