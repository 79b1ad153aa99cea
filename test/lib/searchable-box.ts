/** A box reduced to what answers a search: the real archive, door, desk and delivery. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { EventArchive } from '../../agent/archive/archive.ts';
import { SearchDesk } from '../../agent/archive/search.ts';
import { systemClock } from '../../agent/base/clock.ts';
import type { BucketLimits } from '../../agent/base/token-bucket.ts';
import { CommandDesk } from '../../agent/command-desk.ts';
import { CommandRefused } from '../../agent/contract/command.ts';
import type { CommandKey, MqttConfig } from '../../agent/contract/config.ts';
import type { Outbox } from '../../agent/contract/outbox.ts';
import { commandInbox } from '../../agent/mqtt/command-inbox.ts';
import { Delivery } from '../../agent/mqtt/delivery.ts';
import { topicsOf } from '../../agent/mqtt/topics.ts';
import { CommandCounters } from '../../agent/restraint/command-counters.ts';
import { CommandDoor } from '../../agent/restraint/command-door.ts';
import { SILENT } from './outbox.ts';

export interface SearchableBoxOptions {
  readonly site: string;
  readonly box: string;
  /** Holds archive.db and the counters; made when missing. */
  readonly stateDir: string;
  readonly mqtt: MqttConfig;
  readonly keys: readonly CommandKey[];
  readonly outbox: Outbox;
  readonly limits?: BucketLimits;
}

const notHere = (): never => {
  throw new CommandRefused('unavailable', 'this box can only search');
};

export class SearchableBox {
  readonly archive: EventArchive;
  readonly search: SearchDesk;
  readonly desk: CommandDesk;
  readonly delivery: Delivery;

  constructor({ site, box, stateDir, mqtt, keys, outbox, limits }: SearchableBoxOptions) {
    mkdirSync(stateDir, { recursive: true });
    const clock = systemClock;
    this.archive = new EventArchive({
      file: join(stateDir, 'archive.db'),
      limitMiB: 64,
      eventsDays: 30,
      boot: 'boot-1',
      clock,
      log: SILENT,
      clockSynced: () => true,
    });
    this.search = new SearchDesk(this.archive, clock, limits);
    const counters = new CommandCounters(join(stateDir, 'command-counters.json'));
    this.desk = new CommandDesk({
      site,
      box,
      door: new CommandDoor({ site, box, keys, counters, clock }),
      ops: {
        search: (command) => this.search.answer(command),
        suspend: notHere,
        resume: notHere,
        unseal: notHere,
      },
      clock,
      log: SILENT,
      reply: (topic, payload, correlation) => this.delivery.publisher.reply(topic, payload, correlation),
    });
    this.delivery = new Delivery({
      config: mqtt,
      site,
      box,
      outbox,
      boot: 'boot-1',
      clock,
      log: SILENT,
      onState: () => undefined,
      inbox: commandInbox(topicsOf(site, box), (command) => this.desk.take(command)),
    });
  }

  start(): void {
    this.archive.start();
    this.delivery.start();
  }

  async stop(): Promise<void> {
    await this.desk.stop();
    await this.delivery.stop();
    await this.archive.stop();
  }
}
