/**
 * A room in its shipped form, an honest box in it, and a stolen box, for tests of what the thief may do to the honest
 * one.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { topicsOf } from '../../agent/contract/topics.ts';
import type { KeyPair } from '../../scripts/lib/certificates.ts';
import type { Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { camerasOf } from '../../scripts/products/room/console/cameras.ts';
import { queueOf } from '../../scripts/products/room/console/queue.ts';
import { ARCHIVE } from '../../scripts/products/room/contract/terms.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import type { TestDatabase } from './databases.ts';
import { SITE, TestRoom } from './enrolment.ts';
import { eventText } from './events.ts';
import { waitUntil } from './room.ts';
import { RoomProgram } from './room-program.ts';

export const HONEST = 'honest';
export const THIEF = 'thief';
/** Name of another site. */
export const FAR = 'far-away';
export const FAR_SITE = 'lyon-2';

const PATIENCE_MS = 60_000;

export class HostileRoom {
  readonly enrolment: TestRoom;
  readonly broker: Mosquitto;
  readonly archive: RoomProgram;
  readonly sql: Sql;
  readonly #t: Test;
  readonly #pairs: ReadonlyMap<string, KeyPair>;
  #honest: MqttClient | undefined;
  /** Number of messages that the honest box has sent. */
  #sentCount = 0;

  private constructor(t: Test, parts: Pick<HostileRoom, 'enrolment' | 'broker' | 'archive' | 'sql'>) {
    this.#t = t;
    this.enrolment = parts.enrolment;
    this.broker = parts.broker;
    this.archive = parts.archive;
    this.sql = parts.sql;
    const places = { [HONEST]: SITE, [THIEF]: SITE, [FAR]: FAR_SITE };
    this.#pairs = new Map(
      Object.entries(places).map(([box, site]) => [box, parts.enrolment.enrol(box, site)]),
    );
  }

  /** Starts enrolment, broker, archive, and an honest box that is received. */
  static async start(t: Test, database: TestDatabase): Promise<HostileRoom> {
    const enrolment = new TestRoom(t);
    await enrolment.start();
    const broker = await enrolment.broker(t);
    const { cert, key } = enrolment.program(ARCHIVE);
    const archive = new RoomProgram([
      ...['--broker', broker.archiveUrl, '--ca', join(enrolment.dir, 'ca.crt'), '--cert', cert, '--key', key],
      ...['--database', database.address, '--boxes', enrolment.list('boxes.json')],
    ]);
    t.teardown(() => archive.end('SIGKILL'));
    archive.start();
    await waitUntil(t, 'the archive listens', () => archive.output.includes('Room on'), PATIENCE_MS);
    const room = new HostileRoom(t, { enrolment, broker, archive, sql: database.sql() });
    await broker.reload();
    room.#honest = await room.connect(HONEST, { clean: true });
    // Until the archive has subscribed, messages of this client are lost: it stores nothing.
    while (!(await room.#isHeard(2000))) t.comment('the archive does not listen yet');
    return room;
  }

  pairOf(box: string): KeyPair {
    const pair = this.#pairs.get(box);
    if (pair === undefined) throw new Error(`${box} is not enrolled`);
    return pair;
  }

  /** Certificate and key of a box as text. */
  pemOf(box: string): KeyPair {
    const { cert, key } = this.pairOf(box);
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  }

  /** Connects a client by the certificate of a box; `pair` and `url` are a thief's choices. */
  async connect(
    box: string,
    choices: IClientOptions & { pair?: KeyPair; url?: string } = {},
  ): Promise<MqttClient> {
    const { pair = this.pairOf(box), url = this.broker.url, ...options } = choices;
    const files = { ca: this.enrolment.ca, cert: readFileSync(pair.cert), key: readFileSync(pair.key) };
    const usual = { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 20_000 } as const;
    const client = await mqtt.connectAsync(url, { ...usual, ...files, ...options }, false);
    client.on('error', () => undefined);
    this.#t.teardown(() => client.endAsync(true));
    return client;
  }

  /** Connects as a program of the room, `ROLE.NAME`. */
  async operator(name: string, options: IClientOptions = {}): Promise<MqttClient> {
    const pair = this.enrolment.program(name);
    await this.broker.reload();
    return this.connect(HONEST, {
      pair,
      url: this.broker.programsUrl,
      ...options,
    });
  }

  /** Checks that the honest box is connected as before, and that its messages reach the archive and the screen. */
  async checkHonestBox(t: Test, label: string): Promise<void> {
    t.equal(this.#honest?.connected, true, `${label}: the honest box is still connected`);
    t.ok(await this.#isHeard(PATIENCE_MS), `${label}: an alert of the honest box is in the queue`);
  }

  async #isHeard(withinMs: number): Promise<boolean> {
    this.#sentCount += 1;
    const id = `honest-${this.#sentCount}`;
    const { topic, body, options } = alertOf(SITE, HONEST, id, this.#sentCount);
    await this.#honest?.publishAsync(topic, body, options);
    return settles(async () => {
      const { incidents } = await queueOf(this.sql);
      return incidents.some(({ box, episode }) => box === HONEST && episode === `${id}-e`);
    }, withinMs);
  }

  /** Checks that neither queue nor cameras show the box. */
  async leavesTheScreens(t: Test, box: string): Promise<void> {
    const isGone = await settles(async () => {
      const { incidents } = await queueOf(this.sql);
      const { cameras } = await camerasOf(this.sql, Date.now());
      return ![...incidents, ...cameras].some((one) => one.box === box);
    }, PATIENCE_MS);
    t.ok(isGone, `${box} is in neither queue nor cameras`);
  }
}

/** An alert as an outbox sends it. */
export function alertOf(site: string, box: string, id: string, seq: number, epoch = 'e1') {
  const userProperties = { seq: String(seq), first: '1', lane: 'alert', epoch };
  const properties = { userProperties, contentType: 'application/cloudevents+json' };
  const options: IClientPublishOptions = { qos: 1, properties };
  const topic = topicsOf(site, box).event('alert', 'loitering');
  return { topic, body: eventText({ site, box, id, seq }), options };
}

/** Reports whether the condition holds within that time. */
async function settles(condition: () => Promise<boolean>, withinMs: number): Promise<boolean> {
  for (const deadlineMs = performance.now() + withinMs; performance.now() < deadlineMs; await sleep(50))
    if (await condition()) return true;
  return false;
}
