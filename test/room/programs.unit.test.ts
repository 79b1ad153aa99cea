/** Unit tests of the console's interfaces: tables, the order of webhook messages, and the OpenAPI document. */
import { Validator } from '@seriousme/openapi-schema-validator';
import fc from 'fast-check';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import t from 'tap';
import { cellOf, csvLines } from '../../scripts/products/room/console/csv.ts';
import { incidentsParquet } from '../../scripts/products/room/console/parquet.ts';
import { stepsOf } from '../../scripts/products/room/console/webhook-messages.ts';
import { ROUTES } from '../../scripts/products/room/contract/api.ts';
import type { Camera } from '../../scripts/products/room/contract/camera.ts';
import type { Incident } from '../../scripts/products/room/contract/incident.ts';
import { openApi } from '../../scripts/products/room/contract/openapi.ts';
import { WEBHOOK_TYPES } from '../../scripts/products/room/contract/webhook.ts';
import { incidentOf } from '../lib/app-incident.ts';

async function* each<T>(rows: readonly T[]): AsyncGenerator<T> {
  yield* rows;
}

async function textOf(lines: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const line of lines) text += line;
  return text;
}

/**
 * Parses RFC 4180 strictly. With another separator, as spreadsheets of other countries use, it allows no quote within.
 */
function cellsOf(text: string, separator: string): string[] {
  const cells = [''];
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const [char = '', last = ''] = [text[i], cells.at(-1)];
    if (quoted && char === '"' && text[i + 1] === '"') {
      cells[cells.length - 1] = `${last}"`;
      i += 1;
    } else if (char === '"' && (quoted || last === '')) quoted = !quoted;
    else if (!quoted && (char === separator || char === '\r' || char === '\n')) cells.push('');
    else cells[cells.length - 1] = last + char;
  }
  return cells;
}

void t.test('a table is RFC 4180 in UTF-8 with a byte order mark', async (t) => {
  const rows = [
    { no: 1, text: 'a "quoted", one\nof two lines', when: null, list: [{ label: 'car' }], extra: 'left out' },
    { no: 2, text: 'déposé', when: '2026-05-04T10:00:00.000Z', list: [], extra: '' },
  ];
  t.equal(
    await textOf(csvLines(['no', 'text', 'when', 'list'], each(rows))),
    '\ufeffno,text,when,list\r\n' +
      '1,"a ""quoted"", one\nof two lines",,"[{""label"":""car""}]"\r\n' +
      '2,déposé,2026-05-04T10:00:00.000Z,[]\r\n',
  );
  t.equal(
    await textOf(csvLines(['no'], each<{ no: number }>([]))),
    '\ufeffno\r\n',
    'without rows: the header',
  );
});

void t.test('no cell is a formula, and a number stays a number', async (t) => {
  const cases: readonly [unknown, string][] = [
    ['=1+1', "'=1+1"],
    ['+33 1', "'+33 1"],
    ['-2+3', "'-2+3"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', "'\t'=1"],
    ['\r=1', "'\r'=1"],
    ['  =1', "'  =1"],
    ['\u00a0\u200b=1', "'\u00a0\u200b=1"],
    ['＝1', "'＝1"],
    ['＋1', "'＋1"],
    ['a;=1', "a;'=1"],
    ['a;"=1', 'a;\'"=1'],
    ['a\n=1', "a\n'=1"],
    ['a=1', 'a=1'],
    ['-1.5', "'-1.5"],
    [-1.5, '-1.5'],
    [true, 'true'],
    [undefined, ''],
  ];
  for (const [value, cell] of cases) t.equal(cellOf(value), cell, JSON.stringify(value));
  // Any text must be safe for any separator that the reader uses.
  const nasty = fc.string({ unit: fc.constantFrom(...'=+-@|%,;\t\r\n" \u3000\u200b＝＠1a'), maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(nasty, { minLength: 1, maxLength: 4 }), async (texts) => {
      const columns = texts.map((_, i) => String(i));
      const row = Object.fromEntries(texts.map((text, i) => [String(i), text]));
      const text = (await textOf(csvLines(columns, each([row])))).slice(1);
      const line = text.slice(text.indexOf('\r\n') + 2);
      for (const separator of [',', ';', '\t']) {
        for (const cell of cellsOf(line, separator)) {
          if (/^[\s\p{Cf}]*[=+\-@＝＋－＠]/u.test(cell)) {
            throw new Error(`${JSON.stringify(cell)} with ${JSON.stringify(separator)}`);
          }
        }
      }
    }),
    { numRuns: 400 },
  );
});

const incident = (no: number, rev: number, state = 'new'): Incident =>
  ({ no, rev, state, claimedBy: 'ada', dispatchedBy: 'bob', site: 'lyon' }) as Incident;
const changesOf = (rev: number, ...incidents: Incident[]) => ({
  rev,
  incidents,
  cameras: [],
  removedCameras: [],
});
const NOW = '2026-05-04T10:00:00.000Z';

void t.test('webhook messages are sorted, and the cursor covers what was sent', async (t) => {
  const place = { rev: 10, incident: 4 };
  const camera = { site: 'lyon', box: 'b-1' } as Camera;
  const changes = {
    rev: 20,
    incidents: [incident(3, 12), incident(6, 13), incident(5, 15, 'closed')],
    cameras: [camera],
    removedCameras: [],
  };
  const revs = [{ site: 'lyon', box: 'b-1', rev: 14 }];
  const cursor = { place, deliveredNos: new Set<number>(), later: undefined };
  const steps = stepsOf(changes, revs, cursor, WEBHOOK_TYPES, NOW);
  t.strictSame(
    steps.map(({ messages, place }) => [messages.map(({ id }) => id), place]),
    [
      [['incident-3-12-changed'], { rev: 12, incident: 4 }],
      // The fifth has not been sent: after a crash here it must still count as new.
      [['incident-6-13-received'], { rev: 13, incident: 4 }],
      [['camera-lyon-b-1-14'], { rev: 14, incident: 4 }],
      [['incident-5-15-received', 'incident-5-15-closed'], { rev: 15, incident: 6 }],
      [[], { rev: 20, incident: 6 }],
    ],
  );
  const bodies = steps.flatMap(({ messages }) => messages.map(({ body }) => JSON.stringify(body)));
  t.notMatch(bodies.join(), /ada|bob|claimedBy|dispatchedBy/, 'no user’s name');
  const laterCursor = { place: { rev: 13, incident: 4 }, deliveredNos: new Set([6]), later: undefined };
  t.match(
    stepsOf(changesOf(21, incident(6, 21)), [], laterCursor, WEBHOOK_TYPES, NOW)[0],
    { messages: [{ id: 'incident-6-21-changed' }] },
    'received once',
  );
  const cutCursor = { place, deliveredNos: new Set<number>(), later: 5 };
  t.match(
    stepsOf(changesOf(13, incident(6, 13)), [], cutCursor, WEBHOOK_TYPES, NOW).at(-1),
    { place: { rev: 13, incident: 4 } },
    'a new one that lies beyond these changes is waited for',
  );
  const both = changesOf(12, incident(1, 12), incident(2, 12));
  t.strictSame(
    stepsOf(both, [], cursor, ['camera.changed'], NOW).map(({ messages, place: { rev } }) => [
      messages.length,
      rev,
    ]),
    [
      [0, 11],
      [0, 12],
      [0, 12],
    ],
    'two of one change are settled together; unwanted kinds are skipped',
  );
});

void t.test('the interface is described as OpenAPI 3.1', async (t) => {
  const document = openApi('1.2.3') as {
    paths: Record<string, Record<string, { operationId: string; responses: object; security?: unknown[] }>>;
    components: { schemas: object };
    webhooks: object;
  };
  const { valid, errors } = await new Validator().validate(structuredClone(document) as never);
  t.ok(valid, JSON.stringify(errors));
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  t.strictSame(operations.map(({ operationId }) => operationId).sort(), Object.keys(ROUTES).sort());
  t.strictSame(Object.keys(document.webhooks), [...WEBHOOK_TYPES]);
  const schemas = Object.keys(document.components.schemas);
  for (const name of ['AuditEntry', 'Camera', 'Incident', 'Problem', 'RemovedCamera', 'Suppression'])
    t.ok(schemas.includes(name), name);
  t.notMatch(JSON.stringify(document), /"\$id"|"additionalItems"/);
  const text = JSON.stringify(document);
  for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
    t.ok(name in document.components.schemas);
  const dispatch = document.paths['/api/incidents/{no}/dispatch']?.['post'];
  t.match(dispatch, {
    parameters: [
      { name: 'no', in: 'path', required: true },
      { name: 'Idempotency-Key', required: true },
    ],
  });
  const statuses = '200 400 401 403 404 409 413 415 421 429 500 503'.split(' ');
  t.strictSame(Object.keys(dispatch?.responses ?? {}), statuses);
  t.strictSame(document.paths['/api/openapi.json']?.['get']?.security, [], 'it is public');
});

void t.test('an export of incidents as Parquet keeps its types', async (t) => {
  const at = '2026-05-04T10:00:00.123Z';
  const times = { startedAt: at, received: at, dispatchedAt: at, patrolAnswerAt: at, arrivedAt: at };
  const one = incidentOf(2 ** 40, {
    ...times,
    rev: 7,
    cause: { seconds: 60.5, text: '=déposé' },
    state: 'dispatched',
    dispatchedBy: 'ada',
    patrol: 'Patrol north',
    patrolAnswer: 'arrived',
  });
  const all = [one, { ...one, no: 1, endedAt: at, verdict: 'confirmed' as const, reopens: 5 }];
  const bytes = await incidentsParquet(each(all));
  const rows = await parquetReadObjects({ file: fileOf(bytes) });
  t.equal(rows.length, 2);
  const time = new Date(at);
  const parsed = Object.fromEntries(Object.keys(times).map((name) => [name, time]));
  t.same(rows[0], { ...one, no: BigInt(one.no), rev: 7n, ...parsed });
  t.match(rows[1], { no: 1n, endedAt: time, verdict: 'confirmed', reopens: 5n });
  const { num_rows: none } = await parquetMetadataAsync(fileOf(await incidentsParquet(each<Incident>([]))));
  t.equal(none, 0n, 'no incident: a file without rows');
});

const fileOf = (bytes: Buffer): ArrayBuffer =>
  bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
