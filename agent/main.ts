/**
 * Start and stop of the agent: sinks first, camera last; on the way out the other way round, so that
 * nothing that was accepted is without a place to go.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AccuracyRecord, watchingOf } from './accuracy/record.ts';
import { RecordedEvents } from './accuracy/recorded-events.ts';
import { RECORD_FILE } from './accuracy/store.ts';
import type { AgentOptions } from './agent-options.ts';
import { EventArchive } from './archive/archive.ts';
import { SearchDesk } from './archive/search.ts';
import { AgentError, assert, messageOf } from './base/errors.ts';
import { programVersion } from './base/package-root.ts';
import { Bridges } from './bridge/bridges.ts';
import { CommandDesk } from './command-desk.ts';
import type { DeliveryState, HealthReport } from './contract/health.ts';
import { AgentFlow } from './flow.ts';
import { ClockSync } from './health/clock-sync.ts';
import { Health } from './health/health.ts';
import { healthSources } from './health-sources.ts';
import { StandingFile } from './incident/standing-file.ts';
import { JournalDesk } from './journal-desk.ts';
import { LocalView } from './local-view.ts';
import { Lookout } from './lookout.ts';
import { commandInbox } from './mqtt/command-inbox.ts';
import { Delivery } from './mqtt/delivery.ts';
import { topicsOf } from './mqtt/topics.ts';
import { DurableOutbox } from './outbox/outbox.ts';
import { OutboxEvents } from './outbox-events.ts';
import { CommandCounters } from './restraint/command-counters.ts';
import { CommandDoor } from './restraint/command-door.ts';
import { RestraintDesk } from './restraint-desk.ts';
import { SealedDesk } from './sealed-desk.ts';
import { VisionDesks } from './vision-desks.ts';
import { VisionInbox } from './vision-inbox.ts';
import { VisionState } from './vision-state.ts';

/** How often events are looked at that wait for a snapshot which may never come. */
const FLUSH_EVERY_MS = 500;

export class Agent {
  readonly #options: AgentOptions;
  readonly #outbox: DurableOutbox;
  readonly #accuracy: AccuracyRecord;
  readonly #archive: EventArchive;
  readonly #search: SearchDesk;
  readonly #journal: JournalDesk;
  readonly #sealed: SealedDesk;
  readonly #restraint: RestraintDesk;
  readonly #commands: CommandDesk;
  readonly #events: OutboxEvents;
  readonly #delivery: Delivery | undefined;
  readonly #bridges: Bridges;
  readonly #flow: AgentFlow;
  readonly #vision: Lookout;
  readonly #desks: VisionDesks;
  readonly #inbox: VisionInbox;
  readonly #visionState = new VisionState();
  readonly #clockSync: ClockSync;
  readonly #health: Health;
  readonly #view: LocalView;
  readonly #stopping = new AbortController();
  #flushing: Promise<void> = Promise.resolve();
  #phase: DeliveryState['phase'] = 'stopped';

  constructor(options: AgentOptions) {
    const { config, stateDir, clock, log, visionSocket } = options;
    const { site, box, mqtt, camera } = config;
    assert(camera !== undefined, 'the configuration was checked for run');
    this.#options = options;
    // Unique per start, short enough for ids that people read aloud.
    const boot = randomBytes(4).toString('hex');
    this.#outbox = new DurableOutbox({
      file: join(stateDir, 'outbox.db'),
      limitMiB: config.retention.outboxMiB,
      boot,
      clock,
      log,
      onStorage: (store, reason) => this.#flow.condition('storage-readonly', store === 'memory', { reason }),
    });
    const accuracy = new AccuracyRecord({
      file: join(stateDir, RECORD_FILE),
      watching: watchingOf(config),
      clock,
      log,
    });
    this.#accuracy = accuracy;
    this.#restraint = this.#makeRestraint(boot);
    const restraint = this.#restraint;
    this.#archive = this.#makeArchive(boot);
    this.#journal = this.#makeJournal(boot);
    const witness = this.#journal.witness(this.#archive);
    this.#search = new SearchDesk(witness, clock);
    this.#sealed = new SealedDesk({
      stateDir,
      days: () => restraint.retention.sealedDays,
      clock,
      log,
      clockSynced: () => this.#clockSync.synced,
      record: (record) => witness.record(record),
    });
    this.#commands = this.#makeCommands();
    if (mqtt !== undefined) {
      const outbox = this.#outbox;
      const topics = topicsOf(site, box);
      this.#delivery = new Delivery({
        config: mqtt,
        site,
        box,
        outbox,
        boot,
        clock,
        log,
        inbox: new Map([
          [topics.verdict, (payload) => accuracy.verdict(payload)],
          [topics.journalWitnessed, (payload) => this.#journal.witnessed(payload.toString())],
          ...commandInbox(topics, (command) => this.#commands.take(command)),
        ]),
        onPuback: (lane, seq) => this.#view.acknowledged(lane, seq),
        onState: (state) => this.#deliveryState(state),
      });
    }
    this.#events = new OutboxEvents({
      site,
      box,
      outbox: this.#outbox,
      archive: this.#archive,
      get snapshotsDays() {
        return restraint.retention.snapshotsDays;
      },
      onCommitted: (event) => {
        this.#journal.event(event);
        this.#view.committed(event);
      },
      onAccepted: (event) => {
        this.#delivery?.wake();
        this.#bridges.take(event);
      },
    });
    this.#view = this.#makeView();
    this.#flow = new AgentFlow({
      config,
      sink: this.#view.watched(new RecordedEvents(this.#events, accuracy)),
      clock,
      log,
      boot,
      clockSynced: () => this.#clockSync.synced,
      standing: new StandingFile(join(stateDir, 'standing.json'), log),
      keepSealed: (event, sealed) => this.#sealed.keep(event, sealed),
    });
    this.#bridges = this.#makeBridges();
    this.#clockSync = new ClockSync({ clock, log });
    this.#desks = new VisionDesks({
      ...options,
      snapshotsDays: () => restraint.retention.snapshotsDays,
      send: (message) => this.#vision.send(message),
      enter: (entry) => this.#journal.enter(entry),
      onShed: (active, cause) => this.#flow.condition('load-shed', active, cause),
    });
    this.#inbox = new VisionInbox({
      log,
      state: this.#visionState,
      desks: this.#desks,
      view: this.#view,
      accuracy,
      journal: this.#journal,
      flow: this.#flow,
      send: (message) => this.#vision.send(message),
      onUnusable: (error) => options.onUnusable(error),
    });
    this.#vision = new Lookout({
      config,
      camera,
      modelDir: options.modelDir,
      clock,
      log,
      known: () => ({ knownStanding: this.#flow.knownStanding(), ...this.#desks.settings }),
      socketPath: visionSocket,
      onMessage: (received) => this.#inbox.take(received),
      onEnd: () => this.#inbox.gone(),
      onGone: () => this.#inbox.gone(),
      onCrashLoop: (looping) =>
        this.#flow.condition('decoder-crashloop', looping, { ends: this.#vision.ends }),
    });
    this.#health = this.#makeHealth(boot);
  }

  async start(): Promise<void> {
    const { stateDir } = this.#options;
    try {
      mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new AgentError(
        'config',
        `${stateDir}: cannot be made (${messageOf(error)}); name another with --state`,
        error,
      );
    }
    await this.#clockSync.start();
    this.#outbox.start();
    this.#accuracy.start();
    this.#archive.start();
    this.#journal.start();
    this.#events.recover();
    this.#delivery?.start();
    this.#flow.start();
    const { configRefused: reason } = this.#options;
    this.#flow.condition('config-refused', reason !== undefined, reason === undefined ? {} : { reason });
    await this.#view.start();
    this.#desks.start();
    this.#restraint.start();
    await this.#restraint.settled();
    this.#health.start();
    this.#flushing = this.#flushForEver();
  }

  /** Reads the authorisation anew. */
  reload(): void {
    this.#restraint.reload();
  }

  /** Camera first, sinks last; what was accepted stays in the outbox. Idempotent. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    await this.#vision.stop();
    await this.#restraint.settled();
    await this.#flushing;
    await this.#health.stop();
    await this.#view.stop();
    await this.#clockSync.stop();
    this.#flow.handOver();
    await this.#commands.stop();
    this.#journal.stop();
    await this.#delivery?.stop();
    this.#accuracy.stop();
    await this.#archive.stop();
    await this.#outbox.stop();
  }

  /** What the box says of itself now. */
  report(): HealthReport {
    return this.#health.report();
  }

  /** Grows with everything that vision says and with every end of it: for the watchdog. */
  signsOfLife(): number {
    return this.#visionState.heard + this.#vision.ends;
  }

  #makeBridges(): Bridges {
    const { config } = this.#options;
    const { site, box } = config;
    const { root, status, health } = topicsOf(site, box);
    return new Bridges({
      config,
      box: { site, box, root, statusTopic: status, healthTopic: health, version: programVersion() },
      frameSize: () => this.#visionState.frameSize,
      publish: (notice) => this.#delivery?.publisher.notice(notice) ?? false,
    });
  }

  #makeRestraint(boot: string): RestraintDesk {
    const { config, stateDir, clock, log } = this.#options;
    return new RestraintDesk({
      config,
      stateDir,
      boot,
      clock,
      log,
      framesRead: () => this.#visionState.frames.read,
      journalWritable: () => this.#journal.writable,
      journal: (entry) => this.#journal.enter(entry),
      publish: (statement) => this.#delivery?.publisher.mode(statement),
      carryOut: (ruling) => {
        this.#flow.permit(ruling);
        return this.#vision.carryOut(ruling.permit);
      },
      shadowed: (rule) => this.#flow.shadowed(rule),
    });
  }

  #makeArchive(boot: string): EventArchive {
    const restraint = this.#restraint;
    const { config, stateDir, clock, log } = this.#options;
    return new EventArchive({
      file: join(stateDir, 'archive.db'),
      limitMiB: config.retention.archiveMiB,
      get eventsDays() {
        return restraint.retention.eventsDays;
      },
      boot,
      clock,
      log,
      clockSynced: () => this.#clockSync.synced,
    });
  }

  #makeJournal(boot: string): JournalDesk {
    const { config, configFile, stateDir, clock, log } = this.#options;
    const restraint = this.#restraint;
    return new JournalDesk({
      config,
      configFile,
      alertsDays: () => restraint.retention.eventsDays,
      stateDir,
      boot,
      clock,
      log,
      archive: this.#archive,
      vision: this.#visionState,
      clockSynced: () => this.#clockSync.synced,
      onHead: (note, growth) => this.#delivery?.publisher.journalHead(note, growth),
      onDown: (reason) =>
        this.#flow.condition('journal-down', reason !== undefined, { reason: reason ?? '' }),
    });
  }

  /** Who may command is in the configuration; what a command does is here. */
  #makeCommands(): CommandDesk {
    const { config, stateDir, clock, log } = this.#options;
    const { site, box, commands } = config;
    const counters = new CommandCounters(join(stateDir, 'command-counters.json'));
    return new CommandDesk({
      site,
      box,
      door: new CommandDoor({ site, box, keys: commands.keys, counters, clock }),
      ops: {
        search: (command) => this.#search.answer(command),
        suspend: (command) => this.#restraint.suspend(command),
        resume: (command) => this.#restraint.resume(command),
        unseal: (command) => this.#sealed.answer(command),
      },
      reply: (topic, payload, correlation) =>
        this.#delivery?.publisher.reply(topic, payload, correlation) ?? false,
      clock,
      log,
    });
  }

  #makeHealth(boot: string): Health {
    const { config, clock, log } = this.#options;
    const { site, box } = config;
    return new Health({
      site,
      box,
      boot,
      versions: { vigie: programVersion(), node: process.versions.node },
      clock,
      log,
      sources: healthSources({
        flow: this.#flow,
        visionState: this.#visionState,
        desks: this.#desks,
        vision: this.#vision,
        archive: this.#archive,
        commands: this.#commands,
        search: this.#search,
        bridges: this.#bridges,
        journal: this.#journal,
        restraint: this.#restraint,
        sealed: this.#sealed,
        view: this.#view,
        clockSync: this.#clockSync,
        outbox: this.#outbox,
        delivery: this.#delivery,
        accuracy: this.#accuracy,
      }),
      publish: (report) => this.#delivery?.publisher.health(report),
    });
  }

  #makeView(): LocalView {
    const { config, stateDir, clock, log } = this.#options;
    return new LocalView({
      port: config.metrics.port,
      stateDir,
      clock,
      log,
      report: () => this.#health.report(),
      visionStages: () => this.#visionState.stages,
      journalHead: () => this.#journal.head,
    });
  }

  async #flushForEver(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#stopping.signal.aborted) {
      this.#flow.flush();
      this.#desks.tick();
      this.#journal.tick();
      this.#sealed.tick();
      this.#restraint.tick();
      await clock.sleep(FLUSH_EVERY_MS, this.#stopping.signal);
    }
  }

  /** What a person must mend at the broker is an event too, told as soon as there is a way. */
  #deliveryState({ phase, fault }: DeliveryState): void {
    for (const kind of ['identity-conflict', 'certificate'] as const) {
      this.#flow.condition(kind, fault?.code === kind, { reason: fault?.message ?? '' });
    }
    const opened = phase === 'online' && this.#phase !== 'online';
    this.#phase = phase;
    if (!opened) return;
    this.#bridges.online();
    this.#restraint.publish();
  }
}
