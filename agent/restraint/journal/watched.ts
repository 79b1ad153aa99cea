/**
 * What the box watches, as it was at its last start: camera, zones, lines, masks and rules, so that a change of them can
 * be told with what they were before.
 *
 * INVARIANTS: the file counts only where the journal's hash vouches for it: what somebody has edited or put back is
 * unknown, never believed. It is on disk with both versions before the journal tells of the change, so that a cut at any
 * moment leaves the one that the journal knows. A change is forgotten only when the room's event is durable.
 * LIMITS: two versions, each of a configuration's lists at their largest: 1 MiB; FILE_BYTES_MAX are read.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../../base/atomic-file.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { cameraAddress } from '../../contract/camera-address.ts';
import { type CameraConfig, Config } from '../../contract/config.ts';
import { CHANGED_LISTS, ConfigChange } from '../../contract/config-change.ts';
import type { RedrawnPlace, Running } from '../../contract/journal.ts';
import { notAmong, uncovered } from '../../contract/polygon.ts';

const WATCHED_FILE = 'watched.json';
const FILE_BYTES_MAX = 4 * 1_048_576;
/** An entry of the journal has 32 KiB: 600 corners of six digits take 12 of them. */
const CORNERS_OF_AN_ENTRY = 600;
const PLACES_OF_AN_ENTRY = 100;
/** As many as a configuration holds masks. */
const MASKS_LOST_MAX = 64;
/** Each pair of sides is looked at; with more corners each mask that is not as it was counts as lost, which tells too much. */
const CORNERS_COMPARED = 600;

const strict = { additionalProperties: false } as const;
const { zones, lines, masks } = Config.properties;
const Watched = Type.Object(
  {
    /** Without user and password. */
    camera: Type.Union([
      Type.Null(),
      Type.Object(
        { source: Type.String(), substream: Type.Optional(Type.String()), fps: Type.Number() },
        strict,
      ),
    ]),
    zones,
    lines,
    masks,
    /** Of whatever version wrote it. */
    rules: Type.Array(Type.Object({ id: Type.String({ maxLength: 32 }) }), { maxItems: 64 }),
  },
  strict,
);
type Watched = Static<typeof Watched>;

const Kept = Type.Object(
  {
    version: Type.Literal(1),
    /** The newest first. */
    known: Type.Array(Watched, { minItems: 1, maxItems: 2 }),
    /** What the room has not been told yet. */
    untold: Type.Union([Type.Null(), ConfigChange]),
  },
  strict,
);
type Kept = Static<typeof Kept>;

export class WatchedFile {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, WATCHED_FILE);
  }

  /** What the room has not been told. Nothing where the file cannot be read. */
  get untold(): ConfigChange | undefined {
    return this.#read()?.untold ?? undefined;
  }

  /** The room's event is durable. Throws AgentError `unavailable`. */
  told(): void {
    const kept = this.#read();
    if (kept !== undefined) this.#write({ ...kept, untold: null });
  }

  /**
   * Takes note of what is watched now; what differs from what the journal knew is to be told. Durable on return; throws
   * AgentError `unavailable`.
   * @param before the journal's newest entry of an earlier start; undefined at the first start of all
   * @returns what was drawn anew, for the journal: each as much as an entry of it can hold
   */
  take(config: Config, now: Running, before: Running | undefined): readonly RedrawnPlace[][] {
    const watched = watchedOf(config);
    const kept = this.#read();
    const former = kept?.known.find((known) => hashOf(known) === before?.watched);
    const drawnAnew = before !== undefined && before.zones !== now.zones;
    const same = before === undefined || before.config === now.config;
    const untold = same ? kept?.untold : merged(kept?.untold, changeOf(former, watched, before, now));
    const known = former === undefined || hashOf(former) === hashOf(watched) ? [watched] : [watched, former];
    this.#write({ version: 1, known, untold: untold ?? null });
    return drawnAnew ? chunked(redrawn(former, watched)) : [];
  }

  #read(): Kept | undefined {
    if (!existsSync(this.#path)) return undefined;
    const content = jsonOf(bounded(this.#path));
    // What is damaged is unknown, as what is missing: the box goes on, and the room is told so.
    return Value.Check(Kept, content) ? content : undefined;
  }

  #write(kept: Kept): void {
    try {
      writeAtomically(this.#path, JSON.stringify(kept));
    } catch (error) {
      throw new AgentError('unavailable', `${this.#path} cannot be written: ${messageOf(error)}`, error);
    }
  }
}

/** By which a change of what is watched is seen. */
export function watchedHash(config: Config): string {
  return hashOf(watchedOf(config));
}

function watchedOf({ camera, zones, lines, masks, rules }: Config): Watched {
  return { camera: camera === undefined ? null : seenOf(camera), zones, lines, masks, rules };
}

/** Without a second stream as a version that knew none wrote it, so that the hash stays. */
function seenOf({ source, substream, fps }: CameraConfig): Watched['camera'] {
  const second = substream === undefined ? {} : { substream: cameraAddress(substream) };
  return { source: cameraAddress(source), ...second, fps };
}

function hashOf(watched: Watched): string {
  return createHash('sha256').update(JSON.stringify(watched)).digest('hex');
}

/** What may be anybody's is read so far and no further; it is no file of ours then. */
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
  former: Watched | undefined,
  now: Watched,
  before: Running | undefined,
  after: Running,
): ConfigChange {
  if (former === undefined) {
    const drawn = before?.zones === after.zones ? [] : (['zones', 'lines', 'masks'] as const);
    return { lists: [...drawn, 'unknown'], places: [], masksLost: [] };
  }
  const places = (['zones', 'lines', 'masks', 'rules'] as const).flatMap((list) =>
    differing(former[list], now[list]).map((id) => ({ list, id })),
  );
  const moved = JSON.stringify(former.camera) !== JSON.stringify(now.camera);
  const lists = CHANGED_LISTS.filter((list) =>
    list === 'camera' ? moved : places.some((place) => place.list === list),
  );
  const masksLost = masksLostOf(former.masks, now.masks);
  return { lists: lists.length === 0 ? ['other'] : lists, places, masksLost };
}

/** Masks that those of now do not cover, one by one or together; under another name a mask stays what it was. */
function masksLostOf(former: Watched['masks'], now: Watched['masks']): ConfigChange['masksLost'] {
  const compared =
    [...former, ...now].reduce((sum, { polygon }) => sum + polygon.length, 0) <= CORNERS_COMPARED;
  return (compared ? uncovered(former, now) : notAmong(former, now)).map(({ id, polygon }) => ({
    id,
    polygon,
    change: now.some((mask) => mask.id === id) ? ('smaller' as const) : ('removed' as const),
  }));
}

/** Before the room was told of one, there came another. */
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

/** What each mask was before the first of the changes, and what became of it last. */
function mergedMasks(
  before: ConfigChange['masksLost'],
  now: ConfigChange['masksLost'],
): ConfigChange['masksLost'] {
  const known = new Map(before.map((mask) => [mask.id, mask]));
  for (const mask of now)
    known.set(mask.id, { ...mask, polygon: known.get(mask.id)?.polygon ?? mask.polygon });
  return [...known.values()].slice(0, MASKS_LOST_MAX);
}

type Named = readonly { readonly id: string }[];

/** Ids of what is new, gone or another than it was. */
function differing(before: Named, after: Named): string[] {
  const ids = new Set([...before, ...after].map(({ id }) => id));
  const textOf = (list: Named, id: string): string =>
    JSON.stringify(list.find((item) => item.id === id) ?? null);
  return [...ids].filter((id) => textOf(before, id) !== textOf(after, id));
}

type Drawn = Pick<Watched, 'zones' | 'lines' | 'masks'>;

function redrawn(before: Drawn | undefined, after: Drawn): RedrawnPlace[] {
  return (['zones', 'lines', 'masks'] as const).flatMap((list) =>
    differing(before?.[list] ?? [], after[list]).map((id) => ({
      list,
      id,
      before: before === undefined ? ('unknown' as const) : cornersOf(before, list, id),
      after: cornersOf(after, list, id),
    })),
  );
}

function cornersOf(drawn: Drawn, list: keyof Drawn, id: string): [number, number][] | null {
  const found = drawn[list].find((place) => place.id === id);
  if (found === undefined) return null;
  const corners = 'polygon' in found ? found.polygon : [found.from, found.to];
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
