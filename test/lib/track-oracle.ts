/**
 * Compares the track log with vision's reports: the same observations, once as they arrive and once as they were
 * stored.
 */
import { join } from 'node:path';
import type { LineConfig, ZoneConfig } from '../../agent/contract/config.ts';
import type { Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { Point } from '../../agent/contract/plane.ts';
import type { FoundTrack, TrackLogGrant, TrackPlace } from '../../agent/contract/track-log.ts';
import { newVisit, type Visit, Zone } from '../../agent/contract/zone-visit.ts';
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

/** Crossings that vision reported during observation: `line direction track`. */
export function reportedCrossings(observations: readonly Observation[]): Set<string> {
  return new Set(
    observations.flatMap(({ crossings }) =>
      crossings.map(({ line, direction, track }) => `${line} ${direction} ${track}`),
    ),
  );
}

/** The same crossings, from the log afterwards. */
export async function foundCrossings(log: Logged, lines: readonly LineConfig[]): Promise<Set<string>> {
  const all = new Set<string>();
  for (const { id, from, to } of lines) {
    for (const direction of ['left', 'right'] as const) {
      for (const { track } of await tracksFound(log, { line: [from, to], direction }))
        all.add(`${id} ${direction} ${track}`);
    }
  }
  return all;
}

/** Longest stay of each track in each zone as vision reported it during observation, ms: `zone track`. */
export function staysTold(observations: readonly Observation[]): Map<string, number> {
  const stays = new Map<string, number>();
  for (const { atMs, tracks } of observations) {
    for (const { id, seen: wasSeen, zones } of tracks) {
      if (!wasSeen) continue;
      for (const { zone, sinceMs } of zones) {
        const key = `${zone} ${id}`;
        stays.set(key, Math.max(stays.get(key) ?? 0, atMs - sinceMs));
      }
    }
  }
  return stays;
}

/** Tracks that stay in a zone for the given time, from the log, and the length of the stay, ms: `zone track`. */
export async function staysFound(
  log: Logged,
  zones: readonly ZoneConfig[],
  atLeastS: number,
): Promise<Map<string, number>> {
  const stays = new Map<string, number>();
  for (const { id, polygon } of zones) {
    for (const { track, durationS } of await tracksFound(log, { polygon, does: 'stays', atLeastS }))
      stays.set(`${id} ${track}`, durationS * 1000);
  }
  return stays;
}

/** Longest stays by vision's own zones if they receive every place, also those before a track is confirmed, ms. */
export function fullStays(
  observations: readonly Observation[],
  zones: readonly ZoneConfig[],
): Map<string, number> {
  const stays = new Map<string, number>();
  for (const config of zones) {
    const zone = new Zone(config);
    const visits = new Map<number, Visit>();
    for (const { atMs, tracks, source } of observations) {
      for (const { id, seen: wasSeen, before = [], xyxyNorm, ground: own } of tracks) {
        if (!wasSeen) continue;
        const key = `${config.id} ${id}`;
        const visit = visits.get(id) ?? newVisit();
        visits.set(id, visit);
        for (const place of [...before, { atMs, xyxyNorm }]) {
          const { ground, height } = groundPx(place.atMs === atMs ? own : undefined, place.xyxyNorm, source);
          const was = { ...visit };
          zone.visit(visit, source, ground, height, place.atMs);
          stays.set(key, Math.max(stays.get(key) ?? 0, lengthMs(was, visit, place.atMs)));
        }
      }
    }
  }
  return stays;
}

/** Length of a visit after a place. A departing track has left at the first of the places outside. */
function lengthMs(was: Visit, is: Visit, atMs: number): number {
  if (!was.present && !is.present) return 0;
  const untilMs = is.present ? (is.contraryMs ?? atMs) : is.sinceMs;
  return untilMs - (is.present ? is.sinceMs : was.sinceMs);
}

function groundPx(
  own: readonly [number, number] | undefined,
  [x1, y1, x2, y2]: ObservedTrack['xyxyNorm'],
  { widthPx, heightPx }: Observation['source'],
): { readonly ground: Point; readonly height: number } {
  const [x, y] = own ?? [(x1 + x2) / 2, y2];
  return { ground: [x * widthPx, y * heightPx], height: (y2 - y1) * heightPx };
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
