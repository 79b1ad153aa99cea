/** Merges the tracks and gaps of an answer into one timeline. */
import type { FoundTrack, TrackCoverage } from '../../../../../agent/contract/track-log.ts';

export type Gap = TrackCoverage['gaps'][number];
export type TimelineRow =
  | { readonly kind: 'gap'; readonly gap: Gap }
  | { readonly kind: 'track'; readonly track: FoundTrack };

/** Sorts by time. A gap precedes a track of the same moment. */
export function timelineOf<T extends FoundTrack>(
  tracks: readonly T[],
  gaps: readonly Gap[],
): ({ readonly kind: 'gap'; readonly gap: Gap } | { readonly kind: 'track'; readonly track: T })[] {
  const rows = [
    ...gaps.map((gap) => ({ kind: 'gap' as const, gap, at: gap.from })),
    ...tracks.map((track) => ({ kind: 'track' as const, track, at: track.at })),
  ];
  // The sort is stable, and times in one format sort as text.
  return rows.sort((a, b) => (a.at < b.at ? -1 : Number(a.at > b.at))).map(({ at: _at, ...row }) => row);
}
