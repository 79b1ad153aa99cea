/** Tests that each promise of the README has a test in the default run, as docs/design/034-promises.md states. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { filesNamed, isOfRun } from '../../scripts/workshop/test/selection.ts';
import { sectionOf, tableRows } from '../lib/markdown.ts';
import { ROOT, testFiles } from '../lib/paths.ts';

interface Row {
  readonly promise: string;
  readonly inDefault: readonly string[];
  readonly inAll: readonly string[];
}

const namesIn = (cell = ''): string[] => cell.split(',').flatMap((name) => name.trim() || []);

function rows(): Row[] {
  const page = readFileSync(join(ROOT, 'docs/design/034-promises.md'), 'utf8');
  return tableRows(page).map(([promise = '', inDefault, inAll]) => ({
    promise,
    inDefault: namesIn(inDefault),
    inAll: namesIn(inAll),
  }));
}

/** Sentences of a section of the README, without links and bold type; a link alone is none. */
function sentencesOf(section: string): string[] {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  return sectionOf(readme, `## ${section}`)
    .replaceAll('**', '')
    .replaceAll('\n', ' ')
    .split(/(?<=\.|\.\))\s+(?=[[A-Z`])/)
    .filter((sentence) => !/^\s*(?:\[[^\]]*\]\([^)]*\)\.)?\s*$/.test(sentence))
    .map((sentence) => sentence.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').trim());
}

const tests = testFiles();

t.test('every sentence of the two promises is in the table', (t) => {
  const promises = new Set(rows().map(({ promise }) => promise));
  const sentences = sentencesOf('Two promises');
  t.ok(sentences.length > 20, `${sentences.length} sentences (control)`);
  for (const sentence of sentences) t.ok(promises.has(sentence), sentence);
  t.end();
});

t.test('every promise has a test of the default run', (t) => {
  for (const { promise, inDefault, inAll } of rows()) {
    t.ok(inDefault.length > 0, promise);
    for (const name of inDefault) {
      const files = filesNamed(name, tests).filter((file) => isOfRun(file, 'default'));
      t.ok(files.length > 0, `${name} is a test of the default run: ${promise}`);
    }
    for (const name of inAll) t.ok(filesNamed(name, tests).length > 0, `${name} exists: ${promise}`);
  }
  t.end();
});
