/** Shows the room's time with its zone, and once that no clock of a demonstration is synchronised. */
import { computed } from '@preact/signals';
import { loadedIncidents } from '../queue/store.ts';
import { session, tick } from '../session.ts';
import { siteTimeText, words } from '../words/words.ts';

/**
 * True if the clock of every open incident of a demonstration is in doubt. Box and room then run on one machine without
 * network time. The head states it once, instead of each incident.
 */
export const isDemoClockInDoubt = computed(
  () =>
    session.value?.demo === true &&
    loadedIncidents.value.length > 0 &&
    loadedIncidents.value.every(({ clockDoubt }) => clockDoubt),
);

export function RoomClock() {
  return (
    <p class="room-clock">
      <span class="unseen">{words.value.frame.roomTime} </span>
      {siteTimeText(new Date(tick.value).toISOString(), null)}
    </p>
  );
}

export function DemoClock() {
  return isDemoClockInDoubt.value ? <p class="demo-clock">{words.value.frame.demoClock}</p> : null;
}
