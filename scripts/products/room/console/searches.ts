/**
 * Runs searches in the archives of the boxes and requests for sealed stills. People request them here; the signer signs
 * them.
 *
 * INVARIANTS:
 * - Account, case, reason and request are in the audit log before anything is sent.
 * - Progress is visible only to the person who started the search and to supervisors.
 * - Matches are held in memory only.
 * LIMITS: SEARCHES_KEPT searches, each KEPT_MS after its end; the oldest completed one is dropped first. MATCHES_MAX
 * events per search.
 */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import type { SearchState } from '../contract/api.ts';
import { MATCHES_MAX, type SignerMatch, type SignerProgress } from '../contract/signer.ts';
import { record } from '../database/audit.ts';
import { iso, type Sql } from '../database/sql.ts';
import { type Call, CallError, type Handlers } from './handler.ts';
import { caseAsked, spanAsked } from './request-params.ts';
import { actorOf } from './rows.ts';
import type { SignerClient } from './signer-client.ts';

const SEARCHES_KEPT = 100;
const KEPT_MS = 3_600_000;

interface StoredSearch {
  readonly owner: string;
  readonly state: Omit<SearchState, 'matches'>;
  readonly matches: Match[];
  site: string;
  /** Number of entries of `matches` already matched with incidents. */
  matched: number;
  /** Time of the room's clock. */
  endedMs: number | undefined;
}

type Match = SignerMatch & { incident: number | null };

type SignerHandlers = Pick<Handlers, 'search' | 'searchState' | 'sealed'>;

export function signerHandlers(client: SignerClient, db: Sql, clock: () => number): SignerHandlers {
  const searches = new Searches(client, db, clock);
  return {
    search: (call) => searches.begin(call),
    searchState: (call) => searches.state(call),
    sealed: (call) => sealed(client, db, call),
  };
}

class Searches {
  readonly #client: SignerClient;
  readonly #db: Sql;
  readonly #clock: () => number;
  readonly #searches = new Map<string, StoredSearch>();

  constructor(client: SignerClient, db: Sql, clock: () => number) {
    this.#client = client;
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * Starts a search.
   * @throws {CallError} 429 while another search of this person runs, 503 without a signer
   */
  async begin({ account, body: typed, nowMs }: Call<'search'>): Promise<SearchState> {
    const body = caseAsked(typed);
    const { fromMs, toMs } = spanAsked(body);
    const request = { ...body, from: iso(fromMs), to: iso(toMs) };
    this.#forget(nowMs);
    const id = randomBytes(12).toString('hex');
    // Records all boxes, because an entry that omits names proves nothing about them.
    const details = { search: id, ...request };
    await this.#db.transaction((transaction) =>
      record(transaction, { ...actorOf(account), act: 'search', more: details }, nowMs),
    );
    const lines = await this.#client.search({ account: account.name, request });
    const search: StoredSearch = {
      owner: account.name,
      state: {
        id,
        case: body.case,
        reason: body.reason,
        isDone: false,
        askedCount: 0,
        answeredCount: 0,
        missing: [],
        more: 0,
        fault: null,
      },
      matches: [],
      site: '',
      matched: 0,
      endedMs: undefined,
    };
    this.#searches.set(id, search);
    void this.#follow(search, lines);
    return stateOf(search);
  }

  async state({ account, params: { id }, nowMs }: Call<'searchState'>): Promise<SearchState> {
    this.#forget(nowMs);
    const search = this.#searches.get(id);
    if (search === undefined) {
      throw new CallError(404, 'unknown search; results are stored for an hour, search again');
    }
    if (search.owner !== account.name && account.role !== 'supervisor') {
      throw new CallError(403, 'this search belongs to another person; a supervisor may see it');
    }
    await this.#match(search);
    return stateOf(search);
  }

  async #follow(search: StoredSearch, lines: AsyncIterable<SignerProgress>): Promise<void> {
    try {
      for await (const line of lines) take(search, line);
    } catch (error) {
      Object.assign(search.state, { isDone: true, fault: messageOf(error).slice(0, 500) });
    }
    search.endedMs = this.#clock();
  }

  /** Looks up the incidents of new matches in this room, the newest entry of each. */
  async #match(search: StoredSearch): Promise<void> {
    const matchCount = search.matches.length;
    const newMatches = search.matches.slice(search.matched, matchCount);
    if (newMatches.length === 0) return;
    const wantedRows = this.#db.dialect.rows('$1', 'wanted', { n: 'integer', box: 'text', episode: 'text' });
    const rows = await this.#db.all<{ n: number; no: number }>(
      `SELECT wanted.n AS n, max(incident.no) AS no FROM ${wantedRows}
       JOIN incident ON incident.site = $2 AND incident.box = wanted.box AND incident.episode = wanted.episode
       GROUP BY wanted.n`,
      [JSON.stringify(newMatches.map(({ box, episode }, n) => ({ n, box, episode }))), search.site],
    );
    for (const { n, no } of rows) {
      const match = newMatches[n];
      if (match !== undefined) match.incident = no;
    }
    search.matched = Math.max(search.matched, matchCount);
  }

  #forget(nowMs: number): void {
    const endedSearches = [...this.#searches].filter(([, { endedMs }]) => endedMs !== undefined);
    const tooMany = this.#searches.size - SEARCHES_KEPT + 1;
    endedSearches.forEach(([id, { endedMs = nowMs }], index) => {
      if (index < tooMany || nowMs - endedMs > KEPT_MS) this.#searches.delete(id);
    });
  }
}

function take(search: StoredSearch, line: SignerProgress): void {
  const { askedCount, answeredCount, missing, more, isDone, fault } = line;
  const room = MATCHES_MAX - search.matches.length;
  for (const match of line.matches.slice(0, room)) search.matches.push({ ...match, incident: null });
  Object.assign(search.state, { askedCount, answeredCount, missing, isDone, fault });
  search.state.more = more + Math.max(0, line.matches.length - room);
  search.site = line.site;
}

/** Sorts the matches by time. */
function stateOf({ state, matches }: StoredSearch): SearchState {
  const sorted = [...matches].sort((a, b) => (a.time < b.time ? -1 : Number(a.time > b.time)));
  return { ...state, matches: sorted.map(({ episode: _, ...one }) => one) };
}

interface IncidentRow {
  readonly site: string;
  readonly box: string;
  readonly detail: string;
}

async function sealed(
  client: SignerClient,
  db: Sql,
  { account, params: { no }, body: typed, nowMs }: Call<'sealed'>,
) {
  const body = caseAsked(typed);
  const [incident] = await db.all<IncidentRow>('SELECT site, box, detail FROM incident WHERE no = $1', [no]);
  if (incident === undefined) throw new CallError(404, `incident ${no} does not exist`);
  const { site, box } = incident;
  const detail = Object(jsonOf(incident.detail)) as { sealed?: unknown; event?: unknown };
  if (detail.sealed !== true || typeof detail.event !== 'string') {
    throw new CallError(
      409,
      `incident ${no}: the sealed still does not exist, because the authorisation of ${box} lacks recipients`,
    );
  }
  if (!/^[a-z0-9-]{1,64}$/.test(detail.event)) {
    throw new CallError(409, `the event of incident ${no} has an id that cannot be used to request a still`);
  }
  const { event } = detail;
  const details = { case: body.case, reason: body.reason, event };
  await db.transaction((transaction) =>
    record(
      transaction,
      { ...actorOf(account), act: 'request-sealed', site, box, incident: no, more: details },
      nowMs,
    ),
  );
  const note = await noteOf(db, site, box, event);
  const file = await client.sealed({
    account: account.name,
    site,
    box,
    event,
    request: body,
    ...(note.sha256 !== undefined && { sha256: note.sha256 }),
  });
  return { ...file, recipients: note.recipients };
}

/** Reads from the event what it says about its sealed still. */
async function noteOf(db: Sql, site: string, box: string, event: string) {
  const rows = await db.all<{ body: string }>(
    'SELECT body FROM event WHERE site = $1 AND box = $2 AND id = $3',
    [site, box, event],
  );
  const body = Object(jsonOf(rows[0]?.body ?? '')) as {
    data?: { evidence?: { sealed?: { sha256?: unknown; recipients?: unknown } } };
  };
  const { sha256, recipients } = body.data?.evidence?.sealed ?? {};
  return {
    sha256: typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) ? sha256 : undefined,
    recipients: Array.isArray(recipients) ? recipients.map((one) => String(one).slice(0, 200)) : [],
  };
}
