/** Tests the checks of sources on a small project: each rule finds its breach, and a count of wording may only fall. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT, scratch } from '../lib/paths.ts';

interface Project {
  readonly dir: string;
  write(name: string, text: string): void;
  check(...words: string[]): { status: number | null; stdout: string; stderr: string };
  lint(): string;
}

/** An empty project with the checks in it and no breach allowed. */
function makeProject(t: Test): Project {
  const dir = scratch(t);
  for (const name of ['.lint.mjs', '.wording.mjs', '.listed-files.mjs'])
    copyFileSync(join(ROOT, name), join(dir, name));
  symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(dir, 'node_modules'));
  writeFileSync(join(dir, '.gitignore'), 'node_modules\n');
  writeFileSync(join(dir, '.wording.json'), '{}\n');
  execFileSync('git', ['init', '--quiet'], { cwd: dir });
  const run = (...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: dir, encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  return {
    dir,
    write: (name, text) => {
      mkdirSync(join(dir, name, '..'), { recursive: true });
      writeFileSync(join(dir, name), text);
    },
    check: (...words) => run('.wording.mjs', ...words),
    lint: () => run('.lint.mjs').stderr,
  };
}

const LONG = Array.from({ length: 31 }, () => 'word').join(' ');

void t.test('each rule of wording names the file and the line of a breach', (t) => {
  const cases: readonly [rule: string, file: string, text: string, line: number][] = [
    ['header-missing', 'agent/a.ts', 'export const count = 1;\n', 1],
    ['comment-question', 'agent/a.ts', '/** What is counted. */\nexport const count = 1;\n', 1],
    ['comment-question', 'agent/a.ts', '/** Counts. */\nexport const a = 1;\n// Is it one?\n', 3],
    ['comment-fragment', 'agent/a.ts', '/** Counts. */\n\n/** Of a box. */\nexport const a = 1;\n', 3],
    ['sentence-long', 'agent/a.ts', `/** ${LONG}. */\nexport const a = 1;\n`, 1],
    ['sentence-long', 'docs/a.md', `# Title\n\n${LONG}.\n`, 3],
    ['sentence-chain', 'docs/a.md', 'One: two; three: four.\n', 1],
    ['phrase', 'docs/a.md', 'It is\ntold anew.\n', 2],
    ['phrase', 'agent/a.ts', "/** Counts. */\nexport const text = 'started anew';\n", 2],
    ['name-bare', 'agent/a.ts', '/** Counts. */\nexport const told = 1;\n', 2],
    ['name-bare', 'agent/a.ts', '/** Counts. */\nexport class A {\n  #kept = 1;\n}\n', 3],
    ['file-name', 'agent/said.ts', '/** Counts. */\nexport const count = 1;\n', 1],
    ['error-text', 'agent/a.ts', "/** Fails. */\nthrow new Error('it is no number');\n", 2],
    ['test-name', 'test/a.test.ts', "/** Tests. */\nt.test('what is counted', () => {});\n", 2],
    ['test-name', 'test/a.test.ts', "/** Tests. */\nt.test('it counts', () => {});\n", 2],
  ];
  const project = makeProject(t);
  const at = (file: string, index: number): string => file.replace('/', `/case-${index}/`);
  for (const [index, [, file, text]] of cases.entries()) project.write(at(file, index), text);
  project.write(
    'agent/base/queue.ts',
    `/** Queue of messages that a box has not acknowledged. Rows are delivered at least once. */
export class Queue {
  readonly #rows: string[] = [];

  /** Adds a row. @throws Error where the queue is full */
  add(row: string): void {
    if (this.#rows.length > 9) throw new Error('queue: 10 rows at most; remove one first');
    // A lambda of one expression may keep a short name.
    if (!this.#rows.some((known) => known === row)) this.#rows.push(row);
  }
}
`,
  );
  project.write('test/base/queue.test.ts', "/** Tests. */\nt.test('a row is stored once', () => {});\n");
  project.write('docs/queue.md', 'The queue stores ten rows. `told; anew: x;` is code.\n\n```\nanew\n```\n');
  const { stdout } = project.check('--list', 'all');
  t.notMatch(stdout, /queue/, 'plain text breaks no rule');
  for (const [index, [rule, file, text, line]] of cases.entries()) {
    const breach = `${at(file, index)}:${line}: ${rule}: `;
    t.ok(`\n${stdout}`.includes(`\n${breach}`), `${rule} in ${JSON.stringify(text)}`);
  }
  const { status, stderr } = project.check();
  t.equal(status, 1);
  t.match(stderr, /^file-name in agent: 1, at most 0: .*--list file-name shows each$/m);
  t.end();
});

void t.test('a count of wording may fall and must not rise', (t) => {
  const project = makeProject(t);
  project.write('.wording.json', '{"name-bare":{"agent":2}}\n');
  project.write('agent/a.ts', '/** Counts. */\nexport const told = 1;\n');
  t.match(project.check(), { status: 1, stderr: /fewer than the 2 of \.wording\.json; lower it with/ });
  t.match(project.check('--lower'), { status: 0 });
  const counts = (): string => readFileSync(join(project.dir, '.wording.json'), 'utf8');
  t.match(JSON.parse(counts()), { 'name-bare': { agent: 1 } });
  const before = counts();
  project.write('agent/b.ts', '/** Counts. */\nexport const kept = 1;\n');
  t.match(project.check('--lower'), { status: 1, stderr: /name-bare in agent: 2, at most 1/ });
  t.equal(counts(), before, 'a count that has risen is not written');
  t.end();
});

void t.test('the project rules name what breaks them', (t) => {
  const project = makeProject(t);
  const write = (name: string, text: string): void => project.write(name, `/** Parts of a box. */\n${text}`);
  for (const home of ['agent', 'agent/vision'])
    for (const name of ['parts', 'main', 'flow']) write(`${home}/${name}.ts`, '');
  write(
    'agent/base/a.ts',
    'export class A {\n  usedCount = 1;\n  unusedCount = 2;\n}\nconsole.log(new A().usedCount);\n',
  );
  write('test/a.test.ts', 'console.log(new A().unusedCount);\n');
  write('agent/base/b.ts', '\n'.repeat(400));
  write('agent/flow.ts', ['a', 'b', 'c', 'd'].map((name) => `import './rules/${name}.ts';\n`).join(''));
  write('agent/vision/a.cpp', 'int  count;\n');
  const [unused, long, imports, form, ...otherLines] = project.lint().trimEnd().split('\n').sort();
  t.equal(unused, 'agent/base/a.ts:4: nobody but tests reads A.unusedCount');
  t.match(long, /^agent\/base\/b\.ts: 401 lines, at most 400/);
  t.equal(imports, 'agent/flow.ts: imports 4 files of rules, at most 3');
  t.match(form, /^agent\/vision\/a\.cpp:2:4: error: code should be clang-formatted/);
  t.strictSame(otherLines, []);
  t.end();
});
