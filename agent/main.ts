/**
 * Starts, ticks and stops the agent. Parts start from the disk up to the camera and stop in reverse, so that every
 * accepted event has a destination. A failed start undoes the parts already started.
 */
import { Lifecycle } from './base/lifecycle.ts';
import { StateLock } from './base/state-lock.ts';
import { Ticker } from './base/ticker.ts';
import type { HealthReport } from './contract/health.ts';
import { completeAccepted } from './flow.ts';
import { commandInbox } from './mqtt/command-inbox.ts';
import { type AgentOptions, makeParts, type Parts } from './parts.ts';

/**
 * Interval in ms at which everything without its own event is checked: waiting items, due tasks, conditions of the box.
 */
const TICK_MS = 500;

export class Agent {
  readonly #options: AgentOptions;
  readonly #lifecycle: Lifecycle;
  readonly #parts: Parts;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle(options.log);
    this.#parts = makeParts(options);
  }

  /** Starts the agent. If the box cannot run as requested, stops everything again and rejects. */
  async start(): Promise<void> {
    const { configRefused, stateDir, clock } = this.#options;
    const { clockSync, outbox, archive, accuracy, acceptance, journal, delivery, dispatcher } = this.#parts;
    const { flow, supervisor, restraint, technician, health, view, diagnosis, trackLog } = this.#parts;
    const lock = new StateLock(stateDir);
    const ticker = new Ticker({ clock, everyMs: TICK_MS, tick: () => this.#tick() });
    await this.#lifecycle.start([
      { name: 'state', start: () => lock.take(), stop: () => lock.release() },
      { name: 'clock', start: () => clockSync.start(), stop: () => clockSync.stop() },
      { name: 'outbox', start: () => outbox.start(), stop: () => outbox.stop() },
      { name: 'archive', start: () => archive.start(), stop: () => archive.stop() },
      { name: 'accuracy', start: () => accuracy.start(), stop: () => accuracy.stop() },
      { name: 'restraint folder', start: () => restraint.prepare() },
      // Its last entry is written below, while the room can still receive it.
      { name: 'journal', start: () => journal.start() },
      { name: 'log of tracks', start: () => trackLog.start(), stop: () => trackLog.stop() },
      { name: 'accepted events', start: () => completeAccepted(acceptance) },
      { name: 'delivery', start: () => delivery?.start(this.#inbox(delivery)), stop: () => delivery?.stop() },
      { name: 'root’s record', stop: () => restraint.keepHead() },
      { name: 'last entry', stop: () => journal.stop() },
      { name: 'commands', stop: () => dispatcher.stop() },
      { name: 'diagnosis', stop: () => diagnosis.stop() },
      { name: 'incidents', start: () => flow.start(outbox), stop: () => flow.handOver() },
      { name: 'configuration', start: () => flow.configuration(configRefused) },
      { name: 'local view', start: () => view.start(), stop: () => view.stop() },
      { name: 'vision', start: () => supervisor.start(), stop: () => supervisor.stop() },
      // Ready means that vision has been started, or that its start is not permitted.
      { name: 'restraint', start: () => restraint.start(), stop: () => restraint.settled() },
      { name: 'technician', start: () => technician.start(), stop: () => technician.stop() },
      { name: 'health', start: () => health.start(), stop: () => health.stop() },
      { name: 'ticks', start: () => ticker.start(), stop: () => ticker.stop() },
    ]);
  }

  /** Reads the authorisation again and loads a renewed certificate. */
  reload(): void {
    this.#parts.restraint.reload();
    this.#parts.certificates.reload();
    this.#parts.delivery?.reload();
  }

  /** Stops the camera first and the sinks last. Accepted events stay in the outbox. Idempotent. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** Returns the current health report. */
  report(): HealthReport {
    return this.#parts.health.report();
  }

  /** Returns a count that grows with every message and every exit of vision, for the watchdog. */
  activityCount(): number {
    return this.#parts.supervisor.activityCount;
  }

  /** Returns the receivers of the room's messages, by topic. */
  #inbox({
    publisher,
  }: NonNullable<Parts['delivery']>): Parameters<NonNullable<Parts['delivery']>['start']>[0] {
    const { topics, dispatcher, accuracy, journal, updates } = this.#parts;
    return new Map([
      [topics.verdict, (payload) => accuracy.verdict(payload)],
      [topics.journalWitnessed, (payload) => journal.witnessed(payload.toString())],
      ...commandInbox(topics, {
        hear: (command) => dispatcher.hear(command),
        reply: (topic, payload, correlation) => publisher.reply(topic, payload, correlation),
      }),
      ...updates.inbox,
    ]);
  }

  #tick(): void {
    const { flow, supervisor, journal, sealed, restraint, trackLog, configNotice, updates } = this.#parts;
    const { boxConditions, reminders, delivery, bridges } = this.#parts;
    flow.flush();
    supervisor.tick();
    journal.tick();
    sealed.tick();
    restraint.tick();
    trackLog.tick();
    configNotice.tick();
    updates.tick();
    boxConditions.tick();
    reminders.tick();
    if (!delivery?.takeOpened()) return;
    bridges.online();
    restraint.publish();
    updates.online();
  }
}
