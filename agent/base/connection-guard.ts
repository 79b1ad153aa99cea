/**
 * Keeps an HTTP or HTTPS server reachable for new clients while others hold as many connections as they can. It counts
 * a connection as soon as TCP accepts it, before TLS.
 *
 * A new connection is always accepted. If there is no place, another one is closed, chosen in this order:
 * - a connection without a complete request, before one that is being answered;
 * - one of the address with the most connections beyond `freeOfOne`;
 * - the one that has been in its state for the longest time.
 * A real client sends its request within a second, but a client that only holds a place does not. Closing the newest
 * one would keep the early ones, which are those that hold their places.
 *
 * INVARIANT: while an idle connection belongs to an address with more than `freeOfOne`, no idle one of another address
 * is closed.
 *
 * LIMITS: `max` connections, and `ofOneMax` per address (addressKey). `askWithinMs` runs from the TCP connection to the
 * end of the first request's head, including TLS. Connections beyond a limit are closed and counted in `counters`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import { addressKey } from './address-key.ts';

export interface ConnectionLimits {
  readonly max: number;
  readonly ofOneMax: number;
  /** Number of connections per address that are normal: a browser opens six. */
  readonly freeOfOne: number;
  readonly askWithinMs: number;
}

interface Connection {
  readonly socket: Socket;
  readonly key: string;
  readonly of: string;
  /** A complete request has arrived and its response is not finished. */
  isAnswered: boolean;
  hasAsked: boolean;
}

export class ConnectionGuard {
  readonly counters = {
    /** Closed for a new one, because there were `max`. */
    crowded: 0,
    /** Closed for a new one, because there were `ofOneMax` of one address. */
    ofOne: 0,
    /** Sent no request within `askWithinMs`. */
    silent: 0,
  };
  readonly #limits: ConnectionLimits;
  /** Sorted by the time in the current state, the longest first. */
  readonly #connections = new Map<string, Connection>();
  readonly #counts = new Map<string, number>();

  constructor(server: Server, limits: ConnectionLimits) {
    this.#limits = limits;
    // Runs before the server's own listener, which begins with TLS.
    server.prependListener('connection', (socket: Socket) => this.#add(socket));
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#ask(request, response),
    );
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Returns the number of connections of one address, as named by `addressKey`. */
  countOf(address: string): number {
    return this.#counts.get(addressKey(address)) ?? 0;
  }

  /** Closes all connections, including those without a request. */
  cutAll(): void {
    for (const { socket } of this.#connections.values()) socket.destroy();
  }

  #add(socket: Socket): void {
    const { max, ofOneMax, askWithinMs } = this.#limits;
    // It was closed before it was accepted.
    if (socket.remoteAddress === undefined) return void socket.destroy();
    const of = addressKey(socket.remoteAddress);
    if (this.countOf(socket.remoteAddress) >= ofOneMax) this.#evictConnection('ofOne', of);
    else if (this.#connections.size >= max) this.#evictConnection('crowded');
    const connection: Connection = { socket, key: keyOf(socket), of, isAnswered: false, hasAsked: false };
    this.#connections.set(connection.key, connection);
    this.#counts.set(of, (this.#counts.get(of) ?? 0) + 1);
    const timer = setTimeout(() => {
      if (connection.hasAsked) return;
      this.counters.silent += 1;
      this.#forget(connection);
      socket.destroy();
    }, askWithinMs);
    timer.unref();
    socket.once('close', () => {
      clearTimeout(timer);
      this.#forget(connection);
    });
  }

  #ask(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(keyOf(request.socket));
    if (connection === undefined) return;
    connection.hasAsked = true;
    const { headers } = request;
    // A client that sends a body slowly holds a place like a silent one.
    const hasNoBody = headers['content-length'] === undefined && headers['transfer-encoding'] === undefined;
    if (hasNoBody) this.#set(connection, true);
    else request.once('end', () => this.#set(connection, !response.closed));
    response.once('close', () => this.#set(connection, false));
  }

  /** Sets the state, which makes the connection the newest in that state. */
  #set(connection: Connection, isAnswered: boolean): void {
    connection.isAnswered = isAnswered;
    if (this.#connections.get(connection.key) !== connection) return;
    this.#connections.delete(connection.key);
    this.#connections.set(connection.key, connection);
  }

  #evictConnection(counter: 'crowded' | 'ofOne', of?: string): void {
    const connection = this.#least(of);
    if (connection === undefined) return;
    this.counters[counter] += 1;
    this.#forget(connection);
    connection.socket.destroy();
  }

  #least(of: string | undefined): Connection | undefined {
    const excessOf = (key: string): number =>
      Math.max(0, (this.#counts.get(key) ?? 0) - this.#limits.freeOfOne);
    let least: Connection | undefined;
    for (const one of this.#connections.values()) {
      if (of !== undefined && one.of !== of) continue;
      const isLess =
        least === undefined ||
        (least.isAnswered && !one.isAnswered) ||
        (least.isAnswered === one.isAnswered && excessOf(one.of) > excessOf(least.of));
      if (isLess) least = one;
    }
    return least;
  }

  #forget(connection: Connection): void {
    if (!this.#connections.delete(connection.key)) return;
    const remaining = (this.#counts.get(connection.of) ?? 1) - 1;
    if (remaining > 0) this.#counts.set(connection.of, remaining);
    else this.#counts.delete(connection.of);
  }
}

/** Returns a key that is equal for a TCP connection and the TLS socket on it. */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
