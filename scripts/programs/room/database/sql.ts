/**
 * The room's database, SQLite for one room and PostgreSQL for a city: one SQL, written once. Parameters are `$1`, `$2`, …
 * in both. Rows come alike from both: times as ISO 8601 in UTC with milliseconds, whole numbers as numbers, JSON as text.
 */

export type Value = string | number | boolean | Buffer | null;
export type Row = Readonly<Record<string, unknown>>;

/** The server does not answer, or is just starting: to be tried again. Every other error is a mistake. */
export class DatabaseAway extends Error {}

/** It is there, and does not take what it was given: the same again would not be taken either. */
export class DataRefused extends Error {}

export interface Queries {
  /** The rows that a statement gives; none for one that only writes. */
  all<T extends object = Row>(sql: string, values?: readonly Value[]): Promise<T[]>;
  /** How many rows it has changed. */
  run(sql: string, values?: readonly Value[]): Promise<number>;
}

export interface Sql extends Queries {
  readonly dialect: Dialect;
  /** All of it or nothing, on disk when it resolves; several may run at once, in this program and in others. */
  transaction<T>(act: (transaction: Queries) => Promise<T>): Promise<T>;
  /**
   * Calls back after whatever somebody has committed with `changed`, and once in a while when nothing has; ends with
   * the returned function. After a connection that was lost it calls back too, since something may have been missed.
   */
  listen(onChange: () => void): Promise<() => Promise<void>>;
  /**
   * Takes what was deleted out of the files too, where it may stand long after its rows have gone. `isNight`: files are
   * written anew, which may hold up whoever writes for one of SIZE_MAX takes. Resolves with one line for each
   * file or table in which something may be left.
   */
  scrub(isNight: boolean, limits?: Partial<ScrubLimits>): Promise<string[]>;
  close(): Promise<void>;
}

export interface ScrubLimits {
  /** A larger file or table is not written anew; bytes. */
  readonly sizeMax: number;
  /** For one that others use; ms. */
  readonly withinMs: number;
  /** Ends it between two tables. */
  readonly signal: AbortSignal;
}

/** 1 GiB takes some 7 s in SQLite and 5 s in PostgreSQL on two cores of x86-64; a slow disk takes four times as long. */
export const SIZE_MAX = 2 ** 30;

/** A column of rows that are handed over as one JSON parameter. */
export type Columns = Readonly<Record<string, keyof Dialect['types']>>;

/** Where the two differ. */
export interface Dialect {
  readonly name: 'sqlite' | 'postgres';
  readonly types: {
    readonly integer: string;
    readonly real: string;
    readonly text: string;
    readonly boolean: string;
    readonly time: string;
    readonly json: string;
    readonly bytes: string;
    /** Of a key that the database counts itself. */
    readonly identity: string;
  };
  /** `FROM ${rows('$1', 'new', {…})}`: rows of a JSON array of objects, by the names of its members. */
  rows(parameter: string, name: string, columns: Columns): string;
  /** A statement after which listeners are called when the transaction ends well. */
  readonly changed: string | undefined;
  /** `FOR UPDATE` where rows can be locked one by one. */
  readonly forUpdate: string;
  /** Of two values that are not null. */
  greatest(a: string, b: string): string;
}

/** The channel of PostgreSQL's NOTIFY. */
export const CHANNEL = 'vigie_room';

/** One in the form in which it lies in the database: a time that both databases compare alike. */
export const iso = (ms: number): string => new Date(ms).toISOString();
