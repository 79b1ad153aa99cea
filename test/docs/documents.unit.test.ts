/** Tests that every file and link that the documents name exists. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import { ROOT } from '../lib/paths.ts';

const LINK = /\]\(([^)#\s]+)/g;
/** A path of the project that the text mentions without a link. */
const NAMED_PATH =
  /(?<![\w/.-])(?:agent|docs|scripts|test)\/[\w./-]*\.(?:ts|md|txt|py|yaml|mjs|json)(?![\w-])/g;

t.test('every link and file that the documents name exists', async (t) => {
  const documents = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: ROOT, encoding: 'utf8' })
    .split('\0')
    .filter(Boolean);
  t.ok(documents.length > 30);
  let pathCount = 0;
  const broken: string[] = [];
  for (const document of documents) {
    const text = readFileSync(join(ROOT, document), 'utf8');
    const links = [...text.matchAll(LINK)]
      .map(([, to]) => to as string)
      .filter((to) => !/^[a-z]+:/.test(to))
      .map((to) => normalize(join(dirname(document), to)));
    const namedPaths = [...text.matchAll(NAMED_PATH)].map(([path]) => path);
    for (const path of [...links, ...namedPaths]) {
      pathCount += 1;
      if (!existsSync(join(ROOT, path))) broken.push(`${document}: ${path}`);
    }
  }
  t.same(broken, []);
  t.ok(pathCount > 100, `${pathCount} paths were checked`);
});

/** Anchor of a heading, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');

t.test('every section to which a document links exists', async (t) => {
  const documents = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: ROOT, encoding: 'utf8' })
    .split('\0')
    .filter(Boolean);
  const anchors = new Map<string, Set<string>>();
  const anchorsIn = (document: string): Set<string> => {
    const cachedAnchors = anchors.get(document);
    if (cachedAnchors !== undefined) return cachedAnchors;
    const text = readFileSync(join(ROOT, document), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
    const own = new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(String(heading))));
    anchors.set(document, own);
    return own;
  };
  let linkCount = 0;
  const broken: string[] = [];
  for (const document of documents) {
    const text = readFileSync(join(ROOT, document), 'utf8');
    for (const [, to = '', anchor = ''] of text.matchAll(/\]\(([^)#\s:]*)#([^)\s]+)\)/g)) {
      const target = to === '' ? document : normalize(join(dirname(document), to));
      if (!target.endsWith('.md')) continue;
      linkCount += 1;
      if (!anchorsIn(target).has(anchor)) broken.push(`${document}: ${to}#${anchor}`);
    }
  }
  t.same(broken, []);
  t.ok(linkCount > 50, `${linkCount} links were checked`);
});

t.test('no line of a document repeats the end of the line before it', async (t) => {
  const documents = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: ROOT, encoding: 'utf8' })
    .split('\0')
    .filter(Boolean);
  const repeated = documents.flatMap((document) => {
    const lines = readFileSync(join(ROOT, document), 'utf8').split('\n');
    return lines
      .filter((line, at) => line.trim().length > 15 && lines[at - 1]?.endsWith(line.trim()) === true)
      .map((line) => `${document}: ${line}`);
  });
  t.same(repeated, []);
});

/** Documents whose tables name the test that proves each row, as `folder/name`. */
const TABLE_DOCUMENTS = ['docs/design/029-borders.md', 'docs/design/030-threats.md'];
const LAST_COLUMN = /\|([^|]*)\|$/gm;

t.test('every test that a table of borders or threats names exists', async (t) => {
  for (const document of TABLE_DOCUMENTS) {
    const text = readFileSync(join(ROOT, document), 'utf8');
    const cells = [...text.matchAll(LAST_COLUMN)].map(([, cell]) => cell ?? '').join('\n');
    const testNames = [...cells.matchAll(/`([a-z0-9]+\/[a-z0-9.-]+)`/g)].map(([, name]) => name as string);
    t.ok(testNames.length > 20, `${document}: ${testNames.length}`);
    const missing = testNames.filter((name) => !existsSync(join(ROOT, 'test', `${name}.test.ts`)));
    t.same([...new Set(missing)], [], document);
  }
});
