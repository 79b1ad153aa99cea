/**
 * Reads and checks the model card: models/<name>.json describes the model file, its labels, its input and its accuracy.
 * The ONNX file is read only after its card allows it, and loaded only if its SHA-256 is the card's.
 *
 * LIMITS: a card is at most 256 KiB, a model at most 256 MiB; larger files are refused unread.
 */
import { createHash } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, hasCode, messageOf } from '../../base/errors.ts';
import { type Group, GroupSchema, groupOf, LABELS, type Label, LabelSchema } from '../../contract/label.ts';
import { FeaturesCard } from './features.ts';

/** Maximum size of a card in bytes; this project's cards have about 4 kB. */
const CARD_BYTES_MAX = 262_144;
/**
 * Maximum size of a model in bytes. The box's detectors have 4 to 60 MB, and vision's systemd unit has memory for no
 * more than this.
 */
const MODEL_BYTES_MAX = 268_435_456;

const Text = Type.String({ minLength: 1, maxLength: 2000 });
const Score = Type.Number({ minimum: 0, maximum: 1 });
const Ratio = Type.Number({ exclusiveMinimum: 0, maximum: 1 });
const SidePx = Type.Integer({ minimum: 32, maximum: 1920, multipleOf: 32 });

/** Limits for detections of one class group. */
const GroupThresholds = Type.Object({
  labels: Type.Array(LabelSchema, { minItems: 1, maxItems: 16 }),
  startScoreMin: { ...Score, description: 'a new track may begin with such a detection' },
  lowScoreMin: { ...Score, description: 'a weaker detection may still continue a track' },
  nmsIouMax: { ...Ratio, description: 'of two boxes of the group that overlap more, the weaker one goes' },
  boxShareMax: { ...Ratio, description: 'a box with a larger ratio of the frame’s area is dropped' },
});
export type GroupThresholds = Static<typeof GroupThresholds>;

/** Output of a network that HailoRT has compiled together with its suppression of duplicates. */
const HailoCard = Type.Object(
  {
    output: { ...Text, description: 'name of its only output' },
    order: Type.Union([Type.Literal('by-class'), Type.Literal('by-score')]),
    classes: Type.Integer({
      minimum: 1,
      maximum: 91,
      description: 'number of classes that the network tells apart',
    }),
    labels: Type.Record(Type.String({ pattern: '^\\d{1,2}$' }), Type.Integer({ minimum: 0, maximum: 90 }), {
      minProperties: 1,
      description: 'class of the network → label index in `classes`; all other classes are dropped',
    }),
    boxesMax: Type.Integer({
      minimum: 1,
      maximum: 512,
      description: 'maximum number of boxes, of each class (by-class) or of all (by-score)',
    }),
  },
  { description: 'output of a .hef' },
);
export type HailoCard = Static<typeof HailoCard>;

/** Fields that the program uses. A card may contain more (recipe, advice, measurements) for people. */
export const ModelCard = Type.Object({
  name: Type.String({ pattern: '^[a-z0-9-]{1,64}$' }),
  file: Type.String({
    pattern: '^[a-z0-9-]{1,64}\\.(onnx|tflite|hef)$',
    description: 'a file beside the card',
  }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  bytes: Type.Integer({ minimum: 1, maximum: MODEL_BYTES_MAX }),
  weights: Type.Object({ model: Text, source: Text, licence: Text }),
  classes: Type.Record(Type.String({ pattern: '^\\d{1,3}$' }), Text, {
    minProperties: 1,
    description: 'label index of the model → name',
  }),
  input: Type.Object({
    name: Text,
    layout: Type.Literal('NHWC'),
    dtype: Type.Literal('uint8'),
    colour: Type.Literal('RGB'),
    letterbox: Type.Literal('centred, black'),
    multipleOf: Type.Integer({ minimum: 1, maximum: 256 }),
    default: Type.Tuple([SidePx, SidePx], { description: 'width, height' }),
    fixed: Type.Optional(Type.Boolean({ description: 'it takes its default size only' })),
  }),
  features: Type.Optional(FeaturesCard),
  decoder: Type.Optional(
    Type.Literal('ssdobjectdetector', {
      description: 'the GStreamer element that turns the output of another element into detections',
    }),
  ),
  hailo: Type.Optional(HailoCard),
  inGraph: Type.Object({ scoreMin: { ...Score, description: 'floor of the scores that come out' } }),
  thresholds: Type.Object({ groups: Type.Partial(Type.Record(GroupSchema, GroupThresholds)) }),
  accuracy: Type.Array(Type.Object({}), {
    maxItems: 64,
    description: 'accuracy results and how they were measured',
  }),
});
export type ModelCard = Static<typeof ModelCard>;

/**
 * Parses the card in `text`, which came from `path`.
 * @throws AgentError `corrupt` (not JSON, not a card), `config` (a class that no detector may name)
 */
export function parseCard(text: string, path: string): ModelCard {
  let card: unknown;
  try {
    card = JSON.parse(text);
  } catch (error) {
    throw new AgentError('corrupt', `model card ${path} is not JSON (${messageOf(error)})`, error);
  }
  if (!Value.Check(ModelCard, card)) {
    const first = Value.Errors(ModelCard, card).First();
    const place = first === undefined || first.path === '' ? '/' : first.path;
    throw new AgentError('corrupt', `model card ${path}: ${place}: ${first?.message ?? 'not a model card'}`);
  }
  for (const [index, name] of Object.entries(card.classes)) {
    const label = allowedLabel(index, name, path);
    const isListed = card.thresholds.groups[groupOf(label)]?.labels.includes(label) ?? false;
    if (!isListed) {
      const place = `/thresholds/groups/${groupOf(label)}/labels`;
      throw new AgentError('corrupt', `model card ${path}: ${place}: ${label} is missing there`);
    }
  }
  for (const [index, label] of Object.entries(card.hailo?.labels ?? {})) {
    if (!Object.hasOwn(card.classes, String(label))) {
      throw new AgentError(
        'corrupt',
        `model card ${path}: /hailo/labels/${index}: label ${label} is missing in /classes`,
      );
    }
  }
  return card;
}

/** Returns the thresholds of a group of which the card names a label; a parsed card has them. */
export function thresholdsOf(card: ModelCard, group: Group): GroupThresholds {
  const thresholds = card.thresholds.groups[group];
  // The message is built only on failure, because this is called for each box.
  if (thresholds === undefined)
    throw new AgentError('bug', `model card ${card.name} lacks thresholds for ${group}`);
  return thresholds;
}

function allowedLabel(index: string, name: string, path: string): Label {
  const allowed: Readonly<Record<string, Label>> = LABELS;
  const label = Object.hasOwn(allowed, index) ? allowed[index] : undefined;
  if (label !== undefined && label === name) return label;
  const list = Object.entries(allowed).map(([classIndex, label]) => `${classIndex} ${label}`);
  throw new AgentError(
    'config',
    `model card ${path}: class ${index} "${name}" is not a class that a detector may report (${list.join(', ')}); ` +
      'this model is refused',
  );
}

/**
 * Reads models/<name>.json.
 * @throws AgentError `config` (no such card, foreign classes), `corrupt`
 */
export async function readCard(modelDir: string, name: string): Promise<ModelCard> {
  const path = join(modelDir, `${name}.json`);
  const bytes = await readFully(path, CARD_BYTES_MAX);
  if (bytes === undefined) {
    const modelNames = await knownModels(modelDir);
    throw new AgentError(
      'config',
      `no model card ${path}; models found there: ${modelNames.join(', ') || 'none'}`,
    );
  }
  const card = parseCard(bytes.toString('utf8'), path);
  if (card.name !== name) throw new AgentError('corrupt', `model card ${path} is that of "${card.name}"`);
  return card;
}

/**
 * Reads the card's model, verified to be the bytes that the card's author measured.
 * @throws AgentError `config` (missing file), `corrupt` (truncated or altered)
 */
export async function readModel(modelDir: string, card: ModelCard): Promise<Buffer> {
  const path = join(modelDir, card.file);
  const remedy = 'install the package again or run scripts/model build';
  const bytes = await readFully(path, MODEL_BYTES_MAX);
  if (bytes === undefined) throw new AgentError('config', `model file ${path} is missing: ${remedy}`);
  if (bytes.length !== card.bytes) {
    const damage = bytes.length < card.bytes ? 'truncated' : 'altered';
    throw new AgentError(
      'corrupt',
      `model file ${path} is ${damage}: ${bytes.length} bytes instead of ${card.bytes}: ${remedy}`,
    );
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== card.sha256) {
    throw new AgentError(
      'corrupt',
      `model file ${path} is altered: SHA-256 ${sha256} instead of ${card.sha256}: ${remedy}`,
    );
  }
  return bytes;
}

/** Returns the file's bytes, or undefined if there is no file. */
async function readFully(path: string, bytesMax: number): Promise<Buffer | undefined> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      if (size > bytesMax) throw new AgentError('corrupt', `${path} is larger than ${bytesMax} bytes`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof AgentError) throw error;
    if (hasCode(error, 'ENOENT')) return undefined;
    throw new AgentError('config', `cannot read ${path}: ${messageOf(error)}`, error);
  }
}

async function knownModels(modelDir: string): Promise<string[]> {
  try {
    const files = await readdir(modelDir);
    return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
  } catch (error) {
    throw new AgentError('config', `cannot read the model folder ${modelDir}: ${messageOf(error)}`, error);
  }
}
