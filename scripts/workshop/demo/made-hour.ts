/**
 * Fills the log of tracks of a new box with one hour: vision's observations of a clip of some seconds, repeated.
 *
 * INVARIANTS: the code that writes a box's log writes the hour, under the grant of the box's authorisation. It ends
 * before the box begins. Each round of the clip has track numbers of its own.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Observation } from '../../../agent/contract/observation.ts';
import type { GapReason, TrackLogGrant } from '../../../agent/contract/track-log.ts';
import { CoverageRecorder } from '../../../agent/tracks/coverage.ts';
import { openTrackDatabase } from '../../../agent/tracks/database.ts';
import { writeLogAuthorisation } from '../../../agent/tracks/log-authorisation.ts';
import { TRACKS_FILE } from '../../../agent/tracks/log-file.ts';
import { type TrackPiece, TrackRecorder } from '../../../agent/tracks/recorder.ts';
import { TrackStore, type View } from '../../../agent/tracks/store.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface MadeHour {
  /** State folder of the agent, which has not been started yet. */
  readonly stateDir: string;
  /** `retention.tracksMiB` of its configuration. */
  readonly limitMiB: number;
  readonly grant: TrackLogGrant;
  readonly order: string;
  /** Address of the camera in the form of the authorisation. */
  readonly camera: string;
  /** End of the hour, ms since the epoch. */
  readonly endsMs: number;
  /** Reason for the gap between the hour and the start of the box. */
  readonly gapReason: GapReason;
}

/** Writes the hour; returns its number of tracks. Throws AgentError if the file cannot be written. */
export function writeHour(observations: readonly Observation[], hour: MadeHour): number {
  const { grant, order, camera, endsMs, gapReason } = hour;
  const [first, last] = [observations[0], observations.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const pieces: TrackPiece[] = [];
  const recorder = new TrackRecorder({ grant, keep: (piece) => pieces.push(piece) });
  const coverage = new CoverageRecorder();
  const fromMs = endsMs - HOUR_MS;
  for (const observation of overAndOver(observations, fromMs, endsMs)) {
    if (observation.atMs === first.atMs) recorder.end();
    coverage.note('seen', observation.wallMs);
    recorder.observe(observation);
  }
  recorder.end();
  coverage.end(gapReason, undefined);
  const { widthPx, heightPx } = first.source;
  const view: View = { fromMs, camera, aspect: widthPx / heightPx };
  mkdirSync(hour.stateDir, { recursive: true, mode: 0o700 });
  const file = join(hour.stateDir, TRACKS_FILE);
  const store = new TrackStore(openTrackDatabase(file, hour.limitMiB), hour.limitMiB);
  try {
    writeLogAuthorisation(store, {
      grant,
      order,
      notAfterMs: endsMs + DAY_MS,
      beganMs: fromMs,
      evictedMs: 0,
    });
    store.write({ pieces, spans: coverage.take(), views: [view] });
  } finally {
    store.close();
  }
  return new Set(pieces.map(({ track }) => track)).size;
}

/** Yields the observations as if the clip had been repeated between the two moments, by the wall clock. */
function* overAndOver(
  observations: readonly Observation[],
  fromMs: number,
  endsMs: number,
): Generator<Observation> {
  const startMs = observations[0]?.atMs ?? 0;
  const clipMs = (observations.at(-1)?.atMs ?? startMs) - startMs;
  const roundMs = clipMs + clipMs / Math.max(1, observations.length - 1);
  const numbers = new Map<number, number>();
  for (const { tracks } of observations) {
    for (const { id } of tracks) if (!numbers.has(id)) numbers.set(id, numbers.size + 1);
  }
  for (let round = 0; fromMs + round * roundMs < endsMs; round += 1) {
    for (const observation of observations) {
      const wallMs = fromMs + round * roundMs + observation.atMs - startMs;
      if (wallMs >= endsMs) return;
      const tracks = observation.tracks.map((track) => ({
        ...track,
        id: round * numbers.size + (numbers.get(track.id) ?? 0),
      }));
      yield { ...observation, wallMs, tracks };
    }
  }
}
