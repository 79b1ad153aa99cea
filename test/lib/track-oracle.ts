/**
 * Stores vision's observations in a log of tracks, asks it, and compares its paths with the observed places.
 */
import { join } from 'node:path';
import type { Observation } from '../../agent/contract/observation.ts';
import type { FoundTrack, TrackLogGrant, TrackPlace } from '../../agent/contract/track-log.ts';
import { openTrackDatabase } from '../../agent/tracks/database.ts';
import { decodePath, type PathPoint } from '../../agent/tracks/path.ts';
import { type TrackPiece, TrackRecorder } from '../../agent/tracks/recorder.ts';
import { CLASSES } from '../../agent/tracks/rows.ts';
import { findTracks } from '../../agent/tracks/search.ts';
import { TrackStore } from '../../agent/tracks/store.ts';

export const OPEN_GRANT: TrackLogGrant = {
  purpose: 'test',
  legalBasis: 'none',
  grade: 'persons',
  magistrate: 'a test',
  zones: 'all',
  days: 30,
  spanHours: 720,
  budget: { case: 1_000_000, keyDay: 1_000_000, day: 1_000_000 },
};

export interface Logged {
  readonly store: TrackStore;
  readonly pieces: readonly TrackPiece[];
  readonly aspect: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly cpuMsPerFrame: number;
}

/** Stores the observations; flushed every `flushMs` of media time, as the box does. */
export function logged(
  dir: string,
  observations: readonly Observation[],
  {
    grant = OPEN_GRANT,
    flushMs = 300_000,
    name = 'tracks',
  }: { grant?: TrackLogGrant; flushMs?: number; name?: string } = {},
): Logged {
  const store = new TrackStore(openTrackDatabase(join(dir, `${name}.db`), 64), 64);
  const pieces: TrackPiece[] = [];
  const recorder = new TrackRecorder({ grant, keep: (piece) => pieces.push(piece) });
  const before = process.cpuUsage();
  let flushedMs = observations[0]?.atMs ?? 0;
  for (const observation of observations) {
    recorder.observe(observation);
    if (observation.atMs - flushedMs < flushMs) continue;
    flushedMs = observation.atMs;
    recorder.cutOpenTracks();
  }
  recorder.end();
  const { user, system } = process.cpuUsage(before);
  store.write({ pieces, spans: [], views: [] });
  const [first, last] = [observations[0], observations.at(-1)];
  const { widthPx = 1, heightPx = 1 } = first?.source ?? {};
  return {
    store,
    pieces,
    aspect: widthPx / heightPx,
    fromMs: first?.wallMs ?? 0,
    toMs: (last?.wallMs ?? 0) + 1,
    cpuMsPerFrame: (user + system) / 1000 / observations.length,
  };
}

/** All tracks that match the query, by number. */
export async function tracksFound(log: Logged, place: TrackPlace | undefined): Promise<FoundTrack[]> {
  const { tracks } = await findTracks({
    keptFromMs: 0,
    store: log.store,
    question: place === undefined ? {} : { where: place },
    classes: CLASSES,
    windows: [{ fromMs: log.fromMs - 10_000, toMs: log.toMs }],
    aspect: log.aspect,
    after: undefined,
    tracksMax: 100_000,
  });
  return [...tracks];
}

/** Distance of the stored path from each place at which vision saw the track, px of a picture 768 wide. */
export function pathErrorsPx(
  log: Logged,
  observations: readonly Observation[],
): { kept: number[]; between: number[] } {
  const paths = new Map<number, { points: readonly PathPoint[]; fromMs: number }[]>();
  for (const { track, path, fromMs } of log.pieces) {
    const list = paths.get(track) ?? [];
    list.push({ points: decodePath(path).points, fromMs: Math.floor(fromMs / 100) * 100 });
    paths.set(track, list);
  }
  const errors = { kept: [] as number[], between: [] as number[] };
  for (const { wallMs, tracks } of observations) {
    for (const { id, seen: wasSeen, ground } of tracks) {
      if (!wasSeen) continue;
      for (const { points, fromMs } of paths.get(id) ?? []) {
        const at = wallMs - fromMs;
        const next = points.findIndex(({ atMs }) => atMs >= at - 10);
        const to = points[next];
        if (to === undefined || (next === 0 && Math.abs(to.atMs - at) > 10)) continue;
        const from = points[Math.max(0, next - 1)] ?? to;
        const isKept = Math.abs(to.atMs - at) <= 10;
        const ratio = isKept || to.atMs === from.atMs ? 1 : (at - from.atMs) / (to.atMs - from.atMs);
        const dx = (from.x + ratio * (to.x - from.x) - ground[0]) * 768;
        const dy = ((from.y + ratio * (to.y - from.y) - ground[1]) * 768) / log.aspect;
        errors[isKept ? 'kept' : 'between'].push(Math.hypot(dx, dy));
        break;
      }
    }
  }
  return errors;
}
