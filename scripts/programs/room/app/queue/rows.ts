/**
 * Holds the incidents of this browser.
 *
 * INVARIANTS: each incident is held in its newest version of the stream; closed ones are not held.
 * LIMITS: LOADED_MAX incidents. Beyond it, incidents of boxes with more than OF_A_BOX_MAX are dropped first, then the
 * least urgent and newest unclaimed ones. `more` counts them.
 */
import type { Incident, Queue } from '../../contract/incident.ts';

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
  #unloadedCount = 0;

  /** Number from which the stream continues. */
  get rev(): number {
    return this.#rev;
  }

  /** Number of open incidents that are not held. */
  get more(): number {
    return this.#unloadedCount;
  }

  get isShort(): boolean {
    return this.#unloadedCount > 0 && this.#rows.size < REFILL_BELOW;
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
    this.#unloadedCount = more;
    this.#trim();
  }

  /** Applies changes of the stream. Returns the new incidents that wait for someone. */
  apply(incidents: readonly Incident[]): Incident[] {
    const newIncidents: Incident[] = [];
    const previousRev = this.#rev;
    for (const incident of incidents) {
      if (incident.rev <= previousRev) continue;
      this.#rev = Math.max(this.#rev, incident.rev);
      const current = this.#rows.get(incident.no);
      if (current !== undefined && current.rev >= incident.rev) continue;
      if (current === undefined && !incident.isSuppressed) this.#count(incident, newIncidents);
      this.#put(incident);
    }
    this.#trim();
    return newIncidents;
  }

  /** An incident that the room had before, but that is not held, was one of those counted in `more`. */
  #count(incident: Incident, newIncidents: Incident[]): void {
    // One that a suppression kept out of the queue was not counted there.
    const wasListed = incident.suppression === null && (incident.events > 1 || incident.revision > 0);
    if (wasListed) this.#unloadedCount = Math.max(0, this.#unloadedCount - 1);
    else if (incident.state === 'new') newIncidents.push(incident);
  }

  /** Applies the answer to one's own action, which may arrive before the stream's change. */
  settle(incident: Incident): void {
    const current = this.#rows.get(incident.no);
    if (current === undefined || current.rev <= incident.rev) this.#put(incident);
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
    this.#unloadedCount += over;
  }
}

/** Sorts by importance: claimed ones, then the urgent, then the oldest. */
function byNeed(a: Incident, b: Incident): number {
  return (
    Number(a.state === 'new') - Number(b.state === 'new') ||
    a.priority - b.priority ||
    (a.received < b.received ? -1 : 1)
  );
}
