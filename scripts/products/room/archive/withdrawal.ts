/**
 * Withdraws a revoked box from the room: closes its open alerts, removes its camera from the list, and drops its
 * pending verdicts.
 *
 * INVARIANTS:
 * - A withdrawal requires the lease.
 * - Each change has a number, so that every screen receives it.
 * - The audit log has one entry for each revocation, written with the first of its changes.
 * LIMITS:
 * - BATCH rows of a kind in one transaction.
 * - Remaining data of revoked boxes is searched at each change of the list and every CHECK_EVERY_MS. The latter finds
 *   messages that were being stored during the revocation.
 */
import type { EnrolledBox } from '../contract/enrolled.ts';
import { record } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import { hold, type Lease, release } from '../database/lease.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { textOf } from './connection.ts';
import { pause } from './pause.ts';
import type { Register } from './register.ts';

/** Takes half a second of PostgreSQL on a busy machine with two cores. */
const BATCH = 1000;

const CHECK_EVERY_MS = 10_000;
const LEASE_MS = 60_000;

/** Equals the condition of the index incident_open_box. */
const OPEN = "state <> 'closed' AND severity = 'alert'";
/** Active system incidents: no one closes them, and their end will not come. */
const LASTING = "severity = 'system' AND ended_at IS NULL";

export interface WithdrawalOptions {
  readonly db: Sql;
  readonly register: Register;
  /** Unique name of this program. */
  readonly instanceId: string;
  readonly nowMs: () => number;
  /** Receives one line for a person. */
  log(line: string): void;
}

export class Withdrawal {
  readonly #options: WithdrawalOptions;
  readonly #lease: Lease;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  #problem: string | undefined;

  constructor(options: WithdrawalOptions) {
    this.#options = options;
    this.#lease = { name: 'lease-withdrawal', instanceId: options.instanceId, forMs: LEASE_MS };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Starts a check because the list has changed. */
  wake(): void {
    this.#wake.abort();
  }

  /** Stops; the next start completes the rest. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      try {
        for (const box of await this.#due()) await this.#withdraw(box);
        this.#problem = undefined;
      } catch (error) {
        this.#tellProblem(error);
      }
      await pause(CHECK_EVERY_MS, AbortSignal.any([signal, this.#wake.signal]));
    }
    try {
      await release(this.#options.db, this.#lease);
    } catch (error) {
      this.#tellProblem(error);
    }
  }

  /** Returns the revoked boxes with remaining data. */
  async #due(): Promise<EnrolledBox[]> {
    const { db, register } = this.#options;
    const { revoked } = register;
    if (revoked.length === 0) return [];
    const remaining = await db.all<{ box: string }>(
      `SELECT revoked.box FROM ${db.dialect.rows('$1', 'revoked', { box: 'text' })}
       WHERE EXISTS (SELECT 1 FROM camera WHERE camera.box = revoked.box AND NOT is_removed)
         OR EXISTS (SELECT 1 FROM verdict_due WHERE verdict_due.box = revoked.box)
         OR EXISTS (SELECT 1 FROM incident WHERE incident.box = revoked.box AND ${OPEN})
         OR EXISTS (SELECT 1 FROM incident WHERE incident.box = revoked.box AND ${LASTING})`,
      [JSON.stringify(revoked.map(({ box }) => ({ box })))],
    );
    const names = new Set(remaining.map(({ box }) => box));
    return revoked.filter(({ box }) => names.has(box));
  }

  async #withdraw(box: EnrolledBox): Promise<void> {
    const { db, register } = this.#options;
    // A box that was enrolled again meanwhile must be accepted.
    while (!this.#stopping.signal.aborted && register.isRevoked(box.box)) {
      if (!(await db.transaction((transaction) => this.#batch(transaction, box)))) return;
    }
  }

  /** Withdraws up to BATCH rows of each kind. Returns true if there may be more. */
  async #batch(transaction: Queries, { site, box, changedAt: revokedTime }: EnrolledBox): Promise<boolean> {
    const { dialect } = this.#options.db;
    const nowMs = this.#options.nowMs();
    if (!(await hold(transaction, this.#lease, nowMs))) return false;
    await transaction.run('DELETE FROM box_share WHERE box = $1', [box]);
    await transaction.run('DELETE FROM report WHERE box = $1', [box]);
    const rev = await next(transaction, 'rev', 3 * BATCH);
    const isFirst = !(await isRecorded(transaction, box, revokedTime));
    const open = isFirst ? await openOf(transaction, box) : 0;
    const numbered = (of: string, key: string): string =>
      `(SELECT ${key}, row_number() OVER (ORDER BY ${key}) AS n
        FROM (SELECT ${key} FROM ${of} ORDER BY ${key} LIMIT ${BATCH}) AS batch) AS numbered`;
    const closed = await transaction.run(
      `UPDATE incident SET rev = $2 + numbered.n, revision = revision + 1, state = 'closed', closed_at = $3,
         ended_at = coalesce(ended_at, $3), closed_reason = 'box-revoked', claimed_by = NULL, claimed_until = NULL
       FROM ${numbered(`incident WHERE box = $1 AND ${OPEN}`, 'no')} WHERE incident.no = numbered.no`,
      [box, rev - 1, iso(nowMs)],
    );
    const endedCount = await transaction.run(
      `UPDATE incident SET rev = $2 + numbered.n, ended_at = $3
       FROM ${numbered(`incident WHERE box = $1 AND ${LASTING}`, 'no')} WHERE incident.no = numbered.no`,
      [box, rev + BATCH - 1, iso(nowMs)],
    );
    const cameras = await transaction.run(
      `UPDATE camera SET rev = $2 + numbered.n, is_removed = TRUE, state = NULL, share_until = NULL
       FROM ${numbered('camera WHERE box = $1 AND NOT is_removed', 'site')}
       WHERE camera.box = $1 AND camera.site = numbered.site`,
      [box, rev + 2 * BATCH - 1],
    );
    const verdicts = await transaction.run('DELETE FROM verdict_due WHERE box = $1', [box]);
    if (isFirst) {
      const details = { revokedAt: revokedTime, closed: open, verdicts };
      await record(
        transaction,
        { account: 'room', role: 'room', act: 'box-revoked', site, box, more: details },
        nowMs,
      );
      this.#options.log(`box ${site}/${box} is revoked: ${open} open alerts of it are closed`);
    }
    if (dialect.notifySql !== undefined) await transaction.run(dialect.notifySql);
    return Math.max(closed, endedCount, cameras) === BATCH;
  }

  /** Reports a fault once, until it is over. */
  #tellProblem(error: unknown): void {
    const problem = textOf(error);
    if (problem !== this.#problem && !this.#stopping.signal.aborted) {
      this.#options.log(`archive: a revoked box is not taken out yet: ${problem}; tried again`);
    }
    this.#problem = problem;
  }
}

/** True if this particular revocation is recorded. A box may be enrolled again and revoked once more. */
async function isRecorded(transaction: Queries, box: string, revokedTime: string): Promise<boolean> {
  const rows = await transaction.all<{ more: string }>(
    "SELECT more FROM audit WHERE act = 'box-revoked' AND box = $1",
    [box],
  );
  return rows.some(({ more }) => (JSON.parse(more) as { revokedAt?: unknown }).revokedAt === revokedTime);
}

async function openOf(transaction: Queries, box: string): Promise<number> {
  const [row] = await transaction.all<{ n: number }>(
    `SELECT count(*) AS n FROM incident WHERE box = $1 AND ${OPEN}`,
    [box],
  );
  return row?.n ?? 0;
}
