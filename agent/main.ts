/**
 * The agent's parts, and how it starts and stops: from the disk up to the camera, and back in reverse, so that nothing
 * that was accepted is without a place to go. A start that fails takes back what had begun.
 *
 * Each part is given those before it; none is told of one that comes later.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AccuracyRecord, watchingOf } from './accuracy/record.ts';
import { oftenFalse } from './accuracy/reminder.ts';
import { RECORD_FILE } from './accuracy/store.ts';
import { EventArchive } from './archive/archive.ts';
import { SealedArchive } from './archive/sealed-evidence.ts';
import { SearchHandler } from './archive/search.ts';
import type { Clock } from './base/clock.ts';
import { AgentError, assert, messageOf } from './base/errors.ts';
import { Lifecycle } from './base/lifecycle.ts';
import type { Logger } from './base/log.ts';
import { programVersion } from './base/package-root.ts';
import { isOnAt } from './base/schedule.ts';
import { StateLock } from './base/state-lock.ts';
import { SteadyClock } from './base/steady-clock.ts';
import { Bridges } from './bridge/bridges.ts';
import { CommandDispatcher, commandHandlers } from './command/dispatcher.ts';
import { ReplayGuard } from './command/replay-guard.ts';
import { CommandVerifier } from './command/verifier.ts';
import type { Config, MaskConfig } from './contract/config.ts';
import type { HealthReport } from './contract/health.ts';
import { LANES } from './contract/outbox.ts';
import { ownFolder } from './contract/restraint-folder.ts';
import { Retention } from './contract/retention.ts';
import type { RuleConfig } from './contract/rule-config.ts';
import { topicsOf } from './contract/topics.ts';
import { Diagnosis, type DiagnosisSources } from './diagnosis/diagnosis.ts';
import { type Acceptance, AgentFlow, acceptInto, takeOver } from './flow.ts';
import { ClockSync } from './health/clock-sync.ts';
import { Health } from './health/health.ts';
import { Thermal } from './health/thermal.ts';
import { boxConditions } from './incident/box-conditions.ts';
import { remindersOf } from './incident/expiry.ts';
import { Activity } from './local/activity.ts';
import { LocalView } from './local/view.ts';
import { CertificateDates } from './mqtt/certificate-dates.ts';
import { commandInbox } from './mqtt/command-inbox.ts';
import { Delivery } from './mqtt/delivery.ts';
import { DurableOutbox } from './outbox/outbox.ts';
import { ConfigNotice } from './restraint/config-notice.ts';
import { RestraintController, type RestraintControllerOptions } from './restraint/controller.ts';
import { JournalRecorder } from './restraint/journal/recorder.ts';
import { VisionStatus } from './supervisor/status.ts';
import { VisionSupervisor } from './supervisor/supervisor.ts';
import { requestHotspot } from './technician/hotspot-request.ts';
import { TechnicianPage } from './technician/technician.ts';
import { TrackHandler } from './tracks/handler.ts';
import { TrackLogStatus } from './tracks/status.ts';
import { TrackLog } from './tracks/track-log.ts';
import { type RootSources, Updates } from './update/updates.ts';

/** How often everything is looked at that does not come by itself: what waits, what is due, what the box suffers. */
const TICK_MS = 500;
/** Versions up to 0.1.0 kept there what stands. */
const OLD_STANDING_FILE = 'standing.json';
/** An event has so many pictures at most, whose numbers follow its own. */
const PICTURES_MAX = 3;

export interface AgentOptions extends DiagnosisSources, RootSources {
  readonly config: Config;
  /** Where it was read from, for the journal. */
  readonly configFile?: string;
  readonly configSha256?: string;
  /** Why another one runs than the one that was asked for; undefined where it is that one. */
  readonly configRefused?: string | undefined;
  /** Folder for the outbox and what must outlive a restart; made when missing. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Root's record of what restrains the box; without it this is a plain run, where one user owns everything. */
  readonly rootRecord?: RestraintControllerOptions['record'];
  /** Activation socket of the vision unit; without it vision is spawned. */
  readonly visionSocket?: string | undefined;
  /** Where the technician's page asks; without it in the state folder. */
  readonly pageSocket?: string | undefined;
  /** Masks of the configuration as it lies on the disk; throws AgentError where they cannot be read. Absent: as they run. */
  masksOnDisk?(): readonly MaskConfig[];
  /** Folder of the model cards, where it is not the package's own. */
  readonly modelDir?: string;
  /** The kernel's sensors, where they are not in /sys/class. */
  readonly sysClass?: string;
  /** The camera can never work as configured (no such clip, element missing): the program ends with 2. */
  onUnusable(error: AgentError): void;
}

/** What many read: time, retention, what vision says of itself, what is measured. */
function sharedParts({ config, clock, log }: AgentOptions) {
  // Unique per start, short enough for ids that people read aloud.
  const boot = randomBytes(4).toString('hex');
  const clockSync = new ClockSync({ clock, log });
  const steady = new SteadyClock(clock, () => clockSync.synced);
  const retention = new Retention(config.retention);
  return {
    boot,
    clockSync,
    steady,
    retention,
    status: new VisionStatus(config),
    activity: new Activity(clock),
    trackStatus: new TrackLogStatus(),
  };
}
type Shared = ReturnType<typeof sharedParts>;

/** Where events go, from the disk to the room. */
function sinkParts(options: AgentOptions, shared: Shared) {
  const { config, configFile, stateDir, rootRecord, clock, log } = options;
  const { site, box, mqtt } = config;
  const { boot, steady, retention, status, activity, trackStatus } = shared;
  const base = { boot, clock, log };
  const { outboxMiB, archiveMiB } = config.retention;
  const eventsDays = (): number => retention.eventsDays();
  const outbox = new DurableOutbox({ ...base, file: join(stateDir, 'outbox.db'), limitMiB: outboxMiB });
  const archived = { file: join(stateDir, 'archive.db'), limitMiB: archiveMiB };
  const archive = new EventArchive({ ...base, ...archived, eventsDays, steady });
  const recorded = { file: join(stateDir, RECORD_FILE), watching: watchingOf(config) };
  const accuracy = new AccuracyRecord({ ...recorded, clock, log });
  const onPuback = activity.acknowledged.bind(activity);
  const delivery = mqtt && new Delivery({ ...base, config: mqtt, site, box, outbox, onPuback });
  const certificates = new CertificateDates({ config: mqtt, clock });
  const publisher = delivery?.publisher;
  const folder = rootRecord?.folder ?? ownFolder(stateDir);
  const journaled = { config, configFile, stateDir, folder, alertsDays: eventsDays };
  const journal = new JournalRecorder({
    ...base,
    ...journaled,
    steady,
    archive,
    status,
    trackStatus,
    publisher,
  });
  const record = journal.record.bind(journal);
  const sealedDays = (): number => retention.sealedDays();
  const sealed = new SealedArchive({ stateDir, days: sealedDays, clock, log, steady, record });
  const tracked = { config, stateDir, clock, log, steady, record };
  const trackLog = new TrackLog({ ...tracked, vision: status, status: trackStatus });
  const topics = topicsOf(site, box);
  const named = { site, box, root: topics.root, statusTopic: topics.status, healthTopic: topics.health };
  const told = { box: { ...named, version: programVersion() }, status, publisher, retention };
  const bridges = new Bridges({ config, stateDir, log, ...told });
  const kept = { outbox, archive, accuracy, journal, sealed, trackLog };
  return { ...kept, delivery, certificates, folder, bridges, topics };
}
type Sinks = ReturnType<typeof sinkParts>;

/** From what vision sees to events; whether it may look; who commands. */
function sightParts(options: AgentOptions, shared: Shared, sinks: Sinks) {
  const { config, stateDir, clock, log, modelDir, sysClass, visionSocket: socketPath, onUnusable } = options;
  const { site, box, camera } = config;
  assert(camera !== undefined, 'the configuration was checked for run');
  const { boot, clockSync, steady, retention, status, activity: view } = shared;
  const { archive, accuracy, delivery, journal, sealed, trackLog } = sinks;
  const base = { config, clock, log, boot, stateDir, status, journal, trackLog };
  const snapshotsDays = (): number => retention.snapshotsDays();
  const acceptance: Acceptance = { ...sinks, site, box, view, snapshotsDays };
  const keepSealed = sealed.keep.bind(sealed);
  const clockSynced = (): boolean => clockSync.synced;
  const flow = new AgentFlow({ ...base, sink: acceptInto(acceptance), clockSynced, keepSealed });
  const thermal = new Thermal(sysClass);
  const heatSteps = (nowMs: number): number => thermal.steps(nowMs);
  const restraintDir = sinks.folder.dir;
  const eyes = { camera, modelDir, socketPath, restraintDir, view, heatSteps, onUnusable };
  const supervisor = new VisionSupervisor({ ...base, ...eyes, flow, accuracy, snapshotsDays });
  const held = { record: options.rootRecord, steady, retention, publisher: delivery?.publisher };
  const restraint = new RestraintController({ ...base, ...held, flow, supervisor });
  const configNotice = new ConfigNotice({ ...base, restraint, flow });
  const record = journal.record.bind(journal);
  const search = new SearchHandler({ archive, clock, record });
  const asked = { config, clock, supervisor, record };
  const tracks = new TrackHandler({ ...asked, log: trackLog, status: shared.trackStatus });
  return { acceptance, flow, supervisor, restraint, configNotice, search, tracks };
}
type Sight = ReturnType<typeof sightParts>;

/** What the box says of itself. */
function reportParts(options: AgentOptions, parts: Shared & Sinks & Sight) {
  const { config, stateDir, clock, log } = options;
  const { site, box, timeZone } = config;
  const { boot, steady, status, activity, archive, journal, sealed, bridges } = parts;
  const { flow, supervisor, restraint, search, tracks, trackLog } = parts;
  const versions = { vigie: programVersion(), node: process.versions.node };
  const health = new Health({ site, box, timeZone, boot, versions, clock, log, sources: parts });
  const { port } = config.metrics;
  const view = new LocalView({ port, stateDir, clock, log, activity, health, status, journal });
  health.register(steady, archive, journal, sealed, bridges, flow, status, supervisor, restraint);
  const isOn = (rule: RuleConfig): boolean => isOnAt(rule, config, clock.wallMs());
  const technician = new TechnicianPage({ ...options, ...parts, view, isOn });
  health.register(search, tracks, trackLog, view, technician);
  return { health, view, technician };
}

type Reports = ReturnType<typeof reportParts>;

/** Who obeys the room, and who passes its orders on to root. */
function roomParts(options: AgentOptions, parts: Shared & Sinks & Sight & Reports) {
  const { config, stateDir, clock, log } = options;
  const { site, box, commands } = config;
  const { restraint, search, tracks, sealed, journal, health, delivery, technician } = parts;
  const diagnosis = new Diagnosis({ ...options, ...parts });
  const guard = new ReplayGuard({ file: join(stateDir, 'command-counters.json'), journal });
  const dispatcher = new CommandDispatcher({
    site,
    box,
    clock,
    log,
    verifier: new CommandVerifier({ site, box, keys: commands.keys, guard, clock }),
    handlers: commandHandlers({
      search,
      tracks,
      sealed,
      restraint,
      technician,
      diagnosis,
      openHotspot: (command) => requestHotspot(stateDir, command),
    }),
  });
  const updates = new Updates({ ...options, ...parts, publisher: delivery?.publisher });
  health.register(diagnosis, dispatcher, updates);
  return { diagnosis, dispatcher, updates };
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #lifecycle: Lifecycle;
  readonly #lock: StateLock;
  readonly #parts: Shared & Sinks & Sight & Reports & ReturnType<typeof roomParts>;
  readonly #stopping = new AbortController();
  #ticking: Promise<void> = Promise.resolve();
  /** As far as bridges and mode have been told to the broker. */
  #connections = 0;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle(options.log);
    this.#lock = new StateLock(options.stateDir);
    const shared = sharedParts(options);
    const sinks = sinkParts(options, shared);
    const sight = { ...shared, ...sinks, ...sightParts(options, shared, sinks) };
    const parts = { ...sight, ...reportParts(options, sight) };
    this.#parts = { ...parts, ...roomParts(options, parts) };
  }

  /** Rejects, with everything stopped again, where the box cannot run as it is asked to. */
  async start(): Promise<void> {
    const { configRefused: reason, stateDir } = this.#options;
    const { clockSync, outbox, archive, accuracy, journal, delivery, dispatcher } = this.#parts;
    const { flow, supervisor, restraint, technician, health, view, diagnosis, trackLog } = this.#parts;
    const refused = reason === undefined ? {} : { reason };
    await this.#lifecycle.start([
      { name: 'state', start: () => this.#takeState(), stop: () => this.#lock.release() },
      { name: 'clock', start: () => clockSync.start(), stop: () => clockSync.stop() },
      { name: 'outbox', start: () => outbox.start(), stop: () => outbox.stop() },
      { name: 'archive', start: () => archive.start(), stop: () => archive.stop() },
      { name: 'accuracy', start: () => accuracy.start(), stop: () => accuracy.stop() },
      { name: 'restraint folder', start: () => restraint.prepare() },
      { name: 'journal', start: () => journal.start() },
      { name: 'log of tracks', start: () => trackLog.start(), stop: () => trackLog.stop() },
      { name: 'accepted events', start: () => this.#completeAccepted() },
      { name: 'delivery', start: () => this.#listen(), stop: () => delivery?.stop() },
      { name: 'root’s record', stop: () => restraint.keepHead() },
      { name: 'last entry', stop: () => journal.stop() },
      { name: 'commands', stop: () => dispatcher.stop() },
      { name: 'diagnosis', stop: () => diagnosis.stop() },
      {
        name: 'incidents',
        start: () => flow.start(outbox, join(stateDir, OLD_STANDING_FILE)),
        stop: () => flow.handOver(),
      },
      { name: 'configuration', start: () => flow.condition('config-refused', reason !== undefined, refused) },
      { name: 'local view', start: () => view.start(), stop: () => view.stop() },
      { name: 'vision', start: () => supervisor.start(), stop: () => supervisor.stop() },
      { name: 'restraint', start: () => this.#rule(), stop: () => restraint.settled() },
      { name: 'technician', start: () => technician.start(), stop: () => technician.stop() },
      { name: 'health', start: () => health.start(), stop: () => health.stop() },
      { name: 'ticks', start: () => this.#startTicking(), stop: () => this.#stopTicking() },
    ]);
  }

  /** Reads the authorisation anew, and takes a renewed certificate. */
  reload(): void {
    this.#parts.restraint.reload();
    this.#parts.certificates.reload();
    this.#parts.delivery?.reload();
  }

  /** Camera first, sinks last; what was accepted stays in the outbox. Idempotent. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** What the box says of itself now. */
  report(): HealthReport {
    return this.#parts.health.report();
  }

  /** Grows with everything that vision says and with every end of it: for the watchdog. */
  signsOfLife(): number {
    return this.#parts.supervisor.signsOfLife;
  }

  #takeState(): void {
    const { stateDir } = this.#options;
    try {
      mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    } catch (error) {
      const message = `${stateDir}: cannot be made (${messageOf(error)}); name another with --state`;
      throw new AgentError('config', message, error);
    }
    this.#lock.take();
  }

  /** What one file has of the events that were accepted, and another has not. */
  #completeAccepted(): void {
    for (const lane of LANES) {
      const known = Math.max(this.#parts.archive.progress(lane) ?? 0, this.#parts.journal.newestAlert(lane));
      if (known > 0) this.#parts.outbox.knownThrough(lane, known, PICTURES_MAX);
    }
    takeOver(this.#parts.acceptance);
  }

  #listen(): void {
    const { topics, delivery, dispatcher, accuracy, journal, updates } = this.#parts;
    if (delivery === undefined) return;
    const commands = commandInbox(topics, {
      hear: (command) => dispatcher.hear(command),
      reply: (topic, payload, correlation) => delivery.publisher.reply(topic, payload, correlation),
    });
    delivery.start(
      new Map([
        [topics.verdict, (payload) => accuracy.verdict(payload)],
        [topics.journalWitnessed, (payload) => journal.witnessed(payload.toString())],
        ...commands,
        ...updates.inbox,
      ]),
    );
  }

  /** Ready means that vision has been started, or may not be. */
  async #rule(): Promise<void> {
    this.#parts.restraint.start();
    await this.#parts.restraint.settled();
  }

  #startTicking(): void {
    this.#ticking = this.#tickForEver();
  }

  async #stopTicking(): Promise<void> {
    this.#stopping.abort();
    await this.#ticking;
  }

  async #tickForEver(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#stopping.signal.aborted) {
      this.#parts.flow.flush();
      this.#parts.supervisor.tick();
      this.#parts.journal.tick();
      this.#parts.sealed.tick();
      this.#parts.restraint.tick();
      this.#parts.trackLog.tick();
      this.#parts.configNotice.tick();
      this.#parts.updates.tick();
      this.#parts.flow.conditionsAre(boxConditions(this.#parts));
      this.#remind();
      this.#greetBroker();
      await clock.sleep(TICK_MS, this.#stopping.signal);
    }
  }

  /** Of what is often false; and of what ends, only while the clock is set by the network and has been steady for an hour. */
  #remind(): void {
    const { steady, restraint, certificates, flow, accuracy } = this.#parts;
    flow.remindersAre(oftenFalse(this.#options.config.rules, accuracy.proposals()));
    if (!steady.trusted()) return;
    const { certificate, ca } = certificates.ends;
    const endings = [
      { what: 'certificate', endMs: certificate } as const,
      { what: 'ca', endMs: ca } as const,
      { what: 'order', endMs: restraint.orderEndMs } as const,
    ];
    flow.remindersAre(remindersOf(endings, this.#options.clock.wallMs()));
  }

  /** A connection was opened: the broker may know nothing. */
  #greetBroker(): void {
    const { connections = 0, state } = this.#parts.delivery ?? {};
    if (connections === this.#connections || state?.phase !== 'online') return;
    this.#connections = connections;
    this.#parts.bridges.online();
    this.#parts.restraint.publish();
    this.#parts.updates.online();
  }
}
