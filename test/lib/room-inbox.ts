/** Messages that a room receives from its box, checked against the published contract. */
import { Value } from '@sinclair/typebox/value';
import type { IPublishPacket, MqttClient } from 'mqtt';
import type { Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { HealthReport } from '../../agent/contract/health.ts';
import { ModeStatement } from '../../agent/contract/mode.ts';
import { Contract } from '../../scripts/workshop/docs/contract.ts';
import { clientOf, type Room } from './room.ts';

/** Messages that a room has received, in order. */
export class RoomInbox {
  readonly client: MqttClient;
  readonly packets: IPublishPacket[] = [];

  constructor(client: MqttClient) {
    this.client = client;
  }

  /** Parsed payloads of the topics that match. */
  json<T>(topic: RegExp): T[] {
    return this.packets
      .filter((packet) => topic.test(packet.topic))
      .map(({ payload }) => JSON.parse(String(payload)) as T);
  }

  /** Events of this kind, or of all kinds. */
  events(kind?: string): VigieEvent[] {
    const all = this.json<VigieEvent>(/\/evt\//);
    return kind === undefined ? all : all.filter(({ data }) => data.rule.kind === kind);
  }

  get modes(): ModeStatement[] {
    return this.json<{ payload: string }>(/\/mode$/).map(({ payload }) =>
      Value.Parse(ModeStatement, JSON.parse(Buffer.from(payload, 'base64').toString())),
    );
  }

  get health(): HealthReport[] {
    return this.json<HealthReport>(/\/health$/);
  }
}

/** Collects what the room receives; a message that breaks the published contract fails the test. */
export async function openInbox(t: Test, room: Room, filter = 'vigie/#'): Promise<RoomInbox> {
  const inbox = new RoomInbox(await clientOf(t, room, 'archive.inbox'));
  const contract = new Contract();
  inbox.client.on('message', (topic, _payload, packet) => {
    if (!topic.endsWith('/cmd')) for (const problem of contract.problems(packet)) t.fail(problem);
    inbox.packets.push(packet);
  });
  await inbox.client.subscribeAsync(filter, { qos: 1, rap: true });
  return inbox;
}
