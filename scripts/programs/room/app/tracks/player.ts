/** What the replay shows: the moment, whether it runs, and which track is chosen. */
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
  type Shown,
  shownAt,
  stepFrom,
  TOGETHER_MAX,
  togetherAt,
} from './replay.ts';

export const SPEEDS = [1, 10, 60] as const;
type Speed = (typeof SPEEDS)[number];
/** So long before what was asked about a replay of one track begins, ms. */
const LEAD_MS = 3000;

export const tracks = computed<readonly PlayedTrack[]>(() => playedTracks(answer.value?.tracks ?? []));
export const gaps = computed<readonly Gap[]>(() =>
  answer.value === undefined ? [] : gapsOf(answer.value.coverage),
);
export const span = computed(() => {
  const { from, to } = answer.value?.asked.question ?? { from: '', to: '' };
  return { fromMs: Date.parse(from), toMs: Date.parse(to) };
});
export const heat = computed(() => heatOf(tracks.value));

export const nowMs = signal(0);
export const isPlaying = signal(false);
export const isTogether = signal(false);
export const withHeat = signal(false);
export const withPaths = signal(false);
/** Of the list. */
export const chosen = signal<number | undefined>(undefined);
/** Since what was asked about, where hits are shown together, s. */
export const offsetS = signal(0);
const speeds = signal<{ readonly asItWas: Speed; readonly together: Speed }>({ asItWas: 10, together: 1 });

export const speed = computed(() => (isTogether.value ? speeds.value.together : speeds.value.asItWas));
export const batch = computed(() => batchOf(tracks.value, chosen.value ?? 0));
export const gapOfNow = computed(() => (isTogether.value ? undefined : gapAt(gaps.value, nowMs.value)));
export const shown = computed<readonly Shown[]>(() => {
  if (gapOfNow.value !== undefined) return [];
  return isTogether.value ? togetherAt(batch.value, offsetS.value) : shownAt(tracks.value, nowMs.value);
});

/** The one that was drawn on; else the one that the camera had then, and the newest where it had none. */
export const viewNow = computed(() => {
  const { views = [], asked } = answer.value ?? {};
  const hit = isTogether.value && chosen.value !== undefined ? tracks.value[chosen.value] : undefined;
  const ms = hit?.atMs ?? nowMs.value;
  return (
    views.find(({ view }) => view === asked?.question.view) ??
    views.find(({ view, to }) => Date.parse(view) <= ms && (to === null || ms < Date.parse(to))) ??
    views[0]
  );
});

export const stillness = matchMedia('(prefers-reduced-motion: reduce)');

/** A new answer begins with its first hit; it runs by itself for whoever has nothing against that. */
effect(() => {
  const got = answer.value;
  if (got === undefined) return;
  isTogether.value = false;
  chosen.value = undefined;
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

/** To shortly before what it did; in a replay of several together, to those beside it. */
export function choose(index: number): void {
  chosen.value = index;
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
  chosen.value ??= 0;
  offsetS.value = stillness.matches ? 0 : -AROUND_S / 3;
}

export function step(way: 'next' | 'previous'): void {
  if (isTogether.value) {
    const first = batch.value[0]?.index ?? 0;
    const to = first + (way === 'next' ? TOGETHER_MAX : -TOGETHER_MAX);
    if (to >= 0 && to < tracks.value.length) chosen.value = to;
    return;
  }
  // From the chosen one on: the replay is shown from before its hit.
  const from = chosen.value === undefined ? nowMs.value : (tracks.value[chosen.value]?.atMs ?? nowMs.value);
  const isNear = Math.abs(from - nowMs.value) <= 2 * LEAD_MS;
  const next = stepFrom(tracks.value, isNear ? from : nowMs.value, way);
  if (next !== undefined) choose(next.index);
}

/** `elapsedS` later, by the clock of whoever looks. */
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
