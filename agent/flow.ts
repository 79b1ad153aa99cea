/**
 * What feeds what in the agent:
 *
 *   link ─Observation─▶ rules ─Situation[]─▶ incidents ─Transition[]─▶ event ──┬─▶ sink (outbox | replay files)
 *     ▲                                                                        │
 *     └────────── ack + evidence request ◀── start of an incident ── RedactedJpeg
 *
 * INVARIANTS: events reach the sink in the order in which they arose; a start waits for its snapshot at
 * most `EVIDENCE_WAIT_MS`, then goes without and says why. While the camera is not fit to judge by
 * (camera-watch.ts) the rules see nothing: nothing starts, and what stands is held.
 * LIMITS: 256 events wait for evidence; when there are more the oldest goes without its snapshot.
 */
import type { Clock } from './base/clock.ts';
import type { Logger } from './base/log.ts';
import { SystemConditions } from './incident/system-conditions.ts';
import { CameraFitness } from './incident/camera-fitness.ts';
import type { Config, RuleConfig } from './contract/config.ts';
import type { EventSink } from './contract/event-sink.ts';
import type { XyxyNorm } from './contract/geometry.ts';
import {
  type EvidenceRequest,
  type FromVision,
  type Received,
  receivedSealed,
  receivedSnapshot,
  type ToVision,
} from './contract/link.ts';
import type { Mode } from './contract/mode.ts';
import { CAMERA_CONDITIONS, DEGRADING, type Observation } from './contract/observation.ts';
import type { Ruling } from './contract/permit.ts';
import type { SealedEvidence } from './contract/sealed-evidence.ts';
import { type AskedPicture, EvidenceQueue } from './incident/evidence-queue.ts';
import { type EventSubject, subjectOfBoxRule, subjectOfCondition } from './incident/event.ts';
import { HOLD_MS, type Incidents, type Transition } from './incident/incidents.ts';
import type { StandingFile } from './incident/standing-file.ts';
import { RuleRunner } from './incident/rule-runner.ts';
import type { RuleSite } from './rules/registry.ts';

/**
 * After a restart, an incident that stood has the rule's own time to be found again, and this on top:
 * half a minute for the camera and the tracker to come up.
 */
const RESTORE_MARGIN_MS = 30_000;
/** While one of these stands nothing is seen of the places that rules watch. */
const BLINDING: readonly string[] = [
  'stream-lost',
  ...CAMERA_CONDITIONS.filter((kind) => !DEGRADING.some((degrading) => degrading === kind)),
];
/** As many standing vehicles as vision follows. */
const KNOWN_MAX = 64;

export interface AgentFlowOptions {
  readonly config: Pick<Config, 'site' | 'box' | 'rules' | 'alertsPerHour'> & RuleSite;
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly log: Logger;
  /** Prefix of episode and message ids: unique per boot of the agent. */
  readonly boot: string;
  clockSynced(): boolean;
  /** Remembers what stands over a restart; absent in replay. */
  readonly standing?: StandingFile;
  /** Keeps the sealed still of an event and returns why it could not; absent in replay. */
  keepSealed?(event: string, sealed: SealedEvidence): string | undefined;
}

export class AgentFlow {
  readonly #options: AgentFlowOptions;
  readonly #watches: readonly RuleRunner[];
  readonly #conditions: SystemConditions;
  readonly #camera = new CameraFitness();
  /** Zones and lines that the rules watch. */
  readonly #places: readonly string[];
  readonly #queue: EvidenceQueue;
  #episodes = 0;
  /** An observation has come in since the start. */
  #seeing = false;
  #mode: Mode = 'unauthorised';
  #last: { atMs: number; wallMs: number; nowMs: number };

  constructor(options: AgentFlowOptions) {
    this.#options = options;
    const { sink, clock, log, boot, keepSealed } = options;
    const { site, box, rules, alertsPerHour } = options.config;
    this.#queue = new EvidenceQueue({ site, box, boot, sink, clock, log, keepSealed });
    this.#conditions = new SystemConditions(this.#nextEpisode);
    const base = { site: options.config, alertsPerHour, nextEpisode: this.#nextEpisode };
    this.#watches = rules.map((config) => new RuleRunner({ ...base, config }));
    this.#places = [...new Set(rules.map((rule) => ('line' in rule ? rule.line : rule.zone)))];
    // Media time of a live camera runs with the monotonic clock.
    const nowMs = options.clock.nowMs();
    this.#last = { atMs: nowMs, wallMs: options.clock.wallMs(), nowMs };
  }

  get counters(): {
    episodes: number;
    events: number;
    standing: number;
    overflow: number;
    cooled: number;
    heldBack: number;
    evidenceMissed: number;
  } {
    const sum = (of: (incidents: Incidents) => number): number =>
      this.#watches.reduce((total, { incidents }) => total + of(incidents), 0);
    return {
      episodes: this.#episodes,
      standing: sum(({ standing }) => standing),
      overflow: sum(({ overflow }) => overflow),
      cooled: sum(({ cooled }) => cooled),
      heldBack: sum(({ heldBack }) => heldBack),
      ...this.#queue.counters,
    };
  }

  /** Times and seconds of each condition of the camera, and seconds without sight of each place that a rule watches. */
  get cameraCounters(): Record<string, number> {
    const blindS = this.#camera.blindS(this.#options.clock.nowMs());
    const places = this.#places.map((id): [string, number] => [`blind_s_${id.replaceAll('-', '_')}`, blindS]);
    return { ...this.#camera.counters, ...Object.fromEntries(places) };
  }

  /** The camera is not fit to judge by. */
  get blind(): boolean {
    return this.#camera.blind;
  }

  /** Takes up what stood when an earlier life of the agent ended. */
  start(): void {
    const records = this.#options.standing?.read() ?? {};
    for (const { config, incidents } of this.#watches) {
      incidents.restore(records[config.id] ?? [], this.#last, graceMs(config));
    }
    for (const { kind, ends } of this.#conditions.restore(records, this.#last)) {
      for (const end of ends) this.#enqueue(subjectOfCondition(kind), end, []);
    }
  }

  /** What runs from now on; what stood and may not be watched any more ends. No rule runs before the first call. */
  permit({ mode, reason, permit, refused }: Ruling): void {
    for (const watch of this.#watches) {
      const { config, about } = watch;
      const why = refused.get(config.id) ?? '';
      const grant = permit?.rules.get(config.id);
      const ended = reason ?? (why || 'its rule runs in shadow now');
      for (const end of watch.permit(grant, ended, this.#nowAtMs())) this.#enqueue(about, end, []);
      const refusal = subjectOfBoxRule(watch.about, 'rule-unauthorised', {});
      this.#tell(`rule-unauthorised/${config.id}`, refusal, why !== '', { reason: why });
    }
    this.#mode = mode;
    for (const kind of ['suspended', 'unauthorised'] as const) {
      this.#tell(kind, subjectOfCondition(kind), mode === kind, mode === kind ? { reason } : {});
    }
    this.flush();
    this.#remember();
  }

  /** Incidents that the rule has not raised because it runs in shadow. */
  shadowed(rule: string): number {
    return this.#watches.find(({ config }) => config.id === rule)?.shadowed ?? 0;
  }

  /** Vision was away: what stands has time to be found again. */
  visionReturns(): void {
    this.#camera.sees(false, this.#options.clock.nowMs());
    this.#hold(this.#nowAtMs());
  }

  /** Where vehicles are known to stand, for a vision process that starts anew. */
  knownStanding(): XyxyNorm[] {
    const parking = this.#watches.filter(({ config }) => config.kind === 'illegal-parking');
    return parking.flatMap(({ incidents }) => incidents.boxes()).slice(0, KNOWN_MAX);
  }

  /** Takes in vision's message if it is a frame or a picture; returns what must go back to vision. */
  take({ message, binary }: Received<FromVision>): ToVision | undefined {
    if (message.kind === 'frame') {
      const { observation } = message;
      const evidence = this.observe(observation);
      // While an incident is open every frame is looked at.
      const attentive = this.#watches.some(({ incidents }) => incidents.standing > 0);
      return { kind: 'ack', frame: observation.frame, evidence, attentive };
    }
    if (message.kind === 'snapshot') this.#queue.snapshot(message.request, receivedSnapshot(message, binary));
    if (message.kind === 'sealed') this.#queue.sealed(message.request, receivedSealed(message, binary));
    if (message.kind === 'not-sealed') this.#queue.notSealed(message.request, message.reason);
    if (message.kind === 'no-snapshot') this.#queue.noSnapshot(message.request, message.reason);
    return undefined;
  }

  /** Takes an observation in; what it returns goes back to vision with the ack. */
  observe(observation: Observation): EvidenceRequest[] {
    const { atMs, wallMs } = observation;
    // Nothing was seen for as long as an incident may be absent: what stood may stand still.
    if (!this.#seeing || atMs - this.#last.atMs > HOLD_MS) this.#hold(atMs);
    this.#seeing = true;
    this.#last = { atMs, wallMs, nowMs: this.#options.clock.nowMs() };
    const wasBlind = this.#camera.blind;
    for (const { kind, active } of this.#camera.take(observation)) this.condition(kind, active, {});
    this.#camera.sees(!this.#camera.blind, this.#last.nowMs);
    if (this.#camera.blind) {
      this.flush();
      return [];
    }
    if (wasBlind) this.#hold(atMs);
    const wanted: EvidenceRequest[] = [];
    let changed = false;
    for (const watch of this.#watches) {
      for (const transition of watch.observe(observation)) {
        changed = true;
        const requests = transition.phase === 'start' ? this.#queue.ask(transition.situation, atMs) : [];
        wanted.push(...requests.map(({ request }) => request));
        this.#enqueue(watch.about, transition, requests);
      }
      this.#tellLimit(watch);
    }
    this.flush();
    if (changed) this.#remember();
    return wanted;
  }

  /** A condition of the camera or the box has begun or ended; each is one incident. */
  condition(kind: string, active: boolean, cause: Record<string, unknown>): void {
    if (kind === 'stream-lost' && active) this.#camera.sees(false, this.#options.clock.nowMs());
    const blinded = BLINDING.includes(kind) ? { places: this.#places } : {};
    this.#tell(kind, subjectOfCondition(kind), active, { ...cause, ...blinded });
    this.flush();
  }

  /** Hands over everything that still waits; what stands goes on after a restart. */
  handOver(): void {
    this.#queue.handOver('the agent stopped before it was made');
    this.#remember();
  }

  /** Hands finished events on, in order; called again by a timer so that none waits for ever. */
  flush(): void {
    this.#queue.flush();
  }

  /** Ends what stands and hands over everything that still waits. */
  end(reason: string): void {
    const atMs = this.#nowAtMs();
    for (const { about, incidents } of this.#watches) {
      for (const transition of incidents.endAll(reason, atMs)) this.#enqueue(about, transition, []);
    }
    this.handOver();
  }

  #tell(key: string, about: EventSubject, active: boolean, cause: Record<string, unknown>): void {
    const transitions = this.#conditions.tell(key, active, cause, this.#nowAtMs());
    for (const transition of transitions) this.#enqueue(about, transition, []);
    if (transitions.length > 0) this.#remember();
  }

  /** That a rule has used up its alerts is one incident of the box, with what was held back at its end. */
  #tellLimit(watch: RuleRunner): void {
    const { about, incidents } = watch;
    const { limiting, heldBackNow } = incidents.limit;
    if (limiting === watch.limitTold) return;
    watch.limitTold = limiting;
    const { alertsPerHour } = this.#options.config;
    const limit = subjectOfBoxRule(about, 'alert-limit', { alertsPerHour });
    this.#tell(`alert-limit/${about.rule.id}`, limit, limiting, limiting ? {} : { heldBack: heldBackNow });
  }

  #hold(atMs: number): void {
    for (const { config, incidents } of this.#watches) incidents.hold(atMs, graceMs(config));
  }

  #remember(): void {
    const { atMs: lastAtMs, wallMs } = this.#last;
    const wallAtMs = (atMs: number): number => wallMs + atMs - lastAtMs;
    const records = this.#watches.map(({ config, incidents }): [string, ReturnType<Incidents['records']>] => [
      config.id,
      incidents.records(wallAtMs),
    ]);
    const all = [...records, ...this.#conditions.records(wallAtMs)];
    this.#options.standing?.write(Object.fromEntries(all.filter(([, standing]) => standing.length > 0)));
  }

  readonly #nextEpisode = (): string => `${this.#options.boot}-e${++this.#episodes}`;

  #enqueue(about: EventSubject, transition: Transition, asked: readonly AskedPicture[]): void {
    const { atMs: lastAtMs, wallMs } = this.#last;
    this.#queue.add(about, transition, asked, {
      clockSynced: this.#options.clockSynced(),
      degraded: this.#camera.degraded,
      mode: this.#mode,
      wallAtMs: (atMs) => wallMs + atMs - lastAtMs,
    });
  }

  /** Media time now: the last observation's, moved on by the monotonic clock (replay: not moved). */
  #nowAtMs(): number {
    return this.#last.atMs + Math.max(0, this.#options.clock.nowMs() - this.#last.nowMs);
  }
}

function graceMs(config: RuleConfig): number {
  return ('afterS' in config ? config.afterS : 0) * 1000 + RESTORE_MARGIN_MS;
}
