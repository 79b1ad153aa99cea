/** Holds all cameras for the views, and keeps them current. */
import { computed, signal } from '@preact/signals';
import type { Camera, Cameras } from '../../contract/camera.ts';
import { CONDITIONS, type Condition } from '../../contract/terms.ts';
import { explain } from '../acts.ts';
import { get } from '../api.ts';
import { cameras as streamed } from '../stream.ts';

/**
 * Minimum time between updates in ms: 1,500 boxes report 50 times a second in total, and a person reads far more
 * slowly.
 */
const DRAW_EVERY_MS = 500;
/**
 * Reload interval in ms: ages and blind times grow without a change, and an interrupted stream may have missed changes.
 */
const AGAIN_MS = 60_000;

export const fleet = signal<ReadonlyMap<string, Camera> | undefined>(undefined);
/** Number of cameras that are not listed. */
export const unlistedCount = signal(0);
/** Number of boxes that are not enrolled but sent messages in the last day. */
export const unknownSenderCount = signal(0);
export const fleetProblem = signal<string | undefined>(undefined);
/** Last selected camera: `site/box`. */
export const selectedKey = signal<string | undefined>(undefined);

export const keyOf = (camera: { readonly site: string; readonly box: string }) =>
  `${camera.site}/${camera.box}`;
const RANKS = new Map<Condition, number>(CONDITIONS.map((condition, rank) => [condition, rank]));
/** Returns the rank of a condition; 0 is the worst. */
export const rankOf = (condition: Condition) => RANKS.get(condition) ?? CONDITIONS.length;

/** Sorts the worst first, then by name. */
function worse(a: Camera, b: Camera): number {
  return rankOf(a.condition) - rankOf(b.condition) || (keyOf(a) < keyOf(b) ? -1 : 1);
}

export const inOrder = computed(() => [...(fleet.value?.values() ?? [])].sort(worse));

let loadCount = 0;
/** Changes of the stream as last applied. */
let appliedChanges: ReadonlyMap<string, Camera | undefined> = new Map();

/** Loads all cameras. A failure is shown in `fleetProblem`, and the old data stays. */
export async function loadFleet(): Promise<void> {
  loadCount += 1;
  const ownCount = loadCount;
  try {
    const before = streamed.peek();
    const answer = await get<Cameras>('/api/cameras');
    if (ownCount !== loadCount) return;
    const next = new Map(answer.cameras.map((camera) => [keyOf(camera), camera]));
    // Changes that the stream brought during the request are newer than the answer.
    appliedChanges = streamed.peek();
    put(
      next,
      [...appliedChanges].filter(([key, camera]) => !before.has(key) || before.get(key) !== camera),
    );
    fleet.value = next;
    unlistedCount.value = answer.more;
    unknownSenderCount.value = answer.strangers;
    fleetProblem.value = undefined;
  } catch (error) {
    if (ownCount === loadCount) fleetProblem.value = explain(error);
  }
}

function takeStreamed(): void {
  const now = streamed.peek();
  const before = fleet.peek();
  const news = [...now].filter(
    ([key, camera]) => !appliedChanges.has(key) || appliedChanges.get(key) !== camera,
  );
  if (before === undefined || news.length === 0) return;
  appliedChanges = now;
  const next = new Map(before);
  put(next, news);
  fleet.value = next;
}

/** Applies changes; an undefined camera has left the list. */
function put(fleet: Map<string, Camera>, news: readonly (readonly [string, Camera | undefined])[]): void {
  for (const [key, camera] of news) {
    if (camera === undefined) fleet.delete(key);
    else fleet.set(key, camera);
  }
}

/** Keeps the fleet current while a screen shows it. The returned function ends that. */
export function watchFleet(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  void loadFleet();
  const refreshTimer = setInterval(() => void loadFleet(), AGAIN_MS);
  const stop = streamed.subscribe(() => {
    timer ??= setTimeout(() => {
      timer = undefined;
      takeStreamed();
    }, DRAW_EVERY_MS);
  });
  return () => {
    stop();
    clearInterval(refreshTimer);
    clearTimeout(timer);
  };
}
