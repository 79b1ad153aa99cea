/**
 * Pairs phones: one on which the code of the label was typed, or one that a paired phone admits.
 *
 * INVARIANTS:
 * - A code works at most once. Its use is on disk before a phone is admitted; if that cannot be known or written, no
 *   phone is admitted.
 * - A phone whose answer was lost is recognised by its own random attempt instead (repeated-pairing.ts).
 * - If the state folder shows an earlier run and the list of used codes is missing, no phone is admitted.
 * - Codes are compared by their hashes, in constant time; no line of the log holds one.
 * - Wrong tries count for the phone that made them and for the label at which they were made (pairing-locks.ts). One
 *   phone locks out no other, and a new label locks no phone.
 * LIMITS: those of pairing-locks.ts. A label's code is valid for VALID_S of the box's own running time. USED_MAX hashes
 * are stored, and the oldest is dropped first.
 */
import { timingSafeEqual } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { writeAtomically } from '../../base/atomic-file.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { PairRefused } from '../../contract/page-api.ts';
import { makeSetupCode, SetupCode, setupCodeHash } from '../../contract/setup-code.ts';
import { PairingLocks } from './pairing-locks.ts';
import { readJson } from './state-file.ts';

export const USED_CODES_FILE = 'used-codes.json';

/**
 * Running time of the box with an unused code. It is not wall time: a box without a clock of its own starts with its
 * image's time and jumps by months when the network is there.
 */
const VALID_S = 30 * 86_400;
const KEEP_EVERY_MS = 3_600_000;
const NEW_CODE_MS = 10 * 60_000;
const USED_MAX = 1000;

const Hash = Type.String({ pattern: '^[0-9a-f]{64}$' });
const strict = { additionalProperties: false } as const;
const UsedCodes = Type.Object(
  {
    version: Type.Literal(1),
    used: Type.Array(Hash, { maxItems: USED_MAX }),
    /** Code of the present label, and how long the box has run with it. */
    offered: Type.Union([
      Type.Null(),
      Type.Object({ sha256: Hash, ranS: Type.Number({ minimum: 0 }) }, strict),
    ]),
  },
  strict,
);
type UsedCodes = Static<typeof UsedCodes>;

export interface PairingOptions {
  readonly stateDir: string;
  /** File with the hash of the label's code (contract/setup-code.ts). */
  readonly setupCodeFile: string;
  /** True if the state folder is from an earlier start. */
  readonly hasRunBefore: boolean;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Logger;
}

export class Pairing {
  readonly #options: PairingOptions;
  readonly #file: string;
  #state: UsedCodes | undefined;
  #reason = 'not started';
  readonly #locks: PairingLocks;
  #countedAtMs: number;
  #keptAtMs: number;
  /** Code for a second phone, only in memory. */
  #newCode: { readonly sha256: string; readonly untilMs: number } | undefined;

  constructor(options: PairingOptions) {
    this.#options = options;
    this.#file = join(options.stateDir, USED_CODES_FILE);
    this.#locks = new PairingLocks(options.clock);
    this.#countedAtMs = options.clock.nowMs();
    this.#keptAtMs = this.#countedAtMs;
  }

  /** Never throws, whatever the disk does. After an error no phone is paired, and the log states the reason. */
  start(): void {
    const { clock, log } = this.#options;
    try {
      this.#state = this.#load();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
      this.#reason = error.message;
      log.error({ reason: error.message }, 'no phone can be paired');
      return;
    }
    this.#countedAtMs = clock.nowMs();
    this.#count();
  }

  /** Checks a code typed on a phone at this address. Undefined if it is admitted. */
  try(typed: string, address: string): PairRefused | undefined {
    const { clock, log } = this.#options;
    const nowMs = clock.nowMs();
    this.#count();
    const label = this.#label();
    const retryInS = this.#locks.waitS(address, label);
    if (retryInS > 0) return { error: 'locked', retryInS };
    const state = this.#state;
    if (state === undefined) return { error: 'no-code', reason: this.#reason };
    const hash = setupCodeHash(typed);
    if (this.#newCode !== undefined && same(hash, this.#newCode.sha256)) return this.#tryNewCode(nowMs);
    if (state.used.some((usedHash) => same(hash, usedHash))) return { error: 'used' };
    if (label === undefined && this.#newCode === undefined) return this.#noCode();
    if (label === undefined || !same(hash, label)) return this.#wrong(address);
    if ((state.offered?.ranS ?? 0) > VALID_S) return { error: 'expired' };
    const usedLabels = [...state.used.slice(1 - USED_MAX), label];
    if (!this.#keep({ ...state, used: usedLabels, offered: null }))
      return { error: 'no-code', reason: this.#reason };
    this.#locks.clear();
    log.info({}, 'a phone was paired by the code of the label, which is used now');
    return undefined;
  }

  /** Issues a code for one more phone, valid for `minutes`; it replaces the previous one. */
  newCode(): { readonly code: string; readonly minutes: number } {
    const code = makeSetupCode();
    this.#newCode = { sha256: setupCodeHash(code), untilMs: this.#options.clock.nowMs() + NEW_CODE_MS };
    return { code, minutes: NEW_CODE_MS / 60_000 };
  }

  /** Removes all locks on behalf of the room; returns the number of locked phones. */
  unlock(): number {
    const phones = this.#locks.clear();
    this.#options.log.warn({ phones }, 'the room has let phones try again that were locked');
    return phones;
  }

  /** Updates the running time of the label's code; called from time to time. */
  tick(): void {
    this.#count();
  }

  #load(): UsedCodes {
    const first: UsedCodes = { version: 1, used: [], offered: null };
    if (!existsSync(this.#file)) {
      if (this.#options.hasRunBefore) {
        const fix = 'put a new setup-code.json in place and remove the rest of the state folder';
        throw new AgentError('corrupt', `${this.#file} is missing although the page has run before; ${fix}`);
      }
      try {
        writeState(this.#file, first);
      } catch (error) {
        throw new AgentError('unavailable', `${this.#file} cannot be written: ${messageOf(error)}`, error);
      }
      return first;
    }
    return readJson(this.#file, UsedCodes);
  }

  #tryNewCode(nowMs: number): PairRefused | undefined {
    const expired = nowMs >= (this.#newCode?.untilMs ?? 0);
    this.#newCode = undefined;
    if (expired) return { error: 'expired' };
    this.#options.log.info({}, 'a phone was paired by a code of a paired phone');
    return undefined;
  }

  #noCode(): PairRefused {
    return { error: 'no-code', reason: `${this.#options.setupCodeFile} holds no code that was not used` };
  }

  #wrong(address: string): PairRefused {
    const { triesLeft, lockS } = this.#locks.wrong(address);
    this.#options.log.warn({ left: triesLeft, lockS }, 'a wrong code was typed');
    return { error: 'wrong', left: triesLeft, ...(lockS > 0 && { retryInS: lockS }) };
  }

  /** Hash of the label's code; undefined if there is none to use. */
  #label(): string | undefined {
    const { setupCodeFile } = this.#options;
    if (!existsSync(setupCodeFile)) return undefined;
    try {
      const { sha256 } = readJson(setupCodeFile, SetupCode);
      return this.#state?.used.includes(sha256) === true ? undefined : sha256;
    } catch (error) {
      this.#options.log.error({ reason: messageOf(error) }, 'the setup code cannot be read');
      return undefined;
    }
  }

  #count(): void {
    const nowMs = this.#options.clock.nowMs();
    const passedS = Math.max(0, nowMs - this.#countedAtMs) / 1000;
    this.#countedAtMs = nowMs;
    const state = this.#state;
    const label = this.#label();
    if (state === undefined || label === undefined) return;
    const isSameLabel = state.offered?.sha256 === label;
    const offered = { sha256: label, ranS: isSameLabel ? (state.offered?.ranS ?? 0) + passedS : 0 };
    this.#state = { ...state, offered };
    if (!isSameLabel || nowMs - this.#keptAtMs >= KEEP_EVERY_MS) this.#keep(this.#state);
  }

  /** Returns false if the state is not on disk, so that nothing may rely on it. */
  #keep(state: UsedCodes): boolean {
    try {
      writeState(this.#file, state);
    } catch (error) {
      this.#reason = `${this.#file} cannot be written: ${messageOf(error)}`;
      this.#options.log.error({ reason: this.#reason }, 'no phone can be paired');
      return false;
    }
    this.#keptAtMs = this.#options.clock.nowMs();
    this.#state = state;
    return true;
  }
}

function writeState(file: string, state: UsedCodes): void {
  writeAtomically(file, JSON.stringify(state));
}

/** Compares two SHA-256 in hexadecimal digits. */
function same(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(one, 'hex'), Buffer.from(other, 'hex'));
}
