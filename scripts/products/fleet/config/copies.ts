/**
 * Stores the room's copies of the boxes' configurations: `configs/<site>/<box>.yaml` in the fleet's folder, for people
 * and git. The camera's login is `***` in them.
 *
 * INVARIANTS:
 * - A text counts as a box's only if the box reports its SHA-256.
 * - A pushed text becomes the copy only when the box reports it, so a box that rolls back needs no correction.
 * - A copy that someone has edited is not overwritten.
 * - Writes are atomic.
 *
 * LIMITS: `configs/.known` holds the last text of each box and the last one pushed to it.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { shownSha256, withoutSecrets } from '../../../../agent/config/secrets.ts';

const FOLDER = 'configs';
const KNOWN_FOLDER = '.known';

/** Names a box. */
export interface Place {
  readonly site: string;
  readonly box: string;
}

export class Copies {
  readonly #dir: string;

  constructor(fleetDir: string) {
    this.#dir = join(fleetDir, FOLDER);
  }

  file({ site, box }: Place): string {
    return join(this.#dir, site, `${box}.yaml`);
  }

  /** Returns the text that the box reports; undefined if the room does not have it. Throws AgentError `unavailable`. */
  current(place: Place, sha256: string): string | undefined {
    const copy = read(this.file(place));
    if (copy !== undefined && shownSha256(copy) === sha256) return withoutSecrets(copy);
    const stored = read(this.#knownFile(place, sha256));
    if (stored === undefined || sha256Of(stored) !== sha256) return undefined;
    if (!this.#isEdited(place, copy)) write(this.file(place), stored);
    return stored;
  }

  /** Reports whether there is a copy. */
  has(place: Place): boolean {
    return existsSync(this.file(place));
  }

  /**
   * Stores the box's text; returns whether it is the copy now. An edited copy stays. Throws AgentError `unavailable`.
   */
  keep(place: Place, text: string): boolean {
    const copy = read(this.file(place));
    const edited = this.#isEdited(place, copy) && copy !== text;
    if (!edited && copy !== text) write(this.file(place), text);
    this.#know(place, [text]);
    return !edited;
  }

  /**
   * Stores the text that becomes the copy when the box reports it instead of `before`. Throws AgentError `unavailable`.
   */
  pushed(place: Place, before: string, text: string): void {
    this.#know(place, [before, text]);
    // The copy was edited for this push, and must not revert to the earlier text.
    const copy = read(this.file(place));
    if (copy !== undefined && shownSha256(copy) === sha256Of(text)) write(this.file(place), text);
  }

  /** Reports whether a person has edited the copy: the box never had it, nor was it sent. */
  #isEdited(place: Place, copy: string | undefined): boolean {
    return copy !== undefined && !existsSync(this.#knownFile(place, sha256Of(copy)));
  }

  #know(place: Place, texts: readonly string[]): void {
    const files = texts.map((text) => this.#knownFile(place, sha256Of(text)));
    for (const [index, text] of texts.entries()) write(files[index] ?? '', text);
    const dir = this.#knownDir(place);
    for (const name of readdirSync(dir)) if (!files.includes(join(dir, name))) rmSync(join(dir, name));
  }

  #knownFile(place: Place, sha256: string): string {
    return join(this.#knownDir(place), `${sha256}.yaml`);
  }

  #knownDir({ site, box }: Place): string {
    return join(this.#dir, KNOWN_FOLDER, site, box);
  }
}

function read(file: string): string | undefined {
  try {
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be read: ${messageOf(error)}`, error);
  }
}

function write(file: string, text: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeAtomically(file, text, 0o640);
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}
