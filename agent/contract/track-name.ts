/**
 * Short name of a track for people, in the room and on site: `#4371`. Track numbers start at random and are long; four
 * digits distinguish the tracks in view.
 */
export function trackName(track: number): string {
  return `#${String(track).slice(-4)}`;
}
