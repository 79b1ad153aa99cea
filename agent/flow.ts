/**
 * Data flow of the agent:
 *
 *   link ─Observation─▶ rules ─Situation[]─▶ incidents ─Transition[]─▶ event ─▶ waits for its pictures ─▶ accept
 *     ▲                                                                            ▲
 *     └────────── ack + evidence requests ◀── start of an incident ── RedactedJpeg ┘
 *
 *   accept: outbox, with its notes ─▶ journal ─▶ archive ─▶ accuracy ─▶ delivery ─▶ bridges ─▶ local view ─▶ receipt
 *
 * INVARIANTS:
 * - Events reach the sink in the order in which they arose.
 * - A start event waits at most a few seconds for its pictures (incident/evidence-queue.ts). It is then sent without
 *   them and states the reason.
 * - While the camera is unfit, the rules receive nothing. No incident starts, and active ones are held.
 *
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

/** Maximum number of pictures of an event. Their sequence numbers follow its own. */
const PICTURES_MAX = 3;

export interface AgentFlowOptions {
  readonly config: Pick<Config, 'site' | 'box' | 'rules' | 'alertsPerHour'> & RuleSite;
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly log: Logger;
  /** Prefix of episode and message ids: unique per boot of the agent. */
  readonly boot: string;
  clockSynced(): boolean;
  /**
   * Stores the sealed still of an event. Returns the reason of a failure. Undefined if there is no store, as in a
   * replay.
   */
  readonly keepSealed: ((event: string, sealed: SealedEvidence) => string | undefined) | undefined;
}

export class AgentFlow {
  readonly #options: AgentFlowOptions;
  readonly #rules: RuleRunners;
  readonly #conditions: SystemConditions;
  readonly #queue: EvidenceQueue;
  readonly #time: MediaTime;
  /** Conditions as last passed to `conditionsAre`. */
  readonly #lastConditions = new Map<string, boolean>();
  /** Active reminders as last passed to `remindersAre`, with their state. */
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

  /** Restores the active incidents and the unsent events of an earlier run of the agent. */
  start(outbox: Pick<Outbox, 'notes'>): void {
    const openIncidents = this.#queue.recover(outbox);
    const now = this.#time.last;
    this.#rules.restore({ incidents: openIncidents, outbox }, now);
    this.#add(this.#conditions.restore(openIncidents, now));
  }

  /** Applies a ruling. Incidents that may no longer be watched end. No rule runs before the first call. */
  permit(ruling: Ruling): void {
    const atMs = this.#time.nowAtMs();
    this.#add(this.#rules.applyRuling(ruling, atMs));
    for (const { about, reason: refusal } of this.#rules.refusals(ruling)) {
      const cause = { reason: refusal };
      this.#add(this.#conditions.tellOfRule(about, 'rule-unauthorised', {}, refusal !== '', cause, atMs));
    }
    this.#rules.writeDwells(atMs, this.#time.wallAtMs);
    const { mode, reason } = ruling;
    this.#mode = mode;
    for (const kind of ['suspended', 'unauthorised'] as const) {
      this.condition(kind, mode === kind, mode === kind ? { reason } : {});
    }
  }

  /** Processes an observation. Returns the pictures that it requires. */
  observe(observation: Observation): { evidence: EvidenceRequest[] } {
    const { atMs } = observation;
    const nowMs = this.#options.clock.nowMs();
    // After a gap as long as an incident may be absent, an active incident may still be present.
    this.#rules.holdOverGap(atMs);
    this.#time.frame(observation);
    const wasBlind = this.#conditions.blind;
    const happenings = this.#conditions.observe(observation, nowMs);
    if (!this.#conditions.blind) {
      if (wasBlind) this.#rules.hold(atMs);
      happenings.push(...this.#rules.observe(observation, this.#conditions.blindZones));
      for (const { about, limiting, suppressed } of this.#rules.limitChanges()) {
        const { alertsPerHour } = this.#options.config;
        const cause = limiting ? {} : { suppressed };
        happenings.push(
          ...this.#conditions.tellOfRule(about, 'alert-limit', { alertsPerHour }, limiting, cause, atMs),
        );
      }
    }
    const evidence = this.#add(happenings);
    this.#rules.keepDwells(atMs, this.#time);
    return { evidence };
  }

  /** Processes vision's reply to an evidence request. */
  evidence({ message, binary }: Received<FromVision>): void {
    if (message.kind === 'snapshot') this.#queue.snapshot(message.request, receivedSnapshot(message, binary));
    if (message.kind === 'sealed') this.#queue.sealed(message.request, receivedSealed(message, binary));
    if (message.kind === 'not-sealed') this.#queue.notSealed(message.request, message.reason);
    if (message.kind === 'no-snapshot') this.#queue.noSnapshot(message.request, message.reason);
  }

  /** Reports the start or end of a condition of the camera or the box; each is one incident. */
  condition(kind: StateCondition, active: boolean, cause: Condition['cause']): void {
    const { clock } = this.#options;
    this.#add(this.#conditions.tell(kind, active, cause, this.#time.nowAtMs(), clock.nowMs()));
  }

  /**
   * Reports that the requested configuration is not the running one, with the reason. If undefined, it is the running
   * one.
   */
  configuration(refusal: string | undefined): void {
    this.condition('config-refused', refusal !== undefined, refusal === undefined ? {} : { reason: refusal });
  }

  /** Reports the current state of polled conditions. Only changes since the last call have an effect. */
  conditionsAre(conditions: readonly Condition[]): void {
    for (const { kind, active, cause } of conditions) {
      if (this.#lastConditions.get(kind) === active) continue;
      this.#lastConditions.set(kind, active);
      this.condition(kind, active, cause);
    }
  }

  /** Reports a momentary occurrence on the box; durable on return. */
  happened(kind: Exclude<MomentCondition, 'installed'>, cause: Condition['cause']): void {
    this.#add(this.#conditions.happened(kind, cause, this.#time.nowAtMs()));
  }

  /**
   * Reports the receipt of an installation, at the moment of the last frame; durable on return. Returns the picture that
   * it requires.
   */
  installed(cause: Condition['cause']): EvidenceRequest[] {
    return this.#add(this.#conditions.happened('installed', cause, this.#time.last.atMs));
  }

  /** Records that requested pictures cannot be made. */
  noEvidence(requests: readonly EvidenceRequest[], reason: string): void {
    for (const { request } of requests) this.#queue.noSnapshot(request, reason);
  }

  /** Reports the current reminders, in the same way as `conditionsAre`. */
  remindersAre(reminders: readonly Reminder[]): void {
    for (const reminder of reminders) {
      const { kind, id, params, active } = reminder;
      const state = active && JSON.stringify(params);
      if (this.#reminded.get(`${kind}/${id}`) === state) continue;
      this.#reminded.set(`${kind}/${id}`, state);
      this.#add(this.#conditions.remind(reminder, this.#time.nowAtMs()));
    }
  }

  /** Reports that vision was unavailable. Active incidents get time to be found again. */
  visionReturns(): void {
    this.#conditions.visionIsUnavailable(this.#options.clock.nowMs());
    this.#rules.hold(this.#time.nowAtMs());
  }

  /** Passes finished events on, in order. A timer calls it again, so that none waits indefinitely. */
  flush(): void {
    this.#queue.flush();
  }

  /** Passes on all waiting events. Active incidents continue after a restart. */
  handOver(): void {
    this.#queue.handOver('the agent stopped before it was made');
  }

  /** Ends the active incidents and passes on all waiting events. */
  end(reason: string): void {
    this.#add(this.#rules.endAll(reason, this.#time.nowAtMs()));
    this.handOver();
  }

  /** Returns the number of incidents that a rule in shadow mode has not raised. */
  shadowed(rule: string): number {
    return this.#rules.shadowed(rule);
  }

  /** Reports whether the camera is unfit for the rules. */
  get blind(): boolean {
    return this.#conditions.blind;
  }

  get report(): IncidentsReport {
    return { standing: this.#rules.activeCount, episodes: this.#episodes, events: this.#queue.events };
  }

  /** Kinds of the active conditions of the box and its camera. */
  get conditions(): string[] {
    return this.#conditions.activeKinds;
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

/** Parts involved when a live box accepts an event. */
export interface Acceptance {
  readonly site: string;
  readonly box: string;
  readonly outbox: Pick<Outbox, 'append' | 'peek'> & {
    /** Reserves the numbers through `seq` and the `extraCount` following ones, so that no new event uses them. */
    knownThrough(lane: Lane, seq: number, extraCount: number): void;
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
  /** Newest receipt of an installation. */
  readonly receipts: { accepted(event: VigieEvent, pictures: readonly EventPicture[]): void };
  snapshotsDays(): number;
}

/**
 * Returns the sink that processes an event on a live box, in order from top to bottom.
 *
 * INVARIANT: an event accepted by the outbox is in journal and archive before it can leave the outbox. It is written
 * there before delivery is woken. After a crash in between, `completeAccepted` writes it.
 */
export function acceptInto(parts: Acceptance): EventSink {
  const { site, box, outbox, journal, archive, accuracy, delivery, bridges, view, receipts } = parts;
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
        receipts.accepted(accepted, pictures);
      } finally {
        committing.stop();
      }
    },
  };
}

/**
 * Reconciles outbox, journal and archive after a crash between their writes or the loss of one file. Must be called
 * before delivery starts.
 */
export function completeAccepted({ outbox, journal, archive }: Acceptance): void {
  for (const lane of LANES) {
    const newestSeq = Math.max(archive.progress(lane) ?? 0, journal.newestAlert(lane));
    if (newestSeq > 0) outbox.knownThrough(lane, newestSeq, PICTURES_MAX);
  }
  for (const lane of LANES) {
    for (const entries of rowsAsEvents(outbox, lane, archive.progress(lane))) {
      for (const { event } of entries) journal.event(event);
      archive.add(entries);
    }
  }
}
