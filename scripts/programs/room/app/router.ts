/** Where the person is: `/queue`, `/incidents/42`, `/cameras`… so that back, forward and a link work as everywhere. */
import { computed, signal } from '@preact/signals';
import { type Act, may } from '../contract/roles.ts';
import type { Session } from '../contract/session.ts';

export const PLACES = [
  'queue',
  'cameras',
  'plan',
  'search',
  'tracks',
  'figures',
  'hand-over',
  'audit',
] as const;
export type Place = (typeof PLACES)[number];

/** What a role must be allowed to, and the letter that leads there after g. */
const PLACE: Readonly<Record<Place, { readonly act: Act; readonly letter: string }>> = {
  queue: { act: 'see-incidents', letter: 'q' },
  cameras: { act: 'see-cameras', letter: 'c' },
  plan: { act: 'see-cameras', letter: 'p' },
  search: { act: 'search', letter: 's' },
  tracks: { act: 'ask-tracks', letter: 't' },
  figures: { act: 'see-figures', letter: 'f' },
  'hand-over': { act: 'hand-over', letter: 'h' },
  audit: { act: 'see-audit', letter: 'a' },
};

export const path = signal(location.pathname);

/** Of the incident that is open; it lies beside the queue. */
export const openNo = computed(() => {
  const [, no] = /^\/incidents\/([1-9]\d{0,14})$/.exec(path.value) ?? [];
  return no === undefined ? undefined : Number(no);
});
export const place = computed<Place>(() => PLACES.find((one) => path.value === `/${one}`) ?? 'queue');

/** A login that leaves the page comes back to its root. */
const KEPT = 'kept-place';

export function keepPlace(): void {
  sessionStorage.setItem(KEPT, path.value);
}

export function startRouter(): void {
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  if (kept !== null && path.value === '/') go(kept, { replaces: true });
  addEventListener('popstate', () => {
    path.value = location.pathname;
  });
}

/** Within the console. `replaces`: "back" does not lead to what was there. */
export function go(to: string, { replaces = false } = {}): void {
  if (to === path.value) return;
  if (replaces) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  path.value = location.pathname;
}

export function letterOf(of: Place): string {
  return PLACE[of].letter;
}

/** Those that a person may go to, in their order. */
export function placesOf({ role, plan, signer }: Session): Place[] {
  return PLACES.filter(
    (one) =>
      (one !== 'plan' || plan) &&
      (signer || (one !== 'search' && one !== 'tracks')) &&
      may(role, PLACE[one].act),
  );
}
