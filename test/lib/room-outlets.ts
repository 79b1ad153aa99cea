/** Delivery of what leaves a room because of actions: verdicts by a stand-in broker, and webhooks. */
import { setTimeout as sleep } from 'node:timers/promises';
import { makeLogger } from '../../agent/base/log.ts';
import { type Publisher, VerdictDelivery } from '../../scripts/products/room/archive/verdicts.ts';
import type { WebhookSettings } from '../../scripts/products/room/console/webhook-sender.ts';
import { Webhooks } from '../../scripts/products/room/console/webhooks.ts';
import type { Queries, Sql } from '../../scripts/products/room/database/sql.ts';
import { WatchedLease } from '../../scripts/products/room/database/watched-lease.ts';

/** A room's database whose program dies before a given statement: later ones fail, and open transactions roll back. */
export class MortalDatabase {
  readonly db: Sql;
  statements = 0;
  readonly #diesAt: number;

  constructor(db: Sql, diesAt: number) {
    this.#diesAt = diesAt;
    this.db = new Proxy(db, {
      get: (target, name) => {
        if (name === 'all' || name === 'run') return this.#counted(target)[name];
        if (name === 'transaction') {
          return <T>(work: (transaction: Queries) => Promise<T>) =>
            target.transaction((transaction) => work(this.#counted(transaction)));
        }
        return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name);
      },
    });
  }

  get isDead(): boolean {
    return this.statements >= this.#diesAt;
  }

  #counted(queries: Queries): Queries {
    const step = (): void => {
      this.statements += 1;
      if (this.isDead) throw new Error('killed');
    };
    return {
      all: async (sql, values) => {
        step();
        return queries.all(sql, values);
      },
      run: async (sql, values) => {
        step();
        return queries.run(sql, values);
      },
    };
  }
}

export interface Outlets {
  stop(): Promise<void>;
}

/**
 * Starts delivery in place of an earlier program that may have died: its leases are over.
 *
 * `payloads` receives the verdicts in the form of MQTT payloads.
 */
export async function startOutlets(
  db: Sql,
  mortal: MortalDatabase,
  settings: readonly WebhookSettings[],
  payloads: string[],
): Promise<Outlets> {
  await db.run('UPDATE webhook SET until = $1 WHERE holder IS NOT NULL', ['2020-01-01T00:00:00.000Z']);
  const own = new WatchedLease(db, 'lease-archive', 'one');
  await own.take(await own.read());
  let messageId = 0;
  const client = {
    connected: true,
    on: () => client,
    off: () => client,
    publish: (
      _topic: string,
      payload: string,
      _options: object,
      onAnswer: (error: undefined, packet: object) => void,
    ) => {
      payloads.push(payload);
      messageId += 1;
      setImmediate(() => onAnswer(undefined, { messageId }));
    },
  } as unknown as Publisher;
  const lease = new WatchedLease(mortal.db, 'lease-archive', 'one');
  const verdicts = new VerdictDelivery({ db: mortal.db, client, lease, log: () => undefined });
  const webhooks = new Webhooks(mortal.db, settings, makeLogger('room', 'silent'));
  verdicts.start();
  try {
    await webhooks.start();
  } catch (error) {
    if (!mortal.isDead) throw error;
  }
  return {
    stop: async () => {
      await Promise.all([verdicts.stop(), webhooks.stop()]);
    },
  };
}

/** Waits until no delivery is due any more, or the program is dead. */
export async function settled(db: Sql, mortal: MortalDatabase): Promise<void> {
  for (const deadlineMs = performance.now() + 30_000; !mortal.isDead; await sleep(20)) {
    const [row] = await db.all<{ due: number }>(
      `SELECT (SELECT count(*) FROM undo_window) + (SELECT count(*) FROM verdict_due)
         + (SELECT count(*) FROM webhook, counter WHERE counter.name = 'rev' AND webhook.rev < counter.value) AS due`,
    );
    if (row?.due === 0) return;
    if (performance.now() > deadlineMs) throw new Error('something is still due after 30 s');
  }
}
