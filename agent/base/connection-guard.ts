/**
 * Keeps a server of HTTP or HTTPS open to newcomers while others hold as many connections as they can. It sees a connection
 * when TCP has it, before TLS.
 *
 * A newcomer is always taken in. Where there is no place, another one goes: one that has no whole question before the
 * server, before one that is being answered. Among these one of the address that has the most beyond `freeOfOne`, and of
 * those the one that has been so for the longest time: whoever means to ask is done within a second, whoever only holds a
 * place is not. To send the newest away would keep those that were there first, which are the ones that hold.
 *
 * INVARIANT: while one that is idle belongs to an address with more than `freeOfOne`, no idle one of another address goes.
 * LIMITS: `max` connections, `ofOneMax` of one address (addressKey); `askWithinMs` from the connection of TCP to the end of
 * the head of its first request, through all of TLS. What goes beyond is cut and counted in `counters`.
 */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { addressKey } from './address-key.ts';

export interface ConnectionLimits {
  readonly max: number;
  readonly ofOneMax: number;
  /** So many of one address are no sign of anything: a browser opens six. */
  readonly freeOfOne: number;
  readonly askWithinMs: number;
}

interface Connection {
  readonly socket: Socket;
  readonly key: string;
  readonly of: string;
  /** A whole question has come, and its answer has not gone yet. */
  isAnswered: boolean;
  hasAsked: boolean;
}

export class ConnectionGuard {
  readonly counters = {
    /** Cut for a newcomer, since there were `max`. */
    crowded: 0,
    /** The same, since there were `ofOneMax` of one address. */
    ofOne: 0,
    /** Asked nothing within `askWithinMs`. */
    silent: 0,
  };
  readonly #limits: ConnectionLimits;
  /** The first is the one that has been as it is for the longest time. */
  readonly #connections = new Map<string, Connection>();
  readonly #counts = new Map<string, number>();

  constructor(server: HttpServer | HttpsServer, limits: ConnectionLimits) {
    this.#limits = limits;
    // Before the server's own listener, which begins with TLS.
    server.prependListener('connection', (socket: Socket) => this.#add(socket));
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#ask(request, response),
    );
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Of one address, as `addressKey` names it. */
  countOf(address: string): number {
    return this.#counts.get(addressKey(address)) ?? 0;
  }

  /** All that there are, also those that have asked nothing. */
  cutAll(): void {
    for (const { socket } of this.#connections.values()) socket.destroy();
  }

  #add(socket: Socket): void {
    const { max, ofOneMax, askWithinMs } = this.#limits;
    // It has gone before it was taken in.
    if (socket.remoteAddress === undefined) return void socket.destroy();
    const of = addressKey(socket.remoteAddress);
    if (this.countOf(socket.remoteAddress) >= ofOneMax) this.#cut('ofOne', of);
    else if (this.#connections.size >= max) this.#cut('crowded');
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
    // Whoever sends a body slowly holds a place as whoever says nothing.
    const isWhole = headers['content-length'] === undefined && headers['transfer-encoding'] === undefined;
    if (isWhole) this.#set(connection, true);
    else request.once('end', () => this.#set(connection, !response.closed));
    response.once('close', () => this.#set(connection, false));
  }

  /** It is the youngest of its kind now. */
  #set(connection: Connection, isAnswered: boolean): void {
    connection.isAnswered = isAnswered;
    if (this.#connections.get(connection.key) !== connection) return;
    this.#connections.delete(connection.key);
    this.#connections.set(connection.key, connection);
  }

  #cut(why: 'crowded' | 'ofOne', of?: string): void {
    const found = this.#least(of);
    if (found === undefined) return;
    this.counters[why] += 1;
    this.#forget(found);
    found.socket.destroy();
  }

  #least(of: string | undefined): Connection | undefined {
    const beyond = (key: string): number =>
      Math.max(0, (this.#counts.get(key) ?? 0) - this.#limits.freeOfOne);
    let least: Connection | undefined;
    for (const one of this.#connections.values()) {
      if (of !== undefined && one.of !== of) continue;
      const isLess =
        least === undefined ||
        (least.isAnswered && !one.isAnswered) ||
        (least.isAnswered === one.isAnswered && beyond(one.of) > beyond(least.of));
      if (isLess) least = one;
    }
    return least;
  }

  #forget(connection: Connection): void {
    if (!this.#connections.delete(connection.key)) return;
    const left = (this.#counts.get(connection.of) ?? 1) - 1;
    if (left > 0) this.#counts.set(connection.of, left);
    else this.#counts.delete(connection.of);
  }
}

/** The same for a connection of TCP and for what TLS makes of it. */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
