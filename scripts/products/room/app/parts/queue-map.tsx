/** Map beside the queue: open incidents at their cameras. The selected line marks its camera, and a camera its line. */
import { computed } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { useKeys } from '../keys.ts';
import { keyOf as keyOfLine, type Line } from '../queue/lines.ts';
import { canShowMap, isMapShown, loadQueueMap, queueMap, toggleMap } from '../queue/map-place.ts';
import { choose, chosenLine, lines } from '../queue/store.ts';
import { go, openNo } from '../router.ts';
import { link } from '../stream.ts';
import { keyOf, watchFleet } from '../views/fleet.ts';
import type { CityMap } from '../views/geo.ts';
import { MapView, near } from '../views/map.tsx';
import { openAt } from '../views/open-alerts.ts';
import { PointedCamera } from '../views/pointed-camera.tsx';
import { alarmWords } from '../words/alarm.ts';

/** Cameras of the selected line; those of all its members for a storm. */
const chosenCameras = computed<ReadonlySet<string>>(() => new Set(camerasOf(chosenLine.value)));

function camerasOf(line: Line | undefined): readonly string[] {
  if (line === undefined) return [];
  return line.type === 'storm' ? line.storm.members.map(keyOf) : [keyOf(line.incident)];
}

export function QueueMap() {
  useKeys(canShowMap.value ? { m: toggleMap } : {});
  const isLive = link.value === 'live';
  useEffect(() => {
    if (canShowMap.value) void loadQueueMap();
  }, [canShowMap.value, isLive]);
  const map = queueMap.value;
  return canShowMap.value && map !== undefined ? <Pane map={map} /> : null;
}

export function MapButton() {
  if (!canShowMap.value || queueMap.value === undefined) return null;
  return (
    <button type="button" class="small" id="map" aria-pressed={isMapShown.value} onClick={toggleMap}>
      {alarmWords.value.map}{' '}
      <span class="kbd" aria-hidden="true">
        m
      </span>
    </button>
  );
}

/** Stays in the page while hidden, so that each opened incident does not load all cameras again. */
function Pane({ map }: { readonly map: CityMap }) {
  useEffect(watchFleet, []);
  const { mapOf, hint, unplaced } = alarmWords.value;
  const chosenKeys = chosenCameras.value;
  const count = unplacedCount(map);
  useEffect(() => {
    const [first] = chosenKeys;
    if (first !== undefined) near(first);
  }, [chosenKeys]);
  return (
    <section class="desk queue-map" aria-label={mapOf} hidden={!isMapShown.value}>
      <MapView map={map} open={openAt.value} chosenKeys={chosenKeys} onPick={pick} />
      <p class="d-map-line" role="status">
        <PointedCamera idle={count === 0 ? hint : unplaced(count)} />
      </p>
    </section>
  );
}

/** Selects the line of a camera, and shows its incident if one is open. */
function pick(key: string): void {
  const target =
    lines.value.find((line) => line.type === 'incident' && keyOf(line.incident) === key) ??
    lines.value.find((line) => camerasOf(line).includes(key));
  if (target === undefined) return;
  choose(keyOfLine(target));
  if (openNo.value !== undefined && target.type === 'incident')
    go(`/incidents/${target.incident.no}`, { replaces: true });
}

/** Number of open alerts whose camera is not on the map; the list has them. */
function unplacedCount(map: CityMap): number {
  const placed = new Set(map.cameras.map(({ key }) => key));
  let count = 0;
  for (const [key, { alertCount }] of openAt.value) if (!placed.has(key)) count += alertCount;
  return count;
}
