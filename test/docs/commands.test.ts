/**
 * Tests that every command line of README and of the guides is one that its program takes. The programs' own parsers
 * read it without carrying it out. Commands of others (systemctl, apt, openssl) are not read.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../lib/paths.ts';
import { type Typed, TypedCommands } from '../lib/typed-commands.ts';

/** Words before a program that start it: of another user, on another machine, in a loop, with a variable. */
const BEFORE = [
  /^(?:do|then|exec|time|!)(?= )/,
  /^[A-Za-z_]\w*=(?:"[^"]*"|'[^']*'|\S*)(?= )/,
  /^sudo(?: -u \S+)?(?= )/,
  /^runuser -u \S+ --(?= )/,
  /^ssh(?: -t)? \S+(?= )/,
  /^node(?= )/,
];
/** Programs of ours. `scripts/model` and its Python programs are tested where models are imported. */
const OUR_PROGRAM =
  /^(?:vigie|vigie-(?:room|root|oversight)|(?:\S*\/)?scripts\/(?:bench|demo|evaluate|flash|fleet|oversight|package|room|setup|soak|test)|\S*dist\/agent\/cli\/main\.js)$/;

/** Splits a line into the words of its commands, as a shell does: quotes, comments, redirections, separators. */
function commandsOf(line: string): string[][] {
  let text = line.trim().replace(/^[$#] /, '');
  for (let before = ''; before !== text; ) {
    before = text;
    for (const pattern of BEFORE) text = text.replace(pattern, '').trimStart();
  }
  const words: string[] = [];
  const token =
    /\s*(?:(#.*)|(&&|\|\||[;&|])|\d?(?:>>|>|<)\s*(\S+)|((?:"[^"]*"|'[^']*'|\\.|[^\s"';&|<>])+))/gy;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [, comment, separator, , word] = match;
    if (comment !== undefined) break;
    if (separator !== undefined) return [words, ...commandsOf(text.slice(token.lastIndex))];
    if (word !== undefined) words.push(word.replaceAll(/["']/g, ''));
  }
  return [words];
}

/** Returns the lines of shell blocks, joined where they continue, and the mentions within sentences. */
function linesOf(text: string): (Omit<Typed, 'words'> & { readonly line: string })[] {
  const blocks = [...text.matchAll(/^ *```(?:sh|console)\n([\s\S]*?)^ *```/gm)].map(
    ([, block = '']) => block,
  );
  const lines = blocks.flatMap((block) => block.replaceAll(/ *\\\n\s*/g, ' ').split('\n'));
  const prose = text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '');
  const mentions = [...prose.matchAll(/`([^`]+)`/g)].map(([, mention = '']) =>
    mention.replaceAll(/\s*\n\s*/g, ' '),
  );
  return [
    ...lines.map((line) => ({ line, isWhole: true })),
    ...mentions.map((line) => ({ line, isWhole: false })),
  ];
}

const programs = await TypedCommands.load();
const DOCUMENTS = [
  'README.md',
  ...['docs/guide', 'docs/design'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  ),
];

void t.test('every command line of README and the guides is one that its program takes', async (t) => {
  const counts = { whole: 0, mentioned: 0 };
  const wrongLines: string[] = [];
  const problems = new Map<string, Promise<string | undefined>>();
  for (const document of DOCUMENTS)
    for (const { line, isWhole } of linesOf(readFileSync(join(ROOT, document), 'utf8')))
      for (const words of commandsOf(line)) {
        if (!OUR_PROGRAM.test(words[0] ?? '')) continue;
        counts[isWhole ? 'whole' : 'mentioned'] += 1;
        const key = JSON.stringify([isWhole, ...words]);
        if (!problems.has(key)) problems.set(key, programs.problem({ words, isWhole }));
        const problem = await problems.get(key);
        if (problem !== undefined) wrongLines.push(`${document}: ${words.join(' ')}: ${problem}`);
      }
  t.strictSame(wrongLines, []);
  t.ok(counts.whole > 100 && counts.mentioned > 100, JSON.stringify(counts));
});

void t.test('an unknown command, an unknown option and a missing argument are found', async (t) => {
  const cases: readonly (readonly [string, RegExp | undefined])[] = [
    ['node /opt/vigie/dist/agent/cli/main.js keygen fleet/ops.key', /unknown command 'keygen'/],
    ['sudo vigie doctor --fast', /unknown option '--fast'/],
    ['vigie replay CLIP', /required option/],
    ['vigie-room archives --help', /no program archives/],
    ['./scripts/fleet cert list --ends soon', /soon/],
    ['./scripts/room enrol program stranger --dir D --out O', /stranger/],
    ['./scripts/demo --alert 3', /unknown argument '--alert'/],
    ['sudo -u vigie vigie status | head -3', undefined],
  ];
  for (const [line, problem] of cases) {
    const [words = []] = commandsOf(line);
    const message = await programs.problem({ words, isWhole: true });
    if (problem === undefined) t.equal(message, undefined, line);
    else t.match(message, problem, line);
  }
});
