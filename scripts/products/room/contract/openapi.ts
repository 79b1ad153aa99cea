/** Generates the OpenAPI 3.1 document of the room's interface from its table of routes, for docs/ref/openapi.yaml. */
import type { TSchema } from '@sinclair/typebox';
import { isObject, type Json, type JsonObject, plain } from '../../../lib/json-schema.ts';
import { IdempotencyKey, Problem, ROUTES, type Route } from './api.ts';
import { WEBHOOK_EXAMPLES } from './examples.ts';
import { openSchema } from './open-schema.ts';
import { may, ROLES } from './roles.ts';
import { WEBHOOK_MESSAGES, WEBHOOK_TYPES, type WebhookType } from './webhook.ts';

const INFO = `Interface of the room for its screens and other programs: queue, incidents, cameras, statistics, audit log.

A program sends \`Authorization: Bearer …\` with a token of the console's settings; it has a role like a person. Times in
answers are UTC with milliseconds; times in requests follow RFC 3339, with an offset. A refusal is answered
with \`application/problem+json\` (RFC 9457), whose \`title\` says in one line what is wrong, where, and
what is accepted.

Members may be added to answers and webhooks: a program ignores unknown members, and the schemas allow them.
Unknown members of a body or a query are refused. The schemas compile in Ajv's strict mode without a
plug-in.`;

/** Meaning of each refusal. RFC 9110 and 6585 define the status codes. */
const REFUSALS = {
  400: ['BadRequest', 'A parameter, the body or a header does not match the schema.'],
  401: ['Unauthorized', 'No session and no token, or an expired one.'],
  403: ['Forbidden', 'The role does not allow this; the refusal is audited.'],
  404: ['NotFound', 'No object has that number or name.'],
  409: [
    'Conflict',
    'Another person acted first, or the incident has changed since: `incident` is its current state.',
  ],
  413: ['TooLarge', 'The body is too large, or the answer would be.'],
  415: ['UnsupportedMediaType', 'The body is not `application/json`.'],
  421: ['Misdirected', 'The header `Host` names another server: the console is called by its own name.'],
  429: ['TooMany', 'Too many calls; `Retry-After` says when to retry.'],
  500: ['Fault', 'A fault of the console; its log describes it.'],
  503: ['Unavailable', 'The database, the broker or the signer is unavailable; retry.'],
} as const satisfies Readonly<Record<number, readonly [string, string]>>;
type Refusal = keyof typeof REFUSALS;

const WEBHOOKS: Readonly<Record<WebhookType, string>> = {
  'incident.received': 'an incident is new, or reopened as a new entry',
  'incident.changed': 'an incident has another event, owner or state',
  'incident.closed': 'an incident is closed; again when something is added afterwards',
  'camera.changed': 'the reported state of a camera has changed',
  'camera.removed': 'a camera has left the list: its box was revoked',
};

/** Returns the document. The result is deterministic: the same routes give the same document. */
export function openApi(version: string): object {
  const schemas = new Map<string, Json>();
  const form: Forms = {
    requestSchema: (schema) => referred(plain(schema), schemas),
    answerSchema: (schema) => referred(openSchema(plain(schema)), schemas),
  };
  const paths: Record<string, Record<string, Json>> = {};
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(name, route, form) };
  }
  const webhooks = Object.fromEntries(WEBHOOK_TYPES.map((type) => [type, webhook(type, form)]));
  const problem = { 'application/problem+json': { schema: form.answerSchema(Problem) } };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Vigie room',
      version,
      description: INFO,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: [{ url: '/', description: 'the room’s console' }],
    security: [{ session: [] }, { token: [] }],
    paths,
    webhooks,
    components: {
      schemas: Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1))),
      responses: Object.fromEntries(
        Object.values(REFUSALS).map(([name, description]) => [name, { description, content: problem }]),
      ),
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: SESSION_COOKIE, description: 'of a browser session' },
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'token of a program, from the console’s settings',
        },
      },
    },
  };
}

/**
 * Session cookie. `__Host-` means this host only, HTTPS only, no domain (RFC 6265bis). A demonstration on loopback
 * omits the prefix.
 */
const SESSION_COOKIE = '__Host-vigie';

type SchemaOf = (schema: TSchema) => Json;

interface Forms {
  /** Schema of a request: unknown members are refused. */
  readonly requestSchema: SchemaOf;
  /** Schema of an answer or a webhook: open for members of later versions. */
  readonly answerSchema: SchemaOf;
}

function operation(name: string, route: Route, { requestSchema, answerSchema }: Forms): JsonObject {
  const { path, summary, body, action } = route;
  const [, , tag = ''] = path.split(/[/.]/);
  const parameters = parametersOf(name, route, requestSchema);
  return {
    operationId: name,
    tags: [tag],
    summary,
    ...(action !== 'open' && { description: `For ${whoMay(route)}.` }),
    ...(action === 'open' && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && {
      requestBody: { required: true, content: { 'application/json': { schema: requestSchema(body) } } },
    }),
    responses: {
      200: { description: 'success', content: contentOf(route, answerSchema) },
      ...Object.fromEntries(
        refusalsOf(route).map((status) => [
          status,
          { $ref: `#/components/responses/${REFUSALS[status][0]}` },
        ]),
      ),
    },
  };
}

function whoMay({ action }: Route): string {
  if (action === undefined || action === 'open') return 'anyone logged in';
  return ROLES.filter((role) => may(role, action)).join(', ');
}

function contentOf({ gives }: Route, schemaOf: SchemaOf): JsonObject {
  if (typeof gives !== 'string') return { 'application/json': { schema: schemaOf(gives) } };
  if (gives.startsWith('text/')) return { [gives]: { schema: { type: 'string' } } };
  // OpenAPI 3.1: raw bytes have no schema.
  return { [gives]: gives.endsWith('json') ? { schema: { type: 'object' } } : {} };
}

function parametersOf(name: string, route: Route, schemaOf: SchemaOf): Json[] {
  const header = (title: string, required: boolean, schema: Json, description: string): Json => ({
    name: title,
    in: 'header',
    required,
    schema,
    description,
  });
  return [
    ...members('path', route.params, schemaOf),
    ...members('query', route.query, schemaOf),
    ...(route.idempotent === true
      ? [header('Idempotency-Key', true, schemaOf(IdempotencyKey), 'a repeated key has no further effect')]
      : []),
    ...(name === 'stream'
      ? [header('Last-Event-ID', false, { type: 'string' }, 'id of the last received event')]
      : []),
  ];
}

/** Returns one parameter for each property of an object schema. */
function members(part: 'path' | 'query', schema: TSchema | undefined, schemaOf: SchemaOf): Json[] {
  if (schema === undefined) return [];
  const { properties, required = [] } = schema as TSchema & {
    properties: Record<string, TSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, member]) => ({
    name,
    in: part,
    required: required.includes(name),
    schema: schemaOf(member),
  }));
}

function refusalsOf({ method, action, params, query, body, refusals = [] }: Route): Refusal[] {
  const takes = params !== undefined || query !== undefined || body !== undefined;
  const all = new Set<Refusal>([
    ...(takes ? ([400] as const) : []),
    ...(action !== 'open' ? ([401] as const) : []),
    ...(action !== 'open' || body !== undefined ? ([403] as const) : []),
    ...(params !== undefined ? ([404] as const) : []),
    ...(method === 'POST' && params !== undefined ? ([409] as const) : []),
    ...(body !== undefined ? ([413, 415] as const) : []),
    ...([421, 429, 500, 503] as const),
    ...refusals,
  ]);
  return [...all].sort((a, b) => a - b);
}

function webhook(type: WebhookType, { answerSchema }: Forms): JsonObject {
  const header = (name: string, description: string): Json => ({
    name,
    in: 'header',
    required: true,
    schema: { type: 'string' },
    description,
  });
  return {
    post: {
      summary: WEBHOOKS[type],
      security: [],
      parameters: [
        header('webhook-id', 'the same when the message comes again'),
        header('webhook-timestamp', 'of this try, s since 1970'),
        header('webhook-signature', 'v1 and HMAC-SHA256 of id, timestamp and body, in base64'),
      ],
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: answerSchema(WEBHOOK_MESSAGES[type]),
            example: WEBHOOK_EXAMPLES[type] as Json,
          },
        },
      },
      responses: { '2XX': { description: 'received; after any other answer the message is sent again' } },
    },
  };
}

/** Moves each named schema once into `schemas`, and replaces every use by a reference to it. */
function referred(value: Json, schemas: Map<string, Json>): Json {
  if (Array.isArray(value)) return value.map((item: Json) => referred(item, schemas));
  if (!isObject(value)) return value;
  const { $id, ...rest } = value;
  const inner = Object.fromEntries(Object.entries(rest).map(([key, part]) => [key, referred(part, schemas)]));
  if (typeof $id !== 'string') return inner;
  schemas.set($id, inner);
  return { $ref: `#/components/schemas/${$id}` };
}
