/** docs/ref/asyncapi.yaml: AsyncAPI 3.0 of the box, made from the list of its messages. */
import { stringify } from 'yaml';
import { EVENT_KINDS } from '../../../agent/contract/kinds.ts';
import { MESSAGES, type MessageContract } from '../../../agent/contract/messages.ts';
import { LANES } from '../../../agent/contract/outbox.ts';
import { EXAMPLES } from './examples.ts';

const SCHEMA_FORMAT = 'application/schema+json;version=draft-2020-12';
const ID_PATTERN = '1 to 32 of a-z, 0-9 and -';

const PARAMETERS: Readonly<Record<string, { description: string; enum?: readonly string[] }>> = {
  site: { description: `The site, \`site\` of the configuration: ${ID_PATTERN}.` },
  box: { description: `The box, \`box\` of the configuration and CN of its certificate: ${ID_PATTERN}.` },
  severity: { description: 'Severity of the event.', enum: ['alert', 'notice', 'system'] },
  kind: { description: 'Kind of the event.', enum: EVENT_KINDS.map(({ kind }) => kind) },
  picture: { description: 'Id of the event, with `.before` or `.deposit` for earlier moments.' },
  onvifTopic: {
    description: 'ONVIF’s topic, then `/&` and the values of `Source`; several levels.',
  },
  component: {
    description: 'Home Assistant’s kind of entity.',
    enum: ['binary_sensor', 'event', 'image', 'sensor'],
  },
  entity: { description: '`rule-<id>`, `snapshot` or `health-<what>`.' },
  token: { description: 'Chosen by whoever asks, 1 to 64 of A-Z, a-z, 0-9, _ and -.' },
  rule: { description: `Id of a rule: ${ID_PATTERN}.` },
};

const INFO = `A box publishes what it sees as events and redacted stills, and what it is as status and health.

MQTT 5 only, with mutual TLS; the broker takes the CN of the box's certificate as its name and lets it write and
read \`vigie/+/<its name>/#\`, read \`vigie/+/all/cmd\`, and nothing else of \`vigie/\`.

Messages with the user properties \`lane\`, \`seq\`, \`first\`, \`epoch\` and \`boot\` come from the box's outbox. \`seq\`
has no gap within a lane and grows over restarts, as long as \`epoch\` is the same (a box that lost its state begins
another); live messages may overtake older ones. A message may come twice: de-duplicate by
\`id\`, or by box, epoch, lane and \`seq\`. The numbers that a GapEvent names will not come and count as present.
A row leaves the box when the room acknowledges its lane through its number (\`mqtt.ack: archive\`), or on PUBACK
(\`mqtt.ack: broker\`).

The schemas are closed: they name everything that this version sends, so that nothing else can leave a box. Within
\`v1\` kinds, topics and members may be added; a consumer ignores those that it does not know.

Messages of bridges repeat events in other systems' forms, with QoS 0 and only where they are switched on.`;

/** YAML. The same list always gives the same text. */
export function describeAsyncApi(version: string): string {
  const comment = '# Made from the sources by `npm run docs`; events.schema.json lies beside it.\n';
  return (
    comment +
    stringify(document(version), { lineWidth: 0, blockQuote: 'literal', aliasDuplicateObjects: false })
  );
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
        description: 'The room’s broker, `mqtt.url` of the configuration.',
        variables: {
          host: { description: 'Name in the broker’s certificate.' },
          port: { default: '8883' },
        },
        security: [{ $ref: '#/components/securitySchemes/certificate' }],
        bindings: {
          mqtt: {
            clientId: '<site>.<box>',
            cleanSession: true,
            keepAlive: 30,
            sessionExpiryInterval: 0,
            maximumPacketSize: 65_536,
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
  const known = PARAMETERS[name];
  if (known === undefined) throw new Error(`parameter {${name}} is not described`);
  return levels.includes(name) ? { ...known, 'x-levels': 'many' } : known;
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
}: MessageContract): object {
  return {
    name,
    summary,
    contentType,
    ...(numbered && { traits: [{ $ref: '#/components/messageTraits/numbered' }] }),
    ...(schema !== undefined && {
      payload: { schemaFormat: SCHEMA_FORMAT, schema: { $ref: `./events.schema.json#/$defs/${name}` } },
    }),
    ...(EXAMPLES[name] !== undefined && { examples: [{ payload: EXAMPLES[name] }] }),
    ...(expires === true && {
      description: 'With a message expiry interval: what is left of `retention.snapshotsDays`.',
    }),
    ...(removable === true && {
      description: 'Retained and empty, it takes away what was there before.',
      'x-removable': true,
    }),
  };
}

/** MQTT 5 user properties. */
function numberedTrait(): object {
  return {
    headers: {
      type: 'object',
      description: 'MQTT 5 user properties.',
      required: ['lane', 'seq', 'first', 'epoch', 'boot'],
      properties: {
        lane: { type: 'string', enum: [...LANES] },
        seq: { type: 'string', pattern: '^[1-9][0-9]{0,15}$', description: 'per box and lane' },
        first: {
          type: 'string',
          pattern: '^[1-9][0-9]{0,15}$',
          description:
            'the lane is still held by the box from this number on; what is before it is stored or gone',
        },
        epoch: { type: 'string', minLength: 1, maxLength: 32, description: 'which counting `seq` is of' },
        boot: { type: 'string', minLength: 1, maxLength: 64, description: 'start of the agent' },
      },
    },
  };
}
