/** All cameras, as these screens draw them. */
import { computed, signal } from '@preact/signals';
import type { Camera, Cameras } from '../../contract/camera.ts';
import { CONDITIONS, type Condition } from '../../contract/terms.ts';
import { explain } from '../acts.ts';
import { get } from '../api.ts';
import { cameras as streamed } from '../stream.ts';

/** 1,500 boxes report 50 times a second in all; a person reads far slower. ms */
const DRAW_EVERY_MS = 500;
/** Ages and blind times grow without a change; and a stream that was cut has missed some. ms */
const AGAIN_MS = 60_000;

export const fleet = signal<ReadonlyMap<string, Camera> | undefined>(undefined);
/** Cameras that there are beyond these. */
export const beyond = signal(0);
/** Boxes that are not enrolled, and have sent something in the last day. */
export const strangers = signal(0);
export const fleetFault = signal<string | undefined>(undefined);
/** What was chosen last: `site/box`. */
export const chosen = signal<string | undefined>(undefined);

export const keyOf = (camera: { readonly site: string; readonly box: string }) =>
  `${camera.site}/${camera.box}`;
const RANKS = new Map<Condition, number>(CONDITIONS.map((condition, rank) => [condition, rank]));
/** 0 is the worst. */
export const rankOf = (condition: Condition) => RANKS.get(condition) ?? CONDITIONS.length;

/** Worst first; of two alike by name. */
function worse(a: Camera, b: Camera): number {
  return rankOf(a.condition) - rankOf(b.condition) || (keyOf(a) < keyOf(b) ? -1 : 1);
}

export const inOrder = computed(() => [...(fleet.value?.values() ?? [])].sort(worse));

let asked = 0;
/** Of the stream, as it was applied last. */
let seen: ReadonlyMap<string, Camera | undefined> = new Map();

/** What fails is told by `fleetFault`, and what was there stays. */
export async function loadFleet(): Promise<void> {
  asked += 1;
  const mine = asked;
  try {
    const before = streamed.peek();
    const answer = await get<Cameras>('/api/cameras');
    if (mine !== asked) return;
    const next = new Map(answer.cameras.map((camera) => [keyOf(camera), camera]));
    // What the stream brought while the answer was on its way is newer than it.
    seen = streamed.peek();
    put(
      next,
      [...seen].filter(([key, camera]) => !before.has(key) || before.get(key) !== camera),
    );
    fleet.value = next;
    beyond.value = answer.more;
    strangers.value = answer.strangers;
    fleetFault.value = undefined;
  } catch (error) {
    if (mine === asked) fleetFault.value = explain(error);
  }
}

function takeStreamed(): void {
  const now = streamed.peek();
  const before = fleet.peek();
  const news = [...now].filter(([key, camera]) => !seen.has(key) || seen.get(key) !== camera);
  if (before === undefined || news.length === 0) return;
  seen = now;
  const next = new Map(before);
  put(next, news);
  fleet.value = next;
}

/** One that is undefined has left the list. */
function put(fleet: Map<string, Camera>, news: readonly (readonly [string, Camera | undefined])[]): void {
  for (const [key, camera] of news) {
    if (camera === undefined) fleet.delete(key);
    else fleet.set(key, camera);
  }
}

/** Keeps the fleet current while a screen shows it; returns what ends that. */
export function watchFleet(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  void loadFleet();
  const again = setInterval(() => void loadFleet(), AGAIN_MS);
  const stop = streamed.subscribe(() => {
    timer ??= setTimeout(() => {
      timer = undefined;
      takeStreamed();
    }, DRAW_EVERY_MS);
  });
  return () => {
    stop();
    clearInterval(again);
    clearTimeout(timer);
  };
}
