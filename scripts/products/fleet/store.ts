/**
 * Stores what ops know of the fleet: boxes, their keys, their newest reports and history, and the audit log. Rollouts
 * are in the same file (rollout/rollouts.ts).
 *
 * INVARIANTS:
 * - A committed transaction survives a power cut (base/sqlite.ts).
 * - The first key with which a box reports is pinned. A report by another key only increases a counter, until a person
 *   accepts that key by its fingerprint.
 * - A box's newest report counts, by the number of its journal's entries; an older one is refused.
 *
 * LIMITS:
 * - HISTORY_MAX changes per box and AUDIT_MAX lines of the audit log; the oldest are removed first.
 * - Refusals are counted per box and reason, REASONS_MAX of them and the rest together. Boxes outside the inventory are
 *   counted together.
 */
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { type Db, openSqlite, sqliteCall } from '../../../agent/base/sqlite.ts';
import { releaseName as nameOf } from '../../../agent/contract/release.ts';
import type { UpdateReport } from '../../../agent/contract/update.ts';
import { LINK_TABLES, type LinkRow, Links } from './links.ts';
import { CHANGE_IN, rolloutIn } from './rollout/kinds.ts';
import { ROLLOUT_TABLES } from './rollout/tables.ts';

export const STORE_FILE = 'fleet.db';
const HISTORY_MAX = 200;
const AUDIT_MAX = 10_000;
/** Maximum number of stored reasons per box, since a reason may repeat arbitrary text of the box. */
const REASONS_MAX = 20;
const OTHER_REASONS = 'for other reasons';
const OPTIONS = { busyMs: 10_000, walPages: 1000, walBytes: 8_388_608, cacheKiB: 16_384 };

const TABLES = {
  version: 5,
  create: `
CREATE TABLE box (
  site TEXT NOT NULL, box TEXT NOT NULL, first_seen_at INTEGER NOT NULL, key TEXT, fingerprint TEXT,
  pinned_at INTEGER, other TEXT, other_key TEXT, state TEXT, state_at INTEGER, status TEXT, heard_at INTEGER,
  reported_at INTEGER, report TEXT, revoked_at INTEGER, retired_at INTEGER, PRIMARY KEY (site, box)
) STRICT;
${LINK_TABLES}
CREATE TABLE history (
  site TEXT NOT NULL, box TEXT NOT NULL, n INTEGER NOT NULL, received_at INTEGER NOT NULL,
  at TEXT NOT NULL, release TEXT, phase TEXT NOT NULL, root TEXT, rollout TEXT, config TEXT NOT NULL,
  mode TEXT NOT NULL, reason TEXT,
  PRIMARY KEY (site, box, n)
) STRICT;
CREATE TABLE refusal (
  site TEXT NOT NULL, box TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, last_at INTEGER NOT NULL,
  PRIMARY KEY (site, box, reason)
) STRICT;
CREATE TABLE audit (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL
) STRICT;
${ROLLOUT_TABLES}
PRAGMA user_version = 5;`,
};

export interface BoxRow extends LinkRow {
  readonly site: string;
  readonly box: string;
  /** Time at which it was first heard, ms. */
  readonly first_seen_at: number;
  readonly fingerprint: string | null;
  /** Time from which this key counts, ms. */
  readonly pinned_at: number | null;
  /** Another key with which it reports, not accepted yet. */
  readonly other: string | null;
  readonly reported_at: number | null;
  readonly report: UpdateReport | undefined;
  /** Time at which its certificates were revoked, ms. Its reports are no longer accepted. */
  readonly revoked_at: number | null;
  /** Time at which it was retired, ms. Lists of boxes leave it out. */
  readonly retired_at: number | null;
}

export interface HistoryRow {
  readonly received_at: number;
  readonly at: string;
  readonly release: string | null;
  readonly phase: string;
  /** Release of vigie-root, and phase of its change; null if the box has no updater. */
  readonly root: string | null;
  /** Rollout of the newest order for a release of either program. */
  readonly rollout: string | null;
  readonly config: string;
  readonly mode: string;
  readonly reason: string | null;
}

export interface RefusalRow {
  readonly site: string;
  readonly box: string;
  readonly reason: string;
  readonly count: number;
  readonly last_at: number;
}

export interface AuditRow {
  readonly at: number;
  readonly actor: string;
  readonly action: string;
}

/** Result of a report: `pinned` for the first one of a box. */
export type ReportOutcome = 'taken' | 'pinned' | 'known' | { readonly refusal: string };

export class FleetStore {
  readonly #file: { readonly title: string; readonly path: string };
  readonly #db: Db;
  /** Connections of the boxes. */
  readonly links: Links;

  /** Throws AgentError as openSqlite does. */
  constructor(dir: string, mustExist = false) {
    this.#file = { title: 'store of the fleet', path: join(dir, STORE_FILE) };
    this.#db = openSqlite(this.#file, { ...OPTIONS, mustExist }, TABLES);
    this.links = new Links(this.#db);
  }

  /** Database, for the tables of rollouts. */
  get db(): Db {
    return this.#db;
  }

  close(): void {
    this.#db.close();
  }

  /** Runs `work` atomically; may be nested. */
  transaction<T>(work: () => T): T {
    return sqliteCall(this.#file, () => this.#db.transaction(work).immediate());
  }

  boxes(): BoxRow[] {
    return this.#boxesWhere('TRUE');
  }

  /** Returns the boxes with this name; several sites may use it. */
  boxesNamed(box: string): BoxRow[] {
    return this.#boxesWhere('box = ?', box);
  }

  #boxesWhere(test: string, ...values: readonly string[]): BoxRow[] {
    const sql = `SELECT * FROM box WHERE retired_at IS NULL AND ${test} ORDER BY site, box`;
    return (this.#db.prepare(sql).all(...values) as RawBox[]).map(boxOf);
  }

  /** Adds a box to the inventory unless it is there. */
  addBox(site: string, box: string, nowMs: number): void {
    const sql = 'INSERT OR IGNORE INTO box (site, box, first_seen_at) VALUES (?, ?, ?)';
    this.#db.prepare(sql).run(site, box, nowMs);
  }

  /**
   * Removes a box from the inventory, with its data. Its last report is remembered, because the broker keeps that one:
   * only a later one, or another key, adds the box again.
   */
  retire(site: string, box: string, nowMs: number): void {
    this.transaction(() => {
      for (const table of ['history', 'refusal', 'silence'])
        this.#db.prepare(`DELETE FROM ${table} WHERE site = ? AND box = ?`).run(site, box);
      this.#db
        .prepare('UPDATE box SET retired_at = ?, revoked_at = NULL WHERE site = ? AND box = ?')
        .run(nowMs, site, box);
      this.record(`box ${site}/${box} retired`, nowMs);
    });
  }

  /** Refuses the box's reports until it is retired and added again. Returns the number of boxes with this name. */
  revoke(box: string, nowMs: number): number {
    return this.transaction(() => {
      this.record(`box ${box}: certificates revoked`, nowMs);
      return this.#db
        .prepare('UPDATE box SET revoked_at = coalesce(revoked_at, ?) WHERE box = ?')
        .run(nowMs, box).changes;
    });
  }

  /**
   * Stores a report whose signature fits the key that it names. `base` is the last one that this program has taken of
   * the box: of two programs with this store, the other may have stored a later report already.
   */
  takeReport(report: UpdateReport, fingerprint: string, nowMs: number, base?: UpdateReport): ReportOutcome {
    const { site, box } = report;
    let row = this.#row(site, box);
    if (row?.retired_at != null && row.revoked_at === null) {
      if (row.fingerprint === fingerprint && row.report !== undefined && !isOlder(row.report, report))
        return 'known';
      const unset = 'retired_at = NULL, fingerprint = NULL, report = NULL, other = NULL';
      this.#db.prepare(`UPDATE box SET ${unset} WHERE site = ? AND box = ?`).run(site, box);
      row = undefined;
    }
    this.addBox(site, box, nowMs);
    if (row?.revoked_at != null) return { refusal: 'the box is revoked' };
    if (row?.fingerprint != null && row.fingerprint !== fingerprint) {
      this.#db
        .prepare('UPDATE box SET other = ?, other_key = ? WHERE site = ? AND box = ?')
        .run(fingerprint, report.key, site, box);
      return { refusal: 'its key is another than the one that is known of the box' };
    }
    const last = row?.report;
    if (last !== undefined) {
      const isOvertaken = base !== undefined && isOlder(base, report) && isOlder(report, last);
      if (isOvertaken || sameReport(last, report)) return 'known';
      if (isOlder(report, last)) return { refusal: 'it is older than what the box has reported' };
    }
    const isNew = row?.fingerprint == null;
    if (isNew)
      this.#db
        .prepare('UPDATE box SET key = ?, fingerprint = ?, pinned_at = ? WHERE site = ? AND box = ?')
        .run(report.key, fingerprint, nowMs, site, box);
    this.#db
      .prepare('UPDATE box SET reported_at = ?, report = ? WHERE site = ? AND box = ?')
      .run(nowMs, JSON.stringify(report), site, box);
    if (last === undefined || lineOf(last) !== lineOf(report)) this.#addHistory(report, nowMs);
    return isNew ? 'pinned' : 'taken';
  }

  /** Counts a refused report. */
  refuse(site: string, box: string, reason: string, nowMs: number): void {
    const isKnown = this.#row(site, box) !== undefined;
    const place = isKnown ? [site, box] : ['', ''];
    const otherReasons = this.#db
      .prepare('SELECT count(*) AS n FROM refusal WHERE site = ? AND box = ? AND reason != ?')
      .get(...place, reason) as { n: number };
    this.#db
      .prepare(
        `INSERT INTO refusal (site, box, reason, count, last_at) VALUES (?, ?, ?, 1, ?)
         ON CONFLICT DO UPDATE SET count = count + 1, last_at = excluded.last_at`,
      )
      .run(...place, otherReasons.n < REASONS_MAX ? reason : OTHER_REASONS, nowMs);
  }

  refusals(): RefusalRow[] {
    return this.#db.prepare('SELECT * FROM refusal ORDER BY last_at DESC').all() as RefusalRow[];
  }

  /** Pins another key of the box. Throws AgentError `denied` if the box has not reported with it. */
  acceptKey(site: string, box: string, fingerprint: string, nowMs: number): void {
    this.transaction(() => {
      const row = this.#row(site, box);
      if (row?.other !== fingerprint)
        throw new AgentError(
          'denied',
          `${box}: it has not reported with ${fingerprint}; seen is ${row?.other ?? 'no other key'}`,
        );
      // The counts of the old journal do not apply to the new one.
      this.#db
        .prepare(
          `UPDATE box SET key = other_key, fingerprint = other, pinned_at = ?, other = NULL, other_key = NULL,
           report = NULL, reported_at = NULL WHERE site = ? AND box = ?`,
        )
        .run(nowMs, site, box);
      this.record(
        `box ${site}/${box}: key ${fingerprint} accepted instead of ${row.fingerprint ?? 'none'}`,
        nowMs,
      );
    });
  }

  /** Returns the history, newest first. */
  history(site: string, box: string): HistoryRow[] {
    return this.#db
      .prepare('SELECT * FROM history WHERE site = ? AND box = ? ORDER BY n DESC')
      .all(site, box) as HistoryRow[];
  }

  /** Adds to the audit log what a person did: the user who runs this program. */
  record(entry: string, nowMs: number): void {
    this.#db.prepare('INSERT INTO audit (at, actor, action) VALUES (?, ?, ?)').run(nowMs, whoRuns(), entry);
    this.#db.prepare('DELETE FROM audit WHERE n <= (SELECT max(n) FROM audit) - ?').run(AUDIT_MAX);
  }

  /** Returns the audit log, newest first. */
  audit(count: number): AuditRow[] {
    return this.#db
      .prepare('SELECT at, actor, action FROM audit ORDER BY n DESC LIMIT ?')
      .all(count) as AuditRow[];
  }

  #row(site: string, box: string): BoxRow | undefined {
    const row = this.#db.prepare('SELECT * FROM box WHERE site = ? AND box = ?').get(site, box);
    return row === undefined ? undefined : boxOf(row as RawBox);
  }

  #addHistory(report: UpdateReport, nowMs: number): void {
    const { site, box, at, updater, config, mode } = report;
    const { kind, rollout } = rolloutIn(report, 'update');
    const reason = CHANGE_IN[kind](report)?.reason;
    const { n } = this.#db
      .prepare('SELECT coalesce(max(n), 0) + 1 AS n FROM history WHERE site = ? AND box = ?')
      .get(site, box) as { n: number };
    this.#db
      .prepare('INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        site,
        box,
        n,
        nowMs,
        at,
        releaseText(report),
        updater?.phase ?? 'no updater',
        updater === null ? null : `${releaseName(updater.root.release)} ${updater.root.phase}`,
        rollout,
        `${config.revision} ${config.phase}`,
        mode,
        reason ?? report.refused ?? config.reason ?? config.refused,
      );
    this.#db
      .prepare('DELETE FROM history WHERE site = ? AND box = ? AND n <= ?')
      .run(site, box, n - HISTORY_MAX);
  }
}

/** Returns `seq-version` of the running release; only the version for a box without the updater. */
export function releaseText({ updater, version }: UpdateReport): string {
  return updater?.release == null ? version : releaseName(updater.release);
}

/** Returns a name such as "412-0.3.0", or "none". */
export function releaseName(release: { readonly seq: number; readonly version: string } | null): string {
  return release === null ? 'none' : nameOf(release.seq, release.version);
}

/** Returns the user who runs this program; with sudo the user who called it. */
export function whoRuns(): string {
  return process.env['SUDO_USER'] ?? userInfo().username;
}

interface RawBox extends Omit<BoxRow, 'report'> {
  readonly report: string | null;
}

function boxOf(row: RawBox): BoxRow {
  return { ...row, report: row.report === null ? undefined : (JSON.parse(row.report) as UpdateReport) };
}

/** Returns the part of a report that makes a line of history: all but the download progress and the time. */
function lineOf(report: UpdateReport): string {
  const { updater, config, mode, refused: refusal } = report;
  const change = [updater?.phase, updater?.rollout, updater?.reason, updater?.root];
  return JSON.stringify([releaseText(report), ...change, config, mode, refusal]);
}

function sameReport(a: UpdateReport, b: UpdateReport): boolean {
  return a.at === b.at && a.boot === b.boot && JSON.stringify(a) === JSON.stringify(b);
}

/** Compares by the journal, which only grows; by the clock only within a boot, since a box's clock may be set back. */
function isOlder(report: UpdateReport, than: UpdateReport): boolean {
  if (report.journalIndex !== than.journalIndex) return report.journalIndex < than.journalIndex;
  return report.boot === than.boot && report.at < than.at;
}
