/**
 * Tests that the technician's guide says what the box does: numbers, pictures, problems, lines of the final check and
 * rules. The names on the screens are in guide-texts.unit.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { FINDING_NAMES } from '../../agent/contract/finding-names.ts';
import { RULE_KINDS } from '../../agent/contract/rule-config.ts';
import { SITE_REMEDIES } from '../../agent/local/site-remedies.ts';
import { DELAYS_S } from '../../agent/page/app/countdown.ts';
import { STEPS } from '../../agent/page/app/screens.ts';
import { EN } from '../../agent/page/app/words/en.ts';
import { FR } from '../../agent/page/app/words/fr.ts';
import { ROOT } from '../lib/paths.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const GUIDE = read('docs/guide/technician.md');
/** Guide on one line, without marks. */
const TEXT = GUIDE.replaceAll(/[*`]/g, '').replaceAll(/\s+/g, ' ');

/** Value of a constant of a source file: a number, or a product of numbers. */
function constant(path: string, name: string): number {
  const product = new RegExp(`\\b${name} = ([\\d_ *]+);`).exec(read(path))?.[1] ?? `${path}: no ${name}`;
  return product
    .replaceAll('_', '')
    .split('*')
    .reduce((value, factor) => value * Number(factor), 1);
}

const MINUTE_MS = 60_000;
const NUMBERS: readonly (readonly [phrase: RegExp, path: string, name: string, unit: number])[] = [
  [/is open for (\d+) minutes/, 'scripts/products/root/network/hotspot.ts', 'OPEN_MS', MINUTE_MS],
  [
    /Wi-Fi of a box, for at most (\d+) minutes/,
    'scripts/products/root/network/hotspot.ts',
    'RUN_MS_MAX',
    MINUTE_MS,
  ],
  [/page keeps it for (\d+) minutes/, 'agent/page/app/setup-code.ts', 'KEPT_MS', MINUTE_MS],
  [/same phone for (\d+) minutes/, 'agent/page/server/repeated-pairing.ts', 'REPEATED_MS', MINUTE_MS],
  [/After (\d+) wrong codes/, 'agent/page/server/pairing-locks.ts', 'TRIES_FREE', 1],
  [/locked for (\d+) minute,/, 'agent/page/server/pairing-locks.ts', 'LOCK_MS_FIRST', MINUTE_MS],
  [/longer, at most (\d+) minutes/, 'agent/page/server/pairing-locks.ts', 'LOCK_MS_MAX', MINUTE_MS],
  [/code is valid for (\d+) minutes/, 'agent/page/server/pairing.ts', 'NEW_CODE_MS', MINUTE_MS],
  [/less than (\d+) days/, 'agent/page/server/pairing.ts', 'VALID_S', 86_400],
  [/session ends after (\d+) hours/, 'agent/page/server/sessions.ts', 'SESSION_MS', 60 * MINUTE_MS],
  [/at most (\d+) pictures a second/, 'agent/contract/page-link.ts', 'PREVIEW_FPS_MAX', 1],
  [/preview ends after (\d+) minutes/, 'agent/contract/page-link.ts', 'PREVIEW_S_MAX', 60],
  [/up to (\d+) minutes a day/, 'agent/contract/page-link.ts', 'PREVIEW_S_A_DAY_MAX', 60],
  [/At most (\d+) phones show it/, 'agent/contract/page-link.ts', 'PREVIEW_VIEWERS_MAX', 1],
  [/Below (\d+) px/, 'agent/page/app/height-gauge.ts', 'ENOUGH_PX', 1],
  [/more than (\d+) px is good/, 'agent/page/app/height-gauge.ts', 'GOOD_PX', 1],
  [/go (\d+) steps/, 'agent/page/app/drawing.ts', 'UNDO_MAX', 1],
  [/up to (\d+) times/, 'agent/kit/zoom.ts', 'ZOOM_MAX', 1],
  [/1 to (\d+) Passes/, 'agent/page/app/limits.ts', 'PASSES_MAX', 1],
  [/and (\d+) s more/, 'agent/accuracy/walk-test.ts', 'MARGIN_S', 1],
  [/test that waits for (\d+) minutes/, 'agent/technician/walk.ts', 'ANSWER_WITHIN_MS', MINUTE_MS],
  [/new frame for (\d+) seconds/, 'agent/page/app/preview.ts', 'FRAME_WITHIN_MS', 1000],
];

void t.test('each number of the technician’s guide is that of the program', async (t) => {
  for (const [phrase, path, name, unit] of NUMBERS) {
    const [, digits] = phrase.exec(TEXT) ?? [];
    t.equal(Number(digits), constant(path, name) / unit, `${phrase.source}: ${name}`);
  }
  t.match(TEXT, `at most ${Math.max(...DELAYS_S)} s.`, 'the longest delay before a pass');
  t.equal(STEPS.length, 9);
  t.match(TEXT, 'nine steps');
  const browsers = read('scripts/workshop/apps/main.ts').match(/target: \[([^\]]+)\]/)?.[1] ?? '';
  const names = [...browsers.matchAll(/'([a-z]+)([\d.]+)'/g)].map(
    ([, name, version]) => `${name} ${version}`,
  );
  t.equal(names.length, 3);
  for (const name of names) t.match(TEXT.toLowerCase(), name, 'the oldest browser');
});

void t.test('each picture of the technician’s guide is written by a test, in both languages', async (t) => {
  const [, list = ''] = /DOCUMENTED = \[([^\]]+)\]/.exec(read('test/page/phone.ts')) ?? [];
  const documentedScreens = [...list.matchAll(/'([^']+)'/g)].map(([, name]) => String(name));
  const pictures = documentedScreens.flatMap((name) =>
    ['en', 'fr'].map((language) => `${name.slice(3)}-${language}.png`),
  );
  const shownFiles = [...GUIDE.matchAll(/\]\(technician\/([^)]+)\)/g)].map(([, file]) => String(file));
  t.strictSame(shownFiles.sort(), pictures.sort());
  const tests = readdirSync(join(ROOT, 'test/page'))
    .filter((file) => file.endsWith('.ts') && file !== 'phone.ts')
    .map((file) => read(`test/page/${file}`))
    .join('');
  for (const name of documentedScreens) t.match(tests, `'${name}'`);
});

void t.test('each reason for no pairing and no picture has its advice in the guide', async (t) => {
  // Both pass: the preview begins, or is begun again by a button that the guide names.
  const { 'not-started': _soon, 'time-is-up': _again, ...noPicture } = EN.noPicture;
  const rows = GUIDE.split('\n').filter((line) => line.startsWith('| *'));
  for (const text of [...Object.values(noPicture), ...Object.values(EN.pairing)])
    t.ok(
      rows.some((row) => row.startsWith(`| *${text}*`)),
      text,
    );
});

/** Lines that never fail, so the guide need not name them. */
const NEVER_FAIL: readonly string[] = ['quiet-street', 'incidents', 'memory'];

void t.test('each line of the final check has a name, and the guide says what to do about it', async (t) => {
  const sources = read('agent/local/findings.ts') + read('agent/local/view-advice.ts');
  const codes = [...sources.matchAll(/\b(?:ok|failed|unknown|finding)\(\s*'([a-z-]+)'/g)].map(([, code]) =>
    String(code),
  );
  const lines = [...new Set(codes)];
  t.ok(lines.length >= 17, lines.join(', '));
  const [, table = ''] = GUIDE.split('| line | first, on site |');
  for (const code of lines) {
    const names: Readonly<Record<string, string>> = FINDING_NAMES.en;
    const name = names[code];
    t.ok(name !== undefined, `${code} has a name`);
    if (!NEVER_FAIL.includes(code)) t.match(table, `*${name}*`, code);
  }
});

void t.test('remedies of the final check name lines and steps as the screen does', async (t) => {
  const lines = { en: Object.values(FINDING_NAMES.en), fr: Object.values(FINDING_NAMES.fr) };
  const steps = { en: Object.values(EN.screens), fr: Object.values(FR.screens) };
  for (const language of ['en', 'fr'] as const) {
    const text = Object.values(SITE_REMEDIES[language]).join('\n');
    const namedLines = [...text.matchAll(/\((?:line|ligne) [“«]\s*([^”»]+?)\s*[”»]\)/g)];
    const namedSteps = [...text.matchAll(/\((?:step|étape) ([^)]+)\)/g)];
    t.ok(namedLines.length > 0 && namedSteps.length > 3);
    for (const [, name = ''] of namedLines) t.ok(lines[language].includes(name), name);
    for (const [, name = ''] of namedSteps) t.ok(steps[language].includes(name), name);
  }
});

void t.test('the guide names a scene for each kind of rule', async (t) => {
  for (const kind of RULE_KINDS) t.match(GUIDE, `| *${EN.kinds[kind]}* (*${FR.kinds[kind]}*) |`);
});
