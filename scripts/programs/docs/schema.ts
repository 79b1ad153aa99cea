/**
 * docs/ref/events.schema.json: JSON Schema 2020-12 of every JSON message, made from the TypeBox schemas that
 * the agent itself uses.
 */
import type { TSchema } from '@sinclair/typebox';
import { Authorisation } from '../../../agent/contract/authorisation.ts';
import { DoctorResult, LogsResult } from '../../../agent/contract/diagnosis.ts';
import { EventData, SCHEMA_ID, VigieEvent } from '../../../agent/contract/event.ts';
import { EVENT_KINDS, type EventKind } from '../../../agent/contract/kinds.ts';
import { MESSAGES } from '../../../agent/contract/messages.ts';
import { ModeStatement } from '../../../agent/contract/mode.ts';
import { GapEvent, GapRecord } from '../../../agent/contract/outbox.ts';
import { ConfigOrder, UpdateOrder, UpdateReport } from '../../../agent/contract/update.ts';
import { type JsonObject, plain } from '../../lib/json-schema.ts';

/** The file's text. The same sources always give the same text. */
export function describeSchema(): string {
  return `${JSON.stringify(schemaFile(), null, 2)}\n`;
}

function schemaFile(): JsonObject {
  const others = MESSAGES.flatMap(({ name, summary, schema }) =>
    schema === undefined || name in EVENTS
      ? []
      : [[name, { description: summary, ...plain(schema) }] as const],
  );
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: SCHEMA_ID,
    title: 'What a Vigie box publishes',
    description:
      'An event as it is published (CloudEvents 1.0, structured JSON). Every other message has its schema in $defs; asyncapi.yaml says on which topic it comes. Made from the sources.',
    anyOf: Object.keys(EVENTS).map(ref),
    $defs: {
      ...Object.fromEntries(Object.entries(EVENTS).map(([name, make]) => [name, make()])),
      EventData: eventData(),
      ...Object.fromEntries(EVENT_KINDS.map((kind) => [dataName(kind), kindData(kind)])),
      GapRecord: { $anchor: 'GapRecord', ...plain(GapRecord) },
      ...Object.fromEntries(others),
      ModeStatement: { description: 'What is signed in a Mode message.', ...plain(ModeStatement) },
      UpdateOrder: { description: 'What is signed in an UpdateDesired message.', ...plain(UpdateOrder) },
      ConfigOrder: { description: 'What is signed in a ConfigDesired message.', ...plain(ConfigOrder) },
      UpdateReport: { description: 'What is signed in an UpdateReported message.', ...plain(UpdateReport) },
      LogsResult: { description: 'Result of the command logs.', ...plain(LogsResult) },
      DoctorResult: { description: 'Result of the command doctor.', ...plain(DoctorResult) },
      Authorisation: { description: 'What is signed in an authorisation.', ...plain(Authorisation) },
    },
  };
}

const EVENTS: Readonly<Record<string, () => JsonObject>> = {
  VigieEvent: vigieEvent,
  GapEvent: () => withData(GapEvent, 'GapRecord'),
};

/** The envelope; its `type` and the kind of its rule say the same. */
function vigieEvent(): JsonObject {
  const event = withData(VigieEvent, 'EventData');
  const properties = event['properties'] as JsonObject;
  return {
    ...event,
    properties: { ...properties, type: { enum: EVENT_KINDS.map(({ kind }) => typeOf(kind)) } },
    allOf: EVENT_KINDS.map(({ kind }) =>
      branch(
        { properties: { type: { const: typeOf(kind) } } },
        { properties: { data: { properties: { rule: { properties: { kind: { const: kind } } } } } } },
      ),
    ),
  };
}

/** What `dataschema` of an event names: the common part, and by kind what `params` and `cause` hold. */
function eventData(): JsonObject {
  const { properties, ...rest } = plain(EventData) as { properties: Record<string, JsonObject> } & JsonObject;
  const rule = properties['rule'] as { properties: JsonObject } & JsonObject;
  const kinds = { enum: EVENT_KINDS.map(({ kind }) => kind) };
  return {
    $anchor: 'EventData',
    ...rest,
    properties: { ...properties, rule: { ...rule, properties: { ...rule.properties, kind: kinds } } },
    allOf: EVENT_KINDS.map((kind) =>
      branch({ properties: { rule: { properties: { kind: { const: kind.kind } } } } }, ref(dataName(kind))),
    ),
  };
}

/** Biome takes an object with the property `then`, written out, for a promise. */
function branch(condition: JsonObject, consequence: JsonObject): JsonObject {
  return Object.fromEntries([
    ['if', condition],
    ['then', consequence],
  ]);
}

function kindData({ title, severities, params, cause }: EventKind): JsonObject {
  return {
    title,
    properties: {
      severity: { enum: severities },
      rule: { properties: { params: plain(params) } },
      cause: plain(cause),
    },
  };
}

function withData(schema: TSchema, data: string): JsonObject {
  const event = plain(schema);
  return { ...event, properties: { ...(event['properties'] as JsonObject), data: ref(data) } };
}

function typeOf(kind: string): string {
  return `vigie.${kind}.v1`;
}

function dataName({ kind }: EventKind): string {
  return `${kind}.data`;
}

function ref(name: string): JsonObject {
  return { $ref: `#/$defs/${name}` };
}
