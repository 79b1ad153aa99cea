/** A broker with mTLS, its authority and a box, for the tests of delivery. */
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { MqttConfig } from '../../agent/contract/config.ts';
import type { DeliveryState } from '../../agent/contract/health.ts';
import type { Outbox } from '../../agent/contract/outbox.ts';
import { Delivery, type DeliveryOptions } from '../../agent/mqtt/delivery.ts';
import type { Inbox } from '../../agent/mqtt/incoming.ts';
import {
  type BrokerTls,
  type CertificateAuthority,
  type KeyPair,
  RoomAuthorities,
} from '../../scripts/lib/certificates.ts';
import { Mosquitto, type MosquittoOptions } from '../../scripts/lib/mosquitto.ts';
import { ARCHIVE } from '../../scripts/products/room/contract/terms.ts';
import { Archive } from './archive.ts';
import { SILENT } from './outbox.ts';
import { scratch } from './paths.ts';

export const SITE = 'marseille-1';
export const BOX = 'canebiere-017';

export interface Room {
  /** Authority of the boxes and the broker. */
  readonly authority: CertificateAuthority;
  /** Authority of the room's programs. */
  readonly programs: CertificateAuthority;
  readonly broker: Mosquitto;
  readonly box: KeyPair;
  readonly archive: Archive;
  readonly config: MqttConfig;
}

interface Issued {
  readonly tls: BrokerTls;
  readonly box: KeyPair;
  readonly program: KeyPair;
}
let issued: Promise<Issued & { readonly dir: string }> | undefined;

/** Makes the authorities of a room and what each room has of them; once for this process. */
async function issue(): Promise<Issued & { readonly dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-test-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const authorities = new RoomAuthorities(dir);
  await authorities.start();
  const [tls, box, program] = await Promise.all([
    authorities.brokerTls(),
    authorities.boxes.client(BOX),
    authorities.programs.client(ARCHIVE),
  ]);
  return { dir, tls, box, program };
}

/** A room's own copy of the authorities and certificates, in which it may issue others. */
async function copyIssued(dir: string): Promise<Issued> {
  issued ??= issue();
  const { dir: from, ...files } = await issued;
  cpSync(from, dir, { recursive: true });
  return JSON.parse(JSON.stringify(files).replaceAll(from, dir)) as Issued;
}

/** A running broker that requires certificates and knows the box; the archive is made, not started. */
export async function makeRoom(t: Test, options: Partial<MosquittoOptions> = {}): Promise<Room> {
  const dir = scratch(t);
  const { tls, box, program } = await copyIssued(join(dir, 'pki'));
  const { boxes: authority, programs } = new RoomAuthorities(join(dir, 'pki'));
  const { ca } = authority;
  const boxes = [{ site: SITE, box: BOX }];
  const broker = new Mosquitto({ dir, tls, boxes, ...options });
  t.teardown(() => broker.stop());
  await broker.start();
  const archive = new Archive({
    url: broker.archiveUrl,
    tls: { ...program, ca },
    site: SITE,
    box: BOX,
    onProblem: (problem) => t.fail(problem),
  });
  t.teardown(() => archive.stop());
  const config: MqttConfig = { url: broker.url, ca, cert: box.cert, key: box.key, ack: 'archive' };
  return { authority, programs, broker, box, archive, config };
}

/** A certificate for the name of a program, `ROLE.NAME`, or of a box, with access rules; a box's are at SITE. */
export async function pairOf(
  { authority, programs, broker }: Pick<Room, 'authority' | 'programs' | 'broker'>,
  name: string,
): Promise<KeyPair & { readonly url: string }> {
  if (name.includes('.')) {
    await broker.admit(name);
    return {
      ...(await programs.client(name)),
      url: name === ARCHIVE ? broker.archiveUrl : broker.programsUrl,
    };
  }
  await broker.enrol({ site: SITE, box: name });
  return { ...(await authority.client(name)), url: broker.url };
}

/** Address and options by which a client connects with the certificate of `name`. */
export async function connectionTo(
  room: Pick<Room, 'authority' | 'programs' | 'broker'>,
  name: string,
): Promise<{ readonly url: string; readonly options: IClientOptions }> {
  const { url, cert, key } = await pairOf(room, name);
  const files = { ca: readFileSync(room.authority.ca), cert: readFileSync(cert), key: readFileSync(key) };
  return { url, options: { protocolVersion: 5, ...files } };
}

/** A client of the room's broker by the certificate of `name`; closed with the test. */
export async function clientOf(
  t: Test,
  room: Pick<Room, 'authority' | 'programs' | 'broker'>,
  name: string,
  options: IClientOptions = {},
): Promise<MqttClient> {
  const { url, options: own } = await connectionTo(room, name);
  const client = await mqtt.connectAsync(url, { ...own, ...options });
  t.teardown(() => client.endAsync(true));
  return client;
}

/** Reason code of a publish: 0 where it was accepted, -1 where the connection has ended. */
export function answerTo(
  client: MqttClient,
  topic: string,
  body: string | Buffer = '{}',
  options: IClientPublishOptions = {},
): Promise<number> {
  return new Promise((resolve) => {
    const closed = (): void => resolve(-1);
    client.once('close', closed);
    client.publish(topic, body, { qos: 1, ...options }, (error) => {
      client.off('close', closed);
      if (error == null) resolve(0);
      else resolve('code' in error && typeof error.code === 'number' ? error.code : -1);
    });
  });
}

/** A delivery of the tests' box that reconnects fast; it is not started. */
export function makeDelivery(
  config: MqttConfig,
  outbox: Outbox,
  options: Partial<DeliveryOptions> = {},
): Delivery {
  return new Delivery({
    config,
    site: SITE,
    box: BOX,
    outbox,
    boot: 'boot-1',
    clock: systemClock,
    log: SILENT,
    ...options,
    timing: { reconnect: { firstMs: 100, maxMs: 500 }, ...options.timing },
  });
}

/** A started delivery that reconnects fast, and every state it went through. */
export function deliver(
  t: Test,
  config: MqttConfig,
  outbox: Outbox,
  options: Partial<DeliveryOptions> = {},
  inbox: Inbox = new Map(),
): { delivery: Delivery; states: DeliveryState[] } {
  const states: DeliveryState[] = [];
  const delivery = makeDelivery(config, outbox, options);
  t.teardown(() => delivery.stop());
  delivery.start(inbox);
  // Polls in passing: a phase lasts longer than an interval.
  const poll = (): void => {
    const { state } = delivery;
    const { phase, fault } = states.at(-1) ?? {};
    if (state.phase !== phase || state.fault?.code !== fault?.code) states.push(state);
  };
  poll();
  const pollTimer = setInterval(poll, 1);
  t.teardown(() => clearInterval(pollTimer));
  return { delivery, states };
}

const ASKED_AGAIN_MS_MAX = 400;

/** Resolves when `condition` holds; fails the test when it does not within `withinMs`. Returns the ms it took. */
export async function waitUntil(
  t: Test,
  label: string,
  condition: () => boolean,
  withinMs = 40_000,
): Promise<number> {
  const beganMs = performance.now();
  for (;;) {
    const askedMs = performance.now();
    if (condition()) break;
    const nowMs = performance.now();
    if (nowMs - beganMs > withinMs) {
      t.fail(`${label}: not within ${withinMs} ms`);
      throw new Error(label);
    }
    // A condition that starts programs must not take the machine from what is waited for.
    await sleep(Math.min(ASKED_AGAIN_MS_MAX, Math.max(10, 8 * (nowMs - askedMs))));
  }
  return Math.round(performance.now() - beganMs);
}
