/**
 * Sealed evidence in the agent: stored as received from vision, deleted after its retention, delivered on a signed
 * request.
 */
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import type { CheckedCommand } from '../contract/commands.ts';
import type { SealedEvidence, UnsealResult } from '../contract/sealed-evidence.ts';
import type { RestraintRecord } from '../contract/search.ts';
import { SealedStore, type SealedStoreOptions } from './sealed.ts';
import { UnsealHandler } from './unseal.ts';

/** 2,600 stills of 400 kB: 86 a day, for 30 days. */
const LIMIT_MIB = 1024;

export interface SealedArchiveOptions {
  readonly stateDir: string;
  days(): number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly steady: SealedStoreOptions['steady'];
  /**
   * Writes to the archive's records and the journal, durable on return.
   * @throws AgentError
   */
  record(record: RestraintRecord): void;
}

export class SealedArchive {
  readonly #store: SealedStore;
  readonly #unseal: UnsealHandler;

  constructor({ stateDir, days, clock, log, steady, record }: SealedArchiveOptions) {
    this.#store = new SealedStore({
      dir: join(stateDir, 'sealed'),
      limitMiB: LIMIT_MIB,
      days,
      clock,
      log,
      steady,
      onPurged: record,
    });
    this.#unseal = new UnsealHandler({ store: this.#store, clock, record });
  }

  /** Returns the reason why the sealed still could not be stored, or undefined. */
  keep(event: string, sealed: SealedEvidence): string | undefined {
    return this.#store.keep(event, sealed);
  }

  /**
   * Executes the command `unseal`.
   * @throws CommandRefused
   */
  answer(command: CheckedCommand<'unseal'>): UnsealResult {
    return this.#unseal.answer(command);
  }

  /** Performs maintenance; must be called often. */
  tick(): void {
    this.#store.upkeep();
  }

  get counters(): Counters {
    return { ...this.#store.counters, ...this.#unseal.counters };
  }
}
