/**
 * Validates received messages against the published contract. docs/ref/asyncapi.yaml defines the messages and
 * properties of each topic, and docs/ref/events.schema.json their contents. The files are read as any consumer would.
 * The published schema is open for members of later versions. Each message is therefore also validated against the
 * closed form, because this version sends no further members.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { IPublishPacket } from 'mqtt';
import { parse } from 'yaml';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { exactSchema } from './schema.ts';

export const SCHEMA_FILE = join(packageRoot(), 'docs/ref/events.schema.json');
export const ASYNCAPI_FILE = join(packageRoot(), 'docs/ref/asyncapi.yaml');

interface AsyncApi {
  readonly channels: Record<string, AsyncChannel>;
  readonly operations: Record<string, AsyncOperation>;
  readonly components: {
    readonly messages: Record<string, AsyncMessage>;
    readonly messageTraits: Record<string, { readonly headers: object }>;
  };
}
interface AsyncChannel {
  readonly address: string;
  readonly messages: Record<string, unknown>;
  readonly parameters: Record<string, { readonly enum?: readonly string[]; readonly 'x-levels'?: 'many' }>;
}
interface AsyncOperation {
  readonly action: 'send' | 'receive';
  readonly channel: { readonly $ref: string };
  readonly bindings: { readonly mqtt: { readonly qos: number; readonly retain: boolean } };
}
interface AsyncMessage {
  readonly contentType: string;
  readonly traits?: readonly unknown[];
  /** A retained empty message removes the previous one. */
  readonly 'x-removable'?: boolean;
  readonly 'x-bytesMax'?: number;
  readonly payload?: { readonly schema: { readonly $ref: string } };
}

interface Expected {
  readonly name: string;
  readonly topic: RegExp;
  readonly action: AsyncOperation['action'];
  readonly qos: number;
  readonly retain: boolean;
  readonly message: AsyncMessage;
  /** Reference of the payload's schema; undefined for an empty message. */
  readonly payload: string | undefined;
}

/** Compiles the published schema unchanged. */
export function publishedSchemas(): Ajv2020 {
  return schemasIn(JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as object);
}

function schemasIn(file: object): Ajv2020 {
  const ajv = new Ajv2020({ strict: true, allErrors: true });
  ajv.addSchema(file);
  return ajv;
}

export class Contract {
  readonly #expected: readonly Expected[];
  readonly #numbered: ValidateFunction;
  /** The published and the closed form, which compile a schema at its first use: all of them take seconds. */
  readonly #forms: readonly Ajv2020[];
  readonly #eventSchema: string;

  constructor() {
    const published = publishedSchemas();
    this.#forms = [published, schemasIn(exactSchema())];
    const { $id } = JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as { $id: string };
    const { channels, operations, components } = parse(readFileSync(ASYNCAPI_FILE, 'utf8')) as AsyncApi;
    this.#eventSchema = $id;
    this.#numbered = published.compile(components.messageTraits['numbered']?.headers ?? false);
    const all = Object.values(operations).map(({ action, channel, bindings }): Expected => {
      const { address, messages, parameters } = channels[lastOf(channel.$ref)] as AsyncChannel;
      const [name = ''] = Object.keys(messages);
      const message = components.messages[name] as AsyncMessage;
      const schema = message.payload?.schema.$ref;
      const payload = schema === undefined ? undefined : `${$id}#${schema.split('#')[1]}`;
      return { name, topic: topicPattern(address, parameters), action, message, payload, ...bindings.mqtt };
    });
    // A fixed level precedes a parameter: `evt/system/outbox-gap` is not an event of a kind.
    this.#expected = all.sort((a, b) => a.topic.source.split('(').length - b.topic.source.split('(').length);
  }

  /** Returns the violations in a message that a box published; empty if it keeps the contract. */
  problems(packet: IPublishPacket): string[] {
    const channel = this.#expected.find(({ topic }) => topic.test(packet.topic));
    if (channel === undefined) return [`${packet.topic}: no channel of the contract has this address`];
    if (channel.action === 'receive') return [];
    const payload = Buffer.from(packet.payload);
    if (payload.length === 0 && packet.retain && channel.message['x-removable'] === true) return [];
    return [
      ...this.#deliveryProblems(channel, packet),
      ...this.#payloadProblems(channel, payload),
      ...topicProblems(packet),
    ].map((problem) => `${packet.topic} (${channel.name}): ${problem}`);
  }

  /** Returns the violations in an event from any source, such as the files of a replay. */
  eventProblems(event: object): string[] {
    return this.#schemaProblems(this.#eventSchema, event);
  }

  #payloadProblems({ message, payload }: Expected, bytes: Buffer): string[] {
    const { 'x-bytesMax': bytesMax = Infinity } = message;
    if (bytes.length > bytesMax) return [`${bytes.length} bytes, at most ${bytesMax}`];
    if (payload === undefined) return bytes.length > 0 ? [] : ['empty'];
    const text = bytes.toString('utf8');
    const value: unknown = message.contentType.includes('json') ? JSON.parse(text) : text;
    return this.#schemaProblems(payload, value);
  }

  #schemaProblems(ref: string, value: unknown): string[] {
    return this.#forms.flatMap((ajv) => {
      const check = ajv.getSchema(ref);
      if (check === undefined) throw new Error(`${ref} is not in the schema file`);
      return check(value) ? [] : [errorText(check.errors)];
    });
  }

  /** Checks the properties of the delivery: content type, QoS, user properties. */
  #deliveryProblems({ message, qos, retain }: Expected, { properties, ...packet }: IPublishPacket): string[] {
    const user = { ...properties?.userProperties };
    const numbered = message.traits === undefined || this.#numbered(user);
    return [
      ...(properties?.contentType === message.contentType ? [] : [`content type ${properties?.contentType}`]),
      ...(packet.qos === qos ? [] : [`QoS ${packet.qos}, not ${qos}`]),
      ...(packet.retain === retain ? [] : [`retain ${packet.retain}, not ${retain}`]),
      ...(numbered ? [] : [`user properties: ${errorText(this.#numbered.errors)}`]),
    ];
  }
}

/** Checks that topic and event name the same box, severity and kind. */
function topicProblems({ topic, payload }: IPublishPacket): string[] {
  const [, site, box, branch, severity, kind] = topic.split('/');
  if (branch !== 'evt') return [];
  const { source, type, data } = JSON.parse(payload.toString()) as Record<string, unknown>;
  const dataSeverity = (data as { severity?: unknown }).severity ?? 'system';
  return [
    ...(source === `urn:vigie:${site}:${box}` ? [] : [`source ${source}`]),
    ...(type === `vigie.${kind}.v1` ? [] : [`type ${type}`]),
    ...(dataSeverity === severity ? [] : [`severity ${dataSeverity}`]),
  ];
}

function topicPattern(address: string, parameters: AsyncChannel['parameters']): RegExp {
  const pattern = address.replace(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = parameters[name];
    if (parameter === undefined) throw new Error(`${address}: {${name}} is not among the parameters`);
    if (parameter.enum !== undefined) return `(${parameter.enum.join('|')})`;
    return parameter['x-levels'] === 'many' ? '(.+)' : '([^/]+)';
  });
  return new RegExp(`^${pattern}$`);
}

function errorText(errors: ErrorObject[] | null | undefined): string {
  return (errors ?? [])
    .filter(({ keyword }) => keyword !== 'if')
    .slice(0, 3)
    .map(({ instancePath, message, params }) => `${instancePath || '/'} ${message} ${JSON.stringify(params)}`)
    .join('; ');
}

function lastOf(ref: string): string {
  return ref.split('/').at(-1) ?? '';
}
