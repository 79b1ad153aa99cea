/**
 * A room in its shipped form, an honest box in it, and a stolen box, for tests of what the thief may do to the honest
 * one.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { topicsOf } from '../../agent/contract/topics.ts';
import { Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { camerasOf } from '../../scripts/programs/room/console/cameras.ts';
import { queueOf } from '../../scripts/programs/room/console/queue.ts';
import type { Sql } from '../../scripts/programs/room/database/sql.ts';
import { DATABASES, type TestDatabase } from './databases.ts';
import { csrOf, newKey, SITE, TestRoom } from './enrolment.ts';
import { eventText } from './events.ts';
import { scratch } from './paths.ts';
import { waitUntil } from './room.ts';
import { RoomProgram } from './room-program.ts';

export const HONEST = 'honest';
export const THIEF = 'thief';
/** Name of another site. */
export const FAR = 'far-away';
export const FAR_SITE = 'lyon-2';

const PATIENCE_MS = 60_000;

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export class HostileRoom {
  readonly enrolment: TestRoom;
  readonly broker: Mosquitto;
  readonly #t: Test;
  readonly #database: TestDatabase;
  #sql: Sql | undefined;
  readonly #pairs = new Map<string, Pair>();
  #program: RoomProgram | undefined;
  #honest: MqttClient | undefined;
  /** Number of messages that the honest box has sent. */
  #sentCount = 0;

  private constructor(t: Test, enrolment: TestRoom, database: TestDatabase) {
    this.#t = t;
    this.enrolment = enrolment;
    this.#database = database;
    enrolment.server('broker');
    const file = (name: string): string => join(enrolment.dir, name);
    this.broker = new Mosquitto({
      dir: scratch(t),
      tls: {
        cert: file('broker.crt'),
        key: file('broker.key'),
        ca: file('ca.crt'),
        programsCa: file('programs/ca.crt'),
        crl: enrolment.list('revoked.pem'),
        programsCrl: enrolment.list('programs-revoked.pem'),
      },
      aclFile: enrolment.list('broker.acl'),
    });
  }

  /** Starts enrolment, broker, archive on one of the two databases, and an honest box that is received. */
  static async start(t: Test, name: keyof typeof DATABASES): Promise<HostileRoom> {
    const enrolment = new TestRoom(t);
    await enrolment.start();
    const room = new HostileRoom(t, enrolment, await DATABASES[name](t));
    for (const [box, site] of [
      [HONEST, SITE],
      [THIEF, SITE],
      [FAR, FAR_SITE],
    ] as const) {
      room.enrol(box, site);
    }
    t.teardown(() => room.broker.stop());
    await room.broker.start();
    await room.#startArchive();
    room.#honest = await room.connect(HONEST, { clean: true });
    // Until the archive has subscribed, messages of this client are lost: like a box, it stores nothing.
    while (!(await room.#isHeard(2000))) t.comment('the archive does not listen yet');
    return room;
  }

  async #startArchive(): Promise<void> {
    const { cert, key } = this.program('room');
    const list = ['--boxes', this.enrolment.list('boxes.json')];
    const program = new RoomProgram([
      ...['--broker', this.broker.programsUrl, '--ca', join(this.enrolment.dir, 'ca.crt')],
      ...['--cert', cert, '--key', key, '--database', this.#database.address, ...list],
    ]);
    this.#program = program;
    this.#t.teardown(() => program.end('SIGKILL'));
    program.start();
    await waitUntil(this.#t, 'the archive listens', () => program.output.includes('Room on'), PATIENCE_MS);
  }

  /** The console's connection, once the archive has made its tables. */
  get sql(): Sql {
    this.#sql ??= this.#database.sql();
    return this.#sql;
  }

  /** Output of the archive. */
  get output(): string {
    return this.#program?.output ?? '';
  }

  /** Gets a certificate by a token, as a box gets its own. */
  enrol(box: string, site = SITE): Pair {
    const { store, authority } = this.enrolment;
    const key = newKey(join(this.enrolment.dir, `${box}.key`));
    const nowMs = Date.now();
    const issue = () => authority.issue(csrOf(key, box), { use: 'client', commonName: box, days: 30 }, nowMs);
    const asking = { box, key: randomBytes(32).toString('hex'), nowMs, issue };
    const enrolled = store.byToken(store.makeToken(site, box, nowMs).token, asking);
    if (enrolled.state !== 'issued') throw new Error(`${box}: ${enrolled.state}`);
    const cert = join(this.enrolment.dir, `${box}.crt`);
    writeFileSync(cert, enrolled.pem);
    this.enrolment.enrolment.writeBoxes();
    const pair = { cert, key };
    this.#pairs.set(box, pair);
    return pair;
  }

  /** Certificate and key of a program, by the programs' authority. */
  program(name: string): Pair {
    const key = newKey(join(this.enrolment.dir, `program-${name}.key`));
    const profile = { use: 'client', commonName: name, days: 30 } as const;
    const { pem } = this.enrolment.enrolment.programs.issue(csrOf(key, name), profile, Date.now());
    const cert = join(this.enrolment.dir, `program-${name}.crt`);
    writeFileSync(cert, pem);
    return { cert, key };
  }

  pairOf(box: string): Pair {
    const pair = this.#pairs.get(box);
    if (pair === undefined) throw new Error(`${box} is not enrolled`);
    return pair;
  }

  /** Certificate and key of a box as text. */
  pemOf(box: string): Pair {
    const { cert, key } = this.pairOf(box);
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  }

  /** Connects a client by the certificate of a box; `pair` and `url` are a thief's choices. */
  async connect(
    box: string,
    {
      pair = this.pairOf(box),
      url = this.broker.url,
      ...options
    }: IClientOptions & { pair?: Pair; url?: string } = {},
  ): Promise<MqttClient> {
    const client = await mqtt.connectAsync(
      url,
      {
        protocolVersion: 5,
        reconnectPeriod: 0,
        connectTimeout: 20_000,
        ca: this.enrolment.ca,
        cert: readFileSync(pair.cert),
        key: readFileSync(pair.key),
        ...options,
      },
      false,
    );
    client.on('error', () => undefined);
    this.#t.teardown(() => client.endAsync(true));
    return client;
  }

  /** Connects as a program of the room. */
  operator(name: string): Promise<MqttClient> {
    return this.connect(HONEST, { pair: this.program(name), url: this.broker.programsUrl });
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

  read(query: string): ReturnType<TestDatabase['read']> {
    return this.#database.read(query);
  }
}

export interface Message {
  readonly topic: string;
  readonly body: string;
  readonly options: IClientPublishOptions;
}

/** An alert as an outbox sends it. */
export function alertOf(site: string, box: string, id: string, seq: number, epoch = 'e1'): Message {
  const userProperties = { seq: String(seq), first: '1', lane: 'alert', epoch };
  return {
    topic: topicsOf(site, box).event('alert', 'loitering'),
    body: eventText({ site, box, id, seq }),
    options: { qos: 1, properties: { userProperties, contentType: 'application/cloudevents+json' } },
  };
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

/** Reports whether the condition holds within that time. */
async function settles(condition: () => Promise<boolean>, withinMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + withinMs;
  while (performance.now() < deadlineMs) {
    if (await condition()) return true;
    await sleep(50);
  }
  return false;
}
