/**
 * Determines what the authority permits now, from its file, its pinned key and a monotonic time.
 *
 * INVARIANTS:
 * - Fails closed: if anything is unreadable or invalid, nothing is permitted, and the reason is stated.
 * - If the journal holds state that a file has lost, the file is not recreated.
 */
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AgentError, rethrowBug } from '../base/errors.ts';
import { configuredStream } from '../contract/camera-address.ts';
import type { Config } from '../contract/config.ts';
import { keyIdOf } from '../orders/dsse.ts';
import type { RestraintFolder } from '../orders/restraint-folder.ts';
import type { Place } from '../orders/signed-authorisation.ts';
import { readAuthorityKey } from './authorisation.ts';
import {
  type AuthorisationRefusal,
  type Authorisations,
  NO_AUTHORISATION,
  orderInForce,
  readAuthorisations,
  type SignedAuthorisation,
} from './authorisations.ts';
import { LATEST_TIME_FILE, LatestTime, resetTime } from './latest-time.ts';
import { VOUCHING } from './mode-files.ts';
import { PIN_FILE, readPin, writePin } from './pin.ts';

export interface AuthorityOptions {
  readonly config: Config;
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  /** Root's folder, if there is one. Its key must be the same. */
  readonly folder?: RestraintFolder | undefined;
  /** State that the journal holds; undefined while it cannot be read. Absent for callers that only query the file. */
  readonly journal?: {
    readonly recordedState:
      | { readonly authority: string | undefined; readonly confirmedBeforeMs: number | undefined }
      | undefined;
  };
  /** Called when a new pin must be reported. If it is absent, another program is reading, and nothing is written. */
  onPinned?(keyid: string, before: string | null): void;
}

export class Authority {
  readonly #options: AuthorityOptions;
  readonly #place: Place;
  #time: LatestTime | undefined;
  #authorisations: Authorisations | AuthorisationRefusal = { reason: 'the authorisation has not been read' };

  constructor(options: AuthorityOptions) {
    this.#options = options;
    const { site, box, camera } = options.config;
    this.#place = { site, box, camera: configuredStream(camera?.source) };
  }

  /** True if the box has run before, as its state folder shows. */
  get hasRunBefore(): boolean {
    return [PIN_FILE, LATEST_TIME_FILE].some((file) => existsSync(join(this.#options.stateDir, file)));
  }

  /** Time for evaluating validity, ms. */
  nowMs(): number {
    return this.#time?.wallMs() ?? this.#options.clock.wallMs();
  }

  /** Reads all files again. */
  load(): void {
    try {
      this.#authorisations = this.#read();
    } catch (error) {
      rethrowBug(error);
      this.#authorisations = { reason: error.message };
    }
  }

  /** Returns the valid authorisation at this moment, or the reason why there is none. */
  now(): SignedAuthorisation | AuthorisationRefusal {
    if ('reason' in this.#authorisations) return this.#authorisations;
    return orderInForce(this.#authorisations, this.#place, this.nowMs());
  }

  /** End of the authorisation, ms, past or not; null if none is configured, undefined if it cannot be read. */
  get endMs(): number | null | undefined {
    if (this.#options.config.authorisation === undefined) return null;
    if ('reason' in this.#authorisations || 'reason' in this.#authorisations.authorisation) return undefined;
    const { installation, notAfter } = this.#authorisations.authorisation.content;
    // An installation authorisation is meant to end soon.
    return installation === true ? null : Date.parse(notAfter);
  }

  /** Takes the wall clock as set and trusted. */
  confirmTime(): void {
    this.#time?.confirm();
  }

  /** Writes the latest time to disk; throws AgentError `unavailable`. */
  keepTime(): void {
    this.#time?.keep();
  }

  /** Resets the time to the wall clock, as an authorised person demands. Throws AgentError `unavailable`. */
  resetTime(): void {
    const { stateDir, clock } = this.#options;
    resetTime(stateDir, clock.wallMs());
    this.#time = this.#makeTime();
  }

  #read(): Authorisations {
    const { config } = this.#options;
    const { authorisation, installation, authorityKey } = config;
    const key = authorityKey === undefined ? undefined : readAuthorityKey(authorityKey);
    if (key !== undefined) this.#pin(key);
    this.#time ??= this.#makeTime();
    if (authorisation === undefined && installation === undefined)
      throw new AgentError('config', NO_AUTHORISATION);
    if (key === undefined) throw new AgentError('config', '`authorityKey` is not in the configuration');
    return readAuthorisations(config, key);
  }

  #makeTime(): LatestTime {
    const { stateDir, clock, journal } = this.#options;
    return new LatestTime({ stateDir, clock, knownMs: journal?.recordedState?.confirmedBeforeMs });
  }

  /** Throws AgentError if the key is not the one that this box obeys. */
  #pin(key: KeyObject): void {
    const { stateDir, clock, folder, journal, onPinned } = this.#options;
    const file = join(stateDir, PIN_FILE);
    const keyid = keyIdOf(key);
    if (folder !== undefined) this.#mustBe(keyid, keyIdOf(folder.authority()), folder.dir);
    const journalKey = journal?.recordedState?.authority;
    const storedPin = readPin(file);
    if (storedPin === undefined && journalKey !== undefined) {
      const message = `${file} is missing, though by its journal this box obeys the key ${short(journalKey)}; if authorityKey is right, ${VOUCHING}`;
      throw new AgentError('denied', message);
    }
    if (storedPin === undefined && onPinned !== undefined && journal?.recordedState === undefined) {
      throw new AgentError(
        'unavailable',
        'the journal cannot be read: whether this box has obeyed another key is not known',
      );
    }
    const pin = storedPin ?? { keyid, before: null, told: false };
    this.#mustBe(keyid, pin.keyid, file);
    if (pin.told && journalKey !== undefined) this.#mustBe(keyid, journalKey, 'its journal');
    // Reported only once the journal accepts it. Until then a missing journal may be created (pin.ts).
    if (pin.told || onPinned === undefined || journal?.recordedState === undefined) return;
    // Vouching for the box also accepts the present time.
    if (storedPin !== undefined) resetTime(stateDir, clock.wallMs());
    this.#time = undefined;
    onPinned(keyid, pin.before);
    writePin(file, { ...pin, told: true });
  }

  #mustBe(is: string, was: string, by: string): void {
    if (is === was) return;
    throw new AgentError(
      'denied',
      `authorityKey is another key (${short(is)}) than this box obeys (${short(was)}, says ${by}); if that is right, ${VOUCHING}`,
    );
  }
}

const short = (keyid: string): string => `${keyid.slice(0, 16)}…`;
