/** Tests that the tables "Where to change what" and the reading orders of the products name what exists. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { codesIn, sectionOf, tableRows } from '../lib/markdown.ts';
import { ROOT } from '../lib/paths.ts';

/** Heading of each table, and the folder with the reading order. */
const PRODUCTS = {
  Box: 'agent',
  Room: 'scripts/products/room',
  Fleet: 'scripts/products/fleet',
  Root: 'scripts/products/root',
  Oversight: 'scripts/products/oversight',
} as const;
const ROWS = 10;
const FILES_IN_ORDER = 5;
const STEP = /^\d+\. \[`[^`\]]+`\]\(([^)]+)\)/gm;

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Reports whether a text contains a name that stands alone, not within a longer one. */
function hasWord(text: string, name: string): boolean {
  const literal = name.replaceAll(/[^\w]/g, String.raw`\$&`);
  return new RegExp(String.raw`(?<![\w$])${literal}(?![\w$])`).test(text);
}

/** Returns what is wrong with a row: each file contains one of the names, and each name is in one of the files. */
function problemsOf([, fileCell = '', nameCell = '']: readonly string[]): string[] {
  const [files, names] = [codesIn(fileCell), codesIn(nameCell)];
  const texts = files.map((file) => (existsSync(join(ROOT, file)) ? read(file) : ''));
  return [
    ...(files.length === 0 || names.length === 0 ? ['a file or a name is missing'] : []),
    ...files.filter((_, index) => !names.some((name) => hasWord(texts[index] ?? '', name))),
    ...names.filter((name) => !texts.some((text) => hasWord(text, name))),
  ];
}

t.test('each row of the five tables names files and the names in them', (t) => {
  const map = sectionOf(read('docs/design/016-project-rules.md'), '## Where to change what');
  for (const product of Object.keys(PRODUCTS)) {
    const rows = tableRows(sectionOf(map, `### ${product}`));
    t.equal(rows.length, ROWS, product);
    for (const row of rows) t.same(problemsOf(row), [], `${product}: ${row[0]}`);
  }
  t.same(problemsOf(['', '`agent/flow.ts`', '`acceptInto`']), [], 'a right row has no problem (control)');
  t.same(
    problemsOf(['', '`agent/flow.ts`', '`accept`, `acceptInt`']),
    ['acceptInt'],
    'a part of a name is not found (control)',
  );
  t.end();
});

t.test('each reading order names five files and links to the tables', (t) => {
  for (const folder of Object.values(PRODUCTS)) {
    const file = `${folder}/README.md`;
    const text = read(file);
    const paths = [...text.matchAll(STEP)].map(([, path]) => join(dirname(file), String(path)));
    t.equal(new Set(paths).size, FILES_IN_ORDER, file);
    for (const path of paths) t.ok(existsSync(join(ROOT, path)), `${file}: ${path}`);
    t.match(text, '/docs/design/016-project-rules.md#where-to-change-what)', file);
  }
  t.end();
});
