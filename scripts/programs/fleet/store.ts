/**
 * What ops know of the fleet: which boxes there are, with whose key each speaks, what each has reported last, what became
 * of it before, and who has done what. Rollouts lie in the same file (rollout/rollouts.ts).
 *
 * INVARIANTS: what a transaction has committed survives a power cut (base/sqlite.ts). The first key that a box reports
 * with is kept; a report by another changes nothing but a counter, until a person accepts that key by its fingerprint. Of
 * a box the newest report counts, by the number of entries of its journal: an older one that comes again is refused.
 * LIMITS: HISTORY_MAX changes are kept of a box, AUDIT_MAX lines of what people did; the oldest go first. What is refused
 * is counted for each box and reason, REASONS_MAX of them and the rest together; names of boxes that are not in the inventory are counted together.
 */
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { type Db, openSqlite, sqliteCall } from '../../../agent/base/sqlite.ts';
import type { StatusReport } from '../../../agent/contract/health.ts';
import { releaseName as nameOf } from '../../../agent/contract/release.ts';
import type { UpdateReport } from '../../../agent/contract/update.ts';
import { CHANGE_IN, rolloutIn } from './rollout/kinds.ts';
import { ROLLOUT_TABLES } from './rollout/tables.ts';

export const STORE_FILE = 'fleet.db';
const HISTORY_MAX = 200;
const AUDIT_MAX = 10_000;
/** A reason may repeat what a box has sent, and a box may send what it likes. */
const REASONS_MAX = 20;
const OTHER_REASONS = 'for other reasons';
const OPTIONS = { busyMs: 10_000, walPages: 1000, walBytes: 8_388_608, cacheKiB: 16_384 };

const TABLES = {
  version: 2,
  create: `
CREATE TABLE box (
  site TEXT NOT NULL, box TEXT NOT NULL, seen INTEGER NOT NULL, key TEXT, fingerprint TEXT, pinned INTEGER,
  other TEXT, other_key TEXT, state TEXT, state_at INTEGER, reported INTEGER, report TEXT, revoked INTEGER,
  PRIMARY KEY (site, box)
) STRICT;
CREATE INDEX box_name ON box (box);
CREATE TABLE history (
  site TEXT NOT NULL, box TEXT NOT NULL, n INTEGER NOT NULL, received INTEGER NOT NULL, at TEXT NOT NULL,
  release TEXT, phase TEXT NOT NULL, root TEXT, rollout TEXT, config TEXT NOT NULL, mode TEXT NOT NULL, reason TEXT,
  PRIMARY KEY (site, box, n)
) STRICT;
CREATE TABLE refused (
  site TEXT NOT NULL, box TEXT NOT NULL, why TEXT NOT NULL, count INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (site, box, why)
) STRICT;
CREATE TABLE audit (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL
) STRICT;
${ROLLOUT_TABLES}
PRAGMA user_version = 2;`,
};

export interface BoxRow {
  readonly site: string;
  readonly box: string;
  /** ms; when it was first heard of. */
  readonly seen: number;
  readonly fingerprint: string | null;
  /** ms; since when that key counts. */
  readonly pinned: number | null;
  /** Another key with which it reports, which is not accepted. */
  readonly other: string | null;
  readonly state: StatusReport['state'] | null;
  /** ms; received. */
  readonly state_at: number | null;
  readonly reported: number | null;
  readonly report: UpdateReport | undefined;
  /** ms; its certificates were taken back, and nothing that it reports is believed. */
  readonly revoked: number | null;
}

export interface HistoryRow {
  readonly received: number;
  readonly at: string;
  readonly release: string | null;
  readonly phase: string;
  /** Release of root's program and phase of a change of it; null: the box has no updater. */
  readonly root: string | null;
  /** Of the newest order for a release of either program. */
  readonly rollout: string | null;
  readonly config: string;
  readonly mode: string;
  readonly reason: string | null;
}

export interface RefusedRow {
  readonly site: string;
  readonly box: string;
  readonly why: string;
  readonly count: number;
  readonly last: number;
}

export interface AuditRow {
  readonly at: number;
  readonly who: string;
  readonly what: string;
}

/** What became of a report: `pinned` with the first one of a box. */
export type Taken = 'taken' | 'pinned' | 'known' | { readonly refused: string };

export class FleetStore {
  readonly #file: { readonly what: string; readonly path: string };
  readonly #db: Db;

  /** Throws AgentError as openSqlite does. */
  constructor(dir: string, mustExist = false) {
    this.#file = { what: 'store of the fleet', path: join(dir, STORE_FILE) };
    this.#db = openSqlite(this.#file, { ...OPTIONS, mustExist }, TABLES);
  }

  /** For the tables of rollouts. */
  get db(): Db {
    return this.#db;
  }

  close(): void {
    this.#db.close();
  }

  /** All of it or nothing; may be nested. */
  transaction<T>(work: () => T): T {
    return sqliteCall(this.#file, () => this.#db.transaction(work).immediate());
  }

  boxes(): BoxRow[] {
    const rows = this.#db.prepare('SELECT * FROM box ORDER BY site, box').all() as RawBox[];
    return rows.map(boxOf);
  }

  /** Of every site; a box's name may be taken at two. */
  named(box: string): BoxRow[] {
    const rows = this.#db.prepare('SELECT * FROM box WHERE box = ? ORDER BY site').all(box) as RawBox[];
    return rows.map(boxOf);
  }

  /** True where it is new to the inventory. */
  addBox(site: string, box: string, nowMs: number): boolean {
    return (
      this.#db.prepare('INSERT OR IGNORE INTO box (site, box, seen) VALUES (?, ?, ?)').run(site, box, nowMs)
        .changes > 0
    );
  }

  /** Out of the inventory, with what is known of it. */
  retire(site: string, box: string, nowMs: number): void {
    this.transaction(() => {
      for (const table of ['box', 'history', 'refused'])
        this.#db.prepare(`DELETE FROM ${table} WHERE site = ? AND box = ?`).run(site, box);
      this.record(`box ${site}/${box} retired`, nowMs);
    });
  }

  /** Its reports are refused until it is retired, and comes anew. How many boxes of that name there are. */
  revoke(box: string, nowMs: number): number {
    return this.transaction(() => {
      this.record(`box ${box}: certificates revoked`, nowMs);
      return this.#db.prepare('UPDATE box SET revoked = coalesce(revoked, ?) WHERE box = ?').run(nowMs, box)
        .changes;
    });
  }

  setState(site: string, box: string, state: StatusReport['state'], nowMs: number): void {
    this.addBox(site, box, nowMs);
    this.#db
      .prepare('UPDATE box SET state = ?, state_at = ? WHERE site = ? AND box = ? AND state IS NOT ?')
      .run(state, nowMs, site, box, state);
  }

  /** A report whose signature fits the key that it names. */
  takeReport(report: UpdateReport, fingerprint: string, nowMs: number): Taken {
    const { site, box } = report;
    this.addBox(site, box, nowMs);
    const row = this.#row(site, box);
    if (row?.revoked != null) return { refused: 'the box is revoked' };
    if (row?.fingerprint != null && row.fingerprint !== fingerprint) {
      this.#db
        .prepare('UPDATE box SET other = ?, other_key = ? WHERE site = ? AND box = ?')
        .run(fingerprint, report.key, site, box);
      return { refused: 'its key is another than the one that is known of the box' };
    }
    const last = row?.report;
    if (last !== undefined) {
      if (sameReport(last, report)) return 'known';
      if (isOlder(report, last)) return { refused: 'it is older than what the box has reported' };
    }
    const isNew = row?.fingerprint == null;
    if (isNew)
      this.#db
        .prepare('UPDATE box SET key = ?, fingerprint = ?, pinned = ? WHERE site = ? AND box = ?')
        .run(report.key, fingerprint, nowMs, site, box);
    this.#db
      .prepare('UPDATE box SET reported = ?, report = ? WHERE site = ? AND box = ?')
      .run(nowMs, JSON.stringify(report), site, box);
    if (last === undefined || lineOf(last) !== lineOf(report)) this.#addHistory(report, nowMs);
    return isNew ? 'pinned' : 'taken';
  }

  /** A report that was not believed. */
  refuse(site: string, box: string, why: string, nowMs: number): void {
    const known = this.#row(site, box) !== undefined;
    const place = known ? [site, box] : ['', ''];
    const others = this.#db
      .prepare('SELECT count(*) AS n FROM refused WHERE site = ? AND box = ? AND why != ?')
      .get(...place, why) as { n: number };
    this.#db
      .prepare(
        `INSERT INTO refused (site, box, why, count, last) VALUES (?, ?, ?, 1, ?)
         ON CONFLICT DO UPDATE SET count = count + 1, last = excluded.last`,
      )
      .run(...place, others.n < REASONS_MAX ? why : OTHER_REASONS, nowMs);
  }

  refused(): RefusedRow[] {
    return this.#db.prepare('SELECT * FROM refused ORDER BY last DESC').all() as RefusedRow[];
  }

  /** The box speaks with that key from now on. Throws AgentError `denied` for one with which it has not reported. */
  acceptKey(site: string, box: string, fingerprint: string, nowMs: number): void {
    this.transaction(() => {
      const row = this.#db
        .prepare('SELECT other, fingerprint FROM box WHERE site = ? AND box = ?')
        .get(site, box) as { other: string | null; fingerprint: string | null } | undefined;
      if (row?.other == null || row.other !== fingerprint) {
        const seen = row?.other ?? 'no other key';
        throw new AgentError('denied', `${box}: it has not reported with ${fingerprint}; seen is ${seen}`);
      }
      // What an older journal counts is of no use to the new one.
      this.#db
        .prepare(
          `UPDATE box SET key = other_key, fingerprint = other, pinned = ?, other = NULL, other_key = NULL,
           report = NULL, reported = NULL WHERE site = ? AND box = ?`,
        )
        .run(nowMs, site, box);
      this.record(
        `box ${site}/${box}: key ${fingerprint} accepted instead of ${row.fingerprint ?? 'none'}`,
        nowMs,
      );
    });
  }

  /** Newest first. */
  history(site: string, box: string): HistoryRow[] {
    return this.#db
      .prepare('SELECT * FROM history WHERE site = ? AND box = ? ORDER BY n DESC')
      .all(site, box) as HistoryRow[];
  }

  /** What a person did: the user of this machine who runs the program. */
  record(what: string, nowMs: number): void {
    this.#db.prepare('INSERT INTO audit (at, who, what) VALUES (?, ?, ?)').run(nowMs, whoRuns(), what);
    this.#db.prepare('DELETE FROM audit WHERE n <= (SELECT max(n) FROM audit) - ?').run(AUDIT_MAX);
  }

  /** Newest first. */
  audit(count: number): AuditRow[] {
    return this.#db
      .prepare('SELECT at, who, what FROM audit ORDER BY n DESC LIMIT ?')
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

/** `seq-version` of what it runs; the bare version of a box without the updater. */
export function releaseText({ updater, version }: UpdateReport): string {
  return updater?.release == null ? version : releaseName(updater.release);
}

/** "412-0.3.0", or "none". */
export function releaseName(release: { readonly seq: number; readonly version: string } | null): string {
  return release === null ? 'none' : nameOf(release.seq, release.version);
}

/** Of the person who runs this: behind sudo the one who called it. */
export function whoRuns(): string {
  return process.env['SUDO_USER'] ?? userInfo().username;
}

interface RawBox extends Omit<BoxRow, 'report'> {
  readonly report: string | null;
}

function boxOf(row: RawBox): BoxRow {
  return { ...row, report: row.report === null ? undefined : (JSON.parse(row.report) as UpdateReport) };
}

/** What makes a line of the history: more than the bytes of a download and the time. */
function lineOf(report: UpdateReport): string {
  const { updater, config, mode, refused } = report;
  const { phase, rollout, reason, root } = updater ?? {
    phase: null,
    rollout: null,
    reason: null,
    root: null,
  };
  return JSON.stringify([releaseText(report), phase, rollout, reason, root, config, mode, refused]);
}

function sameReport(a: UpdateReport, b: UpdateReport): boolean {
  return a.at === b.at && a.boot === b.boot && JSON.stringify(a) === JSON.stringify(b);
}

/** By the journal, which only grows; by the clock only within a boot, since that of a box may be put back. */
function isOlder(report: UpdateReport, than: UpdateReport): boolean {
  if (report.journalIndex !== than.journalIndex) return report.journalIndex < than.journalIndex;
  return report.boot === than.boot && report.at < than.at;
}
