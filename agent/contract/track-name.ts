/**
 * How a track is named to a person, in the room and at the pole: `#4371`. Track numbers start at random and are long; four
 * digits tell those in view apart.
 */
export function trackName(track: number): string {
  return `#${String(track).slice(-4)}`;
}
