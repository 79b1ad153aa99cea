/**
 * What the authority allows now: its file, its pinned key, and a time that only goes forward.
 *
 * INVARIANTS: fail-closed: whatever cannot be read or does not hold leaves nothing allowed, with its reason; what the
 * journal knows and a file does not tell any more is not begun anew.
 */
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AgentError, rethrowBug } from '../base/errors.ts';
import { cameraAddress } from '../contract/camera-address.ts';
import type { Config } from '../contract/config.ts';
import { keyIdOf } from '../orders/dsse.ts';
import type { RestraintFolder } from '../orders/restraint-folder.ts';
import type { Place } from '../orders/signed-order.ts';
import { readAuthorityKey } from './authorisation.ts';
import { LATEST_TIME_FILE, LatestTime, resetTime } from './latest-time.ts';
import { NO_ORDER, type Orders, orderInForce, type Refused, readOrders, type Signed } from './orders.ts';
import { PIN_FILE, readPin, writePin } from './pin.ts';
import { VOUCHING } from './places.ts';

export interface AuthorityOptions {
  readonly config: Config;
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  /** Root's folder, where there is one: its key must be this one too. */
  readonly folder?: RestraintFolder | undefined;
  /** What the journal knows; undefined while it cannot be read. Absent where somebody only asks what the file says. */
  readonly journal?: {
    readonly known:
      | { readonly authority: string | undefined; readonly confirmedBeforeMs: number | undefined }
      | undefined;
  };
  /** A key was pinned, and is to be told; without this nothing is written: another program looks. */
  onPinned?(keyid: string, before: string | null): void;
}

export class Authority {
  readonly #options: AuthorityOptions;
  readonly #place: Place;
  #time: LatestTime | undefined;
  #orders: Orders | Refused = { reason: 'the authorisation has not been read' };

  constructor(options: AuthorityOptions) {
    this.#options = options;
    const { site, box, camera } = options.config;
    this.#place = { site, box, camera: cameraAddress(camera?.source) };
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
      this.#orders = this.#read();
    } catch (error) {
      rethrowBug(error);
      this.#orders = { reason: error.message };
    }
  }

  /** What is allowed at this moment, or why nothing is. */
  now(): Signed | Refused {
    if ('reason' in this.#orders) return this.#orders;
    return orderInForce(this.#orders, this.#place, this.nowMs());
  }

  /** When the order ends, ms, over or not; null where none is configured, undefined where it cannot be read. */
  get endMs(): number | null | undefined {
    if (this.#options.config.authorisation === undefined) return null;
    if ('reason' in this.#orders || 'reason' in this.#orders.authorisation) return undefined;
    const { installation, notAfter } = this.#orders.authorisation.content;
    // A permit is made to end soon.
    return installation === true ? null : Date.parse(notAfter);
  }

  /** The wall clock is set and steady. */
  confirmTime(): void {
    this.#time?.confirm();
  }

  /** Puts the latest time on disk; throws AgentError `unavailable`. */
  keepTime(): void {
    this.#time?.keep();
  }

  /** Whoever may, says that the wall clock is right. Throws AgentError `unavailable`. */
  resetTime(): void {
    const { stateDir, clock } = this.#options;
    resetTime(stateDir, clock.wallMs());
    this.#time = this.#makeTime();
  }

  #read(): Orders {
    const { config } = this.#options;
    const { authorisation, installation, authorityKey } = config;
    const key = authorityKey === undefined ? undefined : readAuthorityKey(authorityKey);
    if (key !== undefined) this.#pin(key);
    this.#time ??= this.#makeTime();
    if (authorisation === undefined && installation === undefined) throw new AgentError('config', NO_ORDER);
    if (key === undefined) throw new AgentError('config', '`authorityKey` is not in the configuration');
    return readOrders(config, key);
  }

  #makeTime(): LatestTime {
    const { stateDir, clock, journal } = this.#options;
    return new LatestTime({ stateDir, clock, knownMs: journal?.known?.confirmedBeforeMs });
  }

  /** Throws AgentError where the key is not the one that this box obeys. */
  #pin(key: KeyObject): void {
    const { stateDir, clock, folder, journal, onPinned } = this.#options;
    const file = join(stateDir, PIN_FILE);
    const keyid = keyIdOf(key);
    if (folder !== undefined) this.#mustBe(keyid, keyIdOf(folder.authority()), folder.dir);
    const known = journal?.known?.authority;
    const found = readPin(file);
    if (found === undefined && known !== undefined) {
      const message = `${file} is missing, though by its journal this box obeys the key ${short(known)}; if authorityKey is right, ${VOUCHING}`;
      throw new AgentError('denied', message);
    }
    if (found === undefined && onPinned !== undefined && journal?.known === undefined) {
      throw new AgentError(
        'unavailable',
        'the journal cannot be read: whether this box has obeyed another key is not known',
      );
    }
    const pin = found ?? { keyid, before: null, told: false };
    this.#mustBe(keyid, pin.keyid, file);
    if (pin.told && known !== undefined) this.#mustBe(keyid, known, 'its journal');
    // Told only where the journal takes it: until then a journal that is missing may be begun (pin.ts).
    if (pin.told || onPinned === undefined || journal?.known === undefined) return;
    // Whoever vouches takes the time, too, as it is now.
    if (found !== undefined) resetTime(stateDir, clock.wallMs());
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
