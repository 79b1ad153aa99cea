/** Creates and merges gap records. */
import type { GapReason, GapRecord, Lane, Rank } from '../contract/outbox.ts';

export function gapOf(
  lane: Lane,
  seq: number,
  rank: Rank,
  reason: GapReason,
  acceptedWallMs: number,
): GapRecord {
  const time = new Date(acceptedWallMs).toISOString();
  return { lane, from: seq, to: seq, reasons: [reason], dropped: { [rank]: 1 }, since: time, until: time };
}

/** Returns a gap record for the numbers `from` to `to` of a lane, whose store cannot be read any more. */
export function lostStoreGap(lane: Lane, from: number, to: number, wallMs: number): GapRecord {
  const time = new Date(wallMs).toISOString();
  return { lane, from, to, reasons: ['store-lost'], dropped: {}, since: time, until: time };
}

/** Returns the union of two adjacent records. */
export function mergeGaps(a: GapRecord, b: GapRecord): GapRecord {
  const droppedCounts: GapRecord['dropped'] = { ...a.dropped };
  for (const [rank, count] of Object.entries(b.dropped) as [Rank, number][]) {
    droppedCounts[rank] = (droppedCounts[rank] ?? 0) + count;
  }
  return {
    lane: a.lane,
    from: Math.min(a.from, b.from),
    to: Math.max(a.to, b.to),
    reasons: [...new Set([...a.reasons, ...b.reasons])],
    dropped: droppedCounts,
    since: [a.since, b.since].sort()[0] ?? a.since,
    until: [a.until, b.until].sort()[1] ?? a.until,
  };
}
