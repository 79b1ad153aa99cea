/**
 * Determines the retention times of each box from the authority's signed authorisations in a folder (`*.dsse.json`, as
 * `vigie-oversight authorise` writes them).
 *
 * INVARIANTS:
 * - An authorisation counts only with the signature of a given key.
 * - A file that cannot be read or verified never prolongs retention. Its last valid content still counts, together with
 *   the default.
 * - An expired authorisation counts until another one of the same box has begun, so its recordings are kept no longer
 *   than it allows.
 * LIMITS: FILES_MAX files of AUTHORISATION_BYTES_MAX bytes; further files are reported and not read.
 */
import type { KeyObject } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import { keyIdOf } from '../../../../agent/orders/dsse.ts';
import { openAuthorisation } from '../../../../agent/orders/signed-authorisation.ts';
import { readAuthorisationFile } from '../../../../agent/restraint/authorisation.ts';

/** File suffix used with `vigie-oversight authorise --out` in docs/guide/authorisation.md. */
const SUFFIX = '.dsse.json';

/** Enough for 1,500 boxes with an authorisation and its successor each, twice over. */
const FILES_MAX = 6000;

/** Default retention of the agent (`retention` in agent/contract/config.ts). */
export const DEFAULT: Ceiling = { eventsDays: 30, snapshotsDays: 7, reason: 'default' };

export interface Ceiling {
  readonly eventsDays: number;
  readonly snapshotsDays: number;
  /** Number of the authorisation, or `default`. Both, if each determines one of the two limits. */
  readonly reason: string;
}

export interface AuthorisationsOptions {
  /** Undefined: every box has the default. */
  readonly folder?: string | undefined;
  /** Public keys of the authorities. Each authorisation is signed with one of them. */
  readonly keys: readonly KeyObject[];
  /** Receives one line for each faulty file, once. */
  log(line: string): void;
}

type StoredAuthorisation = Pick<
  Authorisation,
  'order' | 'site' | 'box' | 'notBefore' | 'notAfter' | 'installation'
> &
  Pick<Authorisation['retention'], 'eventsDays' | 'snapshotsDays'> & {
    /** True if the file can no longer be read or verified. */
    readonly doubtful: boolean;
    /** Identity of the file as last read; it changes with any change of the file. */
    readonly stamp: string;
  };

export class Authorisations {
  readonly #options: AuthorisationsOptions;
  readonly #keys: ReadonlyMap<string, KeyObject>;
  /** Last valid content of each file. */
  #authorisations = new Map<string, StoredAuthorisation>();
  /** Last limits of boxes that ever had an authorisation. Without one, retention must not become longer. */
  readonly #last = new Map<string, Ceiling>();
  /** Boxes named by files that are not credible. */
  #doubted = new Set<string>();
  #reports = new Map<string, string>();

  constructor(options: AuthorisationsOptions) {
    this.#options = options;
    this.#keys = new Map(options.keys.map((key) => [keyIdOf(key), key]));
  }

  /** Returns the limits of boxes with an authorisation, from the current files. All other boxes have DEFAULT. */
  async read(nowMs: number): Promise<Ceilings> {
    await this.#readFiles();
    const byBox = new Map<string, StoredAuthorisation[]>();
    for (const authorisation of this.#authorisations.values()) {
      const key = keyOf(authorisation);
      byBox.set(key, [...(byBox.get(key) ?? []), authorisation]);
    }
    const counting = new Set<string>();
    for (const [key, boxAuthorisations] of byBox) {
      const ceiling = ceilingOf(boxAuthorisations, nowMs);
      if (ceiling === undefined) continue;
      counting.add(key);
      const doubtful = this.#doubted.has(key) || boxAuthorisations.some((one) => one.doubtful);
      const counts = doubtful ? stricter(ceiling, DEFAULT) : ceiling;
      this.#last.set(key, counts);
    }
    const withdrawn = [...this.#last].filter(([key]) => !counting.has(key));
    for (const [key, last] of withdrawn) this.#last.set(key, stricter(last, DEFAULT));
    return new Ceilings(this.#last);
  }

  async #readFiles(): Promise<void> {
    const before = this.#authorisations;
    this.#authorisations = new Map();
    this.#doubted = new Set();
    const reports = new Map<string, string>();
    const tell = (file: string, line: string): void => {
      reports.set(file, line);
      if (this.#reports.get(file) !== line) this.#options.log(`orders: ${line}`);
    };
    for (const file of this.#files(before, tell)) {
      const [last, stamp] = [before.get(file), stampOf(file)];
      if (last !== undefined && !last.doubtful && last.stamp === stamp) {
        this.#authorisations.set(file, last);
        continue;
      }
      // A signature takes a millisecond, so this yields to the archive between two files.
      await setImmediate();
      try {
        this.#authorisations.set(file, {
          ...this.#verifiedAuthorisation(readAuthorisationFile(file)),
          stamp,
        });
      } catch (error) {
        rethrowBug(error);
        this.#doubt(file, last);
        tell(file, `${printable(file)}: ${messageOf(error)}; ${this.#fallbackText(file)}`);
      }
    }
    this.#reports = reports;
  }

  #files(
    before: ReadonlyMap<string, StoredAuthorisation>,
    tell: (file: string, line: string) => void,
  ): string[] {
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
      for (const [file, authorisation] of before) this.#doubt(file, authorisation);
      tell(folder, `${printable(folder)} cannot be read (${messageOf(error)}); what it held counts on`);
      return [];
    }
  }

  /**
   * Verifies an authorisation.
   * @throws {AgentError} with the fault
   */
  #verifiedAuthorisation(bytes: Buffer): Omit<StoredAuthorisation, 'stamp'> {
    const keyid = /"keyid"\s*:\s*"([0-9a-f]{64})"/.exec(bytes.toString('latin1'))?.[1] ?? '';
    if (keyid !== '' && !this.#keys.has(keyid)) {
      throw new AgentError(
        'denied',
        `signed by ${keyid.slice(0, 16)}…, which is not a key of a configured authority`,
      );
    }
    const key = this.#keys.get(keyid) ?? this.#options.keys[0];
    if (key === undefined) throw new AgentError('config', 'a key of an authority is required');
    const { order, site, box, notBefore, notAfter, installation, retention } = openAuthorisation(bytes, key);
    const { eventsDays, snapshotsDays } = retention;
    const kind = installation === undefined ? {} : { installation };
    return { order, site, box, notBefore, notAfter, ...kind, eventsDays, snapshotsDays, doubtful: false };
  }

  #doubt(file: string, authorisation: StoredAuthorisation | undefined): void {
    if (authorisation !== undefined) this.#authorisations.set(file, { ...authorisation, doubtful: true });
    else {
      const box = claimedBox(file);
      if (box !== undefined) this.#doubted.add(box);
    }
  }

  #fallbackText(file: string): string {
    if (this.#authorisations.has(file))
      return 'what it said before counts, and the default where that is stricter';
    const box = claimedBox(file);
    return box === undefined
      ? 'its box is unknown; a box without another authorisation has the default'
      : `${printable(box)} has the default, or another authorisation of its own if that is stricter`;
  }
}

/** Limits of each box, and the longest of all. */
export class Ceilings {
  readonly #boxes: ReadonlyMap<string, Ceiling>;

  constructor(boxes: ReadonlyMap<string, Ceiling>) {
    this.#boxes = new Map(boxes);
  }

  of(place: { readonly site: string; readonly box: string }): Ceiling {
    return this.#boxes.get(keyOf(place)) ?? DEFAULT;
  }

  /** Days after which all data of every box is deleted. */
  get longest(): Pick<Ceiling, 'eventsDays' | 'snapshotsDays'> {
    const all: Ceiling[] = [DEFAULT, ...this.#boxes.values()];
    return {
      eventsDays: Math.max(...all.map(({ eventsDays }) => eventsDays)),
      snapshotsDays: Math.max(...all.map(({ snapshotsDays }) => snapshotsDays)),
    };
  }
}

/** Returns the identity of the file, or an empty text if it is unavailable; the read then reports the reason. */
function stampOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino}:${stat.size}:${stat.ctimeMs}`;
}

const keyOf = ({ site, box }: { readonly site: string; readonly box: string }): string => `${site}/${box}`;

/**
 * Returns the strictest of the active authorisations, or else of those that expired last.
 *
 * An installation authorisation, under which no alerts are raised, counts only if there is no other. Undefined: none
 * has begun.
 */
function ceilingOf(authorisations: readonly StoredAuthorisation[], nowMs: number): Ceiling | undefined {
  const begunAuthorisations = authorisations.filter(({ notBefore }) => Date.parse(notBefore) <= nowMs);
  const real = begunAuthorisations.filter(({ installation }) => installation !== true);
  const counting = real.length > 0 ? real : begunAuthorisations;
  const activeAuthorisations = counting.filter(({ notAfter }) => nowMs < Date.parse(notAfter));
  const lastEnd = Math.max(...counting.map(({ notAfter }) => Date.parse(notAfter)));
  const lastAuthorisations = counting.filter(({ notAfter }) => Date.parse(notAfter) === lastEnd);
  return (activeAuthorisations.length > 0 ? activeAuthorisations : lastAuthorisations)
    .map(({ order, eventsDays, snapshotsDays }) => ({ eventsDays, snapshotsDays, reason: order }))
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
  return { eventsDays, snapshotsDays, reason: [one.reason, other.reason].sort().join(' and ') };
}

/** Returns the `site/box` named by a file that is not credible. The claim may only shorten retention. */
function claimedBox(file: string): string | undefined {
  try {
    const { payload } = JSON.parse(readAuthorisationFile(file).toString()) as { payload?: unknown };
    const { site, box } = JSON.parse(
      Buffer.from(String(payload), 'base64').toString(),
    ) as Partial<StoredAuthorisation>;
    return typeof site === 'string' && typeof box === 'string' ? `${site}/${box}` : undefined;
  } catch (error) {
    // Unreadable content, which is already reported.
    if (error instanceof SyntaxError || error instanceof AgentError || error instanceof TypeError)
      return undefined;
    throw error;
  }
}
