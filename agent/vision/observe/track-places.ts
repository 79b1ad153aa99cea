/**
 * Where each track stands, in which zones since when, and which lines it has passed.
 *
 * INVARIANTS: places are normalised and lie within the frame; memory of a track ends with the track.
 * LIMITS: as many tracks as the tracker gives; 512 crossings a frame, further ones dropped and counted.
 */
import type { LineConfig, ZoneConfig } from '../../contract/config.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { Crossing, ObservedTrack } from '../../contract/observation.ts';
import type { Frame, Track } from '../../contract/picture.ts';
import type { Point } from './geometry.ts';
import { type Approach, newApproach, Tripwire } from './tripwire.ts';
import { newVisit, type Visit, Zone } from './zone.ts';

/** As many as the observation's schema takes. */
const CROSSINGS_MAX = 512;

export interface TrackPlacesOptions {
  readonly zones: readonly ZoneConfig[];
  readonly lines: readonly LineConfig[];
}

/** One that the tracker follows, or what travels and is not named. */
export type PlacedTrack = Omit<Track, 'group' | 'label'> & Pick<ObservedTrack, 'group' | 'label'>;

/** What else is known of tracks, by number. */
export interface TrackFacts {
  readonly moving: ReadonlySet<number>;
  readonly furniture: ReadonlySet<number>;
}

const NOTHING_MORE: TrackFacts = { moving: new Set(), furniture: new Set() };

interface Memory {
  readonly visits: readonly Visit[];
  readonly approaches: readonly Approach[];
}

export class TrackPlaces {
  readonly #zones: readonly Zone[];
  readonly #lines: readonly Tripwire[];
  #memories = new Map<number, Memory>();
  #crossingsDropped = 0;

  constructor(options: TrackPlacesOptions) {
    this.#zones = options.zones.map((zone) => new Zone(zone));
    this.#lines = options.lines.map((line) => new Tripwire(line));
  }

  /** Crossings left out since the start because a frame had too many. */
  get crossingsDropped(): number {
    return this.#crossingsDropped;
  }

  /** Takes the next frame's tracks; returns them with their places, and the lines that they have passed by that. */
  update(
    { atMs, source }: Pick<Frame, 'atMs' | 'source'>,
    tracks: readonly PlacedTrack[],
    facts: TrackFacts = NOTHING_MORE,
  ): { tracks: ObservedTrack[]; crossings: Crossing[] } {
    const kept = new Map<number, Memory>();
    const crossings: Crossing[] = [];
    const observed = tracks.map((track) => {
      const memory = this.#memories.get(track.id) ?? {
        visits: this.#zones.map(newVisit),
        approaches: this.#lines.map(newApproach),
      };
      kept.set(track.id, memory);
      if (track.seen) crossings.push(...this.#place(memory, track, source, atMs));
      return this.#describe(memory, track, source, facts);
    });
    this.#memories = kept;
    this.#crossingsDropped += Math.max(0, crossings.length - CROSSINGS_MAX);
    return { tracks: observed, crossings: crossings.slice(0, CROSSINGS_MAX) };
  }

  /** Updates what is known of a seen track's place; returns the lines that it has passed by that. */
  #place(memory: Memory, track: PlacedTrack, source: SizePx, atMs: number): Crossing[] {
    const [x1, y1, x2, y2] = track.xyxyPx;
    const groundPx: Point = [(x1 + x2) / 2, y2];
    const heightPx = y2 - y1;
    for (const [i, zone] of this.#zones.entries()) {
      zone.visit(memory.visits[i] as Visit, source, groundPx, heightPx, atMs);
    }
    // What drives fast has passed a line before it is sure that there is something.
    const places = [...(track.before ?? []), track];
    return this.#lines.flatMap((line, i) =>
      places.flatMap(({ xyxyPx: [left, top, right, bottom] }) => {
        const at: Point = [(left + right) / 2, bottom];
        const direction = line.approach(memory.approaches[i] as Approach, source, at, bottom - top);
        return direction === undefined ? [] : [{ line: line.id, track: track.id, direction }];
      }),
    );
  }

  #describe(memory: Memory, track: PlacedTrack, source: SizePx, facts: TrackFacts): ObservedTrack {
    const { id, group, label, score, bestScore, xyxyPx, velocityPxPerS, firstMs, lastMs, seen } = track;
    const [x1, y1, x2, y2] = xyxyPx;
    const x = (px: number): number => Math.min(1, Math.max(0, px / source.widthPx));
    const y = (px: number): number => Math.min(1, Math.max(0, px / source.heightPx));
    return {
      id,
      group,
      label,
      score,
      bestScore,
      xyxyNorm: [x(x1), y(y1), x(x2), y(y2)],
      ground: [x((x1 + x2) / 2), y(y2)],
      velocityNormPerS: [velocityPxPerS[0] / source.widthPx, velocityPxPerS[1] / source.heightPx],
      firstMs,
      lastMs,
      seen,
      pixelsMove: facts.moving.has(id),
      furniture: facts.furniture.has(id),
      zones: this.#zones.flatMap((zone, i) => {
        const visit = memory.visits[i] as Visit;
        return visit.present ? [{ zone: zone.id, sinceMs: visit.sinceMs }] : [];
      }),
    };
  }
}
