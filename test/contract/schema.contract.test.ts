/**
 * Tests the published contract: valid in its own languages, complete, and open to members of later versions. It also
 * tests that a box sends nothing that this version does not name.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ParseOutput } from '@asyncapi/parser';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { IPublishPacket } from 'mqtt';
import t from 'tap';
import { parse } from 'yaml';
import { ACK_BYTES_MAX } from '../../agent/contract/ack.ts';
import { TO_BOX_BYTES_MAX } from '../../agent/contract/broker-connection.ts';
import { COMMAND_BYTES_MAX, REPLY_EXPIRY_S } from '../../agent/contract/command.ts';
import { CONDITION_KINDS, isBlinding } from '../../agent/contract/condition.ts';
import { EVENT_CONTENT_TYPE, SCHEMA_ID, type VigieEvent } from '../../agent/contract/event.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { MESSAGES } from '../../agent/contract/messages.ts';
import { BODY_BYTES_MAX, type GapEvent } from '../../agent/contract/outbox.ts';
import { SNAPSHOT_BYTES_MAX } from '../../agent/contract/redacted-jpeg.ts';
import { RULE_SCHEMAS } from '../../agent/contract/rule-config.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import {
  CONFIG_ORDER_BYTES_MAX,
  UPDATE_ORDER_BYTES_MAX,
  UPDATE_REPORT_BYTES_MAX,
} from '../../agent/contract/update.ts';
import { messageOfRow } from '../../agent/mqtt/messages.ts';
import {
  ASYNCAPI_FILE,
  Contract,
  publishedSchemas,
  SCHEMA_FILE,
} from '../../scripts/workshop/docs/contract.ts';
import { EXAMPLES } from '../../scripts/workshop/docs/examples.ts';
import { eventText } from '../lib/events.ts';
import { openedOutbox } from '../lib/outbox.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { BOX, deliver, SITE, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';
import { StrictBroker } from '../lib/strict-broker.ts';

const SCHEMA_FORMAT = 'application/schema+json;version=draft-2020-12';

/** Parses with the AsyncAPI project's own parser, with support added for JSON Schema 2020-12. */
async function parseDocument(text: string): Promise<ParseOutput> {
  // Its code takes seconds to load.
  const { Parser } = await import('@asyncapi/parser');
  const parser = new Parser();
  parser.registerSchemaParser({
    getMimeTypes: () => [SCHEMA_FORMAT],
    validate: ({ data }) => {
      const ajv = publishedSchemas();
      return ajv.validateSchema(data as object) === true
        ? []
        : (ajv.errors ?? []).map(({ message = '', instancePath }) => ({
            message,
            path: instancePath.split('/').slice(1),
          }));
    },
    parse: ({ data }) => data as object,
  });
  return parser.parse(text, { source: ASYNCAPI_FILE });
}

const serious = ({ diagnostics }: ParseOutput): string[] =>
  diagnostics
    .filter(({ severity }) => severity <= 1)
    .map(({ message, path }) => `${path.join('.')}: ${message}`);

void t.test('asyncapi.yaml is AsyncAPI 3.0', { skip: unlessAll }, async (t) => {
  const text = readFileSync(ASYNCAPI_FILE, 'utf8');
  const output = await parseDocument(text);
  t.strictSame(serious(output), [], 'no error and no warning');
  const document = output.document;
  t.equal(document?.version(), '3.0.0');
  t.equal(document?.channels().length, MESSAGES.length);
  const sentMessages = MESSAGES.filter(({ direction }) => direction === 'from-box');
  t.equal(document?.operations().filterBySend().length, sentMessages.length, 'from the box’s view');
  const event = document?.messages().find((message) => message.name() === 'VigieEvent');
  t.match(
    event?.json().payload,
    { schema: { required: ['specversion'] } },
    'references into the schema file are followed',
  );

  await t.test('a broken reference would have been found (control)', async (t) => {
    const broken = text.replace('#/channels/statusReport/messages/StatusReport', '#/channels/none');
    t.not(broken, text);
    t.ok(serious(await parseDocument(broken)).length > 0);
  });
});

void t.test(
  'events.schema.json is JSON Schema 2020-12; what events name as dataschema is in it',
  async (t) => {
    const ajv = publishedSchemas();
    t.equal(ajv.validateSchema(JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as object), true);
    const event = JSON.parse(eventText({ id: 'alert-1', seq: 1 })) as VigieEvent;
    const data = ajv.getSchema(event.dataschema);
    t.equal(data?.(event.data), true, `${event.dataschema} is the schema of data`);
    t.equal(data?.({ ...event.data, phase: 'later' }), false);
  },
);

/** Every value that differs from `value` by one further member, in one of the objects within it. */
function extendedValues(value: unknown, member: object): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  const within = Object.entries(value).flatMap(([key, part]) =>
    extendedValues(part, member).map((extended) =>
      Array.isArray(value) ? value.with(Number(key), extended) : { ...value, [key]: extended },
    ),
  );
  return Array.isArray(value) ? within : [{ ...value, ...member }, ...within];
}

void t.test('the published schemas compile in Ajv’s strict mode without any addition', async (t) => {
  const file = JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as { $id: string; $defs: object };
  const ajv = new Ajv2020({ strict: true });
  t.doesNotThrow(() => ajv.compile(file));
  for (const name of Object.keys(file.$defs)) {
    t.doesNotThrow(() => ajv.getSchema(`${SCHEMA_ID}#/$defs/${name}`), name);
  }
  t.throws(() => ajv.compile({ properties: { a: {} } }), 'strict mode is on (control)');
});

void t.test('a member or a kind that a later version adds is valid for a reader of today', async (t) => {
  const ajv = publishedSchemas();
  const valid = (name: string, value: unknown): boolean | undefined =>
    ajv.getSchema(`${SCHEMA_ID}#/$defs/${name}`)?.(value) as boolean | undefined;
  const event = JSON.parse(eventText({ id: 'alert-1', seq: 1 })) as VigieEvent;
  const ofBox = MESSAGES.filter(({ direction }) => direction === 'from-box').map(({ name }) => name);
  const names = Object.keys(EXAMPLES).filter((name) => ofBox.includes(name));
  t.strictSame(names, ['VigieEvent', 'GapEvent', 'StatusReport']);
  const messages = names.flatMap((name) => (EXAMPLES[name] ?? []).map((message) => [name, message] as const));
  for (const [name, message] of [...messages, ['VigieEvent', event] as const]) {
    t.equal(valid(name, message), true, name);
    for (const later of extendedValues(message, { later: { version: [2] } })) {
      t.equal(valid(name, later), true, `${name}: ${JSON.stringify(later)}`);
    }
    t.equal(valid(name, { ...message, time: 5 }), false, `${name}: a wrong type is refused`);
  }
  const { data } = event;
  const later = { ...data, rule: { ...data.rule, kind: 'begging', params: { x: 1 } }, cause: { y: 2 } };
  t.equal(valid('VigieEvent', { ...event, type: 'vigie.begging.v1', data: later }), true, 'a new kind');
  const odd = { ...data, cause: { ...data.cause, dwellS: 'long' } };
  t.equal(valid('VigieEvent', { ...event, data: odd }), false, 'a wrong type in the cause of a known kind');
  const closed = JSON.stringify(Object.fromEntries(ofBox.map((name) => [name, defOf(name)])));
  t.notMatch(closed, '"additionalProperties":false', 'no message of a box is closed');
  t.match(
    JSON.stringify(defOf('Verdict')),
    '"additionalProperties":false',
    'a box refuses what it does not know',
  );
});

const defOf = (name: string): unknown =>
  (JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as { $defs: Record<string, unknown> }).$defs[name];

void t.test('asyncapi.yaml describes the connection as the box’s CONNECT packet does', async (t) => {
  const broker = await StrictBroker.start(t, {});
  deliver(t, { url: broker.url, ack: 'archive' }, openedOutbox(t, join(scratch(t), 'outbox.db')));
  await waitUntil(t, 'the box has connected', () => broker.connects.length > 0);
  const { clientId = '', clean, keepalive, properties, will } = broker.connects[0] ?? {};
  const { servers } = parse(readFileSync(ASYNCAPI_FILE, 'utf8')) as {
    servers: { room: { bindings: { mqtt: Record<string, unknown> } } };
  };
  t.match(servers.room.bindings.mqtt, {
    clientId: clientId.replace(SITE, '<site>').replace(BOX, '<box>'),
    cleanSession: clean,
    keepAlive: keepalive,
    sessionExpiryInterval: properties?.sessionExpiryInterval ?? 0,
    maximumPacketSize: properties?.maximumPacketSize,
    lastWill: { qos: will?.qos, retain: will?.retain },
  });
  t.equal(
    properties?.maximumPacketSize,
    CONFIG_ORDER_BYTES_MAX + 1024,
    'a configuration with its topic fits',
  );
});

void t.test('the limits in asyncapi.yaml are those of the contract', async (t) => {
  const { components } = parse(readFileSync(ASYNCAPI_FILE, 'utf8')) as {
    components: { messages: Record<string, { 'x-bytesMax'?: number }> };
  };
  const limits = Object.entries(components.messages).map(([name, message]) => [name, message['x-bytesMax']]);
  t.match(Object.fromEntries(limits), {
    VigieEvent: BODY_BYTES_MAX,
    Snapshot: SNAPSHOT_BYTES_MAX,
    ConfigDesired: CONFIG_ORDER_BYTES_MAX,
    UpdateDesired: UPDATE_ORDER_BYTES_MAX,
    UpdateReported: UPDATE_REPORT_BYTES_MAX,
    Command: COMMAND_BYTES_MAX,
    JournalWitnessed: TO_BOX_BYTES_MAX,
    Ack: ACK_BYTES_MAX,
  });
});

void t.test('the examples in asyncapi.yaml keep the schema', async (t) => {
  const ajv = publishedSchemas();
  const { components } = parse(readFileSync(ASYNCAPI_FILE, 'utf8')) as {
    components: { messages: Record<string, { examples?: { payload: unknown }[] }> };
  };
  const examples = Object.entries(components.messages).flatMap(([name, { examples = [] }]) =>
    examples.map(({ payload }) => ({ name, payload })),
  );
  t.ok(examples.length >= 4);
  for (const { name, payload } of examples) {
    const check = ajv.getSchema(`${SCHEMA_ID}#/$defs/${name}`);
    t.equal(check?.(payload), true, `${name}: ${JSON.stringify(check?.errors)}`);
  }
});

void t.test('the references are read the same by YAML 1.1, which most languages have', async (t) => {
  for (const name of ['asyncapi.yaml', 'openapi.yaml']) {
    const text = readFileSync(join(ROOT, 'docs/ref', name), 'utf8');
    t.strictSame(parse(text, { version: '1.1' }), parse(text), name);
  }
  const [old, now] = ['1.1', '1.2'].map((version) => parse('no: 1', { version: version as '1.1' }) as object);
  t.not(JSON.stringify(old), JSON.stringify(now), 'a bare no is false in YAML 1.1 (control)');
});

void t.test('the example of a gap is the message that a box sends for it', async (t) => {
  const [example] = EXAMPLES['GapEvent'] as [GapEvent];
  const { data: gap, id, source, time } = example;
  const [, , site = '', box = ''] = source.split(':');
  const [, epoch = ''] = id.split('-');
  const place = { lane: gap.lane, epoch, first: gap.from };
  const row = { kind: 'gap', seq: gap.to, boot: '5f3a9c1e', gap } as const;
  const message = messageOfRow(place, row, { site, box }, topicsOf(site, box), Date.parse(time));
  t.strictSame(JSON.parse(String(message.payload)), example);
});

/** Schemas of the messages that another program reads and writes. */
const DESCRIBED = ['VigieEvent', 'GapEvent', 'EventData', 'GapRecord', 'StatusReport', 'Ack', 'Verdict'];

/** Paths of texts and numbers without a description, in a schema. */
function undescribedPaths(schema: unknown, path: string): string[] {
  if (Array.isArray(schema)) return schema.flatMap((one) => undescribedPaths(one, path));
  if (typeof schema !== 'object' || schema === null) return [];
  const { properties = {}, ...others } = schema as { properties?: Record<string, SchemaMember> };
  const ofMembers = Object.entries(properties).flatMap(([name, member]) => [
    ...(isDescribed(member) ? [] : [`${path}.${name}`]),
    ...undescribedPaths(member, `${path}.${name}`),
  ]);
  // A condition repeats members that are described elsewhere.
  const parts = Object.entries(others).filter(([key]) => key === 'items' || key === 'anyOf');
  return [...ofMembers, ...parts.flatMap(([, part]) => undescribedPaths(part, path))];
}
interface SchemaMember {
  readonly type?: string;
  readonly const?: unknown;
  readonly description?: string;
  readonly enum?: readonly string[];
}
const isDescribed = ({ type = '', const: fixed, enum: names, description }: SchemaMember): boolean =>
  fixed !== undefined ||
  names !== undefined ||
  description !== undefined ||
  !['string', 'integer', 'number', 'boolean'].includes(type);

void t.test('each text and number of an event, a status, an answer of the room is described', async (t) => {
  t.strictSame(
    DESCRIBED.flatMap((name) => undescribedPaths(defOf(name), name)),
    [],
  );
  const control = {
    properties: { a: { type: 'string' }, b: { anyOf: [{ properties: { c: { type: 'number' } } }] } },
  };
  t.strictSame(
    undescribedPaths(control, 'X'),
    ['X.a', 'X.b.c'],
    'one without would have been found (control)',
  );
});

void t.test('asyncapi.yaml states how long the broker keeps each message that expires', async (t) => {
  const { components } = parse(readFileSync(ASYNCAPI_FILE, 'utf8')) as {
    components: { messages: Record<string, { description?: string }> };
  };
  const expiring = Object.entries(components.messages).filter(([, { description = '' }]) =>
    description.includes('expiry'),
  );
  t.strictSame(
    expiring.map(([name]) => name),
    MESSAGES.filter(({ expires }) => expires !== undefined).map(({ name }) => name),
  );
  const { Snapshot: snapshot, CommandReply: reply } = components.messages;
  t.match(snapshot?.description, 'retention.snapshotsDays');
  t.match(reply?.description, `${REPLY_EXPIRY_S} s`, 'a reply is not kept as long as a snapshot');
});

void t.test('every rule and condition that the sources raise is in the list', async (t) => {
  const kinds: string[] = EVENT_KINDS.map(({ kind }) => kind);
  for (const { properties } of RULE_SCHEMAS)
    t.ok(kinds.includes(properties.kind.const), properties.kind.const);
  const files = readdirSync(join(ROOT, 'agent'), { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.ts')).map((file) => join(ROOT, 'agent', file));
  const raised = sources.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\.condition\(\s*'([a-z-]+)'/g)].map(([, kind = '']) => kind),
  );
  t.equal(
    CONDITION_KINDS.filter(isBlinding).join(' '),
    'stream-lost frozen covered too-dark moved cannot-see detector-down vision-failed decoder-crashloop',
  );
  t.ok(raised.length >= 4, `${raised.length} calls found`);
  for (const kind of new Set(raised)) t.ok(kinds.includes(kind), kind);
  const addresses = MESSAGES.map(({ topic }) => topic.replace('{site}', 's').replace('{box}', 'b'));
  const { root: _root, event, snapshot, replyTo, ...fixed } = topicsOf('s', 'b');
  for (const topic of Object.values(fixed)) t.ok(addresses.includes(topic), topic);
  t.ok(addresses.includes(event('{severity}' as 'alert', '{kind}')));
  t.ok(addresses.includes(snapshot('{picture}')));
  const reply = replyTo('vigie/s/all/reply/token')?.replace(/token$/, '{token}') ?? '';
  t.ok(addresses.includes(reply), reply);
});

/** A topic or a filter of a box, with a name or a wildcard for site and box. */
const TOPIC =
  /(?<![\w/.-])vigie\/(?:<site>|\+|marseille-1|my-town|lyon)\/(?:<box>|\+|all|canebiere-017|box-1)\/([\w<>+#/&.-]*[\w>+#])/g;

/** True if the levels of a topic or filter can be those of a channel. */
function fitsChannel(
  [level, ...rest]: readonly string[],
  [own, ...ownRest]: readonly string[],
  hasRest: boolean,
): boolean {
  if (level === '#') return true;
  if (level === undefined || own === undefined) return level === own;
  const isParameter = own.startsWith('{');
  if (isParameter && hasRest && ownRest.length === 0) return true;
  if (!isParameter && own !== level && !/^(?:\+|<.*>)$/.test(level)) return false;
  return fitsChannel(rest, ownRest, hasRest);
}

void t.test('every topic that a guide names is a channel of asyncapi.yaml', async (t) => {
  const channels = MESSAGES.filter(({ topic }) => topic.startsWith('vigie/')).map(
    ({ topic, levels = [] }) => ({
      levels: topic.split('/').slice(3),
      hasRest: levels.length > 0,
    }),
  );
  const isChannel = (topic: string): boolean =>
    channels.some(({ levels, hasRest }) => fitsChannel(topic.split('/'), levels, hasRest));
  const guides = readdirSync(join(ROOT, 'docs/guide')).filter((file) => file.endsWith('.md'));
  const topics = guides.flatMap((guide) =>
    [...readFileSync(join(ROOT, 'docs/guide', guide), 'utf8').matchAll(TOPIC)].map(
      ([topic, levels = '']) => [`${guide}: ${topic}`, levels] as const,
    ),
  );
  t.ok(topics.length > 30, `${topics.length} topics`);
  t.strictSame(
    topics.filter(([, levels]) => !isChannel(levels)).map(([place]) => place),
    [],
  );
  for (const other of ['alerts/#', 'evt/alert', 'snap/<id>/before', 'journal/heads'])
    t.notOk(isChannel(other), `${other} (control)`);
});

void t.test('a message outside of the contract is refused', async (t) => {
  const contract = new Contract();
  const topics = topicsOf('marseille-1', 'canebiere-017');
  const message = (event: object, over: Partial<IPublishPacket> = {}): IPublishPacket => ({
    cmd: 'publish',
    topic: topics.event('alert', 'loitering'),
    payload: JSON.stringify(event),
    qos: 1,
    retain: false,
    dup: false,
    properties: {
      contentType: EVENT_CONTENT_TYPE,
      userProperties: { lane: 'alert', seq: '1', first: '1', epoch: 'e1', boot: 'b' },
    },
    ...over,
  });
  const event = JSON.parse(eventText({ id: 'alert-1', seq: 1 })) as VigieEvent;
  const { data } = event;
  t.strictSame(contract.problems(message(event)), [], 'a good one');
  const withData = (change: object): IPublishPacket => message({ ...event, data: { ...data, ...change } });
  const bad: [string, IPublishPacket][] = [
    ['a plate', withData({ plate: 'AB-123-CD' })],
    ['a face in the cause', withData({ cause: { durationS: 1, face: 'x' } })],
    ['the cause of another kind', withData({ cause: { durationS: 1, stationaryS: 2 } })],
    ['an unknown label', withData({ objects: [{ ...data.objects[0], label: 'face' }] })],
    ['an unknown kind', message({ ...event, type: 'vigie.staring.v1' })],
    ['another kind than its rule', message({ ...event, type: 'vigie.line-crossing.v1' })],
    ['another kind than its topic', message(event, { topic: topics.event('alert', 'line-crossing') })],
    ['another severity than its topic', message(event, { topic: topics.event('notice', 'loitering') })],
    ['another box', message({ ...event, source: 'urn:vigie:marseille-1:other' })],
    ['an unknown topic', message(event, { topic: `${topics.root}/video` })],
    ['another content type', message(event, { properties: { contentType: 'text/plain' } })],
    ['no number', message(event, { properties: { contentType: EVENT_CONTENT_TYPE } })],
    ['retained', message(event, { retain: true })],
    ['QoS 0', message(event, { qos: 0 })],
    ['a picture without bytes', message({}, { topic: topics.snapshot('e'), payload: '' })],
  ];
  for (const [name, packet] of bad) {
    const problems = contract.problems(packet);
    t.ok(problems.length > 0, `${name}: ${problems.join(' | ')}`);
  }
});
