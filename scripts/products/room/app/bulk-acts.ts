/** Closes or reopens many incidents at once. The server answers for each incident separately. */
import type { VerdictValue } from '../../../../agent/contract/verdict.ts';
import type { ClosedIncident, ClosedPage } from '../contract/closed.ts';
import type { Incident } from '../contract/incident.ts';
import { BULK_MAX } from '../contract/terms.ts';
import type { BulkAnswer } from '../contract/undo.ts';
import { conflictText, explain, incidentName, type ReviewResult, revisionAfter } from './acts.ts';
import { ApiProblem, get, post } from './api.ts';
import { noteStorm, openNext } from './queue/order.ts';
import { refusals, selectOnly } from './queue/selection.ts';
import { begin, chosenLine, end } from './queue/store.ts';
import { openNo } from './router.ts';
import { may, nowMs } from './session.ts';
import { tell } from './toasts.ts';
import { offerUndo, trackAction } from './undo-offers.ts';
import { plain } from './words/plain.ts';
import { reportWords } from './words/reports.ts';
import { words } from './words/words.ts';

type Result = BulkAnswer['results'][number];

/** Gives the verdict. Refused incidents stay selected, each with its reason. */
export async function reviewAll(
  incidents: readonly Incident[],
  verdict: VerdictValue,
  withoutLooking: boolean,
): Promise<ReviewResult> {
  const at = new Date(nowMs()).toISOString();
  const leader = leaderOf(incidents);
  if (leader !== undefined) noteStorm(leader.no);
  const attempt = sendAll(incidents, verdict, withoutLooking);
  for (const { no } of incidents) begin(no, { state: 'closed', verdict, verdictAt: at, closedAt: at });
  trackAction(attempt);
  const answer = await attempt;
  const results = answer instanceof ApiProblem ? [] : answer.results;
  const byNo = new Map(results.map((result) => [result.no, result]));
  for (const { no } of incidents) {
    const result = byNo.get(no);
    end(no, result?.incident ?? undefined, result?.problem === null);
  }
  if (answer instanceof ApiProblem) {
    if (answer.reason === 'unseen') return 'unseen';
    tell('bad', explain(answer));
    return 'refused';
  }
  report(incidents, answer, verdict);
  if (leader !== undefined && byNo.get(leader.no)?.problem === null) openNext(leader);
  return results.some(({ reason }) => reason === 'unseen') ? 'unseen' : 'done';
}

async function sendAll(
  incidents: readonly Incident[],
  verdict: VerdictValue,
  withoutLooking: boolean,
): Promise<BulkAnswer | ApiProblem> {
  try {
    const seenIncidents = await Promise.all(
      incidents.map(async (incident) => ({ no: incident.no, revision: await revisionAfter(incident) })),
    );
    return await post<BulkAnswer>('/api/verdicts', {
      incidents: seenIncidents,
      verdict,
      ...(withoutLooking && { withoutLooking }),
    });
  } catch (error) {
    if (error instanceof ApiProblem) return error;
    throw error;
  }
}

function report(incidents: readonly Incident[], { results, undo }: BulkAnswer, verdict: VerdictValue): void {
  const { bulk, verdicts } = words.value;
  const refusedResults = results.filter(({ problem }) => problem !== null);
  const doneNos = results.filter(({ problem }) => problem === null).map(({ no }) => no);
  selectOnly(refusedResults.map(({ no }) => no));
  refusals.value = new Map(refusedResults.map((result) => [result.no, reasonOf(result)]));
  if (doneNos.length > 0) offerUndo(bulk.done(doneNos.length, verdicts[verdict]), [undo], doneNos);
  const [first] = refusedResults;
  const incident = incidents.find(({ no }) => no === first?.no);
  if (first === undefined || incident === undefined) return;
  tell(
    'bad',
    bulk.refused(refusedResults.length, incidents.length, `${incidentName(incident)}: ${reasonOf(first)}`),
  );
}

function reasonOf({ incident, problem, reason }: Result): string {
  if (reason === 'unseen') return words.value.look.refused;
  return incident === null ? plain(problem ?? '') : conflictText(incident);
}

/** Returns the incident whose place decides what follows: the open one, or the selected one. */
function leaderOf(incidents: readonly Incident[]): Incident | undefined {
  const line = chosenLine.value;
  const no = openNo.value ?? (line?.type === 'incident' ? line.incident.no : undefined);
  return incidents.find((incident) => incident.no === no);
}

/** An entry that was reopened, or whose box was revoked, cannot be reopened. */
export function canReopen({ reopenedAs, closedReason }: ClosedIncident): boolean {
  return may('reopen') && reopenedAs === null && closedReason === null;
}

/** Reopens the closed incidents that match filters, the last closed first, up to BULK_MAX. */
export async function reopenAll(filters: string): Promise<void> {
  const { closed } = reportWords.value;
  try {
    const page = await get<ClosedPage>(`/api/closed?${filters}&limit=${BULK_MAX}`);
    const incidents = page.incidents.filter(canReopen).map(({ no, revision }) => ({ no, revision }));
    const attempt = post<BulkAnswer>('/api/reopenings', { incidents });
    trackAction(attempt);
    const { results, undo } = await attempt;
    const refusedResults = results.filter(({ problem }) => problem !== null);
    if (refusedResults.length < results.length)
      offerUndo(closed.reopenedAll(results.length - refusedResults.length), [undo], []);
    const [first] = refusedResults;
    if (first !== undefined)
      tell('bad', closed.notReopened(refusedResults.length, plain(first.problem ?? '')));
  } catch (error) {
    tell('bad', explain(error));
  }
}
