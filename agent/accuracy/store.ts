/**
 * Store of the record of accuracy: alerts of rules, their verdicts, and walk tests. The agent writes it and the
 * commands read it. A walk test adds its result in one transaction.
 *
 * INVARIANTS:
 * - Changes are on disk when a method returns.
 * - An alert has one verdict, the latest.
 *
 * LIMITS: `EPISODES_MAX` alerts (the oldest of the most frequent rule are dropped first, counted), 100 walk tests (the
 * oldest are dropped first).
 */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError } from '../base/errors.ts';
import { type Db, type SqliteFile, sqliteCall } from '../base/sqlite.ts';
import { compact, wilson } from '../base/wilson.ts';
import type { Proposal, RuleAccuracy, WalkResult } from '../contract/accuracy.ts';
import { XyxyNorm } from '../contract/geometry.ts';
import { RuleConfig } from '../contract/rule-config.ts';
import type { Verdict, VerdictValue } from '../contract/verdict.ts';
import { openRecord, recordFile } from './database.ts';
import { proposalsOf } from './proposals.ts';

/** File name in the state folder. */
export const RECORD_FILE = 'accuracy.db';

export const EPISODES_MAX = 50_000;
/** Number of alerts removed at a time, so that the most frequent rule is searched for rarely. */
const ROOM_FOR = 500;
const WALK_TESTS_MAX = 100;

/** Configuration of the running agent, so that commands need none of their own. */
export const Watching = Type.Object({
  site: Type.String(),
  box: Type.String(),
  retentionDays: Type.Integer({ minimum: 1 }),
  timeZone: Type.String(),
  holidays: Type.Array(Type.String()),
  rules: Type.Array(RuleConfig),
});
export type Watching = Static<typeof Watching>;

/** State of the agent that writes here. */
export interface BoxState {
  readonly watching: Watching;
  /** Frames arrive from the camera. */
  readonly sees: boolean;
}

export interface Raised {
  readonly episode: string;
  readonly event: string;
  readonly rule: string;
  readonly wallMs: number;
  readonly xyxyNorm?: XyxyNorm | undefined;
  /** Value compared with the rule's threshold: see proposals.ts. */
  readonly measure?: number | undefined;
}

export interface WalkTestRecord {
  readonly rule: string;
  readonly wallMs: number;
  readonly passes: number;
  readonly seen: number;
  readonly repeated: number;
  /** Alerts of the rule after this row were raised while it was tested. */
  readonly afterId: number;
}

export interface StoreLimits {
  readonly episodes: number;
}

export class RecordStore {
  readonly #file: SqliteFile;
  readonly #db: Db;
  readonly #limits: StoreLimits;
  #episodes: number;

  private constructor(file: string, make: boolean, limits: StoreLimits) {
    this.#file = recordFile(file);
    this.#limits = limits;
    this.#db = openRecord(file, make);
    this.#episodes = this.#number('SELECT count(*) FROM episode');
  }

  /** Opens the store for the agent, and creates the file if needed. */
  static make(file: string, limits: StoreLimits = { episodes: EPISODES_MAX }): RecordStore {
    return new RecordStore(file, true, limits);
  }

  /** Opens the store for commands; the file must exist. */
  static open(file: string): RecordStore {
    return new RecordStore(file, false, { episodes: EPISODES_MAX });
  }

  close(): void {
    sqliteCall(this.#file, () => this.#db.close());
  }

  setBox({ watching, sees }: BoxState): void {
    this.#run('INSERT OR REPLACE INTO box VALUES (1, ?, ?)', JSON.stringify(watching), sees ? 1 : 0);
  }

  /** Returns the state of the box; undefined before the first run of the agent. */
  box(): BoxState | undefined {
    const row = this.#row<{ watching: string; sees: number }>('SELECT watching, sees FROM box');
    if (row === undefined) return undefined;
    const watching: unknown = JSON.parse(row.watching);
    if (!Value.Check(Watching, watching)) {
      throw new AgentError(
        'corrupt',
        `${this.#file}: written by another version of the program; restart the agent`,
      );
    }
    return { watching, sees: row.sees === 1 };
  }

  raise({ episode, event, rule, wallMs, xyxyNorm, measure }: Raised): void {
    if (this.#episodes >= this.#limits.episodes) this.#makeRoom();
    this.#episodes += this.#run(
      'INSERT INTO episode (episode, event, rule, raised_ms, box, measure) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      episode,
      event,
      rule,
      wallMs,
      xyxyNorm === undefined ? null : JSON.stringify(xyxyNorm),
      measure ?? null,
    );
  }

  end(episode: string, wallMs: number): void {
    this.#run('UPDATE episode SET ended_ms = ? WHERE episode = ?', wallMs, episode);
  }

  /**
   * Stores a verdict. `nowMs` limits its own time, so that the verdict of a room whose clock is ahead cannot win
   * indefinitely.
   */
  recordVerdict(message: Verdict, nowMs: number): 'taken' | 'repeated' | 'unknown' {
    const [column, id] = 'episode' in message ? ['episode', message.episode] : ['event', message.event];
    const row = this.#row<{ id: number; verdict: VerdictValue | null; judged_ms: number | null }>(
      `SELECT id, verdict, judged_ms FROM episode WHERE ${column} = ?`,
      id,
    );
    if (row === undefined) return 'unknown';
    const reviewedMs = Math.min(Date.parse(message.time), nowMs);
    if (row.judged_ms !== null) {
      const same = reviewedMs === row.judged_ms && message.verdict === row.verdict;
      if (same || reviewedMs < row.judged_ms) return 'repeated';
    }
    this.#run(
      'UPDATE episode SET verdict = ?, judged_ms = ? WHERE id = ?',
      message.verdict,
      reviewedMs,
      row.id,
    );
    return 'taken';
  }

  /** Deletes alerts raised before `beforeMs`. */
  expire(beforeMs: number): void {
    this.#forget('expired', 'DELETE FROM episode WHERE raised_ms < ?', beforeMs);
  }

  counters(): { expired: number; dropped: number } {
    const of = (name: string): number => this.#number('SELECT value FROM counter WHERE name = ?', name);
    return { expired: of('expired'), dropped: of('dropped') };
  }

  /** Returns one entry for each of `rules`, in their order. */
  statistics(rules: readonly string[]): RuleAccuracy[] {
    const counted = this.#rows<{ rule: string; verdict: VerdictValue | null; n: number }>(
      'SELECT rule, verdict, count(*) AS n FROM episode WHERE staged = 0 GROUP BY rule, verdict',
    );
    const walks = this.#rows<Omit<WalkTestRecord, 'afterId' | 'wallMs'> & { time_ms: number }>(
      `SELECT rule, time_ms, passes, seen, repeated FROM walk_test
       WHERE id IN (SELECT max(id) FROM walk_test GROUP BY rule)`,
    );
    return rules.map((rule) => {
      const ruleCounts = counted.filter((row) => row.rule === rule);
      const n = (verdict: VerdictValue | null): number =>
        ruleCounts.find((row) => row.verdict === verdict)?.n ?? 0;
      const walk = walks.find((row) => row.rule === rule);
      return {
        rule,
        alerts: ruleCounts.reduce((sum, row) => sum + row.n, 0),
        confirmed: n('confirmed'),
        falseAlarms: n('false-alarm'),
        unclear: n('unclear'),
        ...precisionOf(n('confirmed'), n('false-alarm')),
        walk: walk === undefined ? null : walkResult(walk, walk.time_ms),
      };
    });
  }

  /** Returns the proposals from the verdicts on `rules`: spots at which a rule was repeatedly wrong. */
  proposals(rules: readonly RuleConfig[]): Proposal[] {
    return rules.flatMap((rule) => {
      const rows = this.#rows<{ verdict: VerdictValue; box: string | null; measure: number | null }>(
        `SELECT verdict, box, measure FROM episode
         WHERE staged = 0 AND rule = ? AND verdict IN ('confirmed', 'false-alarm') ORDER BY id`,
        rule.id,
      );
      const alerts = rows.map(({ verdict, box, measure }) => ({
        right: verdict === 'confirmed',
        xyxyNorm: box === null ? undefined : boxOf(box),
        measure: measure ?? undefined,
      }));
      return proposalsOf(rule, alerts);
    });
  }

  /** Returns the row of the newest alert; later ones have a higher row. */
  lastId(): number {
    return this.#number('SELECT coalesce(max(id), 0) FROM episode');
  }

  /** Returns alerts of a rule raised after row `afterId`, oldest first. */
  raisedSince(rule: string, afterId: number): { id: number; raisedMs: number; isOpen: boolean }[] {
    return this.#rows<{ id: number; raised_ms: number; ended_ms: number | null }>(
      'SELECT id, raised_ms, ended_ms FROM episode WHERE id > ? AND rule = ? ORDER BY id',
      afterId,
      rule,
    ).map(({ id, raised_ms, ended_ms }) => ({ id, raisedMs: raised_ms, isOpen: ended_ms === null }));
  }

  /** Stores a complete walk test, and excludes the alerts that it caused from the rule's precision. */
  keepWalkTest({ rule, wallMs, passes, seen: seenCount, repeated, afterId }: WalkTestRecord): WalkResult {
    sqliteCall(this.#file, () =>
      this.#db
        .transaction(() => {
          this.#run(
            'INSERT INTO walk_test (rule, time_ms, passes, seen, repeated) VALUES (?, ?, ?, ?, ?)',
            rule,
            wallMs,
            passes,
            seenCount,
            repeated,
          );
          this.#run('UPDATE episode SET staged = 1 WHERE rule = ? AND id > ?', rule, afterId);
          this.#run('DELETE FROM walk_test WHERE id <= (SELECT max(id) FROM walk_test) - ?', WALK_TESTS_MAX);
        })
        .immediate(),
    );
    return walkResult({ passes, seen: seenCount, repeated }, wallMs);
  }

  #makeRoom(): void {
    const largest = this.#row<{ rule: string }>(
      'SELECT rule FROM episode GROUP BY rule ORDER BY count(*) DESC, rule LIMIT 1',
    );
    this.#forget(
      'dropped',
      'DELETE FROM episode WHERE id IN (SELECT id FROM episode WHERE rule = ? ORDER BY id LIMIT ?)',
      largest?.rule ?? '',
      Math.min(ROOM_FOR, Math.ceil(this.#limits.episodes / 2)),
    );
  }

  #forget(counter: 'expired' | 'dropped', sql: string, ...values: (string | number)[]): void {
    sqliteCall(this.#file, () =>
      this.#db
        .transaction(() => {
          const deletedCount = this.#run(sql, ...values);
          if (deletedCount > 0)
            this.#run('UPDATE counter SET value = value + ? WHERE name = ?', deletedCount, counter);
          this.#episodes -= deletedCount;
        })
        .immediate(),
    );
  }

  /** better-sqlite3 prepares a statement in about 20 µs, and all of these are rare, so statements are not cached. */
  #run(sql: string, ...values: (string | number | null)[]): number {
    return sqliteCall(this.#file, () => this.#db.prepare(sql).run(...values).changes);
  }

  #rows<T>(sql: string, ...values: (string | number)[]): T[] {
    return sqliteCall(this.#file, () => this.#db.prepare(sql).all(...values) as T[]);
  }

  #row<T>(sql: string, ...values: (string | number)[]): T | undefined {
    return sqliteCall(this.#file, () => this.#db.prepare(sql).get(...values) as T | undefined);
  }

  #number(sql: string, ...values: (string | number)[]): number {
    return sqliteCall(this.#file, () =>
      Number(
        this.#db
          .prepare(sql)
          .pluck()
          .get(...values) ?? 0,
      ),
    );
  }
}

/** Parses the value written by `raise`; a row of another program has no usable place. */
function boxOf(text: string): XyxyNorm | undefined {
  const box: unknown = JSON.parse(text);
  return Value.Check(XyxyNorm, box) ? box : undefined;
}

function precisionOf(right: number, wrong: number): Pick<RuleAccuracy, 'precision' | 'low' | 'high'> {
  const verdictCount = right + wrong;
  if (verdictCount === 0) return { precision: null, low: null, high: null };
  const { low, high } = wilson(right, verdictCount);
  return { precision: compact(right / verdictCount), low: compact(low), high: compact(high) };
}

function walkResult(test: Pick<WalkTestRecord, 'passes' | 'seen' | 'repeated'>, wallMs: number): WalkResult {
  const { passes, seen: seenCount, repeated } = test;
  const { low, high } = wilson(seenCount, passes);
  return {
    time: new Date(wallMs).toISOString(),
    passes,
    seen: seenCount,
    repeated,
    recall: compact(seenCount / passes),
    low: compact(low),
    high: compact(high),
  };
}
