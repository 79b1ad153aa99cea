/**
 * Counts the connections of each client at the brokers, from their logs. A client that connects again and again uses up
 * the broker's time for everyone, and its name is what `revoke-program` or `cert revoke` takes.
 *
 * LIMITS: CLIENTS_MAX names; connections of further ones are counted without a name.
 */
const CLIENTS_MAX = 20_000;
/** Line of Mosquitto for a client that was admitted. The name is that of its certificate. */
const CONNECTED = /New client connected from \S+ as ([a-z0-9][a-z0-9.-]{0,64}) \(/;

/** Topics of the logs, by the broker that wrote them. */
export const LOGS: ReadonlyMap<string, string> = new Map([
  ['$SYS/broker/log/N', 'room'],
  ['readers/log/N', 'readers'],
]);

export interface ClientConnections {
  readonly broker: string;
  readonly client: string;
  count: number;
}

export class ConnectionCounts {
  /** Connections of clients beyond CLIENTS_MAX. */
  unnamed = 0;
  readonly #clients = new Map<string, ClientConnections>();

  /** Takes a line of the log of a broker. */
  take(broker: string, line: string): void {
    const client = CONNECTED.exec(line)?.[1];
    if (client === undefined) return;
    const key = `${broker} ${client}`;
    const connections = this.#clients.get(key);
    if (connections !== undefined) connections.count += 1;
    else if (this.#clients.size >= CLIENTS_MAX) this.unnamed += 1;
    else this.#clients.set(key, { broker, client, count: 1 });
  }

  get clients(): readonly ClientConnections[] {
    return [...this.#clients.values()];
  }
}
