/**
 * Stores the monitored configuration of the last start: camera, zones, lines, masks and rules. A change can thus be
 * reported with the previous state.
 *
 * INVARIANTS:
 * - The file counts only if the journal's hash matches it. An edited or restored file is treated as unknown and never
 *   believed.
 * - The file is on disk with both versions before the journal records the change, so a cut at any moment leaves the one
 *   that the journal knows.
 * - A change is forgotten only when the room's event is durable.
 * LIMITS: two versions, each with a configuration's lists at their largest: 1 MiB. At most FILE_BYTES_MAX are read.
 */
import { createHash, createHmac } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../../base/atomic-file.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { cameraAddress, configuredStream } from '../../contract/camera-address.ts';
import { type CameraConfig, Config } from '../../contract/config.ts';
import { CHANGED_LISTS, type ChangeOrigin, ConfigChange } from '../../contract/config-change.ts';
import type { RedrawnPlace, Running } from '../../contract/journal.ts';
import { notAmong, uncovered } from '../../contract/polygon.ts';

const WATCHED_FILE = 'watched.json';
const FILE_BYTES_MAX = 4 * 1_048_576;
/** An entry of the journal has 32 KiB: 600 corners of six digits take 12 of them. */
const CORNERS_OF_AN_ENTRY = 600;
const PLACES_OF_AN_ENTRY = 100;
/** Maximum number of masks in a configuration. */
const MASKS_LOST_MAX = 64;
/**
 * Largest number of corners for an exact comparison, which tests each pair of sides. With more corners, every changed
 * mask counts as lost, which reports too many.
 */
const CORNERS_COMPARED = 600;

const strict = { additionalProperties: false } as const;
const { zones, lines, masks } = Config.properties;
const Watched = Type.Object(
  {
    /** Addresses omit user, password and pinned values. */
    camera: Type.Union([
      Type.Null(),
      Type.Object(
        {
          source: Type.String(),
          substream: Type.Optional(Type.String()),
          /** Keyed hash of the values that belong to the streams and may be credentials, if there are any. */
          pins: Type.Optional(Type.String()),
          fps: Type.Number(),
        },
        strict,
      ),
    ]),
    zones,
    lines,
    masks,
    /** Rules as the writing version stored them. */
    rules: Type.Array(Type.Object({ id: Type.String({ maxLength: 32 }) }), { maxItems: 64 }),
  },
  strict,
);
type Watched = Static<typeof Watched>;

const StoredWatch = Type.Object(
  {
    version: Type.Literal(1),
    /** Newest first. */
    known: Type.Array(Watched, { minItems: 1, maxItems: 2 }),
    /** Change that has not been reported to the room yet. */
    untold: Type.Union([Type.Null(), ConfigChange]),
  },
  strict,
);
type StoredWatch = Static<typeof StoredWatch>;

/** Configuration with the box's secret key, by which pinned values are hashed. */
export interface Watching {
  readonly config: Config;
  readonly key: Uint8Array;
}

export class WatchedFile {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, WATCHED_FILE);
  }

  /** Change that has not been reported to the room; undefined if the file cannot be read. */
  get untold(): ConfigChange | undefined {
    return this.#read()?.untold ?? undefined;
  }

  /** Marks the change as reported: the room's event is durable. Throws AgentError `unavailable`. */
  markReported(): void {
    const stored = this.#read();
    if (stored !== undefined) this.#write({ ...stored, untold: null });
  }

  /**
   * Stores the present configuration, and a change to report, with its origin `by`, if it differs from the journal's
   * state. Durable on return.
   * Throws AgentError `unavailable`.
   *
   * @param before the journal's newest entry of an earlier start; undefined at the very first start
   * @returns redrawn places for the journal, in parts that fit an entry each
   */
  take(
    { config, key }: Watching,
    now: Running,
    before: Running | undefined,
    by: ChangeOrigin,
  ): readonly RedrawnPlace[][] {
    const watched = watchedOf(config, key);
    const stored = this.#read();
    const previous = stored?.known.find((candidate) => hashOf(candidate) === before?.watched);
    const redrawn = before !== undefined && before.zones !== now.zones;
    const same = before === undefined || before.config === now.config;
    const untold = same
      ? stored?.untold
      : merged(stored?.untold, changeOf(previous, watched, { before, after: now, by }));
    const knownConfigs =
      previous === undefined || hashOf(previous) === hashOf(watched) ? [watched] : [watched, previous];
    this.#write({ version: 1, known: knownConfigs, untold: untold ?? null });
    return redrawn ? chunked(redrawnPlaces(previous, watched)) : [];
  }

  #read(): StoredWatch | undefined {
    if (!existsSync(this.#path)) return undefined;
    const content = jsonOf(bounded(this.#path));
    // A damaged file is treated as missing: the box continues, and the room receives a report.
    return Value.Check(StoredWatch, content) ? content : undefined;
  }

  #write(stored: StoredWatch): void {
    try {
      writeAtomically(this.#path, JSON.stringify(stored));
    } catch (error) {
      throw new AgentError('unavailable', `${this.#path} cannot be written: ${messageOf(error)}`, error);
    }
  }
}

/** Returns the hash by which a change of the monitored configuration is detected. */
export function watchedHash({ config, key }: Watching): string {
  return hashOf(watchedOf(config, key));
}

function watchedOf({ camera, zones, lines, masks, rules }: Config, key: Uint8Array): Watched {
  return { camera: camera === undefined ? null : seenOf(camera, key), zones, lines, masks, rules };
}

/** Omits a missing second stream, as an older version without that setting did, so that the hash stays the same. */
function seenOf({ source, substream, fps }: CameraConfig, key: Uint8Array): Watched['camera'] {
  const second = substream === undefined ? {} : { substream: cameraAddress(substream) };
  const pins = [source, substream].map((text) => configuredStream(text)?.pins ?? []);
  const pinned = pins.every(({ length }) => length === 0)
    ? {}
    : { pins: createHmac('sha256', key).update(JSON.stringify(pins)).digest('hex') };
  return { source: cameraAddress(source), ...second, ...pinned, fps };
}

function hashOf(watched: Watched): string {
  return createHash('sha256').update(JSON.stringify(watched)).digest('hex');
}

/** Reads at most FILE_BYTES_MAX, because the file may be foreign. A longer file does not parse. */
function bounded(file: string): string {
  try {
    const fd = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(FILE_BYTES_MAX);
      return bytes.subarray(0, readSync(fd, bytes)).toString('utf8');
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}

function changeOf(
  previous: Watched | undefined,
  now: Watched,
  {
    before,
    after,
    by,
  }: { readonly before: Running | undefined; readonly after: Running; readonly by: ChangeOrigin },
): ConfigChange {
  if (previous === undefined) {
    const drawnLists = before?.zones === after.zones ? [] : (['zones', 'lines', 'masks'] as const);
    return { lists: [...drawnLists, 'unknown'], places: [], masksLost: [] };
  }
  const places = (['zones', 'lines', 'masks', 'rules'] as const).flatMap((list) =>
    differing(previous[list], now[list]).map((id) => ({ list, id })),
  );
  const isCameraChanged = JSON.stringify(previous.camera) !== JSON.stringify(now.camera);
  const lists = CHANGED_LISTS.filter((list) =>
    list === 'camera' ? isCameraChanged : places.some((place) => place.list === list),
  );
  const masksLost = masksLostOf(previous.masks, now.masks, by);
  return { lists: lists.length === 0 ? ['other'] : lists, places, masksLost };
}

/** Returns the masks that the present ones do not cover, singly or together. A renamed mask counts as the same. */
function masksLostOf(
  previous: Watched['masks'],
  now: Watched['masks'],
  by: ChangeOrigin,
): ConfigChange['masksLost'] {
  const compared =
    [...previous, ...now].reduce((sum, { polygon }) => sum + polygon.length, 0) <= CORNERS_COMPARED;
  return (compared ? uncovered(previous, now) : notAmong(previous, now)).map(({ id, polygon }) => ({
    id,
    by,
    polygon,
    change: now.some((mask) => mask.id === id) ? ('smaller' as const) : ('removed' as const),
  }));
}

/** Merges two changes, of which the first has not been reported yet. */
function merged(
  before: ConfigChange | null | undefined,
  { lists, places, masksLost }: ConfigChange,
): ConfigChange {
  const all = [...(before?.places ?? []), ...places];
  const distinct = new Map(all.map((place) => [`${place.list}/${place.id}`, place]));
  return {
    lists: [...new Set([...(before?.lists ?? []), ...lists])],
    places: [...distinct.values()].slice(0, 256),
    masksLost: mergedMasks(before?.masksLost ?? [], masksLost),
  };
}

/** Returns each mask as it was before the first change, with its last change. */
function mergedMasks(
  before: ConfigChange['masksLost'],
  now: ConfigChange['masksLost'],
): ConfigChange['masksLost'] {
  const masksById = new Map(before.map((mask) => [mask.id, mask]));
  for (const mask of now)
    masksById.set(mask.id, { ...mask, polygon: masksById.get(mask.id)?.polygon ?? mask.polygon });
  return [...masksById.values()].slice(0, MASKS_LOST_MAX);
}

type WithId = readonly { readonly id: string }[];

/** Returns the ids that are new, removed or changed. */
function differing(before: WithId, after: WithId): string[] {
  const ids = new Set([...before, ...after].map(({ id }) => id));
  const textOf = (list: WithId, id: string): string =>
    JSON.stringify(list.find((item) => item.id === id) ?? null);
  return [...ids].filter((id) => textOf(before, id) !== textOf(after, id));
}

type DrawnPlaces = Pick<Watched, 'zones' | 'lines' | 'masks'>;

function redrawnPlaces(before: DrawnPlaces | undefined, after: DrawnPlaces): RedrawnPlace[] {
  return (['zones', 'lines', 'masks'] as const).flatMap((list) =>
    differing(before?.[list] ?? [], after[list]).map((id) => ({
      list,
      id,
      before: before === undefined ? ('unknown' as const) : cornersOf(before, list, id),
      after: cornersOf(after, list, id),
    })),
  );
}

function cornersOf(places: DrawnPlaces, list: keyof DrawnPlaces, id: string): [number, number][] | null {
  const match = places[list].find((place) => place.id === id);
  if (match === undefined) return null;
  const corners = 'polygon' in match ? match.polygon : [match.from, match.to];
  return corners.map(([x, y]) => [Number(x.toFixed(6)), Number(y.toFixed(6))]);
}

function chunked(places: readonly RedrawnPlace[]): RedrawnPlace[][] {
  const chunks: RedrawnPlace[][] = [];
  let corners = 0;
  for (const place of places) {
    const { before, after } = place;
    const own = (Array.isArray(before) ? before.length : 0) + (after?.length ?? 0);
    const last = chunks.at(-1);
    if (last === undefined || corners + own > CORNERS_OF_AN_ENTRY || last.length === PLACES_OF_AN_ENTRY) {
      chunks.push([place]);
      corners = own;
    } else {
      last.push(place);
      corners += own;
    }
  }
  return chunks;
}
