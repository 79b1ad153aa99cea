/** Tests that the guides of operators and technicians name what the screens show, in both languages. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { FINDING_NAMES } from '../../agent/contract/finding-names.ts';
import { EN as PAGE_EN } from '../../agent/page/app/words/en.ts';
import { FR as PAGE_FR } from '../../agent/page/app/words/fr.ts';
import { EN as CONSOLE_EN } from '../../scripts/products/room/app/words/en.ts';
import { FR as CONSOLE_FR } from '../../scripts/products/room/app/words/fr.ts';
import { REPORTS_EN } from '../../scripts/products/room/app/words/reports-en.ts';
import { REPORTS_FR } from '../../scripts/products/room/app/words/reports-fr.ts';
import { VIEWS_EN } from '../../scripts/products/room/app/words/views-en.ts';
import { VIEWS_FR } from '../../scripts/products/room/app/words/views-fr.ts';
import { ROOT } from '../lib/paths.ts';

/** An English text of a screen and the French one. */
type Pair = readonly [english: string, french: string];

/** Guide with `**` removed, each paragraph and item on one line. */
const guideText = (name: string): string =>
  readFileSync(join(ROOT, 'docs/guide', name), 'utf8')
    .replaceAll('**', '')
    .replaceAll(/\n(?![\n|\d-]) */g, ' ');

/** Replaces the values of a text. */
const VALUE = '…';

/** Returns a text whose values are replaced, or nothing if it needs other values. */
function textOf(words: unknown): string | undefined {
  if (typeof words !== 'function') return typeof words === 'string' ? words : undefined;
  try {
    return String(words(VALUE, VALUE, VALUE, VALUE));
  } catch {
    return undefined;
  }
}

/** Texts at the same place of two objects. */
function pairsOf(english: unknown, french: unknown): Pair[] {
  const [englishText, frenchText] = [textOf(english), textOf(french)];
  if (englishText !== undefined && frenchText !== undefined) return [[englishText, frenchText]];
  if (typeof english !== 'object' || typeof french !== 'object' || english === null || french === null)
    return [];
  return Object.entries(english).flatMap(([key, value]) =>
    pairsOf(value, (french as Record<string, unknown>)[key]),
  );
}

/** Texts of the alarm and the map, whose file needs a browser. */
function alarmPairs(): Pair[] {
  const source = readFileSync(join(ROOT, 'scripts/products/room/app/words/alarm.ts'), 'utf8');
  const [english = [], french = []] = source
    .split('const FR')
    .map((part) => [...part.matchAll(/^ {2}\w+:\s+'(.*)',$/gm)].map(([, text]) => String(text)));
  return english.map((text, index) => [text, french[index] ?? '']);
}

const GUIDES = {
  'operator.md': [
    ...pairsOf(CONSOLE_EN, CONSOLE_FR),
    ...pairsOf(REPORTS_EN, REPORTS_FR),
    ...pairsOf(VIEWS_EN, VIEWS_FR),
    ...alarmPairs(),
  ],
  'technician.md': [...pairsOf(PAGE_EN, PAGE_FR), ...pairsOf(FINDING_NAMES.en, FINDING_NAMES.fr)],
} as const;

/** True if the text has this name; an ellipsis at its end replaces the rest of the text. */
const isNamed = (name: string, text: string): boolean =>
  name.endsWith(VALUE) ? text.startsWith(name.slice(0, -1).trim()) : text === name;

for (const [guide, pairs] of Object.entries(GUIDES)) {
  void t.test(`every name of a screen in ${guide} is on the screen, with its French one`, async (t) => {
    const text = guideText(guide);
    const names = [...text.matchAll(/(?<![\w*])\*([^*\n]*[\p{L}][^*\n]*)\*/gu)].map(([, name]) =>
      String(name),
    );
    t.ok(names.length > 50, `${names.length} names`);
    const unknownNames = names.filter(
      (name) => !pairs.some(([english, french]) => isNamed(name, english) || isNamed(name, french)),
    );
    t.strictSame([...new Set(unknownNames)], []);
    const lists = [...text.matchAll(/((?:\*[^*\n]+\*(?:, | and )?)+) \(((?:\*[^*\n]+\*(?:, )?)+)\)/g)];
    t.ok(lists.length > 25, `${lists.length} pairs`);
    const partsOf = (list: string | undefined): string[] =>
      [...String(list).matchAll(/\*([^*]+)\*/g)].map(([, name]) => String(name));
    const wrongPairs = lists.flatMap(([, english, french]) => {
      const frenchNames = partsOf(french);
      return partsOf(english)
        .slice(-frenchNames.length)
        .map((name, index) => [name, frenchNames[index] ?? ''] as const)
        .filter(([en, fr]) => !pairs.some((pair) => isNamed(en, pair[0]) && isNamed(fr, pair[1])));
    });
    t.strictSame(wrongPairs, []);
  });
}

void t.test('every picture of a guide is shown by it and is small', async (t) => {
  for (const name of ['operator', 'technician']) {
    const text = readFileSync(join(ROOT, 'docs/guide', `${name}.md`), 'utf8');
    const shownFiles = [...text.matchAll(new RegExp(`\\]\\(${name}/([^)]+)\\)`, 'g'))].map(
      ([, file]) => file,
    );
    t.strictSame(shownFiles.sort(), readdirSync(join(ROOT, 'docs/guide', name)).sort());
    for (const file of shownFiles) {
      const { length } = readFileSync(join(ROOT, 'docs/guide', name, String(file)));
      t.ok(length <= 150_000, `${file}: ${length} bytes`);
    }
  }
});
