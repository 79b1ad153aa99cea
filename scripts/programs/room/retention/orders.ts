/**
 * How long what comes from each box may be kept: by the signed orders of the authority, which the room has in a folder
 * (`*.dsse.json`, as `vigie-oversight authorise` writes them).
 *
 * INVARIANTS: an order counts only with the signature of a key that was given. A file that cannot be read or verified
 * lengthens nothing: what it said when it could be read counts on, beside the default. An order that has ended goes on
 * to count until another of the same box has begun: what was recorded under it is kept no longer than it says.
 * LIMITS: FILES_MAX files of AUTHORISATION_BYTES_MAX bytes; what is beyond is told and not read.
 */
import type { KeyObject } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import { keyIdOf } from '../../../../agent/orders/dsse.ts';
import { openAuthorisation } from '../../../../agent/orders/signed-order.ts';
import { readAuthorisationFile } from '../../../../agent/restraint/authorisation.ts';

/** As `vigie-oversight authorise --out` is told to in docs/guide/authorisation.md. */
const SUFFIX = '.dsse.json';

/** 1,500 boxes with an order and its successor each, and as many again. */
const FILES_MAX = 6000;

/** What the agent keeps without another word (`retention` in agent/contract/config.ts). */
export const DEFAULT: Ceiling = { eventsDays: 30, snapshotsDays: 7, why: 'default' };

export interface Ceiling {
  readonly eventsDays: number;
  readonly snapshotsDays: number;
  /** Number of the order, or `default`; both, where the stricter of the two counts. */
  readonly why: string;
}

export interface OrdersOptions {
  /** Absent: every box has the default. */
  readonly folder?: string | undefined;
  /** Public ones of the authorities, of which each order has one. */
  readonly keys: readonly KeyObject[];
  /** Hears a line for each file that is not what it should be, once. */
  log(line: string): void;
}

type Known = Pick<Authorisation, 'order' | 'site' | 'box' | 'notBefore' | 'notAfter' | 'installation'> &
  Pick<Authorisation['retention'], 'eventsDays' | 'snapshotsDays'> & {
    /** It cannot be read or verified any more. */
    readonly doubtful: boolean;
    /** Of the file that it was read from: another one once anything about it has changed. */
    readonly stamp: string;
  };

export class Orders {
  readonly #options: OrdersOptions;
  readonly #keys: ReadonlyMap<string, KeyObject>;
  /** What each file said when it was read last. */
  #known = new Map<string, Known>();
  /** Boxes that had an order once: without it they are not kept for longer than with it. */
  readonly #last = new Map<string, Ceiling>();
  /** Boxes which a file names that cannot be believed. */
  #doubted = new Set<string>();
  #told = new Map<string, string>();

  constructor(options: OrdersOptions) {
    this.#options = options;
    this.#keys = new Map(options.keys.map((key) => [keyIdOf(key), key]));
  }

  /** The ceilings of the boxes that have an order, by the files as they are now; every other box has DEFAULT. */
  async read(nowMs: number): Promise<Ceilings> {
    await this.#readFiles();
    const byBox = new Map<string, Known[]>();
    for (const known of this.#known.values()) {
      const key = keyOf(known);
      byBox.set(key, [...(byBox.get(key) ?? []), known]);
    }
    const counting = new Set<string>();
    for (const [key, known] of byBox) {
      const ceiling = ceilingOf(known, nowMs);
      if (ceiling === undefined) continue;
      counting.add(key);
      const doubtful = this.#doubted.has(key) || known.some((one) => one.doubtful);
      const counts = doubtful ? stricter(ceiling, DEFAULT) : ceiling;
      this.#last.set(key, counts);
    }
    const withdrawn = [...this.#last].filter(([key]) => !counting.has(key));
    for (const [key, last] of withdrawn) this.#last.set(key, stricter(last, DEFAULT));
    return new Ceilings(this.#last);
  }

  async #readFiles(): Promise<void> {
    const before = this.#known;
    this.#known = new Map();
    this.#doubted = new Set();
    const told = new Map<string, string>();
    const tell = (file: string, line: string): void => {
      told.set(file, line);
      if (this.#told.get(file) !== line) this.#options.log(`orders: ${line}`);
    };
    for (const file of this.#files(before, tell)) {
      const [last, stamp] = [before.get(file), stampOf(file)];
      if (last !== undefined && !last.doubtful && last.stamp === stamp) {
        this.#known.set(file, last);
        continue;
      }
      // A signature takes a millisecond: the archive beside this goes on between two files.
      await setImmediate();
      try {
        this.#known.set(file, { ...this.#opened(readAuthorisationFile(file)), stamp });
      } catch (error) {
        rethrowBug(error);
        this.#doubt(file, last);
        tell(file, `${printable(file)}: ${messageOf(error)}; ${this.#instead(file)}`);
      }
    }
    this.#told = told;
  }

  #files(before: ReadonlyMap<string, Known>, tell: (file: string, line: string) => void): string[] {
    const { folder } = this.#options;
    if (folder === undefined) return [];
    try {
      const names = readdirSync(folder)
        .filter((name) => name.endsWith(SUFFIX))
        .sort();
      if (names.length > FILES_MAX) {
        tell(folder, `${printable(folder)} holds ${names.length} files; the first ${FILES_MAX} are read`);
      }
      return names.slice(0, FILES_MAX).map((name) => join(folder, name));
    } catch (error) {
      for (const [file, known] of before) this.#doubt(file, known);
      tell(folder, `${printable(folder)} cannot be read (${messageOf(error)}); what it held counts on`);
      return [];
    }
  }

  /** Throws AgentError with what is wrong. */
  #opened(bytes: Buffer): Omit<Known, 'stamp'> {
    const keyid = /"keyid"\s*:\s*"([0-9a-f]{64})"/.exec(bytes.toString('latin1'))?.[1] ?? '';
    if (keyid !== '' && !this.#keys.has(keyid)) {
      throw new AgentError(
        'denied',
        `signed by ${keyid.slice(0, 16)}…, which is no key of an authority that was given`,
      );
    }
    const key = this.#keys.get(keyid) ?? this.#options.keys[0];
    if (key === undefined) throw new AgentError('config', 'no key of an authority was given');
    const { order, site, box, notBefore, notAfter, installation, retention } = openAuthorisation(bytes, key);
    const { eventsDays, snapshotsDays } = retention;
    const kind = installation === undefined ? {} : { installation };
    return { order, site, box, notBefore, notAfter, ...kind, eventsDays, snapshotsDays, doubtful: false };
  }

  #doubt(file: string, known: Known | undefined): void {
    if (known !== undefined) this.#known.set(file, { ...known, doubtful: true });
    else {
      const box = claimedBox(file);
      if (box !== undefined) this.#doubted.add(box);
    }
  }

  #instead(file: string): string {
    if (this.#known.has(file)) return 'what it said before counts, and the default where that is stricter';
    const box = claimedBox(file);
    return box === undefined
      ? 'whose it is cannot be told; a box without another order has the default'
      : `${printable(box)} has the default, or another order of its own where that is stricter`;
  }
}

/** What each box has, and the longest that any has. */
export class Ceilings {
  readonly #boxes: ReadonlyMap<string, Ceiling>;

  constructor(boxes: ReadonlyMap<string, Ceiling>) {
    this.#boxes = new Map(boxes);
  }

  of(place: { readonly site: string; readonly box: string }): Ceiling {
    return this.#boxes.get(keyOf(place)) ?? DEFAULT;
  }

  /** After so many days nothing of any box is kept. */
  get longest(): Pick<Ceiling, 'eventsDays' | 'snapshotsDays'> {
    const all: Ceiling[] = [DEFAULT, ...this.#boxes.values()];
    return {
      eventsDays: Math.max(...all.map(({ eventsDays }) => eventsDays)),
      snapshotsDays: Math.max(...all.map(({ snapshotsDays }) => snapshotsDays)),
    };
  }
}

/** Empty where it cannot be asked for: reading says why. */
function stampOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino}:${stat.size}:${stat.ctimeMs}`;
}

const keyOf = ({ site, box }: { readonly site: string; readonly box: string }): string => `${site}/${box}`;

/**
 * Of the orders in force the strictest; where none is, of those that ended last. A permit to install, under which
 * nothing is raised, counts only where there is nothing else. Undefined: none has begun.
 */
function ceilingOf(orders: readonly Known[], nowMs: number): Ceiling | undefined {
  const begun = orders.filter(({ notBefore }) => Date.parse(notBefore) <= nowMs);
  const real = begun.filter(({ installation }) => installation !== true);
  const counting = real.length > 0 ? real : begun;
  const inForce = counting.filter(({ notAfter }) => nowMs < Date.parse(notAfter));
  const lastEnd = Math.max(...counting.map(({ notAfter }) => Date.parse(notAfter)));
  const ended = counting.filter(({ notAfter }) => Date.parse(notAfter) === lastEnd);
  return (inForce.length > 0 ? inForce : ended)
    .map(({ order, eventsDays, snapshotsDays }) => ({ eventsDays, snapshotsDays, why: order }))
    .reduce<Ceiling | undefined>(
      (one, other) => (one === undefined ? other : stricter(one, other)),
      undefined,
    );
}

function stricter(one: Ceiling, other: Ceiling): Ceiling {
  const eventsDays = Math.min(one.eventsDays, other.eventsDays);
  const snapshotsDays = Math.min(one.snapshotsDays, other.snapshotsDays);
  const gives = (by: Ceiling): boolean => by.eventsDays === eventsDays && by.snapshotsDays === snapshotsDays;
  if (gives(one)) return one;
  if (gives(other)) return other;
  return { eventsDays, snapshotsDays, why: [one.why, other.why].sort().join(' and ') };
}

/** `site/box` that a file names which cannot be believed: it may shorten, and nothing else. */
function claimedBox(file: string): string | undefined {
  try {
    const { payload } = JSON.parse(readAuthorisationFile(file).toString()) as { payload?: unknown };
    const { site, box } = JSON.parse(Buffer.from(String(payload), 'base64').toString()) as Partial<Known>;
    return typeof site === 'string' && typeof box === 'string' ? `${site}/${box}` : undefined;
  } catch (error) {
    // Nothing can be made of it, which was told.
    if (error instanceof SyntaxError || error instanceof AgentError || error instanceof TypeError)
      return undefined;
    throw error;
  }
}
