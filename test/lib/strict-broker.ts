/**
 * A broker that applies MQTT 5 strictly: it ends the connection at the first packet beyond a limit. No real broker is
 * this strict today, but one may become so.
 */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { IPublishPacket, Packet } from 'mqtt';
import type { Test } from 'tap';

type IConnectPacket = Extract<Packet, { cmd: 'connect' }>;

interface Codec {
  parser(options: { protocolVersion: 5 }): {
    on(event: 'packet', listener: (packet: Packet) => void): void;
    on(event: 'error', listener: (error: Error) => void): void;
    parse(bytes: Buffer): void;
  };
  generate(packet: object, options: { protocolVersion: 5 }): Buffer;
}

/** Codec that MQTT.js depends on. */
const requireMqtt = createRequire(createRequire(import.meta.url).resolve('mqtt'));
const codec = requireMqtt('mqtt-packet') as Codec;
const V5 = { protocolVersion: 5 } as const;

/** Bytes of a whole packet, as the codec of MQTT.js writes it. */
export const writtenBytes = (packet: object): number => codec.generate(packet, V5).length;

export interface Strictness {
  readonly receiveMaximum?: number;
  /** Largest packet in bytes. */
  readonly packetBytesMax?: number;
  readonly retain?: false;
  readonly qosMax?: 0 | 1;
  /** True if it applies its limits without having named them in CONNACK. */
  readonly silent?: boolean;
  /** Rejection of a packet that is too large: 149 by DISCONNECT or by PUBACK. */
  readonly tooLarge?: 'disconnect' | 'puback';
  readonly pubackAfterMs?: number;
}

export interface Received {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
  readonly seq: number | undefined;
}

export class StrictBroker {
  strictness: Strictness;
  readonly received: Received[] = [];
  /** CONNECT packet of each connection, in order. */
  readonly connects: IConnectPacket[] = [];
  /** Wills of the connections, in order. */
  readonly wills: { readonly qos: number; readonly retain: boolean }[] = [];
  /** Reason codes with which it ended a connection or refused one. */
  readonly endCodes: number[] = [];
  connections = 0;
  mostUnacknowledged = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(strictness: Strictness) {
    this.strictness = strictness;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(t: Test, strictness: Strictness): Promise<StrictBroker> {
    const broker = new StrictBroker(strictness);
    broker.#server.listen(0, '127.0.0.1');
    await once(broker.#server, 'listening');
    t.teardown(() => broker.stop());
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Breaks every connection without a DISCONNECT. */
  cutConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Sends these bytes unchanged to every connection. */
  raw(bytes: Buffer): void {
    for (const socket of this.#sockets) socket.write(bytes);
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const parser = codec.parser(V5);
    const unacknowledged = new Set<number>();
    parser.on('error', () => socket.destroy());
    parser.on('packet', (packet) => {
      if (!socket.writable) return;
      const bytes = packetBytes(packet.length ?? 0);
      if (packet.cmd === 'connect') this.#connect(socket, packet);
      if (packet.cmd === 'publish') this.#publish(socket, packet, bytes, unacknowledged);
      if (packet.cmd === 'pingreq') say(socket, { cmd: 'pingresp' });
      if (packet.cmd === 'subscribe') {
        const granted = packet.subscriptions.map(() => 0);
        say(socket, { cmd: 'suback', messageId: packet.messageId, granted });
      }
      if (packet.cmd === 'unsubscribe') {
        const granted = packet.unsubscriptions.map(() => 0);
        say(socket, { cmd: 'unsuback', messageId: packet.messageId, granted });
      }
      if (packet.cmd === 'disconnect') socket.end();
    });
    socket.on('data', (chunk: Buffer) => parser.parse(chunk));
  }

  #connect(socket: Socket, packet: IConnectPacket): void {
    const { will } = packet;
    this.connects.push(packet);
    this.connections += 1;
    const { receiveMaximum, packetBytesMax, retain, qosMax, silent } = this.strictness;
    if (will !== undefined) this.wills.push({ qos: will.qos ?? 0, retain: will.retain ?? false });
    const refuse = (reasonCode: number): void => {
      this.endCodes.push(reasonCode);
      say(socket, { cmd: 'connack', sessionPresent: false, reasonCode });
      socket.end();
    };
    // MQTT 5.0, 3.2.2.3.4 and 3.2.2.3.5.
    if (retain === false && will?.retain === true) refuse(154);
    else if (qosMax !== undefined && (will?.qos ?? 0) > qosMax) refuse(155);
    else {
      const properties = {
        ...(receiveMaximum !== undefined && { receiveMaximum }),
        ...(packetBytesMax !== undefined && { maximumPacketSize: packetBytesMax }),
        ...(retain !== undefined && { retainAvailable: retain }),
        ...(qosMax !== undefined && { maximumQoS: qosMax }),
      };
      say(socket, {
        cmd: 'connack',
        sessionPresent: false,
        reasonCode: 0,
        ...(silent !== true && { properties }),
      });
    }
  }

  #publish(socket: Socket, packet: IPublishPacket, bytes: number, unacknowledged: Set<number>): void {
    const { tooLarge, pubackAfterMs = 5 } = this.strictness;
    const { topic, payload, qos, retain, messageId = 0 } = packet;
    if (qos > 0) unacknowledged.add(messageId);
    this.mostUnacknowledged = Math.max(this.mostUnacknowledged, unacknowledged.size);
    const wrong = this.#wrong(packet, bytes, unacknowledged.size);
    const byPuback = wrong === 149 && tooLarge === 'puback';
    if (wrong !== undefined && !byPuback) {
      this.endCodes.push(wrong);
      say(socket, { cmd: 'disconnect', reasonCode: wrong });
      socket.end();
      return;
    }
    setTimeout(() => {
      unacknowledged.delete(messageId);
      if (qos > 0) say(socket, { cmd: 'puback', messageId, reasonCode: wrong ?? 0 });
    }, pubackAfterMs).unref();
    if (byPuback) return;
    const seq = packet.properties?.userProperties?.['seq'];
    const numbered = seq === undefined ? undefined : Number(seq);
    this.received.push({ topic, payload: Buffer.from(payload), qos, retain, seq: numbered });
  }

  /** Reason code with which MQTT 5.0 lets a broker end the connection; undefined if the packet is valid. */
  #wrong({ qos, retain }: IPublishPacket, bytes: number, unacknowledged: number): number | undefined {
    const { receiveMaximum, packetBytesMax, retain: keeps, qosMax } = this.strictness;
    if (packetBytesMax !== undefined && bytes > packetBytesMax) return 149;
    if (receiveMaximum !== undefined && unacknowledged > receiveMaximum) return 147;
    if (keeps === false && retain) return 154;
    return qosMax !== undefined && qos > qosMax ? 155 : undefined;
  }
}

function say(socket: Socket, packet: object): void {
  if (socket.writable) socket.write(codec.generate(packet, V5));
}

function packetBytes(remaining: number): number {
  const lengthBytes = remaining < 128 ? 1 : remaining < 16_384 ? 2 : remaining < 2_097_152 ? 3 : 4;
  return 1 + lengthBytes + remaining;
}
