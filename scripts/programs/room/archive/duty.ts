/**
 * Which of several archives on one database is at work: the one that holds the lease. The others stand by, and the first that
 * finds it let go of, or not renewed for LEASE_MS, takes over.
 *
 * INVARIANT: an archive that has not renewed the lease for LEASE_MS by its own monotonic clock, for whatever reason, knows
 * itself that it is not at work any more, not later than another one may take over.
 * LIMITS: a look each LOOK_EVERY_MS while standing by; a renewal each RENEW_EVERY_MS at work.
 */
import type { WatchedLease } from '../database/watched-lease.ts';
import { textOf } from './connection.ts';
import { pause } from './pause.ts';

/**
 * Four renewals: a pause of some seconds (a restart of the database, a busy machine) changes nothing. A box keeps its alerts
 * meanwhile, and takes an archive for away after 60 s.
 */
const LEASE_MS = 10_000;

/** One small transaction. */
const RENEW_EVERY_MS = 2000;

/** One small query; so long a standby takes after a clean stop. */
const LOOK_EVERY_MS = 500;

/** Letting go of the lease at the end: a database that is away must not hold up the stop. */
const RELEASE_WITHIN_MS = 2000;

export interface DutyOptions {
  readonly lease: WatchedLease;
  /** The lease is ours from now on. */
  onBegin(): void;
  /** It is not any more; resolves when nothing is done under it. Not called at a stop. */
  onLost(): Promise<void>;
  /** One line for a person, and no fault: what this archive waits for, or has taken over. */
  onStandby(line: string): void;
  /** One line for a person: a fault, or its end. */
  onNotice(line: string): void;
}

export class Duty {
  readonly #options: DutyOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** Of the time in which the lease is ours. */
  #term: AbortController | undefined;
  /** Monotonic: until when nobody else may take it. */
  #untilMs = Number.NEGATIVE_INFINITY;
  #deadline: NodeJS.Timeout | undefined;
  #hasTold = false;

  constructor(options: DutyOptions) {
    this.#options = options;
  }

  /** The lease's table must be there. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Lets go of the lease. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Asks the database now. True where it does not answer and the lease has not run out. */
  async confirmed(): Promise<boolean> {
    try {
      await this.#renew();
    } catch (error) {
      this.#tell(error);
    }
    return this.#term?.signal.aborted === false && performance.now() < this.#untilMs;
  }

  /** Another one was seen to have it. */
  lose(): void {
    this.#term?.abort();
  }

  async #run(): Promise<void> {
    const { onBegin, onLost, onNotice } = this.#options;
    const { signal } = this.#stopping;
    while (await this.#acquired()) {
      const term = new AbortController();
      this.#term = term;
      this.#extend(this.#untilMs);
      onBegin();
      await this.#renewing(AbortSignal.any([term.signal, signal]));
      clearTimeout(this.#deadline);
      if (signal.aborted) break;
      onNotice(
        'archive: has lost the lease: it has left the broker, and stores nothing until it holds it again',
      );
      await onLost();
    }
    if (this.#term !== undefined) await this.#release();
  }

  async #release(): Promise<void> {
    const { lease, onNotice } = this.#options;
    const released = lease.release().then(
      () => undefined,
      (error: unknown) => textOf(error),
    );
    const late = new AbortController();
    const fault = await Promise.race([
      released,
      pause(RELEASE_WITHIN_MS, late.signal).then(() => 'no answer'),
    ]);
    late.abort();
    if (fault !== undefined) onNotice(`archive: the lease stays until it runs out: ${fault}`);
  }

  /** Waits for the lease. False: told to stop. */
  async #acquired(): Promise<boolean> {
    const { lease, onStandby } = this.#options;
    const { signal } = this.#stopping;
    let isStandingBy = false;
    let seen: { readonly value: string; readonly sinceMs: number } | undefined;
    for (; !signal.aborted; await pause(LOOK_EVERY_MS, signal)) {
      try {
        const row = await lease.look();
        const nowMs = performance.now();
        if (row?.value !== seen?.value) seen = row && { value: row.value, sinceMs: nowMs };
        const hasRunOut = seen !== undefined && nowMs - seen.sinceMs >= LEASE_MS;
        if (row === undefined || row.isOurs || hasRunOut) {
          const taken = await lease.take(row);
          this.#hasTold = false;
          // Somebody was faster; or the row was locked for so long that it is to be taken anew, as ours.
          if (!taken || performance.now() - nowMs > RENEW_EVERY_MS) continue;
          this.#untilMs = nowMs + LEASE_MS;
          if (isStandingBy || this.#term !== undefined) onStandby('archive: holds the lease; it is at work');
          return true;
        }
        if (isStandingBy) continue;
        isStandingBy = true;
        onStandby(
          'archive: stands by: another archive on this database holds the lease, or died with it less than ' +
            `${LEASE_MS / 1000} s ago`,
        );
      } catch (error) {
        // The holder could not renew it either: nothing is known of it.
        seen = undefined;
        this.#tell(error);
      }
    }
    return false;
  }

  async #renewing(signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(RENEW_EVERY_MS, signal);
      if (signal.aborted) return;
      try {
        await this.#renew();
        this.#hasTold = false;
      } catch (error) {
        this.#tell(error);
      }
    }
  }

  async #renew(): Promise<void> {
    const term = this.#term;
    const askedMs = performance.now();
    if (!(await this.#options.lease.renew())) term?.abort();
    // An answer that came too late does not bring back what has run out.
    else if (term === this.#term && term?.signal.aborted === false) this.#extend(askedMs + LEASE_MS);
  }

  #extend(untilMs: number): void {
    const term = this.#term;
    this.#untilMs = untilMs;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => term?.abort(), Math.max(0, untilMs - performance.now()));
  }

  /** Once, until the database answers. */
  #tell(error: unknown): void {
    if (!this.#hasTold && !this.#stopping.signal.aborted)
      this.#options.onNotice(`archive: the lease: ${textOf(error)}; tried again`);
    this.#hasTold = true;
  }
}
