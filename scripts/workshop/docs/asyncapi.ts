/** Generates docs/ref/asyncapi.yaml: AsyncAPI 3.0 of the box, from the list of its messages. */
import { KEEPALIVE_S, TO_BOX_PACKET_BYTES_MAX } from '../../../agent/contract/broker-connection.ts';
import { Command } from '../../../agent/contract/command.ts';
import { EVENT_KINDS } from '../../../agent/contract/kinds.ts';
import { MESSAGES, type MessageContract } from '../../../agent/contract/messages.ts';
import { NumberedProperties } from '../../../agent/contract/outbox.ts';
import { REPLY_TOKEN } from '../../../agent/contract/topics.ts';
import { plain } from '../../lib/json-schema.ts';
import { EXAMPLES } from './examples.ts';
import { yamlText } from './yaml-text.ts';

const SCHEMA_FORMAT = 'application/schema+json;version=draft-2020-12';
const NAME_FORM = `of the form \`${Command.properties.site.pattern}\``;

const PARAMETERS: Readonly<
  Record<string, { description: string; enum?: readonly string[]; examples?: readonly string[] }>
> = {
  site: { description: `The site, \`site\` of the configuration, ${NAME_FORM}.` },
  box: { description: `The box, \`box\` of the configuration and CN of its certificate, ${NAME_FORM}.` },
  severity: { description: 'Severity of the event.', enum: ['alert', 'notice', 'system'] },
  kind: {
    description: 'Kind of the event; a later version may have others.',
    examples: EVENT_KINDS.map(({ kind }) => kind),
  },
  picture: { description: 'Id of the event, with `.before` or `.deposit` for earlier moments.' },
  onvifTopic: {
    description: 'ONVIF’s topic, then `/&` and the values of `Source`; several levels.',
  },
  component: {
    description: 'Home Assistant’s kind of entity.',
    enum: ['binary_sensor', 'event', 'image', 'sensor'],
  },
  entity: { description: '`rule-<id>`, `snapshot` or `health-<what>`.' },
  token: { description: `Chosen by the sender of the request; form \`${REPLY_TOKEN.source}\`.` },
  rule: { description: `Id of a rule, ${NAME_FORM}.` },
};

const INFO = `A box publishes what it sees as events and redacted stills, and what it is as status and health.

MQTT 5 only, with mutual TLS. The broker takes the CN of the box's certificate as its name. Below \`vigie/\` a box may
only write and read \`vigie/+/<its name>/#\`, and read \`vigie/+/all/cmd\`.

Messages with the user properties \`lane\`, \`seq\`, \`first\`, \`epoch\` and \`boot\` come from the box's outbox. \`seq\`
has no gap within a lane and grows over restarts, as long as \`epoch\` is the same (a box that lost its state begins
another); live messages may overtake older ones. A message may come more than once: de-duplicate events by \`source\`
and \`id\`, pictures by their topic, or both by box, epoch, lane and \`seq\`. The numbers that a GapEvent names will not
come and count as present.
A row leaves the box when the room acknowledges its lane through its number (\`mqtt.ack: archive\`), or on PUBACK
(\`mqtt.ack: broker\`).

The events of one incident have the same \`source\` and \`data.episode\`: one \`start\`, an \`update\` each minute while it
lasts, and one \`end\`. A restart of the box does not change this. A momentary incident, such as a crossed line, has its
\`end\` at once. \`data.cause.ended\` says why an incident ended, where that was not in the street. Only a box that lost its
state, or does not return, sends no \`end\`.

A \`start\` names its pictures in \`data.evidence\` (\`snapshot\`, \`before\`, \`deposit\`), or says in \`absent\` why one is
missing. An \`update\` or \`end\` has none. Each picture is a message of its own in the lane of its event, and usually
follows it. It may also come before the event, hours later, or not at all. The hash in the event says whether it is the same
file. Events and pictures are not retained: a subscriber that may be offline needs a session that the broker stores.

Only a program with the CN \`room\` may publish \`ack\`, \`verdict\` and \`cmd\` (docs/guide/broker.md). Where the room of
Vigie runs, other programs give verdicts through its HTTP interface (openapi.yaml).

Within \`v1\` kinds, topics and members may be added; a consumer ignores those that it does not know. The schemas of messages
from a box are therefore open: a member that they do not name is valid, a wrong type is not. This version sends nothing
that they do not name. The schemas of messages to a box match its own checks: where one is closed, the box refuses
the entire message for a member that it does not know.

The schemas are JSON Schema 2020-12 without \`format\`: they compile in Ajv's strict mode, \`new Ajv2020({ strict: true })\`,
without a plug-in. \`x-bytesMax\` of a message is the largest payload, in bytes.

Messages of bridges repeat events in other systems' forms, with QoS 0 and only where they are switched on.`;

/** Returns YAML. The same list always gives the same text. */
export function describeAsyncApi(version: string): string {
  const comment = '# Made from the sources by `npm run docs`; events.schema.json lies beside it.\n';
  return comment + yamlText(document(version));
}

function document(version: string): object {
  return {
    asyncapi: '3.0.0',
    id: 'urn:vigie:box',
    info: {
      title: 'Vigie box',
      version,
      description: INFO,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      room: {
        host: '{host}:{port}',
        protocol: 'mqtts',
        protocolVersion: '5.0',
        description:
          'The room’s broker, `mqtt.url` of the configuration. This is the port of the boxes; programs of the room have a port and an authority of their own (docs/guide/broker.md).',
        variables: {
          host: { description: 'Name in the broker’s certificate.' },
          port: { default: '8883' },
        },
        security: [{ $ref: '#/components/securitySchemes/certificate' }],
        bindings: {
          mqtt: {
            clientId: '<box>',
            cleanSession: true,
            keepAlive: KEEPALIVE_S,
            sessionExpiryInterval: 0,
            maximumPacketSize: TO_BOX_PACKET_BYTES_MAX,
            lastWill: {
              topic: 'vigie/<site>/<box>/status',
              qos: 1,
              message: '{"state":"offline",…}',
              retain: true,
            },
            bindingVersion: '0.2.0',
          },
        },
      },
    },
    channels: Object.fromEntries(MESSAGES.map((message) => [channelName(message), channel(message)])),
    operations: Object.fromEntries(MESSAGES.map((message) => [operationName(message), operation(message)])),
    components: {
      messages: Object.fromEntries(MESSAGES.map((message) => [message.name, messageOf(message)])),
      messageTraits: { numbered: numberedTrait() },
      securitySchemes: {
        certificate: {
          type: 'X509',
          description: 'The box’s own certificate; its CN is `box`.',
        },
      },
    },
  };
}

function channelName({ name }: MessageContract): string {
  return `${name.slice(0, 1).toLowerCase()}${name.slice(1)}`;
}

function operationName(message: MessageContract): string {
  return `${message.direction === 'from-box' ? 'send' : 'receive'}${message.name}`;
}

function channel(message: MessageContract): object {
  const names = [...message.topic.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  return {
    address: message.topic,
    servers: [{ $ref: '#/servers/room' }],
    messages: { [message.name]: { $ref: `#/components/messages/${message.name}` } },
    parameters: Object.fromEntries(names.map((name) => [name, parameter(name, message)])),
  };
}

function parameter(name: string, { levels = [] }: MessageContract): object {
  const schema = PARAMETERS[name];
  if (schema === undefined) throw new Error(`parameter {${name}} is not described`);
  return levels.includes(name) ? { ...schema, 'x-levels': 'many' } : schema;
}

function operation(message: MessageContract): object {
  const name = channelName(message);
  return {
    action: message.direction === 'from-box' ? 'send' : 'receive',
    channel: { $ref: `#/channels/${name}` },
    summary: message.summary,
    messages: [{ $ref: `#/channels/${name}/messages/${message.name}` }],
    bindings: { mqtt: { qos: message.qos, retain: message.retained, bindingVersion: '0.2.0' } },
  };
}

function messageOf({
  name,
  summary,
  contentType,
  schema,
  numbered,
  expires,
  removable,
  bytesMax,
}: MessageContract): object {
  return {
    name,
    summary,
    contentType,
    ...(bytesMax !== undefined && { 'x-bytesMax': bytesMax }),
    ...(numbered && { traits: [{ $ref: '#/components/messageTraits/numbered' }] }),
    ...(schema !== undefined && {
      payload: { schemaFormat: SCHEMA_FORMAT, schema: { $ref: `./events.schema.json#/$defs/${name}` } },
    }),
    ...(EXAMPLES[name] !== undefined && { examples: EXAMPLES[name].map((payload) => ({ payload })) }),
    ...(expires !== undefined && { description: `With a message expiry interval: ${expiryText(expires)}.` }),
    ...(removable === true && {
      description: 'Retained and empty: removes the previous message of the topic.',
      'x-removable': true,
    }),
  };
}

function expiryText(expires: NonNullable<MessageContract['expires']>): string {
  return expires === 'retention' ? 'the remaining time of `retention.snapshotsDays`' : `${expires} s`;
}

function numberedTrait(): object {
  return { headers: { description: 'MQTT 5 user properties.', ...plain(NumberedProperties) } };
}
