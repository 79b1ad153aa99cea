/**
 * Takes actions back within their window: restores the state before them, and records it in the audit log.
 *
 * INVARIANTS:
 * - Only the account that did an action can undo it, and only while its window is open (database/undo-window.ts).
 * - An incident that another person has changed since is not touched: the answer is 409. A note does not count. Later
 *   actions of the same account are undone first. One call may name them all.
 * - Restored are all columns of people's actions, the statistics, notes and queued verdicts. `rev` and `revision` only
 *   grow, so that no one acts on a state that was taken back.
 * LIMITS: BULK_MAX actions in one transaction, in a fixed number of statements for each action of an incident.
 *
 * A new kind of action that can be undone needs:
 * 1. its name in UNDOABLE (contract/undo.ts);
 * 2. a row of RULES below, for what it changes beyond the columns of `incident` and the statistics;
 * 3. a window opened in its transaction: by `runAction` (acting.ts), or by `openWindows`. `former.rows` holds the
 *    numbers of the rows that the action created. `incident` is null for an action on no incident.
 * A column of `incident` that it changes belongs into ACTION_COLUMNS (rows.ts).
 */
import type { AuditDraft } from '../contract/audit.ts';
import { UNDO_S } from '../contract/terms.ts';
import type { UndoAnswer, Undoable } from '../contract/undo.ts';
import { recordAll } from '../database/audit.ts';
import { next } from '../database/counters.ts';
import type { Queries, Sql } from '../database/sql.ts';
import { type Former, openBounds } from '../database/undo-window.ts';
import { lockedRows, tell } from './acting.ts';
import { addStatistics, negative } from './day-figure.ts';
import { type Account, type Call, CallError } from './handler.ts';
import { withdrawEntries } from './reopening.ts';
import { ACTION_COLUMNS, actorOf, type IncidentRow, incidentOf } from './rows.ts';
import { undoProblems, undoSuppress, undoUnsuppress } from './suppressions.ts';

/** An action to undo. */
interface OpenAction {
  readonly act: number;
  readonly name: Undoable;
  readonly incident: number | null;
  readonly revision: number | null;
  readonly former: Former;
}

interface UndoStep {
  readonly transaction: Queries;
  readonly db: Sql;
  readonly nowMs: number;
  /** Actions of one kind. */
  readonly actions: readonly OpenAction[];
}

interface UndoRule {
  /** True for an action that left `revision` unchanged, so its undo does too, whatever others have done since. */
  readonly keepsRevision?: true;
  /** Returns why actions cannot be undone, in one line, by audit number. */
  refusals?(step: UndoStep): Promise<ReadonlyMap<number, string>>;
  /** Restores what is in other tables than `incident` and the statistics. */
  restore?(step: UndoStep): Promise<void>;
}

/** Rules of each kind of action, beyond the columns of `incident` and the statistics. */
const RULES = {
  claim: {},
  release: {},
  dispatch: {},
  reassign: {},
  judge: { refusals: finalVerdicts, restore: (step) => deleteRows(step, 'verdict_due') },
  note: { keepsRevision: true, restore: deleteNotes },
  'patrol-answer': {},
  suppress: {
    restore: ({ transaction, nowMs, actions }) =>
      undoSuppress(transaction, actions.flatMap(suppressionOf), nowMs),
  },
  unsuppress: {
    refusals: finalEnds,
    restore: ({ transaction, actions }) => undoUnsuppress(transaction, actions.flatMap(suppressionOf)),
  },
  reopen: {
    restore: ({ transaction, db, nowMs, actions }) =>
      withdrawEntries(
        transaction,
        db,
        actions.flatMap(({ incident }) => incident ?? []),
        nowMs,
      ),
  },
} satisfies Record<Undoable, UndoRule>;

interface Outcome {
  readonly incident: IncidentRow | undefined;
  readonly problem: string | null;
  readonly isOver: boolean;
}

/**
 * Undoes actions. If none can be undone, the call is refused.
 * @throws {CallError} 409 with the reason of the first
 */
export function undo(db: Sql, call: Call<'undo'>, timeZone: string): Promise<UndoAnswer> {
  const { account, nowMs, body } = call;
  const acts = [...new Set(body.acts)].filter((act) => Number.isSafeInteger(act));
  return db.transaction(async (transaction) => {
    const rev = await next(transaction, 'rev', acts.length + 1);
    const open = await openActions(transaction, db, account, acts, nowMs);
    const rows = await lockedRows(
      transaction,
      db,
      open.flatMap(({ incident }) => incident ?? []),
    );
    const undoing = new Undoing({ transaction, db, account, nowMs, timeZone, rev, rows });
    await undoing.run(open);
    const results = body.acts.map((act) => {
      const { incident, problem, isOver } = undoing.outcomes.get(act) ?? OVER(act);
      const reason = isOver ? ('undo-over' as const) : null;
      return { act, incident: incident === undefined ? null : incidentOf(incident), problem, reason };
    });
    const [first] = results;
    if (results.some(({ problem }) => problem === null)) {
      await tell(transaction, db);
      return { results };
    }
    throw new CallError(409, first?.problem ?? '', first?.incident ?? undefined, first?.reason ?? undefined);
  });
}

const OVER = (act: number): Outcome => ({
  incident: undefined,
  problem: `action ${act}: can no longer be undone; an account can undo its own actions for ${UNDO_S} s`,
  isOver: true,
});

/** Returns the account's actions whose windows are open. */
async function openActions(
  transaction: Queries,
  { dialect }: Sql,
  { name, isProgram }: Account,
  acts: readonly number[],
  nowMs: number,
): Promise<OpenAction[]> {
  const { after, latest } = openBounds(nowMs);
  const rows = await transaction.all<Omit<OpenAction, 'former'> & { former: string }>(
    `SELECT act, name, incident, revision, former FROM undo_window
     WHERE act IN (SELECT asked.asked_act FROM ${dialect.rows('$1', 'asked', { asked_act: 'integer' })})
       AND account = $2 AND is_program = $3 AND until > $4 AND until <= $5 ORDER BY act DESC`,
    [JSON.stringify(acts.map((act) => ({ asked_act: act }))), name, isProgram, after, latest],
  );
  return rows.map(({ former, act, name: kind, incident, revision }) => ({
    act,
    name: kind,
    incident,
    revision,
    former: JSON.parse(former) as Former,
  }));
}

interface UndoingOptions {
  readonly transaction: Queries;
  readonly db: Sql;
  readonly account: Account;
  readonly nowMs: number;
  readonly timeZone: string;
  /** First of the reserved change numbers, one for each action. */
  readonly rev: number;
  readonly rows: Map<number, IncidentRow>;
}

/** One call, in rounds: each takes the newest remaining action of each incident. */
class Undoing {
  readonly outcomes = new Map<number, Outcome>();
  readonly #options: UndoingOptions;
  readonly #rows: Map<number, IncidentRow>;
  #rev: number;

  constructor(options: UndoingOptions) {
    this.#options = options;
    this.#rows = options.rows;
    this.#rev = options.rev;
  }

  async run(open: readonly OpenAction[]): Promise<void> {
    let remaining = [...open];
    while (remaining.length > 0) {
      const incidentNos = new Set<number>();
      const round = remaining.filter(({ incident }) => {
        if (incident === null) return true;
        const isFirst = !incidentNos.has(incident);
        incidentNos.add(incident);
        return isFirst;
      });
      remaining = remaining.filter((action) => !round.includes(action));
      const revisions = await this.#round(round);
      // The state after an earlier action is restored, under a new revision.
      remaining = remaining.map((action) => {
        const rebased = revisions.find(
          ({ incident, before }) => incident === action.incident && before === action.revision,
        );
        return rebased === undefined ? action : Object.assign({}, action, { revision: rebased.after });
      });
    }
  }

  async #round(actions: readonly OpenAction[]): Promise<Rebasing[]> {
    const accepted = await this.#accepted(actions);
    if (accepted.length === 0) return [];
    const { transaction, db, account, nowMs, timeZone } = this.#options;
    await this.#restoreColumns(accepted);
    await addStatistics(
      transaction,
      db.dialect,
      timeZone,
      accepted.flatMap(({ incident, former }) => {
        const row = incident === null ? undefined : this.#rows.get(incident);
        return row === undefined ? [] : [{ incident: row, add: negative(former.sums ?? {}) }];
      }),
    );
    for (const [name, step] of this.#byKind(accepted)) await ruleOf(name).restore?.(step);
    const undoneActs = db.dialect.rows('$1', 'undone', { undone_act: 'integer' });
    await transaction.run(
      `DELETE FROM undo_window WHERE act IN (SELECT undone.undone_act FROM ${undoneActs})`,
      [JSON.stringify(accepted.map(({ act }) => ({ undone_act: act })))],
    );
    const revisions = await this.#rebase(accepted);
    const drafts = accepted.map(({ act, name, incident }): AuditDraft => {
      const row = incident === null ? undefined : this.#rows.get(incident);
      const place = row === undefined ? {} : { site: row.site, box: row.box, incident: row.no };
      return Object.assign(actorOf(account), place, {
        act: 'undo' as const,
        more: { undoes: act, action: name },
      });
    });
    await recordAll(transaction, db.dialect, drafts, nowMs);
    for (const { act, incident } of accepted) {
      const row = incident === null ? undefined : this.#rows.get(incident);
      this.outcomes.set(act, { incident: row, problem: null, isOver: false });
    }
    return revisions;
  }

  /** Notes the outcome of actions that cannot be undone, and returns the others. */
  async #accepted(actions: readonly OpenAction[]): Promise<OpenAction[]> {
    const refuse = (action: OpenAction, problem: string): void => {
      const row = action.incident === null ? undefined : this.#rows.get(action.incident);
      this.outcomes.set(action.act, { incident: row, problem, isOver: false });
    };
    const current = actions.filter((action) => {
      const { incident, name, revision } = action;
      if (incident === null || ruleOf(name).keepsRevision === true) return true;
      const row = this.#rows.get(incident);
      if (row?.revision === revision) return true;
      refuse(action, `incident ${incident}: someone has acted on it since, so action ${action.act} stays`);
      return false;
    });
    const problems = new Map<number, string>();
    for (const [name, step] of this.#byKind(current)) {
      for (const [act, problem] of (await ruleOf(name).refusals?.(step)) ?? []) problems.set(act, problem);
    }
    return current.filter((action) => {
      const problem = problems.get(action.act);
      if (problem !== undefined) refuse(action, problem);
      return problem === undefined;
    });
  }

  #byKind(actions: readonly OpenAction[]): Map<Undoable, UndoStep> {
    const { transaction, db, nowMs } = this.#options;
    const kinds = new Set(actions.map(({ name }) => name));
    return new Map(
      [...kinds].map((kind) => [
        kind,
        { transaction, db, nowMs, actions: actions.filter(({ name }) => name === kind) },
      ]),
    );
  }

  async #restoreColumns(actions: readonly OpenAction[]): Promise<void> {
    const { transaction, db } = this.#options;
    const names = Object.keys(ACTION_COLUMNS);
    const rows = actions.flatMap(({ name, incident, former }) => {
      const row = incident === null ? undefined : this.#rows.get(incident);
      if (row === undefined) return [];
      const values: Readonly<Record<string, unknown>> = Object.assign({}, row, former.columns);
      const entries = names.map((column) => [`old_${column}`, values[column] ?? null]);
      this.#rev += 1;
      const numbers = { asked_no: row.no, new_rev: this.#rev - 1, raise: ruleOf(name).keepsRevision ? 0 : 1 };
      return [Object.assign(Object.fromEntries(entries), numbers)];
    });
    const types = Object.entries(ACTION_COLUMNS).map(([name, type]) => [`old_${name}`, type] as const);
    const columns = Object.assign(Object.fromEntries(types), {
      asked_no: 'integer',
      new_rev: 'integer',
      raise: 'integer',
    } as const);
    await transaction.run(
      `UPDATE incident SET rev = asked.new_rev, revision = revision + asked.raise,
         ${names.map((name) => `${name} = asked.old_${name}`).join(', ')}
       FROM ${db.dialect.rows('$1', 'asked', columns)} WHERE incident.no = asked.asked_no`,
      [JSON.stringify(rows)],
    );
  }

  /** Reads the restored incidents. Earlier actions on them, of any account, can still be undone. */
  async #rebase(actions: readonly OpenAction[]): Promise<Rebasing[]> {
    const { transaction, db } = this.#options;
    const nos = actions.flatMap(({ incident }) => incident ?? []);
    for (const [no, row] of await lockedRows(transaction, db, nos)) this.#rows.set(no, row);
    const changing = actions.filter(({ name }) => ruleOf(name).keepsRevision !== true);
    const revisions = changing.flatMap(({ incident, former: { revision: before } }) => {
      const after = incident === null ? undefined : this.#rows.get(incident)?.revision;
      return incident === null || before === undefined || after === undefined
        ? []
        : [{ incident, before, after }];
    });
    const columns = { incident: 'integer', before: 'integer', after: 'integer' } as const;
    await transaction.run(
      `UPDATE undo_window SET revision = restored.after FROM ${db.dialect.rows('$1', 'restored', columns)}
       WHERE undo_window.incident = restored.incident AND undo_window.revision = restored.before`,
      [JSON.stringify(revisions)],
    );
    return revisions;
  }
}

/** Revision of an incident before an undone action, and after the undo. */
interface Rebasing {
  readonly incident: number;
  readonly before: number;
  readonly after: number;
}

const ruleOf = (name: Undoable): UndoRule => RULES[name];

async function deleteNotes(step: UndoStep): Promise<void> {
  await deleteRows(step, 'note');
  const { transaction, db, actions } = step;
  const noted = db.dialect.rows('$1', 'noted', { noted_no: 'integer' });
  await transaction.run(
    `UPDATE incident SET last_note = (SELECT max(note.no) FROM note WHERE note.incident = incident.no)
     WHERE no IN (SELECT noted.noted_no FROM ${noted})`,
    [JSON.stringify(actions.map(({ incident }) => ({ noted_no: incident })))],
  );
}

/** Deletes the rows that actions have created in a table with the key `no`. */
async function deleteRows(
  { transaction, db, actions }: UndoStep,
  table: 'note' | 'verdict_due',
): Promise<void> {
  const nos = actions.flatMap(({ former }) => former.rows?.[table] ?? []);
  const createdRows = db.dialect.rows('$1', 'created', { created_no: 'integer' });
  await transaction.run(`DELETE FROM ${table} WHERE no IN (SELECT created.created_no FROM ${createdRows})`, [
    JSON.stringify(nos.map((no) => ({ created_no: no }))),
  ]);
}

/** Returns verdicts that stay, because the incident was reopened since or its box was revoked. */
async function finalVerdicts({ transaction, db, actions }: UndoStep): Promise<Map<number, string>> {
  const verdictRows = db.dialect.rows('$1', 'asked', { asked_act: 'integer', asked_no: 'integer' });
  const rows = await transaction.all<{
    act: number;
    no: number;
    later: number | null;
    revoked: boolean | number;
  }>(
    `SELECT asked.asked_act AS act, judged.no,
       (SELECT max(later.no) FROM incident AS later WHERE later.episode = judged.episode
          AND later.site || '' = judged.site AND later.box || '' = judged.box AND later.entry > judged.entry) AS later,
       EXISTS (SELECT 1 FROM camera WHERE camera.site = judged.site AND camera.box = judged.box AND is_removed)
         AS revoked
     FROM ${verdictRows} JOIN incident AS judged ON judged.no = asked.asked_no`,
    [JSON.stringify(actions.map(({ act, incident }) => ({ asked_act: act, asked_no: incident })))],
  );
  return new Map(
    rows.flatMap(({ act, no, later, revoked }): [number, string][] => {
      if (later !== null) return [[act, `incident ${no}: it was reopened since, as incident ${later}`]];
      return revoked ? [[act, `incident ${no}: its box was revoked since, so the verdict stays`]] : [];
    }),
  );
}

/** Number of the suppression that an action started or ended. */
function suppressionOf({ former }: OpenAction): readonly number[] {
  const no = former.rows?.['suppression'];
  return no === undefined ? [] : [no];
}

/** Returns ends of suppressions that stay. */
async function finalEnds({ transaction, nowMs, actions }: UndoStep): Promise<Map<number, string>> {
  const problems = await undoProblems(transaction, actions.flatMap(suppressionOf), nowMs);
  return new Map(
    actions.flatMap((action): [number, string][] =>
      suppressionOf(action).flatMap((no): [number, string][] => {
        const problem = problems.get(no);
        return problem === undefined ? [] : [[action.act, problem]];
      }),
    ),
  );
}
