/**
 * Holds the incidents of this browser.
 *
 * INVARIANTS: each incident is held in its newest version of the stream; closed ones are not held.
 * The number of open incidents is the server's own count, which comes with each change. A browser cannot count them
 * itself, because it cannot tell a new incident from an older one that it does not hold.
 * LIMITS: LOADED_MAX incidents. Beyond it, incidents of boxes with more than OF_A_BOX_MAX are dropped first, then the
 * least urgent and newest unclaimed ones. `more` counts them.
 */
import type { Incident, OpenCount, Queue } from '../../contract/incident.ts';

/** Equal to the size of the server's queue. */
export const LOADED_MAX = 2000;
/**
 * Incidents of one box that are kept first, as in the server's queue: a box that floods the room must not displace the
 * alerts of others.
 */
const OF_A_BOX_MAX = 100;
/** Number of held incidents below which the queue is loaded again, if the server has more. */
const REFILL_BELOW = LOADED_MAX / 2;

export class Rows {
  readonly #rows = new Map<number, Incident>();
  #rev = 0;
  /** Number of open incidents, held or not. */
  #openCount = 0;

  /** Number from which the stream continues. */
  get rev(): number {
    return this.#rev;
  }

  /** Number of open incidents that are not held. */
  get more(): number {
    return Math.max(0, this.#openCount - this.#rows.size);
  }

  get isShort(): boolean {
    return this.more > 0 && this.#rows.size < REFILL_BELOW;
  }

  get incidents(): readonly Incident[] {
    return [...this.#rows.values()];
  }

  of(no: number): Incident | undefined {
    return this.#rows.get(no);
  }

  reset({ rev, incidents, more }: Queue): void {
    this.#rows.clear();
    for (const incident of incidents) this.#rows.set(incident.no, incident);
    this.#rev = rev;
    this.#openCount = incidents.length + more;
    this.#trim();
  }

  /** Takes the server's count. One from before the queue was loaded is ignored. */
  takeOpenCount({ rev, count }: OpenCount): void {
    if (rev >= this.#rev) this.#openCount = count;
  }

  /** Applies changes of the stream. Returns the new incidents that wait for someone. */
  apply(incidents: readonly Incident[]): Incident[] {
    const newIncidents: Incident[] = [];
    const previousRev = this.#rev;
    // While all open incidents are held, one that is not held has just been opened.
    const isComplete = this.more === 0;
    for (const incident of incidents) {
      if (incident.rev <= previousRev) continue;
      this.#rev = Math.max(this.#rev, incident.rev);
      const current = this.#rows.get(incident.no);
      if (current !== undefined && current.rev >= incident.rev) continue;
      const isNew = current === undefined && (isComplete || isFirstSight(incident));
      if (isNew && incident.state === 'new' && !incident.isSuppressed) newIncidents.push(incident);
      this.#put(incident);
    }
    this.#trim();
    return newIncidents;
  }

  /** Applies the answer to one's own action, which may arrive before the stream's change. */
  settle(incident: Incident): void {
    const current = this.#rows.get(incident.no);
    if (current !== undefined && current.rev > incident.rev) return;
    this.#put(incident);
    // The stream brings the server's count; until then, one that was closed must not appear as not held.
    if (current !== undefined && !this.#rows.has(incident.no)) this.#openCount -= 1;
  }

  #put(incident: Incident): void {
    // Only alerts need an action; system incidents are shown with the cameras.
    const isListed = incident.state !== 'closed' && incident.severity === 'alert' && !incident.isSuppressed;
    if (!isListed) this.#rows.delete(incident.no);
    else this.#rows.set(incident.no, incident);
  }

  #trim(): void {
    const over = this.#rows.size - LOADED_MAX;
    if (over <= 0) return;
    const ofBox = new Map<string, number>();
    const [fit, excessRows]: [Incident[], Incident[]] = [[], []];
    for (const incident of [...this.#rows.values()].sort(byNeed)) {
      const place = (ofBox.get(incident.box) ?? 0) + 1;
      ofBox.set(incident.box, place);
      (place > OF_A_BOX_MAX && incident.state === 'new' ? excessRows : fit).push(incident);
    }
    const leastFirst = [...fit, ...excessRows].reverse();
    for (const { no } of leastFirst.slice(0, over)) this.#rows.delete(no);
  }
}

/** True if an incident has only its first event, or if a suppression kept it out of the queue. */
function isFirstSight({ events, revision, lastNote, suppression }: Incident): boolean {
  return suppression !== null || (events <= 1 && revision === 0 && lastNote === null);
}

/** Sorts by importance: claimed ones, then the urgent, then the oldest. */
function byNeed(a: Incident, b: Incident): number {
  return (
    Number(a.state === 'new') - Number(b.state === 'new') ||
    a.priority - b.priority ||
    (a.received < b.received ? -1 : 1)
  );
}
