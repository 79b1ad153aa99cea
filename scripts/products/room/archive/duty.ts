/**
 * Determines which of several archives on one database is active: the holder of the lease. The others stand by. The
 * first to find the lease released, or not renewed for LEASE_MS, takes it.
 *
 * INVARIANT: an archive that has not renewed the lease for LEASE_MS, by its own monotonic clock, stops being active.
 * This happens no later than another one may take the lease.
 * LIMITS: on standby, one check each CHECK_EVERY_MS; while active, one renewal each RENEW_EVERY_MS.
 */
import type { WatchedLease } from '../database/watched-lease.ts';
import { textOf } from './connection.ts';
import { pause } from './pause.ts';

/**
 * Duration of the lease in ms, or four renewals. A pause of some seconds (a database restart, a busy machine) has no
 * effect. Boxes store their alerts meanwhile, and consider the archive unavailable after 60 s.
 */
const LEASE_MS = 10_000;

/** Each renewal is one small transaction. */
const RENEW_EVERY_MS = 2000;

/** Each check is one small query. It is also the delay of a standby archive after a clean stop. */
const CHECK_EVERY_MS = 500;

/** Limit for releasing the lease at the end, in ms, so that an unavailable database does not delay the stop. */
const RELEASE_WITHIN_MS = 2000;

export interface DutyOptions {
  readonly lease: WatchedLease;
  /** Called when this archive obtains the lease. */
  onBegin(): void;
  /** Called when it loses the lease, but not at a stop. Resolves when all work under the lease has ended. */
  onLost(): Promise<void>;
  /** Receives a line for a person that is not a fault: waiting for another archive, or active now. */
  onStandby(line: string): void;
  /** Receives a line for a person about a fault or its end. */
  onNotice(line: string): void;
}

export class Duty {
  readonly #options: DutyOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** Aborts when the current period with the lease ends. */
  #term: AbortController | undefined;
  /** Monotonic time until which no other archive can take the lease. */
  #untilMs = Number.NEGATIVE_INFINITY;
  #deadline: NodeJS.Timeout | undefined;
  #hasTold = false;

  constructor(options: DutyOptions) {
    this.#options = options;
  }

  /** Starts. The table of the lease must exist. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Stops and releases the lease. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /**
   * Renews the lease now. Returns true if it is still ours, also if the database does not answer but the lease has not
   * expired.
   */
  async confirmed(): Promise<boolean> {
    try {
      await this.#renew();
    } catch (error) {
      this.#tell(error);
    }
    return this.#term?.signal.aborted === false && performance.now() < this.#untilMs;
  }

  /** Ends the period, because another archive was seen to hold the lease. */
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
    const problem = await Promise.race([
      released,
      pause(RELEASE_WITHIN_MS, late.signal).then(() => 'no answer'),
    ]);
    late.abort();
    if (problem !== undefined) onNotice(`archive: the lease stays until it runs out: ${problem}`);
  }

  /** Waits for the lease. Returns false when stopped. */
  async #acquired(): Promise<boolean> {
    const { lease, onStandby } = this.#options;
    const { signal } = this.#stopping;
    let isStandingBy = false;
    let lastLease: { readonly value: string; readonly sinceMs: number } | undefined;
    for (; !signal.aborted; await pause(CHECK_EVERY_MS, signal)) {
      try {
        const row = await lease.read();
        const nowMs = performance.now();
        if (row?.value !== lastLease?.value) lastLease = row && { value: row.value, sinceMs: nowMs };
        const hasRunOut = lastLease !== undefined && nowMs - lastLease.sinceMs >= LEASE_MS;
        if (row === undefined || row.isOurs || hasRunOut) {
          const isTaken = await lease.take(row);
          this.#hasTold = false;
          // Another archive was faster, or the row was locked for long, and the lease must be taken again as our own.
          if (!isTaken || performance.now() - nowMs > RENEW_EVERY_MS) continue;
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
        // The holder could not renew the lease either, so the observation starts again.
        lastLease = undefined;
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
    // A late answer does not revive an expired period.
    else if (term === this.#term && term?.signal.aborted === false) this.#extend(askedMs + LEASE_MS);
  }

  #extend(untilMs: number): void {
    const term = this.#term;
    this.#untilMs = untilMs;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => term?.abort(), Math.max(0, untilMs - performance.now()));
  }

  /** Reports an error once, until the database answers. */
  #tell(error: unknown): void {
    if (!this.#hasTold && !this.#stopping.signal.aborted)
      this.#options.onNotice(`archive: the lease: ${textOf(error)}; tried again`);
    this.#hasTold = true;
  }
}
