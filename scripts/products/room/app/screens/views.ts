/**
 * Loads the screens beside the queue, each when it is opened first, with the style sheet of them all.
 *
 * INVARIANTS: a screen is drawn only with its styles.
 */
import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import type { Place } from '../router.ts';
import { loadViewStyles } from '../view-styles.ts';

type LazyPlace = Exclude<Place, 'queue'>;

const LOADERS: Readonly<Record<LazyPlace, () => Promise<ComponentType>>> = {
  audit: async () => (await import('./audit.tsx')).AuditScreen,
  closed: async () => (await import('./closed.tsx')).ClosedScreen,
  cameras: async () => (await import('./cameras.tsx')).CamerasScreen,
  figures: async () => (await import('./figures.tsx')).StatisticsScreen,
  'hand-over': async () => (await import('./hand-over.tsx')).HandOverScreen,
  plan: async () => (await import('./plan.tsx')).PlanScreen,
  search: async () => (await import('./search.tsx')).SearchScreen,
  tracks: async () => (await import('./tracks.tsx')).TracksScreen,
  week: async () => (await import('./week.tsx')).WeekScreen,
};

/** A loaded screen, or the reason why there is none. */
export type View = ComponentType | 'loading' | 'failed';

const views = signal<Readonly<Partial<Record<LazyPlace, View>>>>({});

export function viewOf(place: LazyPlace): View {
  return views.value[place] ?? 'loading';
}

/** Loads a screen unless it is loaded. Never rejects; the result is in viewOf. */
export async function loadView(place: LazyPlace): Promise<void> {
  if (typeof viewOf(place) === 'function') return;
  put(place, 'loading');
  try {
    const [view] = await Promise.all([LOADERS[place](), loadViewStyles()]);
    put(place, view);
  } catch {
    put(place, 'failed');
  }
}

/**
 * Loads a screen again. If that fails although the server answers, the server is newer than this page and no longer has
 * its files; the page is then loaded again.
 */
export async function retryView(place: LazyPlace): Promise<void> {
  await loadView(place);
  if (viewOf(place) !== 'failed') return;
  const isReached = await fetch('/', { method: 'HEAD', cache: 'no-store' }).then(
    ({ ok }) => ok,
    () => false,
  );
  if (isReached) location.reload();
}

function put(place: LazyPlace, view: View): void {
  views.value = { ...views.value, [place]: view };
}
