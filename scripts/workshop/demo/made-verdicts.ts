/**
 * Closes the first alerts of the demo, so that its list of closed incidents has entries. It acts over the console's
 * interface with a token, as any program of a room, and says so in a note.
 *
 * LIMITS: VERDICTS.length incidents, at the pace of EVERY_MS. Incidents that a person has claimed are left alone.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { withDeadline } from '../../../agent/base/deadline.ts';
import type { Incident, IncidentDetail, Queue } from '../../products/room/contract/incident.ts';
import type { ActedIncident } from '../../products/room/contract/undo.ts';

/** Interval of the attempts in ms; a person can follow each verdict on the screen. */
const EVERY_MS = 3000;
/** Time in ms that an incident stays in the queue at least, so that a person sees it arrive. */
const SHOWN_MS = 5000;
/** Maximum time of a request in ms. */
const ANSWER_WITHIN_MS = 10_000;
const VERDICTS = ['confirmed', 'false-alarm', 'confirmed', 'unclear'] as const;
type Verdict = (typeof VERDICTS)[number];
export const MADE_VERDICTS = VERDICTS.length;
/** Both languages of the console, because a note is shown as it is stored. */
const NOTE =
  'Closed by the demo’s program; no person judged it. / Clôturé par le programme de la démonstration, sans levée de doute humaine.';

export class MadeVerdicts {
  readonly #origin: string;
  readonly #token: string;
  readonly #signal: AbortSignal;

  /** `origin` is the console's address; `signal` ends the work early. */
  constructor(origin: string, token: string, signal: AbortSignal) {
    this.#origin = origin;
    this.#token = token;
    this.#signal = signal;
  }

  /** Resolves with the number of given verdicts, when it has all or at the signal. Throws if the console refuses. */
  async give(): Promise<number> {
    let count = 0;
    try {
      while (count < VERDICTS.length) {
        await sleep(EVERY_MS, undefined, { signal: this.#signal });
        const incident = oldestWaiting((await this.#get<Queue>('/api/queue')).incidents);
        const verdict = VERDICTS[count] ?? 'unclear';
        if (incident !== undefined && (await this.#close(incident, verdict))) count += 1;
      }
    } catch (error) {
      if (!this.#signal.aborted) throw error;
    }
    return count;
  }

  /** Claims the incident, opens its picture, adds the note, and judges it. False if a person was faster. */
  async #close({ no, still: stillName }: Incident, verdict: Verdict): Promise<boolean> {
    const { stills } = await this.#get<IncidentDetail>(`/api/incidents/${no}`);
    const still = stills.find(({ name, isStored }) => name === stillName && isStored);
    if (still === undefined) return false;
    const claimed = await this.#post(`/api/incidents/${no}/claim`, {});
    if (claimed === undefined) return false;
    await this.#ask(`/api/incidents/${no}/stills/${still.moment}`).then((answer) => answer.arrayBuffer());
    const noted = await this.#post(`/api/incidents/${no}/note`, { text: NOTE });
    const { revision } = noted ?? claimed;
    return (await this.#post(`/api/incidents/${no}/verdict`, { revision, verdict })) !== undefined;
  }

  async #get<Answer>(path: string): Promise<Answer> {
    return (await (await this.#ask(path)).json()) as Answer;
  }

  /** Returns the incident after the action, or undefined if another person has acted on it. */
  async #post(path: string, body: object): Promise<ActedIncident | undefined> {
    const answer = await this.#ask(path, body);
    return answer.status === 409 ? undefined : ((await answer.json()) as ActedIncident);
  }

  async #ask(path: string, body?: object): Promise<Response> {
    const answer = await fetch(`${this.#origin}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body !== undefined && { 'content-type': 'application/json', 'idempotency-key': randomUUID() }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: withDeadline(ANSWER_WITHIN_MS, this.#signal),
    });
    if (!answer.ok && answer.status !== 409)
      throw new Error(`${path}: ${answer.status} ${(await answer.text()).slice(0, 200)}`);
    return answer;
  }
}

/** Returns the oldest one that waits and has a picture. The newest of each rule stays in the queue. */
function oldestWaiting(incidents: readonly Incident[]): Incident | undefined {
  const waiting = incidents.filter(({ state, priority }) => state === 'new' && priority > 1);
  return waiting
    .filter(({ still, received }) => still !== null && Date.now() - Date.parse(received) >= SHOWN_MS)
    .filter(({ no, rule }) => waiting.some((other) => other.rule === rule && other.no > no))
    .sort((a, b) => a.no - b.no)[0];
}
