/**
 * Stores the connections of the boxes, and how long each was silent on the last days.
 *
 * INVARIANT: time in which no program listened counts as neither silence nor life, unless an unchanged status proves it.
 *
 * LIMITS: one silence per box and day, for SILENCE_DAYS.
 */
import type { Db } from '../../../agent/base/sqlite.ts';
import type { StatusReport } from '../../../agent/contract/health.ts';

/** Days for which a box's silences are kept. */
const SILENCE_DAYS = 14;
const DAY_MS = 86_400_000;

export const LINK_TABLES = `CREATE TABLE silence (
  site TEXT NOT NULL, box TEXT NOT NULL, day INTEGER NOT NULL, ms INTEGER NOT NULL, PRIMARY KEY (site, box, day)
) STRICT;
CREATE TABLE listened (until_at INTEGER NOT NULL) STRICT;
INSERT INTO listened VALUES (0);`;

/** Connection of a box. */
export interface LinkRow {
  readonly state: StatusReport['state'] | null;
  /** Earliest time since which it is known to be in this state without a break, ms. */
  readonly state_at: number | null;
  /** Latest time at which it is known to have been connected, ms. While it is connected, that is the present time. */
  readonly heard_at: number | null;
}

export class Links {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Stores a box's status. `sinceMs`: earliest time of the change. That is the present time for a change that was heard,
   * and the end of listening for one that happened while no program listened.
   */
  take(
    site: string,
    box: string,
    { state, boot, time }: StatusReport,
    { nowMs, sinceMs }: { nowMs: number; sinceMs: number },
  ): LinkRow {
    // A box that has come and gone unheard shows another connection by its boot or the time of its connection.
    const status = `${state} ${boot} ${time}`;
    const row = this.#db
      .prepare('SELECT status, state, state_at, heard_at FROM box WHERE site = ? AND box = ?')
      .get(site, box) as LinkRow & { status: string | null };
    if (row.status === status) return row;
    const wasOnline = row.state === 'online';
    if (row.state !== null && row.state_at !== null && !wasOnline)
      this.addSilence(site, box, row.state_at, sinceMs);
    const heardMs = wasOnline ? Math.max(row.heard_at ?? 0, sinceMs) : row.heard_at;
    const link = { state, state_at: nowMs, heard_at: state === 'online' ? nowMs : heardMs };
    this.#db
      .prepare(
        'UPDATE box SET status = @status, state = @state, state_at = @state_at, heard_at = @heard_at WHERE site = @site AND box = @box',
      )
      .run({ ...link, status, site, box });
    return link;
  }

  /** Takes a box whose status the broker has lost as not connected from now on. */
  lose(site: string, box: string, nowMs: number): LinkRow {
    return this.take(
      site,
      box,
      { state: 'offline', boot: '', time: '' },
      { nowMs, sinceMs: this.listenedUntilMs },
    );
  }

  /** Returns the time until which a program has listened to the boxes, ms; 0 if none ever has. */
  get listenedUntilMs(): number {
    return (this.#db.prepare('SELECT until_at FROM listened').get() as { until_at: number }).until_at;
  }

  /** Stores that this program has listened to the boxes until now. */
  markListened(nowMs: number): void {
    this.#db.prepare('UPDATE listened SET until_at = max(until_at, ?)').run(nowMs);
  }

  /** Keeps the longest silence of each day, for SILENCE_DAYS; it counts for the day on which it ended. */
  addSilence(site: string, box: string, fromMs: number, toMs: number): void {
    if (toMs <= fromMs) return;
    const day = Math.floor(toMs / DAY_MS);
    this.#db
      .prepare('INSERT INTO silence VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET ms = max(ms, excluded.ms)')
      .run(site, box, day, Math.round(toMs - fromMs));
    this.#db
      .prepare('DELETE FROM silence WHERE site = ? AND box = ? AND day < ?')
      .run(site, box, day - SILENCE_DAYS);
  }

  /** Returns the longest silence that has ended in the last SILENCE_DAYS, ms; 0 if none is known. */
  longestSilenceMs(site: string, box: string, nowMs: number): number {
    const { ms } = this.#db
      .prepare('SELECT coalesce(max(ms), 0) AS ms FROM silence WHERE site = ? AND box = ? AND day >= ?')
      .get(site, box, Math.floor(nowMs / DAY_MS) - SILENCE_DAYS) as { ms: number };
    return Math.min(ms, SILENCE_DAYS * DAY_MS);
  }
}
