/** Tests of the API guide and the OpenAPI document: every path exists, and every example is valid. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import t from 'tap';
import { parse } from 'yaml';
import { MOMENTS } from '../../agent/contract/event.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { problemOf } from '../../scripts/products/room/console/fault.ts';
import { timeAsked } from '../../scripts/products/room/console/request-params.ts';
import { SettingsFile } from '../../scripts/products/room/console/settings.ts';
import { ACTION_ROUTES } from '../../scripts/products/room/contract/action-routes.ts';
import { ROUTES, type Route } from '../../scripts/products/room/contract/api.ts';
import { WEBHOOK_EXAMPLES } from '../../scripts/products/room/contract/examples.ts';
import { OpenCount } from '../../scripts/products/room/contract/incident.ts';
import { openApi } from '../../scripts/products/room/contract/openapi.ts';
import { AskedTime } from '../../scripts/products/room/contract/schema.ts';
import { WEBHOOK_TYPES } from '../../scripts/products/room/contract/webhook.ts';
import { ROOT } from '../lib/paths.ts';

interface Media {
  readonly schema: object;
  readonly example?: unknown;
}
interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, Partial<Media>>> }>
  >;
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

const GUIDE = readFileSync(join(ROOT, 'docs/guide/room-api.md'), 'utf8');
const DOCUMENT = openApi('0.0.0') as {
  paths: Paths;
  webhooks: Paths;
  components: { schemas: object; responses: object };
};

/** Code blocks of the guide in one language. */
const codeBlocks = (language: string): string[] =>
  [...GUIDE.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, code = '']) => code);

const ajv = new Ajv2020({ strict: true });
ajv.addSchema(
  withReferencesAt('urn:vigie:room#/$defs/', { $id: 'urn:vigie:room', $defs: DOCUMENT.components.schemas }),
);

/** Moves references to the document's schemas to where a validator finds them. */
function withReferencesAt(place: string, value: object): object {
  return JSON.parse(JSON.stringify(value).replaceAll('#/components/schemas/', place)) as object;
}
const compile = (schema: object): ValidateFunction =>
  ajv.compile(withReferencesAt('urn:vigie:room#/$defs/', schema));
const validate = (schema: object, value: unknown): true | object => {
  const check = compile(schema);
  return check(value) ? true : (check.errors ?? []);
};

/** Finds the operation of a path in the guide, whose parameters are either names or values. */
function operationOf(method: string, path: string): Operation | undefined {
  const matchingPath = Object.keys(DOCUMENT.paths).find((candidate) => {
    const [parts, own] = [candidate.split('/'), path.split('/')];
    return (
      parts.length === own.length &&
      parts.every((part, i) => (part.startsWith('{') ? isValue(own[i]) : part === own[i]))
    );
  });
  return matchingPath === undefined ? undefined : DOCUMENT.paths[matchingPath]?.[method.toLowerCase()];
}

/** Number, moment or name of a parameter in a path of the guide. */
const isValue = (part = ''): boolean =>
  /^\d+$|^\{/.test(part) || (MOMENTS as readonly string[]).includes(part);

/** A call of curl with a body, on one line. */
const POSTED = /^curl (.*) -d '(.*)' https:\/\/console\.example(\/\S+)$/gm;
/** The guide with each command on one line. */
const COMMANDS = GUIDE.replaceAll(/\\\n\s*/g, '');

void t.test('every path and method in the guide is in the OpenAPI document', async (t) => {
  const text = COMMANDS.replaceAll(POSTED, 'POST $3');
  const mentions = [...text.matchAll(/(?:\b(GET|POST) )?(\/api\/[\w{}/.-]*\w\}?)(\?[^\s"'`]+)?/g)];
  t.ok(mentions.length >= 20, `${mentions.length} found`);
  for (const [text, method = 'GET', path = '', query = ''] of mentions) {
    const operation = operationOf(method, path);
    t.ok(operation, text);
    for (const [name, value] of new URLSearchParams(query)) {
      const parameter = operation?.parameters?.find((one) => one.in === 'query' && one.name === name);
      const { schema = { not: {} } } = parameter ?? {};
      const isNumber = (schema as { type?: string }).type === 'integer';
      t.equal(validate(schema, isNumber ? Number(value) : value), true, `${text}: ${name}`);
    }
  }
  t.notOk(operationOf('POST', '/api/incidents/{no}/judge'), 'an act that has another path (control)');
});

void t.test('the guide’s table of actions is complete, and its bodies are accepted', async (t) => {
  const rows = [...GUIDE.matchAll(/^\| `POST (\S+)` \| `(.*)` \| (needed )?\|$/gm)];
  const posts: Route[] = [
    ...Object.values(ACTION_ROUTES),
    ...[ROUTES.patrol, ROUTES.suppress, ROUTES.unsuppress, ROUTES.sealed],
    ...[ROUTES.search, ROUTES.trackStill, ROUTES.tracks],
  ];
  t.strictSame(
    rows.map(([, path, , key]) => [path, key !== undefined]).sort(),
    posts.map(({ path, idempotent }) => [path.replace(':no', '{no}'), idempotent === true]).sort(),
  );
  for (const [, path = '', body = ''] of rows) {
    const schema = operationOf('POST', path)?.requestBody?.content['application/json']?.schema ?? { not: {} };
    t.equal(validate(schema, JSON.parse(body)), true, `${path} takes ${body}`);
    t.not(validate(schema, { ...(JSON.parse(body) as object), later: 1 }), true, 'and no further member');
  }
  const calls = [...COMMANDS.matchAll(POSTED)];
  t.ok(calls.length >= 2, `${calls.length} calls with a body`);
  for (const [call, headers, body = '', path = ''] of calls) {
    const schema = operationOf('POST', path)?.requestBody?.content['application/json']?.schema ?? { not: {} };
    t.equal(validate(schema, JSON.parse(body)), true, call);
    t.match(headers, "-H 'Content-Type: application/json'", 'curl would call it a form');
  }
});

void t.test('the guide lists the events of the stream that the console sends', async (t) => {
  const source = readFileSync(join(ROOT, 'scripts/products/room/console/stream.ts'), 'utf8');
  const [header = ''] = source.split('*/');
  const sentNames = new Set([...source.matchAll(/(?:eventOf\(|\[)'([a-z-]+)',/g)].map(([, name]) => name));
  t.ok(sentNames.size >= 9, [...sentNames].join(' '));
  const [, table = ''] = /^\| `event` \|.*\n.*\n((?:\|.*\n)+)/m.exec(GUIDE) ?? [];
  const cells = table.split('\n').map((row) => row.split('|')[1] ?? '');
  const namesIn = (text: string): string[] =>
    [...text.matchAll(/`([a-z-]+)`/g)].map(([, name]) => String(name));
  t.strictSame(cells.flatMap(namesIn).sort(), [...sentNames].sort());
  const list = [...header.matchAll(/^ \* - (`[^:]*):/gm)].flatMap(([, names]) => namesIn(String(names)));
  t.strictSame(list.sort(), [...sentNames].sort(), 'as in the comment of the console’s source');
  const summary = namesIn(ROUTES.stream.summary);
  t.strictSame(
    [...sentNames].filter((name) => name !== undefined && !summary.includes(name)),
    [],
    'the OpenAPI document names them too',
  );
  const [, count = ''] = /`open-count` \| `(\{.*?\})`/.exec(table) ?? [];
  t.equal(problemOf(OpenCount, JSON.parse(count)), undefined, count);
});

void t.test('the guide lists the statuses of all refusals in the OpenAPI document', async (t) => {
  const statuses = Object.values(DOCUMENT.paths)
    .flatMap((path) => Object.values(path))
    .flatMap(({ responses }) => Object.keys(responses));
  const rows = [...GUIDE.matchAll(/^\| (\d{3}) \|/gm)].map(([, status]) => status);
  t.strictSame(rows, [...new Set(statuses)].filter((status) => status !== '200').sort());
  const responses = (path: string, method: string): string[] =>
    Object.keys(operationOf(method, path)?.responses ?? {});
  for (const [method, path, status] of [
    ['POST', '/api/undo', '409'],
    ['POST', '/api/suppressions', '409'],
    ['POST', '/api/suppressions', '404'],
    ['POST', '/api/searches', '409'],
    ['POST', '/api/tracks', '409'],
    ['POST', '/api/tracks/still', '409'],
    ['GET', '/api/incidents.parquet', '413'],
    ['GET', '/api/plan', '404'],
  ] as const)
    t.ok(responses(path, method).includes(status), `${method} ${path}: ${status}`);
  t.notOk(responses('/api/queue', 'GET').includes('409'), 'a status that it never has (control)');
});

void t.test('the guide’s settings and webhook are valid', async (t) => {
  for (const yaml of codeBlocks('yaml')) {
    const settings = { database: 'room.db', ...(parse(yaml) as object) };
    t.equal(problemOf(SettingsFile, settings), undefined, yaml);
  }
  t.ok(codeBlocks('yaml').length >= 2);
  const messages = codeBlocks('json').map(
    (text) => JSON.parse(text) as { type: keyof typeof WEBHOOK_EXAMPLES },
  );
  t.strictSame(messages, [WEBHOOK_EXAMPLES['incident.received']], 'as in the OpenAPI document');
  const types = [...GUIDE.matchAll(/^\| `((?:incident|camera)\.\w+)` \|/gm)].map(([, type]) => type);
  t.strictSame(types, [...WEBHOOK_TYPES]);
});

void t.test(
  'examples in the OpenAPI document are valid, and their kinds are kinds of the contract',
  async (t) => {
    const kinds: string[] = EVENT_KINDS.map(({ kind }) => kind);
    for (const type of WEBHOOK_TYPES) {
      const { schema = { not: {} }, example } =
        DOCUMENT.webhooks[type]?.['post']?.requestBody?.content['application/json'] ?? {};
      t.equal(validate(schema, example), true, type);
      t.not(
        validate(schema, {
          ...(example as object),
          data: { ...(example as { data: object }).data, site: 5 },
        }),
        true,
        'a wrong type',
      );
      const { kind, reasons = [] } = (example as { data: { kind?: string; reasons?: string[] } }).data;
      for (const one of [...(kind === undefined ? [] : [kind]), ...reasons]) t.ok(kinds.includes(one), one);
    }
    const guides = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.md'),
    );
    const text = guides.map((file) => readFileSync(join(ROOT, 'docs', file), 'utf8')).join('\n');
    const mentions = [...text.matchAll(/vigie\.([a-z-]+)\.v1|evt\/(?:alert|notice|system)\/([a-z-]+)/g)];
    t.ok(mentions.length >= 3);
    for (const [mention, kind = '', other = ''] of mentions)
      t.ok([...kinds, 'outbox-gap'].includes(kind || other), mention);
  },
);

void t.test('every schema compiles in strict mode, and only answers allow further members', async (t) => {
  const schemas: [string, object][] = Object.entries(DOCUMENT.components.schemas as Record<string, object>);
  for (const [path, methods] of Object.entries({ ...DOCUMENT.paths, ...DOCUMENT.webhooks })) {
    for (const [method, { parameters = [], requestBody, responses }] of Object.entries(methods)) {
      const name = `${method} ${path}`;
      for (const one of parameters) schemas.push([`${name} ${one.name}`, one.schema]);
      const body = requestBody?.content['application/json']?.schema;
      if (body !== undefined) schemas.push([`${name} body`, body]);
      const answer = responses['200']?.content?.['application/json']?.schema;
      if (answer === undefined) continue;
      schemas.push([`${name} answer`, answer]);
      t.notMatch(JSON.stringify(answer), '"additionalProperties":false', `${name} answer`);
    }
  }
  for (const [name, schema] of schemas) t.doesNotThrow(() => compile(schema), name);
  t.notMatch(JSON.stringify(DOCUMENT.components), '"additionalProperties":false');
  t.notMatch(JSON.stringify(DOCUMENT.webhooks), '"additionalProperties":false');
});

void t.test('a time from a program must be valid RFC 3339 and exist in the calendar', async (t) => {
  const at = (text: string): number | string => {
    const problem = problemOf(AskedTime, text);
    if (problem !== undefined) return problem;
    try {
      return timeAsked('from', text);
    } catch (error) {
      return (error as Error).message;
    }
  };
  const noon = Date.UTC(2026, 10, 24, 12, 0, 0);
  const acceptedTimes: [string, number][] = [
    ['2026-11-24T12:00:00Z', noon],
    ['2026-11-24T12:00:00.000Z', noon],
    ['2026-11-24t12:00:00z', noon],
    ['2026-11-24T12:00:00.5Z', noon + 500],
    ['2026-11-24T12:00:00.123456789Z', noon + 123],
    ['2026-11-24T13:00:00+01:00', noon],
    ['2026-11-24T02:30:00-09:30', noon],
    ['2026-11-25T00:00:00+12:00', noon],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
  ];
  for (const [text, ms] of acceptedTimes) t.equal(at(text), ms, text);
  const days = '2026-02-30 2026-02-29 2026-13-01 2026-00-10 2026-04-31 2026-01-00 2100-02-29'.split(' ');
  for (const day of days) {
    t.equal(at(`${day}T12:00:00Z`), `from: ${day} does not exist; use a day of the calendar`);
    t.match(at(`${day}T00:30:00+01:00`), /^from: \S+ does not exist/, 'with an offset');
  }
  for (const text of ['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+01:00', '9999-12-31T23:59:59-01:00']) {
    t.match(at(text), /^from: .* is not a time of the years 0001 to 9999/, text);
  }
  const base = '2026-11-24T12:00:00';
  const times = '2026-11-24 2026-11-24T12:00Z 2026-11-24T24:00:00Z 2026-11-24T12:60:00Z today 1764000000';
  const ends = ['', '+24:00', ' 01:00', '+0100', '.Z', 'Z\n'].map((end) => base + end);
  const form = ['', ...times.split(' '), ...ends, ` ${base}Z`, '2026-11-24 12:00:00Z'];
  for (const text of form)
    t.match(at(text), /^it as a whole must be a time of RFC 3339, as 2026-11-24T13:03:12Z or/, text);
  fc.assert(
    fc.property(
      fc.date({ min: new Date('0002-01-01'), max: new Date('9998-12-31'), noInvalidDate: true }),
      fc.integer({ min: -1439, max: 1439 }),
      (date, minutes) => {
        const two = (n: number): string => String(n).padStart(2, '0');
        const offset = `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
        const local = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, -1);
        return at(`${local}${offset}`) === date.getTime();
      },
    ),
  );
});
