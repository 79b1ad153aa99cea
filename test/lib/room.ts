/** A broker with mTLS, its authority and a box, as the tests of delivery need them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { MqttConfig } from '../../agent/contract/config.ts';
import type { DeliveryState } from '../../agent/contract/health.ts';
import type { Outbox } from '../../agent/contract/outbox.ts';
import { Delivery, type DeliveryOptions } from '../../agent/mqtt/delivery.ts';
import type { Inbox } from '../../agent/mqtt/incoming.ts';
import { CertificateAuthority, type KeyPair } from '../../scripts/lib/certificates.ts';
import { Mosquitto, type MosquittoOptions } from '../../scripts/lib/mosquitto.ts';
import { Archive } from './archive.ts';
import { SILENT } from './outbox.ts';
import { scratch } from './paths.ts';

export const SITE = 'marseille-1';
export const BOX = 'canebiere-017';

export interface Room {
  readonly authority: CertificateAuthority;
  readonly broker: Mosquitto;
  readonly box: KeyPair;
  readonly archive: Archive;
  readonly config: MqttConfig;
}

/** A running broker that asks for certificates; the archive is made, not started. */
export async function makeRoom(t: Test, options: Partial<MosquittoOptions> = {}): Promise<Room> {
  const dir = scratch(t);
  const authority = new CertificateAuthority(join(dir, 'pki'));
  await authority.start();
  const { ca } = authority;
  const broker = new Mosquitto({ dir, tls: { ...(await authority.broker()), ca }, ...options });
  t.teardown(() => broker.stop());
  await broker.start();
  const box = await authority.client(BOX);
  const archive = new Archive({
    url: broker.url,
    tls: { ...(await authority.client('room')), ca },
    site: SITE,
    box: BOX,
    onFault: (fault) => t.fail(fault),
  });
  t.teardown(() => archive.stop());
  const config: MqttConfig = { url: broker.url, ca, cert: box.cert, key: box.key, ack: 'archive' };
  return { authority, broker, box, archive, config };
}

/** A client of the room's broker by the certificate of `name`; gone with the test. */
export async function clientOf(
  t: Test,
  { authority, broker }: Pick<Room, 'authority' | 'broker'>,
  name: string,
  more: IClientOptions = {},
): Promise<MqttClient> {
  const pair = await authority.client(name);
  const client = await mqtt.connectAsync(broker.url, {
    protocolVersion: 5,
    ca: readFileSync(authority.ca),
    cert: readFileSync(pair.cert),
    key: readFileSync(pair.key),
    ...more,
  });
  t.teardown(() => client.endAsync(true));
  return client;
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
  const delivery = new Delivery({
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
  t.teardown(() => delivery.stop());
  delivery.start(inbox);
  // As it goes by: a phase lasts longer than a look.
  const look = (): void => {
    const { state } = delivery;
    const { phase, fault } = states.at(-1) ?? {};
    if (state.phase !== phase || state.fault?.code !== fault?.code) states.push(state);
  };
  look();
  const looking = setInterval(look, 1);
  t.teardown(() => clearInterval(looking));
  return { delivery, states };
}

const ASKED_AGAIN_MS_MAX = 400;

/** Resolves when `condition` holds; fails the test when it does not within `withinMs`. Returns the ms it took. */
export async function until(
  t: Test,
  what: string,
  condition: () => boolean,
  withinMs = 40_000,
): Promise<number> {
  const beganMs = performance.now();
  for (;;) {
    const askedMs = performance.now();
    if (condition()) break;
    const nowMs = performance.now();
    if (nowMs - beganMs > withinMs) {
      t.fail(`${what}: not within ${withinMs} ms`);
      throw new Error(what);
    }
    // A question that starts programs must not take the machine from what is waited for.
    await sleep(Math.min(ASKED_AGAIN_MS_MAX, Math.max(10, 3 * (nowMs - askedMs))));
  }
  return Math.round(performance.now() - beganMs);
}
