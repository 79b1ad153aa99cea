/** A box reduced to search replies and sealed stills: the real archive, verifier, dispatcher and delivery. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { EventArchive } from '../../agent/archive/archive.ts';
import { SealedArchive } from '../../agent/archive/sealed-evidence.ts';
import { SearchHandler } from '../../agent/archive/search.ts';
import { systemClock } from '../../agent/base/clock.ts';
import type { BucketLimits } from '../../agent/base/token-bucket.ts';
import { CommandDispatcher } from '../../agent/command/dispatcher.ts';
import { ReplayGuard } from '../../agent/command/replay-guard.ts';
import { CommandVerifier } from '../../agent/command/verifier.ts';
import type { CommandKey, MqttConfig } from '../../agent/contract/config.ts';
import type { Outbox } from '../../agent/contract/outbox.ts';
import { type Topics, topicsOf } from '../../agent/contract/topics.ts';
import { commandInbox } from '../../agent/mqtt/command-inbox.ts';
import type { Delivery } from '../../agent/mqtt/delivery.ts';
import { mqttOf } from './box.ts';
import { NO_HANDLERS } from './commands.ts';
import { openedOutbox, SILENT } from './outbox.ts';
import { scratch } from './paths.ts';
import { makeDelivery, type Room, SITE } from './room.ts';

export interface SearchableBoxOptions {
  readonly site: string;
  readonly box: string;
  /** Folder of archive.db and the counters; made when missing. */
  readonly stateDir: string;
  readonly mqtt: MqttConfig;
  readonly keys: readonly CommandKey[];
  readonly outbox: Outbox;
  readonly limits?: BucketLimits;
}

export class SearchableBox {
  readonly archive: EventArchive;
  readonly search: SearchHandler;
  readonly sealed: SealedArchive;
  readonly dispatcher: CommandDispatcher;
  readonly delivery: Delivery;
  readonly #topics: Topics;

  constructor({ site, box, stateDir, mqtt, keys, outbox, limits }: SearchableBoxOptions) {
    this.#topics = topicsOf(site, box);
    mkdirSync(stateDir, { recursive: true });
    const clock = systemClock;
    this.archive = new EventArchive({
      file: join(stateDir, 'archive.db'),
      limitMiB: 64,
      eventsDays: () => 30,
      boot: 'boot-1',
      clock,
      log: SILENT,
      steady: { trusted: () => true },
    });
    const { archive } = this;
    const record = archive.record.bind(archive);
    this.search = new SearchHandler({ archive, clock, record, ...(limits && { limits }) });
    const steady = { trusted: () => true };
    this.sealed = new SealedArchive({ stateDir, days: () => 30, clock, log: SILENT, steady, record });
    const guard = new ReplayGuard({
      file: join(stateDir, 'command-counters.json'),
      journal: { recordedState: { commands: new Map() }, enter: () => undefined },
    });
    this.dispatcher = new CommandDispatcher({
      site,
      box,
      verifier: new CommandVerifier({ site, box, keys, guard, clock }),
      handlers: {
        ...NO_HANDLERS,
        search: (command) => this.search.answer(command),
        unseal: (command) => this.sealed.answer(command),
      },
      clock,
      log: SILENT,
    });
    this.delivery = makeDelivery(mqtt, outbox, { site, box });
  }

  /** Makes a box of this name in a room; it is not started, and stops with the test. */
  static async in(
    t: Test,
    room: Room,
    box: string,
    keys: readonly CommandKey[],
    limits?: BucketLimits,
  ): Promise<SearchableBox> {
    const dir = scratch(t);
    const outbox = openedOutbox(t, join(dir, 'outbox.db'));
    const mqtt = await mqttOf(room, box);
    const stateDir = join(dir, 'state');
    const searchable = new SearchableBox({
      site: SITE,
      box,
      stateDir,
      mqtt,
      keys,
      outbox,
      ...(limits && { limits }),
    });
    t.teardown(() => searchable.stop());
    return searchable;
  }

  start(): void {
    this.archive.start();
    const { dispatcher, delivery } = this;
    const inbox = commandInbox(this.#topics, {
      hear: (command) => dispatcher.hear(command),
      reply: (topic, payload, correlation) => delivery.publisher.reply(topic, payload, correlation),
    });
    delivery.start(inbox);
  }

  async stop(): Promise<void> {
    await this.dispatcher.stop();
    await this.delivery.stop();
    await this.archive.stop();
  }
}
