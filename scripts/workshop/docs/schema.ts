/**
 * Generates docs/ref/events.schema.json: JSON Schema 2020-12 of every JSON message, from the TypeBox schemas that the
 * agent itself uses.
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
import { openSchema } from '../../products/room/contract/open-schema.ts';

/**
 * Returns the file's text for readers: open for members and kinds of later versions. The same sources always give the
 * same text.
 */
export function describeSchema(): string {
  return `${JSON.stringify(schemaFile(READERS), null, 2)}\n`;
}

/**
 * Returns the closed schema, which permits only what this version sends. Real messages of a box are validated against
 * it.
 */
export const exactSchema = (): JsonObject => schemaFile(EXACT);

/** Two forms of one schema. */
interface Form {
  /** Adapts the schema of a message that a box sends. */
  adaptSent(schema: JsonObject): JsonObject;
  /** Adapts the schema of a text that names a kind, with its form in the sources. */
  kind(names: readonly string[], schema: JsonObject): JsonObject;
}

const READERS: Form = {
  adaptSent: openSchema,
  kind: (names, schema) => ({ ...schema, examples: names }),
};
const EXACT: Form = {
  adaptSent: (schema) => schema,
  kind: (names, schema) => ({ ...schema, enum: names }),
};

function schemaFile(form: Form): JsonObject {
  const { adaptSent } = form;
  const events: Readonly<Record<string, JsonObject>> = {
    VigieEvent: vigieEvent(form),
    GapEvent: withData(GapEvent, 'GapRecord'),
  };
  const messageSchemas = MESSAGES.flatMap(({ name, summary, schema, direction }) => {
    if (schema === undefined || name in events) return [];
    const described = { description: summary, ...plain(schema) };
    return [[name, direction === 'from-box' ? adaptSent(described) : described] as const];
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: SCHEMA_ID,
    title: 'Messages of a Vigie box',
    description:
      'A published event (CloudEvents 1.0, structured JSON). Every other message has its schema in $defs; asyncapi.yaml names its topic. Generated from the sources.',
    anyOf: Object.keys(events).map(ref),
    $defs: {
      ...adaptSent({
        ...events,
        EventData: eventData(form),
        ...Object.fromEntries(EVENT_KINDS.map((kind) => [dataName(kind), kindData(kind)])),
        GapRecord: plain(GapRecord),
      }),
      ...Object.fromEntries(messageSchemas),
      ...adaptSent({
        ModeStatement: { description: 'Signed payload of a Mode message.', ...plain(ModeStatement) },
        UpdateReport: { description: 'Signed payload of an UpdateReported message.', ...plain(UpdateReport) },
        LogsResult: { description: 'Result of the command logs.', ...plain(LogsResult) },
        DoctorResult: { description: 'Result of the command doctor.', ...plain(DoctorResult) },
      }),
      UpdateOrder: { description: 'Signed payload of an UpdateDesired message.', ...plain(UpdateOrder) },
      ConfigOrder: { description: 'Signed payload of a ConfigDesired message.', ...plain(ConfigOrder) },
      Authorisation: { description: 'Signed payload of an authorisation.', ...plain(Authorisation) },
    },
  };
}

/** Returns the envelope; its `type` and the kind of its rule agree. */
function vigieEvent({ kind: kindForm }: Form): JsonObject {
  const event = withData(VigieEvent, 'EventData');
  const properties = event['properties'] as JsonObject & { readonly type: JsonObject };
  const types = EVENT_KINDS.map(({ kind }) => typeOf(kind));
  return {
    ...event,
    properties: { ...properties, type: kindForm(types, properties.type) },
    allOf: EVENT_KINDS.map(({ kind }) =>
      branch(
        members({ type: { const: typeOf(kind) } }),
        members({ data: members({ rule: members({ kind: { const: kind } }) }) }),
      ),
    ),
  };
}

/**
 * Returns the schema that an event's `dataschema` names: the common part, and by kind the content of `params` and
 * `cause`.
 */
function eventData({ kind: kindForm }: Form): JsonObject {
  const { properties, ...rest } = plain(EventData) as { properties: Record<string, JsonObject> } & JsonObject;
  const rule = properties['rule'] as { properties: JsonObject & { readonly kind: JsonObject } } & JsonObject;
  const kinds = EVENT_KINDS.map(({ kind }) => kind);
  const kind = kindForm(kinds, rule.properties.kind);
  return {
    ...rest,
    properties: { ...properties, rule: { ...rule, properties: { ...rule.properties, kind } } },
    allOf: EVENT_KINDS.map((kind) =>
      branch(members({ rule: members({ kind: { const: kind.kind } }) }), ref(dataName(kind))),
    ),
  };
}

/** Biome takes an object literal with the property `then` for a promise. */
function branch(condition: JsonObject, consequence: JsonObject): JsonObject {
  return Object.fromEntries([
    ['if', condition],
    ['then', consequence],
  ]);
}

/** Constrains some members; Ajv's strict mode requires the type with them. */
function members(properties: JsonObject): JsonObject {
  return { type: 'object', properties };
}

function kindData({ title, severities, params, cause }: EventKind): JsonObject {
  return {
    title,
    ...members({
      severity: { enum: severities },
      rule: members({ params: plain(params) }),
      cause: plain(cause),
    }),
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
