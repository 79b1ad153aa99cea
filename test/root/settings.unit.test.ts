/** Tests that root's updater and `vigie check` read the same site, box and keys from any configuration. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { inspectConfig } from '../../agent/config/load.ts';
import { readOrderReader } from '../../scripts/programs/root/settings.ts';
import { makeSigner } from '../lib/commands.ts';
import { scratch } from '../lib/paths.ts';
import { SEED } from '../lib/random.ts';
import { ALL } from '../lib/run.ts';

t.comment(`seed ${SEED} (VIGIE_TEST_SEED)`);

const [one, two] = [makeSigner('one').config.publicKey, makeSigner('two').config.publicKey];
const file = join(scratch(t), 'vigie.yaml');

/** Values that each of the two reads; null where it refuses. */
function readBoth(content: string | Uint8Array): { agent: unknown; updater: unknown } {
  writeFileSync(file, content, { mode: 0o600 });
  const { config } = inspectConfig(file, { env: {}, mode: 'check', files: false });
  const agent = config && { site: config.site, box: config.box, keys: config.commands.keys };
  try {
    return { agent: agent ?? null, updater: readOrderReader(file, {}) };
  } catch {
    return { agent: agent ?? null, updater: null };
  }
}

const HEAD = 'site: a\nbox: b\n';
const keysOf = (key: string, may = '[update]') =>
  `commands:\n  keys:\n    - { name: desk, publicKey: ${key}, may: ${may} }\n`;

void t.test('a YAML text with two possible readings is refused by both or read alike', async (t) => {
  const shapes = (name: string) =>
    `${name}:\n${Array.from({ length: 60 }, (_, id) => `  - { id: z${id}, polygon: *area }\n`).join('')}`;
  const area = '  - { id: z, polygon: &area [[0, 0], [1, 0], [1, 1]] }\n';
  const manyAliases = shapes('zones').replace('\n', `\n${area}`) + shapes('masks');
  const acceptedTexts: Record<string, string | Uint8Array> = {
    plain: HEAD + keysOf(one),
    'a mark of the byte order in front': `\ufeff${HEAD}${keysOf(one)}`,
    'many aliases, which the library takes for a bomb': HEAD + keysOf(one) + manyAliases,
    'an alias for the rights': `${HEAD}commands:\n  keys:\n    - { name: x, publicKey: ${one}, may: &r [update] }\n    - { name: y, publicKey: ${two}, may: *r }\n`,
    JSON: JSON.stringify({
      site: 'a',
      box: 'b',
      commands: { keys: [{ name: 'x', publicKey: one, may: ['update'] }] },
    }),
  };
  for (const [name, text] of Object.entries(acceptedTexts)) {
    const { agent, updater } = readBoth(text);
    t.ok(agent, `${name}: the agent takes it`);
    t.same(updater, agent, name);
  }
  const refusedTexts: Record<string, string | Uint8Array> = {
    'keys twice': `${HEAD}${keysOf(one)}${keysOf(two)}`,
    'the box twice': `${HEAD}box: c\n${keysOf(one)}`,
    'a merge of YAML 1.1': `%YAML 1.1\n---\n${HEAD}commands:\n  <<: { keys: [{ name: x, publicKey: ${one}, may: [update] }] }\n`,
    'a tag': `${HEAD}commands: !!omap\n  - keys: []\n`,
    'bytes that are not UTF-8': Buffer.concat([Buffer.from(`${HEAD}${keysOf(one)}# `), Buffer.from([0xff])]),
    'more than a configuration has': `${HEAD}${keysOf(one)}${'# nothing\n'.repeat(30_000)}`,
    'two documents': `${HEAD}${keysOf(one)}---\n${HEAD}${keysOf(two)}`,
    'an alias for the content of a key': `&k site: a\nbox: b\n${keysOf('*k')}`,
  };
  for (const [name, text] of Object.entries(refusedTexts)) {
    const { agent, updater } = readBoth(text);
    t.notOk(agent, `${name}: the agent refuses it`);
    t.notOk(updater, name);
  }
});

void t.test('random texts with anchors, aliases, tags and directives are read alike', async (t) => {
  const pick = <T>(usual: T, ...odd: T[]) =>
    fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });
  const key = pick(one, two, '*k', `&k ${one}`, `!!str ${two}`, '*m');
  const may = pick('[update]', '&m [update]', '*m', '[search, update]', '!!seq [update]', '*k');
  const entry = fc.record({ name: pick('x', '&k z', '*k', '~', '1', 'yes'), key, may });
  const item = entry.map((e) => `    - { name: ${e.name}, publicKey: ${e.key}, may: ${e.may} }\n`);
  const list = fc.array(item, { maxLength: 2 }).map((items) => `commands:\n  keys:\n${items.join('')}`);
  const line = pick(
    HEAD,
    `&k ${HEAD}`,
    'site: a\n? box\n: c\n',
    'site: &m yes\nbox: *m\n',
    `${HEAD}site: c\n`,
  );
  const head = pick('', '%YAML 1.1\n---\n', '---\n', '\ufeff', '%TAG ! tag:x:\n---\n');
  let acceptedCount = 0;
  const agree = fc.property(head, line, list, fc.boolean(), (start, names, keys, first) => {
    const { agent, updater } = readBoth(start + (first ? keys + names : names + keys));
    if (agent !== null) acceptedCount += 1;
    // The agent may refuse another key of the file, which the updater ignores.
    return agent === null || isDeepStrictEqual(structuredClone(updater), structuredClone(agent));
  });
  fc.assert(agree, { seed: SEED, numRuns: ALL ? 400 : 100 });
  t.ok(acceptedCount > 5, `${acceptedCount} of them are configurations`);
});
