/**
 * Finds the tracks that match a question.
 *
 * INVARIANTS: a track stored in pieces is evaluated as a whole. A match is counted once.
 * LIMITS:
 * - ROWS_AT_ONCE rows between two turns of the event loop.
 * - One page of matches is held; the others are counted.
 * - SIDE_PIECES_MAX pieces of a track before the requested time, and after it.
 * - PATH_POINTS_MAX points of a path are returned.
 */
import { setImmediate } from 'node:timers/promises';
import type { FoundTrack, TrackQuestion } from '../contract/track-log.ts';
import { cellsOfDrawing } from './cells.ts';
import type { Window } from './coverage.ts';
import { type Deed, deedOf } from './deed.ts';
import { decodePath, type PathPoint, type StoredPath, withinPoints } from './path.ts';
import { PIECE_MS } from './recorder.ts';
import { numbersOf, readKind, startMsOf, type TrackRow } from './rows.ts';
import type { RowFilter, TrackStore } from './store.ts';

/** Takes about 10 ms on a small board. */
const ROWS_AT_ONCE = 200;
/** Maximum number of pieces read before, and after, the requested time: at least a day's. */
const SIDE_PIECES_MAX = 288;
/** Points of a returned track, about 40 kB. A car that stood for a day in a jittering box has more. */
const PATH_POINTS_MAX = 1024;

export interface SearchOptions {
  readonly store: Pick<TrackStore, 'rows' | 'pieceBefore' | 'pieceAfter'>;
  readonly question: Pick<TrackQuestion, 'colours' | 'where'>;
  readonly classes: readonly FoundTrack['class'][];
  readonly windows: readonly Window[];
  /** Rows that began earlier are past their retention. They are never returned, deleted or not. */
  readonly keptFromMs: number;
  /** Width of the picture divided by its height. */
  readonly aspect: number;
  readonly after: Place | undefined;
  /** Maximum for one page. */
  readonly tracksMax: number;
}

/** Position of a track in the answer: requested colours first, then by time, then by row. */
export interface Place {
  /** 0 if its main colour was requested or no colour was, 1 for its second colour, 2 otherwise. */
  readonly rank: number;
  readonly atMs: number;
  readonly row: number;
}

interface Match {
  readonly place: Place;
  readonly deed: Deed;
  readonly pieces: readonly TrackRow[];
}

export interface Page {
  readonly tracks: readonly FoundTrack[];
  /** Places of the tracks, in the same order. */
  readonly places: readonly Place[];
  readonly matches: number;
  /** Place of the last track of this page, if there are more. */
  readonly next: Place | null;
}

/** Throws AgentError if the log cannot be read. */
export async function findTracks(options: SearchOptions): Promise<Page> {
  const page = new PageOfMatches(options.after, options.tracksMax);
  const matchedTracks = new MatchedTracks();
  for (const window of options.windows) {
    for await (const pieces of tracksIn(options, window)) {
      if (matchedTracks.has(pieces) || !mayMatch(pieces, window, options)) continue;
      let match = matchOf(pieces, window, options);
      if (match === undefined) continue;
      const fullTrack = completeTrack(options, pieces);
      if (fullTrack !== pieces) {
        await setImmediate();
        if (matchedTracks.has(fullTrack)) continue;
        match = matchOf(fullTrack, window, options);
        if (match === undefined) continue;
      }
      matchedTracks.add(fullTrack);
      page.add(match);
    }
  }
  return {
    tracks: page.matches.map((match) => foundTrack(match, options.aspect)),
    places: page.matches.map(({ place }) => place),
    matches: matchedTracks.count,
    next: page.isCut ? (page.matches.at(-1)?.place ?? null) : null,
  };
}

/** Matching tracks. A track with more than SIDE_PIECES_MAX pieces appears as several sets of pieces. */
class MatchedTracks {
  count = 0;
  readonly #rows = new Set<number>();
  readonly #continuedTracks = new Set<number>();

  has([first]: readonly TrackRow[]): boolean {
    if (first === undefined) return true;
    return (
      this.#rows.has(first.at) || (readKind(first.kind).continues && this.#continuedTracks.has(first.track))
    );
  }

  add(pieces: readonly TrackRow[]): void {
    this.count += 1;
    for (const { at } of pieces) this.#rows.add(at);
    const [first, last] = [pieces[0], pieces.at(-1)];
    if (first !== undefined && last !== undefined && readKind(last.kind).goesOn)
      this.#continuedTracks.add(first.track);
  }
}

/** Returns the pieces of the track, with those before and after the ones that were read. */
function completeTrack({ store, keptFromMs }: SearchOptions, read: readonly TrackRow[]): readonly TrackRow[] {
  const before: TrackRow[] = [];
  const after: TrackRow[] = [];
  for (let first = read[0]; before.length < SIDE_PIECES_MAX; ) {
    if (first === undefined || !readKind(first.kind).continues) break;
    first = store.pieceBefore(first);
    if (first === undefined || startMsOf(first.at) < keptFromMs) break;
    before.unshift(first);
  }
  for (let last = read.at(-1); after.length < SIDE_PIECES_MAX; ) {
    if (last === undefined || !readKind(last.kind).goesOn) break;
    last = store.pieceAfter(last);
    if (last !== undefined) after.push(last);
  }
  return before.length + after.length === 0 ? read : [...before, ...read, ...after];
}

/** Yields every track that may match, as all the rows that the answer may need. */
async function* tracksIn(
  { store, keptFromMs, question: { where: place }, classes }: SearchOptions,
  window: Window,
): AsyncGenerator<readonly TrackRow[]> {
  const atLeastMs = place !== undefined && 'polygon' in place ? place.atLeastS * 1000 : 0;
  const filter: RowFilter = {
    // A long stay began earlier and continues later.
    fromMs: Math.max(keptFromMs, window.fromMs - Math.max(PIECE_MS, atLeastMs) - PIECE_MS),
    toMs: window.toMs,
    onMs: window.toMs + atLeastMs + PIECE_MS,
    cells:
      place && ('line' in place ? cellsOfDrawing(place.line, false) : cellsOfDrawing(place.polygon, true)),
    stopS: place !== undefined && 'does' in place && place.does === 'stops' ? place.atLeastS : 0,
    classes: numbersOf(classes),
  };
  const open = new Map<number, TrackRow[]>();
  for (let after = -1; ; ) {
    const rows = store.rows(filter, after, ROWS_AT_ONCE);
    for (const row of rows) {
      const { continues, goesOn } = readKind(row.kind);
      const pieces = [...((continues && open.get(row.track)) || []), row];
      open.delete(row.track);
      if (goesOn) open.set(row.track, pieces);
      else yield pieces;
    }
    after = rows.at(-1)?.at ?? after;
    if (rows.length < ROWS_AT_ONCE) break;
    await setImmediate();
  }
  // These tracks last longer, or their rest was deleted.
  yield* open.values();
}

/** Checks the rows without their paths. */
function mayMatch(
  pieces: readonly TrackRow[],
  window: Window,
  { classes, question: { where: place } }: SearchOptions,
): boolean {
  const [first] = pieces;
  const last = pieces.at(-1);
  if (first === undefined || last === undefined) return false;
  if (startMsOf(first.at) >= window.toMs || startMsOf(last.at) + last.duration * 100 < window.fromMs)
    return false;
  if (place !== undefined && pieces.every(({ near }) => near === 0)) return false;
  return classes.includes(readKind(last.kind).label);
}

function matchOf(pieces: readonly TrackRow[], window: Window, options: SearchOptions): Match | undefined {
  const { where: place, colours } = options.question;
  const [first] = pieces;
  const last = pieces.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const startMs = startMsOf(first.at);
  let deed: Deed | undefined = { atMs: 0, durationMs: 0, isSeen: true };
  if (place !== undefined) {
    const within = { fromMs: window.fromMs - startMs, toMs: window.toMs - startMs };
    deed = deedOf(joined(pieces).points, place, options.aspect, within);
  }
  if (deed === undefined) return undefined;
  const atMs = Math.floor(startMs + deed.atMs);
  return { place: { rank: rankOf(last, colours), atMs, row: first.at }, deed, pieces };
}

function rankOf(row: TrackRow, colours: TrackQuestion['colours']): number {
  if (colours === undefined) return 0;
  const index = readKind(row.kind).colours.findIndex((colour) => colours.includes(colour));
  return index < 0 ? 2 : index;
}

/** Joins the paths of all pieces, in time since the tenth of a second of the first. */
function joined(pieces: readonly TrackRow[]): StoredPath {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return decodePath(first.path);
  const fromMs = first === undefined ? 0 : startMsOf(first.at);
  const points: PathPoint[] = [];
  let widthToHeight = 0;
  for (const piece of pieces) {
    const path = decodePath(piece.path);
    const offMs = startMsOf(piece.at) - fromMs;
    // A piece begins with the last point of the previous one.
    const own = points.length === 0 ? path.points : path.points.slice(1);
    for (const point of own) points.push({ ...point, atMs: point.atMs + offMs });
    widthToHeight = path.widthToHeight;
  }
  return { points, widthToHeight };
}

function foundTrack({ place, deed, pieces }: Match, aspect: number): FoundTrack {
  const first = pieces[0] as TrackRow;
  const last = pieces.at(-1) as TrackRow;
  const { points, widthToHeight } = joined(pieces);
  const startMs = startMsOf(first.at) + (points[0]?.atMs ?? 0);
  const endMs = startMsOf(first.at) + (points.at(-1)?.atMs ?? 0);
  const { label, colours } = readKind(last.kind);
  const kinds = pieces.map(({ kind }) => readKind(kind));
  const time = (ms: number): string => new Date(Math.round(ms)).toISOString();
  const rounded = (value: number): number => Number(value.toFixed(4));
  return {
    track: first.track,
    class: label,
    colours: [...colours],
    from: time(startMs),
    to: time(endMs),
    at: time(place.atMs),
    durationS: Number((deed.durationMs / 1000).toFixed(1)),
    seen: deed.isSeen,
    score: Math.max(...pieces.map(({ score }) => score)) / 100,
    stoppedS: Math.max(...pieces.map(({ stop }) => stop)),
    cut: kinds.some(({ isCut: cut }) => cut) || kinds[0]?.continues === true || kinds.at(-1)?.goesOn === true,
    widthToHeight,
    path: withinPoints(points, aspect, PATH_POINTS_MAX).map(({ atMs, x, y, height, wasSeen }) => [
      Number(((startMsOf(first.at) + atMs - startMs) / 1000).toFixed(2)),
      rounded(x),
      rounded(y),
      rounded(height),
      wasSeen ? 1 : 0,
    ]),
  };
}

/** First matches after a place, in order. */
class PageOfMatches {
  readonly matches: Match[] = [];
  isCut = false;
  readonly #after: Place | undefined;
  readonly #max: number;

  constructor(after: Place | undefined, max: number) {
    this.#after = after;
    this.#max = max;
  }

  add(match: Match): void {
    if (this.#after !== undefined && compare(match.place, this.#after) <= 0) return;
    const before = this.matches.findLastIndex(({ place }) => compare(place, match.place) < 0);
    this.matches.splice(before + 1, 0, match);
    if (this.matches.length <= this.#max) return;
    this.matches.length = this.#max;
    this.isCut = true;
  }
}

function compare(a: Place, b: Place): number {
  return a.rank - b.rank || a.atMs - b.atMs || a.row - b.row;
}
