/**
 * The incidents that this browser holds.
 *
 * INVARIANTS: of an incident the version with the highest revision of the stream is held; what is closed is not.
 * LIMITS: HELD_MAX incidents; beyond it those go first of which one box has more than OF_A_BOX_MAX, then the least urgent
 * and newest of those that nobody has taken; they are counted in `more`.
 */
import type { Incident, Queue } from '../../contract/incident.ts';

/** As many as the server's queue gives. */
export const HELD_MAX = 2000;
/** As the server's queue has it: a box that floods the room must not push out what the others say. */
const OF_A_BOX_MAX = 100;
/** With fewer, and more open at the server, the queue is loaded again. */
const REFILL_BELOW = HELD_MAX / 2;

export class Rows {
  readonly #rows = new Map<number, Incident>();
  #rev = 0;
  #more = 0;

  /** The stream goes on from here. */
  get rev(): number {
    return this.#rev;
  }

  /** Open ones that are not held. */
  get more(): number {
    return this.#more;
  }

  get isShort(): boolean {
    return this.#more > 0 && this.#rows.size < REFILL_BELOW;
  }

  get held(): readonly Incident[] {
    return [...this.#rows.values()];
  }

  of(no: number): Incident | undefined {
    return this.#rows.get(no);
  }

  reset({ rev, incidents, more }: Queue): void {
    this.#rows.clear();
    for (const incident of incidents) this.#rows.set(incident.no, incident);
    this.#rev = rev;
    this.#more = more;
    this.#trim();
  }

  /** What has come by the stream; returns those that were not known before and wait for somebody. */
  apply(incidents: readonly Incident[]): Incident[] {
    const fresh: Incident[] = [];
    const known = this.#rev;
    for (const incident of incidents) {
      if (incident.rev <= known) continue;
      this.#rev = Math.max(this.#rev, incident.rev);
      const held = this.#rows.get(incident.no);
      if (held !== undefined && held.rev >= incident.rev) continue;
      if (held === undefined) this.#count(incident, fresh);
      this.#put(incident);
    }
    this.#trim();
    return fresh;
  }

  /** What was known to the room before, and is not held, was one of those beyond. */
  #count(incident: Incident, fresh: Incident[]): void {
    if (incident.events > 1 || incident.revision > 0) this.#more = Math.max(0, this.#more - 1);
    else if (incident.state === 'new') fresh.push(incident);
  }

  /** The answer to an act of one's own, which may be here before the stream says the same. */
  settle(incident: Incident): void {
    const held = this.#rows.get(incident.no);
    if (held === undefined || held.rev <= incident.rev) this.#put(incident);
  }

  #put(incident: Incident): void {
    // Of what is no alert nobody is asked for anything: a system event stands at the cameras.
    if (incident.state === 'closed' || incident.severity !== 'alert') this.#rows.delete(incident.no);
    else this.#rows.set(incident.no, incident);
  }

  #trim(): void {
    const over = this.#rows.size - HELD_MAX;
    if (over <= 0) return;
    const ofBox = new Map<string, number>();
    const [fit, beyond]: [Incident[], Incident[]] = [[], []];
    for (const incident of [...this.#rows.values()].sort(byNeed)) {
      const place = (ofBox.get(incident.box) ?? 0) + 1;
      ofBox.set(incident.box, place);
      (place > OF_A_BOX_MAX && incident.state === 'new' ? beyond : fit).push(incident);
    }
    const leastFirst = [...fit, ...beyond].reverse();
    for (const { no } of leastFirst.slice(0, over)) this.#rows.delete(no);
    this.#more += over;
  }
}

/** What must stay comes first: what somebody has taken, then the urgent, then what has waited longest. */
function byNeed(a: Incident, b: Incident): number {
  return (
    Number(a.state === 'new') - Number(b.state === 'new') ||
    a.priority - b.priority ||
    (a.received < b.received ? -1 : 1)
  );
}
