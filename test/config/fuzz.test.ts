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
import { SEED } from '../lib/random.ts';
import { ALL, FULL } from '../lib/run.ts';

const RUNS = FULL ? 100_000 : ALL ? 500 : 100;
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

/** One edit of a structured configuration: the n-th node is replaced, removed, renamed, doubled or wrapped. */
const edit = fc.record({
  at: fc.nat(400),
  operation: fc.constantFrom('replace', 'remove', 'rename', 'double', 'wrap', 'nudge'),
  value: fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom<Json>(null, '', 0, -1, 0.5, 1e308, '__proto__', 'evaluation', 'hunter2@', [[0, 0]], {}),
  ),
  name: fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom('__proto__', 'constructor', 'id', 'zone', '<<', '0'),
  ),
});
type Edit = typeof edit extends fc.Arbitrary<infer E> ? E : never;

function applyEdit(root: Json, { at, operation, value, name }: Edit): void {
  const places: [Json[] | Record<string, Json>, string | number][] = [];
  const walk = (node: Json): void => {
    if (node === null || typeof node !== 'object') return;
    for (const key of Object.keys(node)) {
      places.push([node, Array.isArray(node) ? Number(key) : key]);
      walk((node as Record<string, Json>)[key] ?? null);
    }
  };
  walk(root);
  const place = places[at % Math.max(1, places.length)];
  if (place === undefined) return;
  const parent = place[0] as Record<string | number, Json>;
  const key = place[1];
  const old = parent[key] ?? null;
  const set = (slot: string | number, next: Json): void => {
    const writable = { enumerable: true, configurable: true, writable: true };
    Object.defineProperty(parent, slot, { value: next, ...writable });
  };
  if (operation === 'replace') set(key, value as Json);
  else if (operation === 'nudge')
    set(key, typeof old === 'number' ? old * 1.01 : `${typeof old === 'string' ? old : ''}x`);
  else if (operation === 'wrap') set(key, [old]);
  else if (operation === 'double') set(Array.isArray(parent) ? parent.length : name, structuredClone(old));
  else {
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete parent[key];
    if (operation === 'rename' && !Array.isArray(parent)) set(name, old);
  }
}

const structured = fc
  .record({ edits: fc.array(edit, { maxLength: 4 }), json: fc.boolean() })
  .map(({ edits, json }) => {
    const root = parse(BASE) as Json;
    for (const each of edits) applyEdit(root, each);
    return json ? JSON.stringify(root) : stringify(root);
  });

/** Cuts, doublings and insertions in the text itself. */
const textual = fc
  .array(
    fc.record({
      at: fc.nat(BASE.length),
      length: fc.nat(40),
      insert: fc.oneof(
        fc.string({ unit: 'binary', maxLength: 8 }),
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

const INPUTS = { structured, textual, random: fc.string({ unit: 'binary', maxLength: 400 }) };
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
    if (name !== 'random') t.ok(accepted > 0 && accepted < numRuns, 'both outcomes were tried');
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
    'open brackets': fill('['),
    'open braces': fill('{a: '),
    'nested lists': fill('- '),
    'nested keys': fill('? '),
    'many keys': Array.from({ length: 30_000 }, (_, i) => `k${i}:`).join('\n'),
    'one key over and over': fill('a:\n'),
    documents: fill('---\n'),
    aliases: `a: &a 1\nb: [${fill('*a,')}]`,
    bomb: bomb.join('\n'),
    anchors: fill('&a '),
    tags: fill('!a '),
    quotes: fill('"'),
    'a login over and over': `camera: { source: "rtsp:${fill('pass')}" }`,
    'a colon and a slash': `site: "${fill(':/')}"`,
    'many zones': `zones: [${fill('{id: a, polygon: []},')}]`,
  };
  for (const [name, text] of Object.entries(texts)) {
    const from = performance.now();
    const { problem, accepted } = checkLoad(text, {}, 'check');
    t.equal(problem, undefined, name);
    t.notOk(accepted, `${name} is refused`);
    // The slowest takes about 1 s on one core of a laptop; a quadratic step would take minutes.
    t.ok(performance.now() - from < 15_000, `${name} takes no minutes`);
  }
});
