/** State of the replay: the current moment, whether it plays, and the selected track. */
import { computed, effect, signal } from '@preact/signals';
import { heatOf } from './heat.ts';
import { answer } from './question.ts';
import {
  AROUND_S,
  advanced,
  batchOf,
  type Gap,
  gapAt,
  gapsOf,
  type PlayedTrack,
  playedTracks,
  type ShownTrack,
  shownAt,
  stepFrom,
  TOGETHER_MAX,
  togetherAt,
} from './replay.ts';

export const SPEEDS = [1, 10, 60] as const;
type Speed = (typeof SPEEDS)[number];
/** Time by which the replay of a track starts before its hit, in ms. */
const LEAD_MS = 3000;

export const tracks = computed<readonly PlayedTrack[]>(() => playedTracks(answer.value?.tracks ?? []));
export const gaps = computed<readonly Gap[]>(() =>
  answer.value === undefined ? [] : gapsOf(answer.value.coverage),
);
export const span = computed(() => {
  const { from, to } = answer.value?.request.question ?? { from: '', to: '' };
  return { fromMs: Date.parse(from), toMs: Date.parse(to) };
});
export const heat = computed(() => heatOf(tracks.value));

export const nowMs = signal(0);
export const isPlaying = signal(false);
export const isTogether = signal(false);
export const withHeat = signal(false);
export const withPaths = signal(false);
/** Index in the list. */
export const chosenIndex = signal<number | undefined>(undefined);
/** Time relative to the hit when hits are shown together, in s. */
export const offsetS = signal(0);
const speeds = signal<{ readonly asItWas: Speed; readonly together: Speed }>({ asItWas: 10, together: 1 });

export const speed = computed(() => (isTogether.value ? speeds.value.together : speeds.value.asItWas));
export const batch = computed(() => batchOf(tracks.value, chosenIndex.value ?? 0));
export const gapOfNow = computed(() => (isTogether.value ? undefined : gapAt(gaps.value, nowMs.value)));
export const shownTracks = computed<readonly ShownTrack[]>(() => {
  if (gapOfNow.value !== undefined) return [];
  return isTogether.value ? togetherAt(batch.value, offsetS.value) : shownAt(tracks.value, nowMs.value);
});

/** View behind the replay: the one drawn on, else the camera's view at that time, else the newest. */
export const viewNow = computed(() => {
  const { views = [], request } = answer.value ?? {};
  const hit =
    isTogether.value && chosenIndex.value !== undefined ? tracks.value[chosenIndex.value] : undefined;
  const ms = hit?.atMs ?? nowMs.value;
  return (
    views.find(({ view }) => view === request?.question.view) ??
    views.find(({ view, to }) => Date.parse(view) <= ms && (to === null || ms < Date.parse(to))) ??
    views[0]
  );
});

export const stillness = matchMedia('(prefers-reduced-motion: reduce)');

/** A new answer starts with its first hit, and plays automatically unless reduced motion is preferred. */
effect(() => {
  const got = answer.value;
  if (got === undefined) return;
  isTogether.value = false;
  chosenIndex.value = undefined;
  const [first] = tracks.value;
  nowMs.value = first === undefined ? span.value.fromMs : Math.max(span.value.fromMs, first.fromMs);
  isPlaying.value = first !== undefined && !stillness.matches;
});

export function setSpeed(to: Speed): void {
  speeds.value = { ...speeds.peek(), [isTogether.value ? 'together' : 'asItWas']: to };
}

export function seek(ms: number): void {
  isTogether.value = false;
  nowMs.value = Math.min(span.value.toMs, Math.max(span.value.fromMs, ms));
}

/** Selects a track. A single replay seeks to shortly before its hit; a combined replay shows its batch. */
export function choose(index: number): void {
  chosenIndex.value = index;
  const track = tracks.value[index];
  if (track === undefined || isTogether.value) return;
  seek(Math.max(track.fromMs, track.atMs - LEAD_MS));
}

export function togglePlay(): void {
  if (tracks.value.length === 0 && gaps.value.length === 0) return;
  const isOver = isTogether.value ? offsetS.value >= AROUND_S : nowMs.value >= span.value.toMs;
  if (!isPlaying.value && isOver) {
    offsetS.value = -AROUND_S;
    nowMs.value = span.value.fromMs;
  }
  isPlaying.value = !isPlaying.value;
}

export function toggleTogether(): void {
  if (tracks.value.length === 0) return;
  isTogether.value = !isTogether.value;
  if (!isTogether.value) return;
  chosenIndex.value ??= 0;
  offsetS.value = stillness.matches ? 0 : -AROUND_S / 3;
}

export function step(way: 'next' | 'previous'): void {
  if (isTogether.value) {
    const first = batch.value[0]?.index ?? 0;
    const to = first + (way === 'next' ? TOGETHER_MAX : -TOGETHER_MAX);
    if (to >= 0 && to < tracks.value.length) chosenIndex.value = to;
    return;
  }
  // Steps from the selected hit, because its replay starts before it.
  const from =
    chosenIndex.value === undefined ? nowMs.value : (tracks.value[chosenIndex.value]?.atMs ?? nowMs.value);
  const isNear = Math.abs(from - nowMs.value) <= 2 * LEAD_MS;
  const next = stepFrom(tracks.value, isNear ? from : nowMs.value, way);
  if (next !== undefined) choose(next.index);
}

/** Advances the replay by `elapsedS` of real time. */
export function advance(elapsedS: number): void {
  if (isTogether.value) {
    const next = offsetS.value + elapsedS * speed.value;
    offsetS.value = Math.min(AROUND_S, next);
    if (next >= AROUND_S) isPlaying.value = false;
    return;
  }
  const { toMs } = span.value;
  nowMs.value = advanced(
    { tracks: tracks.value, gaps: gaps.value, toMs },
    nowMs.value,
    elapsedS,
    speed.value,
  );
  if (nowMs.value >= toMs) isPlaying.value = false;
}
