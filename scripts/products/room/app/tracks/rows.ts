/** Combines tracks and gaps into one list, by time. */
import type { Gap, PlayedTrack } from './replay.ts';

export type ListRow =
  | { readonly kind: 'track'; readonly track: PlayedTrack; readonly startMs: number }
  | { readonly kind: 'gap'; readonly gap: Gap; readonly startMs: number };

/**
 * Returns tracks with a requested colour first, in the order of the answer, then the others and the gaps by time. A gap
 * precedes a track of the same time.
 */
export function listRows(
  tracks: readonly PlayedTrack[],
  gaps: readonly Gap[],
  wantedColours: readonly string[] = [],
): ListRow[] {
  const rowOf = (track: PlayedTrack): ListRow => ({ kind: 'track', track, startMs: track.atMs });
  const rows: ListRow[] = [
    ...gaps.map((gap): ListRow => ({ kind: 'gap', gap, startMs: gap.fromMs })),
    ...tracks.filter((track) => !isWanted(track, wantedColours)).map(rowOf),
  ];
  return [
    ...tracks.filter((track) => isWanted(track, wantedColours)).map(rowOf),
    ...rows.sort((a, b) => a.startMs - b.startMs),
  ];
}

/** True if the track has a requested colour. */
export function isWanted({ record }: PlayedTrack, wantedColours: readonly string[]): boolean {
  return record.colours.some((name) => wantedColours.includes(name));
}

/** Counts the hits in each of `slotCount` equal parts of the time. */
export function slotCounts(
  tracks: readonly PlayedTrack[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  slotCount: number,
): number[] {
  const counts = Array.from({ length: slotCount }, () => 0);
  for (const { atMs } of tracks) {
    const slot = Math.floor(((atMs - fromMs) / (toMs - fromMs)) * slotCount);
    if (slot >= 0 && slot < slotCount) counts[slot] = (counts[slot] ?? 0) + 1;
  }
  return counts;
}

/** Returns the marks of an axis: whole minutes, hours or days, at most `countMax`. */
export function axisMarks(fromMs: number, toMs: number, countMax: number, offsetMs: number): number[] {
  const minute = 60_000;
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14_400].map(
    (n) => n * minute,
  );
  const step = steps.find((one) => (toMs - fromMs) / one <= countMax) ?? 31 * 1440 * minute;
  const first = Math.ceil((fromMs + offsetMs) / step) * step - offsetMs;
  const marks: number[] = [];
  for (let ms = first; ms <= toMs; ms += step) marks.push(ms);
  return marks;
}
