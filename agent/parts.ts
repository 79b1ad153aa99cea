/**
 * Composition of the agent's parts. Dependencies are passed by name, so that the compiler reports a renamed or missing
 * one. Each part receives only parts above it. Constructors only assign; main.ts starts and stops.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AccuracyRecord, watchingOf } from './accuracy/record.ts';
import { oftenFalse } from './accuracy/reminder.ts';
import { RECORD_FILE } from './accuracy/store.ts';
import { EventArchive } from './archive/archive.ts';
import { SealedArchive } from './archive/sealed-evidence.ts';
import { SearchHandler } from './archive/search.ts';
import type { Clock } from './base/clock.ts';
import { type AgentError, assert } from './base/errors.ts';
import type { Logger } from './base/log.ts';
import { programVersion } from './base/package-root.ts';
import { TrustedClock } from './base/trusted-clock.ts';
import { Bridges } from './bridge/bridges.ts';
import { CommandDispatcher, commandHandlers } from './command/dispatcher.ts';
import { ReplayGuard } from './command/replay-guard.ts';
import { CommandVerifier } from './command/verifier.ts';
import type { Config, MaskConfig } from './contract/config.ts';
import { previousFile } from './contract/config-trial.ts';
import { Retention } from './contract/retention.ts';
import { isOnAt } from './contract/schedule.ts';
import { topicsOf } from './contract/topics.ts';
import { Diagnosis, type DiagnosisSources } from './diagnosis/diagnosis.ts';
import { type Acceptance, AgentFlow, acceptInto } from './flow.ts';
import { ClockSync } from './health/clock-sync.ts';
import { Health } from './health/health.ts';
import { Thermal } from './health/thermal.ts';
import { BoxConditions } from './incident/box-conditions.ts';
import { Reminders } from './incident/reminders.ts';
import { Activity } from './local/activity.ts';
import { LocalView } from './local/view.ts';
import { CertificateDates } from './mqtt/certificate-dates.ts';
import { Delivery } from './mqtt/delivery.ts';
import { ownFolder } from './orders/restraint-folder.ts';
import { DurableOutbox } from './outbox/outbox.ts';
import { ConfigNotice } from './restraint/config-notice.ts';
import { RestraintController, type RestraintControllerOptions } from './restraint/controller.ts';
import { JournalRecorder } from './restraint/journal/recorder.ts';
import { VisionStatus } from './supervisor/status.ts';
import { VisionSupervisor } from './supervisor/supervisor.ts';
import { requestHotspot } from './technician/hotspot-request.ts';
import { NewestReceipt } from './technician/newest-receipt.ts';
import { TechnicianPage } from './technician/technician.ts';
import { TrackHandler } from './tracks/handler.ts';
import { TrackLogStatus } from './tracks/status.ts';
import { TrackLog } from './tracks/track-log.ts';
import { changeOrigin } from './update/change-origin.ts';
import { type RootSources, Updates } from './update/updates.ts';

export interface AgentOptions extends DiagnosisSources, RootSources {
  readonly config: Config;
  /** Path from which it was read, for the journal. */
  readonly configFile: string | undefined;
  readonly configSha256: string | undefined;
  /** Reason why another configuration runs than the requested one; undefined if the requested one runs. */
  readonly configRefused: string | undefined;
  /** Folder for the outbox and other persistent state; created if missing. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Root's record of the box's restraints. Undefined in a plain run, where one user owns everything. */
  readonly rootRecord: RestraintControllerOptions['record'];
  /** Activation socket of the vision unit. If undefined, vision is spawned. */
  readonly visionSocket: string | undefined;
  /** Socket for requests of the technician's page. If undefined, it is in the state folder. */
  readonly pageSocket: string | undefined;
  /**
   * Returns the masks of the configuration on disk.
   * @throws AgentError if they cannot be read
   */
  masksOnDisk(): readonly MaskConfig[];
  /** Folder of the model cards. */
  readonly modelDir: string;
  /** Called if the camera can never work as configured (missing clip or element); the program exits with 2. */
  onUnusable(error: AgentError): void;
}

export type Parts = ReturnType<typeof makeParts>;

/**
 * Creates all parts.
 * @throws AgentError for an invalid setting, such as a malformed key in the configuration
 */
export function makeParts(options: AgentOptions) {
  const { config, configFile, stateDir, rootRecord, clock, log, onUnusable } = options;
  const { site, box, timeZone, camera, rules, mqtt } = config;
  assert(camera !== undefined, 'the configuration was checked for run');
  // Unique per start, and short enough for ids that people read aloud.
  const boot = randomBytes(4).toString('hex');
  const topics = topicsOf(site, box);
  const folder = rootRecord?.folder ?? ownFolder(stateDir);

  // Shared parts: time, retention, status of vision, measurements.
  const clockSync = new ClockSync({ clock, log });
  const steady = new TrustedClock(clock, () => clockSync.synced);
  const retention = new Retention(config.retention);
  const status = new VisionStatus(config);
  const activity = new Activity(clock);
  const trackStatus = new TrackLogStatus();

  // Destination of events, from the disk to the room.
  const outbox = new DurableOutbox({
    file: join(stateDir, 'outbox.db'),
    limitMiB: config.retention.outboxMiB,
    boot,
    clock,
    log,
  });
  const archive = new EventArchive({
    file: join(stateDir, 'archive.db'),
    limitMiB: config.retention.archiveMiB,
    eventsDays: () => retention.eventsDays(),
    boot,
    clock,
    log,
    steady,
  });
  const accuracy = new AccuracyRecord({
    file: join(stateDir, RECORD_FILE),
    watching: watchingOf(config),
    clock,
    log,
  });
  const delivery =
    mqtt &&
    new Delivery({
      config: mqtt,
      site,
      box,
      outbox,
      boot,
      clock,
      log,
      onPuback: (lane, seq) => activity.acknowledged(lane, seq),
    });
  const publisher = delivery?.publisher;
  const certificates = new CertificateDates({ config: mqtt, clock });
  const journal = new JournalRecorder({
    config,
    configFile,
    stateDir,
    changeOrigin: () => changeOrigin(configFile, options.updateDir),
    alertsDays: () => retention.eventsDays(),
    boot,
    clock,
    steady,
    log,
    archive,
    status,
    trackStatus,
    folder,
    publisher,
  });
  const sealed = new SealedArchive({
    stateDir,
    days: () => retention.sealedDays(),
    clock,
    log,
    steady,
    record: (record) => journal.record(record),
  });
  const trackLog = new TrackLog({
    config,
    stateDir,
    clock,
    log,
    steady,
    record: (record) => journal.record(record),
    vision: status,
    status: trackStatus,
  });
  const bridges = new Bridges({
    config,
    box: {
      site,
      box,
      root: topics.root,
      statusTopic: topics.status,
      healthTopic: topics.health,
      version: programVersion(),
    },
    publisher,
    stateDir,
    log,
    retention,
  });

  const receipts = new NewestReceipt({ outbox, clock });

  // From vision's observations to events, and the permission for analysis.
  const acceptance: Acceptance = {
    site,
    box,
    outbox,
    journal,
    archive,
    accuracy,
    delivery,
    bridges,
    view: activity,
    receipts,
    snapshotsDays: () => retention.snapshotsDays(),
  };
  const flow = new AgentFlow({
    config,
    sink: acceptInto(acceptance),
    clock,
    log,
    boot,
    clockSynced: () => clockSync.synced,
    keepSealed: (event, still) => sealed.keep(event, still),
  });
  const thermal = new Thermal();
  const supervisor = new VisionSupervisor({
    config,
    camera,
    modelDir: options.modelDir,
    socketPath: options.visionSocket,
    restraintDir: folder.dir,
    stateDir,
    snapshotsDays: () => retention.snapshotsDays(),
    clock,
    log,
    status,
    flow,
    journal,
    trackLog,
    view: activity,
    accuracy,
    heatSteps: (nowMs) => thermal.steps(nowMs),
    onUnusable,
  });
  const restraint = new RestraintController({
    config,
    stateDir,
    boot,
    clock,
    steady,
    log,
    record: rootRecord,
    status,
    journal,
    retention,
    publisher,
    flow,
    trackLog,
    supervisor,
  });
  const configNotice = new ConfigNotice({ config, stateDir, log, journal, restraint, flow });
  const boxConditions = new BoxConditions({ outbox, journal, delivery, flow });
  const reminders = new Reminders({
    clock,
    steady,
    certificates,
    restraint,
    oftenFalse: () => oftenFalse(rules, accuracy.proposals()),
    flow,
  });

  // Status that the box reports.
  const health = new Health({
    site,
    box,
    timeZone,
    boot,
    versions: { vigie: programVersion(), node: process.versions.node },
    sources: {
      restraint,
      clockSync,
      status,
      flow,
      outbox,
      delivery,
      trackStatus,
      certificates,
      accuracy,
    },
    clock,
    log,
  });
  const view = new LocalView({
    port: config.metrics.port,
    stateDir,
    clock,
    log,
    activity,
    health,
    status,
    journal,
  });
  const technician = new TechnicianPage({
    config,
    configSha256: options.configSha256,
    stateDir,
    pageSocket: options.pageSocket,
    clock,
    log,
    restraint,
    status,
    supervisor,
    journal,
    flow,
    accuracy,
    view,
    receipts,
    isOnTrial: () => configFile !== undefined && existsSync(previousFile(configFile)),
    shownSha256: () => options.configCopy?.().sha256,
    isOn: (rule) => isOnAt(rule, config, clock.wallMs()),
    masksOnDisk: () => options.masksOnDisk(),
  });

  // Replies to the room, and forwarding of its orders to root.
  const search = new SearchHandler({ archive, clock, record: (record) => journal.record(record) });
  const tracks = new TrackHandler({
    config,
    log: trackLog,
    clock,
    supervisor,
    status: trackStatus,
    record: (record) => journal.record(record),
  });
  const diagnosis = new Diagnosis({
    stateDir,
    clock,
    view,
    logsSocket: options.logsSocket,
    checks: options.checks,
    configCopy: options.configCopy,
  });
  const guard = new ReplayGuard({ file: join(stateDir, 'command-counters.json'), journal });
  const dispatcher = new CommandDispatcher({
    site,
    box,
    verifier: new CommandVerifier({ site, box, keys: config.commands.keys, guard, clock }),
    handlers: commandHandlers({
      search,
      tracks,
      sealed,
      restraint,
      technician,
      diagnosis,
      openHotspot: (command) => requestHotspot(stateDir, command),
    }),
    clock,
    log,
  });
  const updates = new Updates({
    config,
    stateDir,
    boot,
    clock,
    log,
    topics,
    journal,
    restraint,
    certificates,
    publisher,
    flow,
    updateDir: options.updateDir,
    orderedFile: options.orderedFile,
    configCopy: options.configCopy,
  });
  health.register(steady, archive, journal, sealed, bridges, flow, status, supervisor, restraint);
  health.register(search, tracks, trackLog, view, technician, diagnosis, dispatcher, updates);

  return {
    clockSync,
    outbox,
    archive,
    accuracy,
    delivery,
    certificates,
    journal,
    sealed,
    trackLog,
    bridges,
    acceptance,
    flow,
    supervisor,
    restraint,
    configNotice,
    boxConditions,
    reminders,
    health,
    view,
    technician,
    diagnosis,
    dispatcher,
    updates,
    topics,
  };
}
