/** Boxes reduced to an outbox and its delivery; a test adds the other parts that it needs. */
import { join } from 'node:path';
import type { Test } from 'tap';
import type { MqttConfig } from '../../agent/contract/config.ts';
import { openedOutbox } from './outbox.ts';
import { scratch } from './paths.ts';
import { makeDelivery, pairOf, type Room } from './room.ts';

/** Settings of a box of this name at the room's broker. */
export async function mqttOf(
  room: Room,
  name: string,
  ack: MqttConfig['ack'] = 'archive',
): Promise<MqttConfig> {
  const { url, cert, key } = await pairOf(room, name);
  return { url, ca: room.authority.ca, cert, key, ack };
}

/** A box that connects; stopped when the test ends. */
export async function startBox(t: Test, room: Room, name: string, ack: MqttConfig['ack'] = 'archive') {
  const outbox = openedOutbox(t, join(scratch(t), 'outbox.db'), 128);
  const delivery = makeDelivery(await mqttOf(room, name, ack), outbox, { box: name });
  t.teardown(() => delivery.stop());
  delivery.start();
  return { name, outbox, delivery };
}
