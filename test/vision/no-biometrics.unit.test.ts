/**
 * Proves that identifying data has no field to travel in: walks the schemas of everything that leaves vision or the
 * box.
 */
import type { TSchema } from '@sinclair/typebox';
import t from 'tap';
import { INFERENCE_ELEMENTS } from '../../agent/contract/inference-element.ts';
import { LABELS } from '../../agent/contract/label.ts';
import { FromVision } from '../../agent/contract/link.ts';
import { MESSAGES } from '../../agent/contract/messages.ts';
import type { Detection } from '../../agent/contract/picture.ts';
import { COLOURS } from '../../agent/contract/track-log.ts';
import { SETTINGS } from '../../agent/vision/track/settings.ts';
import { TrackState } from '../../agent/vision/track/track-state.ts';

/** Words for data that distinguishes one person, or one vehicle, from all others. */
const NAMING = new RegExp(
  '^(embeddings?|features?|descriptors?|appearance|histograms?|colou?rs?|prints?|vectors?|faces?|facial|plates?|licen[cs]e|' +
    'landmarks?|keypoints?|pose|gait|skin|hair|cloth(es|ing)|gender|sex|ethnic(ity)?|biometrics?|identity|reid|persons?|' +
    'pixels?|thumbnails?|crops?)$',
  'i',
);
/** Name of the incident in which two boxes claim one name. */
const HARMLESS = new Set(['identity-conflict']);
/** A boolean: the content of a box has moved along with it. */
const PIXELS_MOVE = 'pixelsMove';
/** Colours of a vehicle, where the authorisation allows them: at most two names out of a closed list. */
const VEHICLE_COLOURS = 'colours';
/** Path of the statistics of the clean plate in a snapshot: a ratio and an age. */
const EMPTY_PLACE = /\/redaction\/cleanPlate$/;
/** Longest list of numbers. A box has four, a point two, and an appearance vector dozens. */
const NUMBERS_MAX = 4;

interface Field {
  readonly path: string;
  readonly name: string;
  readonly schema: TSchema;
}

/** Every field of a schema, at any depth. */
function fieldsOf(schema: TSchema, path: string): Field[] {
  const fields: Field[] = [];
  for (const [name, inner] of Object.entries((schema['properties'] ?? {}) as Record<string, TSchema>)) {
    fields.push({ path: `${path}/${name}`, name, schema: inner });
  }
  const parts = [schema['anyOf'], schema['allOf'], schema['oneOf'], schema['items']].flat() as TSchema[];
  const records = Object.values((schema['patternProperties'] ?? {}) as Record<string, TSchema>);
  const inner = [...fields, ...[...parts, ...records].filter(Boolean).map((one) => ({ path, schema: one }))];
  return [...fields, ...inner.flatMap((one) => fieldsOf(one.schema, one.path))];
}

/** True for an array of numbers without a short, fixed length. */
function isVector({ type, items, maxItems }: TSchema): boolean {
  if (type !== 'array' || Array.isArray(items)) return false;
  const numeric = ['number', 'integer'].includes((items as TSchema | undefined)?.['type'] as string);
  return numeric && ((maxItems as number | undefined) ?? Number.POSITIVE_INFINITY) > NUMBERS_MAX;
}

/** True for a list of at most two literals of the closed list, without numbers or free text. */
function isShortListOfNames({ type, items, maxItems }: TSchema): boolean {
  if (type !== 'array' || ((maxItems as number | undefined) ?? Number.POSITIVE_INFINITY) > 2) return false;
  const names = ((items as TSchema | undefined)?.['anyOf'] ?? []) as TSchema[];
  return names.length > 0 && names.every((name) => COLOURS.some((colour) => colour === name['const']));
}

/** True if a word of the name is in NAMING; `colourHistogram` and `colour_histogram` are two words each. */
function isNaming({ path, name, schema }: Field): boolean {
  // A field of another project's format that must stay empty.
  if (schema['type'] === 'null') return false;
  if (name === PIXELS_MOVE && schema['type'] === 'boolean') return false;
  if (name === VEHICLE_COLOURS && isShortListOfNames(schema)) return false;
  const words = name.replace(/([a-z])([A-Z])/g, '$1 $2').split(/[ _.-]+/);
  return !HARMLESS.has(name) && !EMPTY_PLACE.test(path) && words.some((word) => NAMING.test(word));
}

/** Paths of latency histograms: one count for each bound, the same for every street. */
const HISTOGRAMS: ReadonlySet<string> = new Set(['link/stats/stages/latency/counts']);

function forbiddenFieldsOf(schema: TSchema, name: string): string[] {
  return fieldsOf(schema, name)
    .filter((field) => isNaming(field) || (isVector(field.schema) && !HISTOGRAMS.has(field.path)))
    .map(({ path }) => path);
}

t.test('the search finds naming fields and vectors', async (t) => {
  const object = (properties: Record<string, unknown>): TSchema =>
    ({ type: 'object', properties }) as unknown as TSchema;
  const numbers = { type: 'array', items: { type: 'number' } };
  const inTracks = (field: string): TSchema =>
    object({ tracks: { type: 'array', items: { anyOf: [object({ [field]: { type: 'string' } })] } } });
  for (const field of [
    'embedding',
    'colourHistogram',
    'plate',
    'faceId',
    'reidVector',
    'hair',
    'pixelsMove',
  ]) {
    t.same(forbiddenFieldsOf(inTracks(field), 'x'), [`x/tracks/${field}`], field);
  }
  t.same(forbiddenFieldsOf(object({ values: numbers }), 'x'), ['x/values'], 'whatever it is called');
  const names = { anyOf: COLOURS.map((name) => ({ const: name, type: 'string' })) };
  const colours = (over: object): TSchema =>
    object({ colours: { type: 'array', items: names, maxItems: 2, ...over } });
  t.same(forbiddenFieldsOf(colours({}), 'x'), [], 'two names out of eight');
  for (const over of [
    { maxItems: 3 },
    { maxItems: undefined },
    { items: { type: 'string' } },
    { items: { type: 'number' } },
  ])
    t.same(forbiddenFieldsOf(colours(over), 'x'), ['x/colours'], JSON.stringify(over));
  t.same(forbiddenFieldsOf(object({ xyxyNorm: { ...numbers, maxItems: 4 } }), 'x'), []);
  const redaction = object({ cleanPlate: object({ ratio: { type: 'number' }, plate: { type: 'string' } }) });
  t.same(
    forbiddenFieldsOf(object({ redaction }), 'x'),
    ['x/redaction/cleanPlate/plate'],
    'the clean plate is not a licence plate',
  );
});

t.test('no schema that leaves vision or the box has a field that identifies a person', async (t) => {
  t.same(forbiddenFieldsOf(FromVision, 'link'), []);
  t.ok(fieldsOf(FromVision, 'link').length > 50);
  const schemas = MESSAGES.flatMap(({ name, schema }) => (schema === undefined ? [] : [{ name, schema }]));
  t.ok(schemas.length > 8);
  for (const { name, schema } of schemas) t.same(forbiddenFieldsOf(schema, name), [], name);
});

t.test('the detector knows exactly these ten classes', async (t) => {
  const vehicles = ['bicycle', 'car', 'motorcycle', 'bus', 'truck'];
  t.same(Object.values(LABELS), ['person', ...vehicles, 'dog', 'backpack', 'handbag', 'suitcase']);
});

t.test('the colours of a track are erased after 2 s and never reported', async (t) => {
  const detection: Detection = { group: 'person', label: 'person', score: 0.8, xyxyPx: [0, 0, 40, 100] };
  const edges = { width: false, height: false };
  // Each half of one colour: two such prints are nothing alike.
  const oneColour = (colour: number): Float32Array =>
    new Float32Array(72).map((_, i) => (i % 36 === colour ? 1 : 0));
  const print = oneColour(0);
  const track = new TrackState(7, { detection, cutSides: edges, print, crowded: false }, 0, SETTINGS);
  // Other colours at the same place match perfectly only a track that has forgotten its own.
  const other = oneColour(1);
  const worth = (): number => track.worth({ detection, cutSides: edges, print: other, crowded: false }, 0.9);
  track.predict(2, 2000);
  t.equal(worth(), 0);
  const fields = Object.keys(track.toTrack(2000)).sort();
  const facts = [
    'before',
    'bestScore',
    'firstMs',
    'group',
    'id',
    'label',
    'lastMs',
    'score',
    'seen',
    'velocityPxPerS',
    'xyxyPx',
  ];
  t.same(fields, facts);
  track.predict(0.1, 2001);
  t.equal(worth(), 0.9);
});

t.test('elements that get pictures are a closed list, and no property names a file or server', async (t) => {
  const names = [
    'onnxinference',
    'hailonet',
    'tfliteinference',
    'tfliteedgetpuinference',
    'tflitevsiinference',
  ];
  t.same(Object.keys(INFERENCE_ELEMENTS), names);
  for (const { fixed, properties } of Object.values(INFERENCE_ELEMENTS))
    for (const value of [...Object.values(fixed), ...Object.values(properties).flat()])
      t.match(value, /^[a-z0-9-]{1,16}$/);
});
