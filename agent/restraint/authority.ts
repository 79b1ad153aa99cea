/**
 * What the authority allows now: its file, its pinned key, and a time that only goes forward.
 *
 * INVARIANTS: fail-closed: whatever cannot be read or does not hold leaves nothing allowed, with its reason.
 */
import { createHash, type KeyObject } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { keyIdOf } from '../base/dsse.ts';
import { AgentError } from '../base/errors.ts';
import { type Authorisation, cameraAddress } from '../contract/authorisation.ts';
import type { Config } from '../contract/config.ts';
import {
  authorisationFault,
  openAuthorisation,
  type Place,
  readAuthorisationFile,
  readAuthorityKey,
} from './authorisation.ts';
import { LATEST_TIME_FILE, LatestTime } from './latest-time.ts';
import { PIN_FILE, readPin, writePin } from './pin.ts';

export interface AuthorityOptions {
  readonly config: Pick<Config, 'site' | 'box' | 'camera' | 'authorisation' | 'authorityKey'>;
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  /** A key was pinned, and is to be told; without this nothing is written: another program looks. */
  onPinned?(keyid: string, before: string | null): void;
}

/** An authorisation that holds in all but time. */
export interface Signed {
  readonly content: Authorisation;
  /** Of the file, lower-case hex. */
  readonly sha256: string;
}

export class Authority {
  readonly #options: AuthorityOptions;
  readonly #place: Place;
  #time: LatestTime | undefined;
  #signed: Signed | { readonly reason: string } = { reason: 'the authorisation has not been read' };

  constructor(options: AuthorityOptions) {
    this.#options = options;
    const { site, box, camera } = options.config;
    this.#place = { site, box, camera: cameraAddress(camera?.source ?? '') };
  }

  /** The box has run before, as its state folder shows. */
  get known(): boolean {
    return [PIN_FILE, LATEST_TIME_FILE].some((file) => existsSync(join(this.#options.stateDir, file)));
  }

  /** The time by which validity is judged, ms. */
  nowMs(): number {
    return this.#time?.wallMs() ?? this.#options.clock.wallMs();
  }

  /** Reads everything anew. */
  load(): void {
    try {
      this.#signed = this.#read();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
      this.#signed = { reason: error.message };
    }
  }

  /** What is allowed at this moment, or why nothing is. */
  now(): Signed | { readonly reason: string } {
    if ('reason' in this.#signed) return this.#signed;
    const fault = authorisationFault(this.#signed.content, this.#place, this.nowMs());
    if (fault === undefined) return this.#signed;
    const now = new Date(this.nowMs()).toISOString();
    const late = fault.code === 'expired' || fault.code === 'not-yet-valid';
    return { reason: late ? `${fault.message}; it is ${now} by the latest time seen` : fault.message };
  }

  /** Puts the latest time on disk; throws AgentError `unavailable`. */
  keepTime(): void {
    this.#time?.keep();
  }

  #read(): Signed {
    const { config, stateDir, clock } = this.#options;
    const { authorisation, authorityKey } = config;
    const key = authorityKey === undefined ? undefined : readAuthorityKey(authorityKey);
    if (key !== undefined) this.#pin(key);
    this.#time ??= new LatestTime(join(stateDir, LATEST_TIME_FILE), clock);
    if (authorisation === undefined)
      throw new AgentError('config', '`authorisation` is not in the configuration');
    if (key === undefined) throw new AgentError('config', '`authorityKey` is not in the configuration');
    const bytes = readAuthorisationFile(authorisation);
    return {
      content: openAuthorisation(bytes, key),
      sha256: createHash('sha256').update(bytes).digest('hex'),
    };
  }

  /** Throws AgentError where the key is not the one that this box obeys. */
  #pin(key: KeyObject): void {
    const { stateDir, onPinned } = this.#options;
    const file = join(stateDir, PIN_FILE);
    const keyid = keyIdOf(key);
    const pin = readPin(file) ?? { keyid, before: null, told: false };
    if (pin.keyid !== keyid) {
      const [is, was] = [keyid, pin.keyid].map((id) => id.slice(0, 16));
      throw new AgentError(
        'denied',
        `authorityKey is another key (${is}…) than this box obeys (${was}…); if that is right, run \`vigie pin\` on the box`,
      );
    }
    if (pin.told || onPinned === undefined) return;
    // `vigie pin` takes the time, too, as it is now.
    rmSync(join(stateDir, LATEST_TIME_FILE), { force: true });
    this.#time = undefined;
    onPinned(keyid, pin.before);
    writePin(file, { ...pin, told: true });
  }
}
