/** Maps URLs to places: `/queue`, `/incidents/42`, `/cameras`… Back, forward and links work as usual. */
import { batch, computed, signal } from '@preact/signals';
import { type Action, may } from '../contract/roles.ts';
import type { Session } from '../contract/session.ts';

export const PLACES = [
  'queue',
  'closed',
  'cameras',
  'plan',
  'search',
  'tracks',
  'figures',
  'week',
  'hand-over',
  'audit',
] as const;
export type Place = (typeof PLACES)[number];

/** Required permission, and the letter that leads there after g. */
const PLACE: Readonly<Record<Place, { readonly action: Action; readonly letter: string }>> = {
  queue: { action: 'see-incidents', letter: 'q' },
  closed: { action: 'see-incidents', letter: 'l' },
  cameras: { action: 'see-cameras', letter: 'c' },
  plan: { action: 'see-cameras', letter: 'p' },
  search: { action: 'search', letter: 's' },
  tracks: { action: 'ask-tracks', letter: 't' },
  figures: { action: 'see-figures', letter: 'f' },
  week: { action: 'see-figures', letter: 'w' },
  'hand-over': { action: 'hand-over', letter: 'h' },
  audit: { action: 'see-audit', letter: 'a' },
};

export const path = signal(location.pathname);
/** Query of the URL with its question mark, or an empty text. */
export const search = signal(location.search);

/** Number of the open incident, which is shown beside the queue or the list of closed incidents. */
export const openNo = computed(() => {
  const [, no] = /^\/(?:incidents|closed)\/([1-9]\d{0,14})$/.exec(path.value) ?? [];
  return no === undefined ? undefined : Number(no);
});
export const place = computed<Place>(() => PLACES.find((one) => path.value.split('/')[1] === one) ?? 'queue');
/** URL of the list beside which an incident is open. */
export const listPath = computed(() => (place.value === 'closed' ? `/closed${search.value}` : '/queue'));

/** Key of the stored place, because a login that leaves the page returns to its root. */
const PLACE_KEY = 'kept-place';

export function keepPlace(): void {
  sessionStorage.setItem(PLACE_KEY, path.value + search.value);
}

export function startRouter(): void {
  const storedPath = sessionStorage.getItem(PLACE_KEY);
  sessionStorage.removeItem(PLACE_KEY);
  if (storedPath !== null && path.value === '/') go(storedPath, { replaces: true });
  addEventListener('popstate', follow);
}

/** Navigates within the console. With `replaces`, "back" skips the current place. */
export function go(to: string, { replaces = false } = {}): void {
  if (to === path.value + search.value) return;
  if (replaces) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  follow();
}

function follow(): void {
  batch(() => {
    path.value = location.pathname;
    search.value = location.search;
  });
}

export function letterOf(of: Place): string {
  return PLACE[of].letter;
}

/** Returns the places that a person may visit, in order. */
export function placesOf({ role, plan, signer }: Session): Place[] {
  return PLACES.filter(
    (one) =>
      (one !== 'plan' || plan) &&
      (signer || (one !== 'search' && one !== 'tracks')) &&
      may(role, PLACE[one].action),
  );
}
