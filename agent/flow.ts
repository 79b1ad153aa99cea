/**
 * What feeds what in the agent:
 *
 *   link ─Observation─▶ rules ─Situation[]─▶ incidents ─Transition[]─▶ event ─▶ waits for its pictures ─▶ accept
 *     ▲                                                                            ▲
 *     └────────── ack + evidence requests ◀── start of an incident ── RedactedJpeg ┘
 *
 *   accept: outbox, with what is remembered ─▶ journal ─▶ archive ─▶ accuracy ─▶ delivery ─▶ bridges ─▶ local view
 *
 * INVARIANTS: events reach the sink in the order in which they arose; a start waits for its pictures a few seconds at
 * most (incident/evidence-queue.ts), then goes without and says why. While the camera is not fit to judge by the rules
 * see nothing: nothing starts, and what stands is held.
 * LIMITS: those of incidents and queue.
 */
import type { Clock } from './base/clock.ts';
import type { Counters } from './base/counters.ts';
import type { Logger } from './base/log.ts';
import { MediaTime } from './base/media-time.ts';
import type { Condition, MomentCondition, StateCondition } from './contract/condition.ts';
import type { Config } from './contract/config.ts';
import type { VigieEvent } from './contract/event.ts';
import type { EventPicture, EventSink, UnnumberedEvent } from './contract/event-sink.ts';
import type { IncidentsReport } from './contract/health.ts';
import type { Stopwatch } from './contract/latency.ts';
import {
  type EvidenceRequest,
  type FromVision,
  type Received,
  receivedSealed,
  receivedSnapshot,
} from './contract/link.ts';
import type { Mode } from './contract/mode.ts';
import type { Observation } from './contract/observation.ts';
import { LANES, type Lane, type Outbox } from './contract/outbox.ts';
import type { Ruling } from './contract/permit.ts';
import type { SealedEvidence } from './contract/sealed-evidence.ts';
import type { ArchivedEvent } from './contract/search.ts';
import { EvidenceQueue, type Happening } from './incident/evidence-queue.ts';
import { RuleRunners } from './incident/rule-runner.ts';
import { type Reminder, SystemConditions } from './incident/system-conditions.ts';
import { itemsOf, rowsAsEvents } from './outbox/event-items.ts';
import { makeRule, type RuleSite } from './rules/registry.ts';

/** An event has so many pictures at most, whose numbers follow its own. */
const PICTURES_MAX = 3;

export interface AgentFlowOptions {
  readonly config: Pick<Config, 'site' | 'box' | 'rules' | 'alertsPerHour'> & RuleSite;
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly log: Logger;
  /** Prefix of episode and message ids: unique per boot of the agent. */
  readonly boot: string;
  clockSynced(): boolean;
  /** Keeps the sealed still of an event and returns why it could not; undefined: there is none, as in a replay. */
  readonly keepSealed: ((event: string, sealed: SealedEvidence) => string | undefined) | undefined;
}

export class AgentFlow {
  readonly #options: AgentFlowOptions;
  readonly #rules: RuleRunners;
  readonly #conditions: SystemConditions;
  readonly #queue: EvidenceQueue;
  readonly #time: MediaTime;
  /** Conditions as `conditionsAre` was told them last. */
  readonly #known = new Map<string, boolean>();
  /** Reminders as `remindersAre` was told them last: of what, while they are active. */
  readonly #reminded = new Map<string, string | false>();
  #episodes = 0;
  #mode: Mode = 'unauthorised';

  constructor(options: AgentFlowOptions) {
    this.#options = options;
    const { sink, clock, log, boot, keepSealed } = options;
    const { site, box, rules, alertsPerHour } = options.config;
    const nextEpisode = (): string => `${boot}-e${++this.#episodes}`;
    const make = (rule: (typeof rules)[number]) => makeRule(rule, options.config);
    const remember: EventSink['remember'] = (notes) => sink.remember(notes);
    this.#rules = new RuleRunners({ rules, alertsPerHour, make, log, nextEpisode, remember });
    const { places } = this.#rules;
    this.#conditions = new SystemConditions({ places, rules: rules.map(({ id }) => id), nextEpisode });
    this.#queue = new EvidenceQueue({ site, box, boot, sink, clock, log, keepSealed });
    this.#time = new MediaTime(clock);
  }

  /** Takes up what stood and what was not told yet when an earlier life of the agent ended. */
  start(outbox: Pick<Outbox, 'notes'>): void {
    const standing = this.#queue.recover(outbox);
    const now = this.#time.last;
    this.#rules.restore({ standing, outbox }, now);
    this.#add(this.#conditions.restore(standing, now));
  }

  /** What runs from now on; what stood and may not be watched any more ends. No rule runs before the first call. */
  permit(ruling: Ruling): void {
    const atMs = this.#time.nowAtMs();
    this.#add(this.#rules.permit(ruling, atMs));
    for (const { about, why } of this.#rules.refusals(ruling)) {
      const cause = { reason: why };
      this.#add(this.#conditions.tellOfRule(about, 'rule-unauthorised', {}, why !== '', cause, atMs));
    }
    this.#rules.writeDwells(atMs, this.#time.wallAtMs);
    const { mode, reason } = ruling;
    this.#mode = mode;
    for (const kind of ['suspended', 'unauthorised'] as const) {
      this.condition(kind, mode === kind, mode === kind ? { reason } : {});
    }
  }

  /** Takes an observation in. Returns the pictures that it wants. */
  observe(observation: Observation): { evidence: EvidenceRequest[] } {
    const { atMs } = observation;
    const nowMs = this.#options.clock.nowMs();
    // Nothing was seen for as long as an incident may be absent: what stood may stand still.
    this.#rules.holdOverGap(atMs);
    this.#time.frame(observation);
    const wasBlind = this.#conditions.blind;
    const happenings = this.#conditions.observe(observation, nowMs);
    if (!this.#conditions.blind) {
      if (wasBlind) this.#rules.hold(atMs);
      happenings.push(...this.#rules.observe(observation, this.#conditions.blindZones));
      for (const { about, limiting, heldBack } of this.#rules.limitChanges()) {
        const { alertsPerHour } = this.#options.config;
        const cause = limiting ? {} : { heldBack };
        happenings.push(
          ...this.#conditions.tellOfRule(about, 'alert-limit', { alertsPerHour }, limiting, cause, atMs),
        );
      }
    }
    const evidence = this.#add(happenings);
    this.#rules.keepDwells(atMs, this.#time);
    return { evidence };
  }

  /** Takes vision's answer to a request for evidence in. */
  evidence({ message, binary }: Received<FromVision>): void {
    if (message.kind === 'snapshot') this.#queue.snapshot(message.request, receivedSnapshot(message, binary));
    if (message.kind === 'sealed') this.#queue.sealed(message.request, receivedSealed(message, binary));
    if (message.kind === 'not-sealed') this.#queue.notSealed(message.request, message.reason);
    if (message.kind === 'no-snapshot') this.#queue.noSnapshot(message.request, message.reason);
  }

  /** A condition of the camera or the box has begun or ended; each is one incident. */
  condition(kind: StateCondition, active: boolean, cause: Condition['cause']): void {
    const { clock } = this.#options;
    this.#add(this.#conditions.tell(kind, active, cause, this.#time.nowAtMs(), clock.nowMs()));
  }

  /** The configuration that was asked for is not the one that runs, and why; undefined: it is. */
  configuration(refused: string | undefined): void {
    this.condition('config-refused', refused !== undefined, refused === undefined ? {} : { reason: refused });
  }

  /** The same for conditions that are looked at again and again: what has changed since the last look is told. */
  conditionsAre(conditions: readonly Condition[]): void {
    for (const { kind, active, cause } of conditions) {
      if (this.#known.get(kind) === active) continue;
      this.#known.set(kind, active);
      this.condition(kind, active, cause);
    }
  }

  /** Something of the box has happened and is over; durable on return. */
  happened(kind: MomentCondition, cause: Condition['cause']): void {
    this.#add(this.#conditions.happened(kind, cause, this.#time.nowAtMs()));
  }

  /** As `conditionsAre`, of what a person must do by a date. */
  remindersAre(reminders: readonly Reminder[]): void {
    for (const reminder of reminders) {
      const { kind, id, params, active } = reminder;
      const state = active && JSON.stringify(params);
      if (this.#reminded.get(`${kind}/${id}`) === state) continue;
      this.#reminded.set(`${kind}/${id}`, state);
      this.#add(this.#conditions.remind(reminder, this.#time.nowAtMs()));
    }
  }

  /** Vision was away: what stands has time to be found again. */
  visionReturns(): void {
    this.#conditions.visionIsAway(this.#options.clock.nowMs());
    this.#rules.hold(this.#time.nowAtMs());
  }

  /** Hands finished events on, in order; called again by a timer so that none waits for ever. */
  flush(): void {
    this.#queue.flush();
  }

  /** Hands over everything that still waits; what stands goes on after a restart. */
  handOver(): void {
    this.#queue.handOver('the agent stopped before it was made');
  }

  /** Ends what stands and hands over everything that still waits. */
  end(reason: string): void {
    this.#add(this.#rules.endAll(reason, this.#time.nowAtMs()));
    this.handOver();
  }

  /** Incidents that the rule has not raised because it runs in shadow. */
  shadowed(rule: string): number {
    return this.#rules.shadowed(rule);
  }

  /** The camera is not fit to judge by. */
  get blind(): boolean {
    return this.#conditions.blind;
  }

  get report(): IncidentsReport {
    return { standing: this.#rules.standing, episodes: this.#episodes, events: this.#queue.events };
  }

  /** Kinds of what holds of the box and its camera. */
  get conditions(): string[] {
    return this.#conditions.standing;
  }

  get counters(): Counters {
    return {
      ...this.#rules.counters,
      ...this.#queue.counters,
      ...this.#conditions.counters,
      blind_s: this.#conditions.blindS(this.#options.clock.nowMs()),
    };
  }

  #add(happenings: readonly Happening[]): EvidenceRequest[] {
    if (happenings.length === 0) {
      this.#queue.flush();
      return [];
    }
    return this.#queue.add(happenings, {
      clockSynced: this.#options.clockSynced(),
      timeZone: this.#options.config.timeZone,
      degraded: this.#conditions.degraded,
      mode: this.#mode,
      wallAtMs: this.#time.wallAtMs,
    });
  }
}

/** Who takes part when a live box accepts an event. */
export interface Acceptance {
  readonly site: string;
  readonly box: string;
  readonly outbox: Pick<Outbox, 'append' | 'peek'> & {
    /** Takes no number through `seq` for a new event, nor the `beyond` that follow. */
    knownThrough(lane: Lane, seq: number, beyond: number): void;
  };
  readonly journal: { event(event: VigieEvent): void; newestAlert(lane: Lane): number };
  readonly archive: {
    add(entries: readonly ArchivedEvent[]): void;
    progress(lane: Lane): number | undefined;
  };
  readonly accuracy: { note(event: UnnumberedEvent): void };
  readonly delivery: { wake(): void } | undefined;
  readonly bridges: { accepted(event: UnnumberedEvent, pictures: readonly EventPicture[]): void };
  readonly view: { committing(): Stopwatch; accepted(event: VigieEvent): void };
  snapshotsDays(): number;
}

/**
 * What an event causes on a live box, from top to bottom.
 *
 * INVARIANT: an event that the outbox has accepted is in journal and archive before it can leave the outbox: it is put
 * there before delivery is woken, and after a crash in between by `completeAccepted`.
 */
export function acceptInto(parts: Acceptance): EventSink {
  const { site, box, outbox, journal, archive, accuracy, delivery, bridges, view } = parts;
  return {
    remember: (notes) => void outbox.append([], notes),
    accept: (event, pictures, notes) => {
      const committing = view.committing();
      try {
        const { items, lane, numbered } = itemsOf(event, pictures, { site, box }, parts.snapshotsDays());
        const [seq = 0] = outbox.append(items, notes);
        const accepted = numbered(seq);
        journal.event(accepted);
        archive.add([{ lane, seq, event: accepted }]);
        accuracy.note(event);
        delivery?.wake();
        bridges.accepted(event, pictures);
        view.accepted(accepted);
      } finally {
        committing.stop();
      }
    },
  };
}

/**
 * Makes outbox, journal and archive agree on the events that were accepted: a crash may have come between them, or one
 * file may have been lost. To be called before delivery starts.
 */
export function completeAccepted({ outbox, journal, archive }: Acceptance): void {
  for (const lane of LANES) {
    const known = Math.max(archive.progress(lane) ?? 0, journal.newestAlert(lane));
    if (known > 0) outbox.knownThrough(lane, known, PICTURES_MAX);
  }
  for (const lane of LANES) {
    for (const entries of rowsAsEvents(outbox, lane, archive.progress(lane))) {
      for (const { event } of entries) journal.event(event);
      archive.add(entries);
    }
  }
}
