/**
 * Tests that no input makes the loader throw, hang or show a secret, and that accepted configurations fit the schema.
 */
import { isDeepStrictEqual } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import t from 'tap';
import { parse, stringify } from 'yaml';
import { CONFIG_KEYS } from '../../agent/config/environment.ts';
import { EXAMPLE } from '../../agent/config/example.ts';
import { type ConfigMode, inspectText, problemText } from '../../agent/config/load.ts';
import { Config } from '../../agent/contract/config.ts';
import { anyCharacter } from '../lib/characters.ts';
import { cpuMsSince } from '../lib/cpu-time.ts';
import { SEED } from '../lib/random.ts';
import { ALL, FULL } from '../lib/run.ts';

const RUNS = FULL ? 100_000 : ALL ? 500 : 50;
/** Number of the hostile texts: the default run has those that take least. */
const HOSTILE_TEXTS = ALL ? 15 : 6;
// The full run takes six minutes on one core of a laptop, and several times that on a board.
if (FULL) t.setTimeout(3_600_000);

const BASE = EXAMPLE.replace('rtsp://10.0.0.2', 'rtsp://admin:hunter2@10.0.0.2');
const MODES: readonly ConfigMode[] = ['run', 'replay', 'check'];

interface Outcome {
  readonly accepted: boolean;
  readonly problem: string | undefined;
}

/** Loads a text and describes what is wrong with the loader's answer, if anything. */
function checkLoad(text: string, env: Record<string, string>, mode: ConfigMode): Outcome {
  const { config, problems, warnings } = inspectText(text, { env, mode, files: false });
  const findProblem = (): string | undefined => {
    if ((config === undefined) === (problems.length === 0)) return 'neither accepted nor refused, or both';
    if (config !== undefined && !Value.Check(Config, config)) return 'accepted, but does not fit the schema';
    if (config !== undefined && !Object.isFrozen(config.detector.input)) return 'not frozen';
    const lineCount = text.split(/\r\n|\r|\n/).length;
    for (const problem of [...problems, ...warnings]) {
      const line = problemText('f', problem);
      // Cut from its address and put under another key, the word is no longer a secret.
      const secret = text.includes('hunter2@') || /^(camera|mqtt)/.test(problem.path);
      if (secret && line.includes('hunter2')) return `a secret is shown: ${line}`;
      if (/\n|undefined|\[object|NaN/.test(problem.message)) return `not one line for a person: ${line}`;
      const placed = problem.line !== null && problem.column !== null && problem.line <= lineCount;
      if (!placed && problem.variable === null) return `no place: ${line}`;
      const hasNoPath = /YAML|group of keys|key must be plain/.test(problem.message);
      if (problem.path === '' && problem.variable === null && !hasNoPath) return `no path: ${line}`;
    }
    return undefined;
  };
  return { accepted: config !== undefined, problem: findProblem() };
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A key with its value; in a list, the key is ignored. */
type Slot = [key: string, value: Json];
interface Edit {
  readonly at: number;
  readonly operation: keyof typeof OPERATIONS;
  readonly value: Json;
  readonly name: string;
}

/** Slots that take the place of one. */
const OPERATIONS = {
  replace: ([key]: Slot, { value }: Edit): Slot[] => [[key, value]],
  remove: (): Slot[] => [],
  rename: ([, old]: Slot, { name }: Edit): Slot[] => [[name, old]],
  double: ([key, old]: Slot, { name }: Edit): Slot[] => [
    [key, old],
    [name, old],
  ],
  wrap: ([key, old]: Slot): Slot[] => [[key, [old]]],
  nudge: ([key, old]: Slot): Slot[] => [[key, typeof old === 'number' ? old * 1.01 : `${String(old)}x`]],
};

/** One edit of a structured configuration, at its n-th slot. */
const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat(200),
  operation: fc.constantFrom(...(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[])),
  value: fc.oneof(
    fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
    fc.constantFrom<Json>(null, '', 0, -1, 0.5, 1e308, '__proto__', 'evaluation', 'hunter2@', [[0, 0]], {}),
  ),
  name: fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom('__proto__', 'constructor', 'id', 'zone', '<<', '0'),
  ),
});

function edited(node: Json, one: Edit, left = { slots: one.at }): Json {
  if (node === null || typeof node !== 'object') return node;
  const slots = Object.entries(node).flatMap(([key, part]): Slot[] => {
    left.slots -= 1;
    return left.slots === 0 ? OPERATIONS[one.operation]([key, part], one) : [[key, edited(part, one, left)]];
  });
  return Array.isArray(node) ? slots.map(([, part]) => part) : Object.fromEntries(slots);
}

const structured = fc
  .record({ edits: fc.array(edit, { maxLength: 4 }), json: fc.boolean() })
  .map(({ edits, json }) => {
    const root = edits.reduce((node, one) => edited(node, one), parse(BASE) as Json);
    return json ? JSON.stringify(root) : stringify(root);
  });

/** Cuts, doublings and insertions in the text itself. */
const textual = fc
  .array(
    fc.record({
      at: fc.nat(BASE.length),
      length: fc.nat(40),
      insert: fc.oneof(
        fc.string({ unit: anyCharacter, maxLength: 8 }),
        fc.constantFrom(...'"\'[{#%*\t\n', '&a ', '!!x ', '- ', ': ', '|\n', '? ', '---\n'),
      ),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((cuts) =>
    cuts.reduce((text, { at, length, insert }) => text.slice(0, at) + insert + text.slice(at + length), BASE),
  );

const variables = fc.dictionary(
  fc.oneof(
    fc.constantFrom(...CONFIG_KEYS.map(({ variable }) => variable)),
    fc.string().map((s) => `VIGIE_${s}`),
  ),
  fc.oneof(
    fc.string(),
    fc.constantFrom('5', '416,256', 'true', 'mqtts://u:hunter2@h', 'test:pattern', '1e999'),
  ),
  { maxKeys: 3, noNullPrototype: true },
);
const environment = fc.oneof(fc.constant({}), fc.constant({}), variables);

const INPUTS = { structured, textual, random: fc.string({ unit: anyCharacter, maxLength: 400 }) };
const RUN_RATIOS = { structured: 0.6, textual: 0.35, random: 0.05 };

for (const [name, texts] of Object.entries(INPUTS)) {
  void t.test(`${name} input is accepted, or refused with reasons`, async (t) => {
    const numRuns = Math.ceil(RUNS * RUN_RATIOS[name as keyof typeof RUN_RATIOS]);
    let accepted = 0;
    fc.assert(
      fc.property(texts, environment, fc.constantFrom(...MODES), (text, env, mode) => {
        const outcome = checkLoad(text, env, mode);
        if (outcome.accepted) accepted += 1;
        if (outcome.problem !== undefined) throw new Error(outcome.problem);
      }),
      { numRuns, seed: SEED },
    );
    t.pass(`seed ${SEED}: ${numRuns} inputs, ${accepted} accepted`);
    if (ALL && name !== 'random') t.ok(accepted > 0 && accepted < numRuns, 'both outcomes were tried');
  });
}

void t.test('the same input always gives the same answer, and reading does not change it', async (t) => {
  const env = { VIGIE_CAMERA_FPS: '3' };
  const first = inspectText(BASE, { env, mode: 'check', files: false });
  const second = inspectText(BASE, { env, mode: 'check', files: false });
  t.ok(isDeepStrictEqual(first, second));
  t.same(env, { VIGIE_CAMERA_FPS: '3' });
});

void t.test('hostile texts of 256 KiB are refused within seconds', async (t) => {
  const fill = (piece: string): string => piece.repeat(Math.floor(262_144 / piece.length));
  const levels = 'abcdefgh';
  const bomb = [...levels].map(
    (name, i) =>
      `${name}: &${name} [${Array(9)
        .fill(i === 0 ? 'x' : `*${levels[i - 1]}`)
        .join(', ')}]`,
  );
  const texts: Record<string, string> = {
    bomb: bomb.join('\n'),
    'a login over and over': `camera: { source: "rtsp:${fill('pass')}" }`,
    'a colon and a slash': `site: "${fill(':/')}"`,
    documents: fill('---\n'),
    'open braces': fill('{a: '),
    'many keys': Array.from({ length: 30_000 }, (_, i) => `k${i}:`).join('\n'),
    'open brackets': fill('['),
    'nested lists': fill('- '),
    'nested keys': fill('? '),
    'one key over and over': fill('a:\n'),
    aliases: `a: &a 1\nb: [${fill('*a,')}]`,
    anchors: fill('&a '),
    tags: fill('!a '),
    quotes: fill('"'),
    'many zones': `zones: [${fill('{id: a, polygon: []},')}]`,
  };
  for (const [name, text] of Object.entries(texts).slice(0, HOSTILE_TEXTS)) {
    const before = process.cpuUsage();
    const { problem, accepted } = checkLoad(text, {}, 'check');
    t.equal(problem, undefined, name);
    t.notOk(accepted, `${name} is refused`);
    // The slowest takes about 2 s of CPU time; a quadratic step would take minutes.
    t.ok(cpuMsSince(before) < 15_000, `${name} takes no minutes`);
  }
});
