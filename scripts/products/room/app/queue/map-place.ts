/** Place of the map on the queue screen, and the city's map itself. */
import { computed, effect, signal } from '@preact/signals';
import { ApiProblem, get } from '../api.ts';
import { openNo } from '../router.ts';
import { session } from '../session.ts';
import { loadViewStyles } from '../view-styles.ts';
import { type CityMap, cityMap } from '../views/geo.ts';

/** Narrower screens have room for the list only; there the map is a screen of its own. */
const WIDE = matchMedia('(min-width: 1280px)');
const HIDDEN = 'queue-map-hidden';

const isWide = signal(WIDE.matches);
/** A person's choice is remembered in this browser. */
const isHidden = signal(localStorage.getItem(HIDDEN) !== null);
/** The map is shown instead of the open incident's picture. A picture comes first with each visit. */
const replacesPicture = signal(false);
/** Undefined until it is loaded, and if it cannot be drawn: the screen Plan says why. */
export const queueMap = signal<CityMap | undefined>(undefined);

WIDE.addEventListener('change', () => {
  isWide.value = WIDE.matches;
});
effect(() => {
  if (openNo.value === undefined) replacesPicture.value = false;
});

/** True if the screen has room for a map, and the room has one. */
export const canShowMap = computed(() => isWide.value && session.value?.plan === true);
export const isMapShown = computed(
  () =>
    canShowMap.value &&
    queueMap.value !== undefined &&
    (openNo.value === undefined ? !isHidden.value : replacesPicture.value),
);

/** Shows or hides the map. With an open incident, switches between its picture and the map. */
export function toggleMap(): void {
  if (openNo.value !== undefined) {
    replacesPicture.value = !replacesPicture.value;
    return;
  }
  isHidden.value = !isHidden.value;
  if (isHidden.value) localStorage.setItem(HIDDEN, '1');
  else localStorage.removeItem(HIDDEN);
}

/** Loads the map and its styles, once. After a failure, the next call tries again. */
export async function loadQueueMap(): Promise<void> {
  if (queueMap.value !== undefined) return;
  const styles = loadViewStyles().then(
    () => true,
    () => false,
  );
  try {
    const map = cityMap(await get<unknown>('/api/plan'));
    if ((await styles) && typeof map !== 'string') queueMap.value = map;
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
  }
}
