/** Tests that every file and link that the documents name exists. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import { filesNamed } from '../../scripts/workshop/test/selection.ts';
import { ROOT, testFiles } from '../lib/paths.ts';

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

/** Documents with commands. */
const COMMAND_DOCUMENTS = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs/guide'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/guide/${file}`),
];

/** References that are made from the help of a program. */
const REFERENCES: Readonly<Record<string, string>> = {
  vigie: 'docs/ref/cli.md',
  'vigie-oversight': 'docs/ref/vigie-oversight.md',
  'vigie-root': 'docs/ref/vigie-root.md',
};
/** Program, and its script in a checkout. */
const SCRIPT_OF: Readonly<Record<string, string>> = {
  'scripts/oversight': 'vigie-oversight',
  'vigie-room': 'scripts/room',
};

/** Text that lists the options of a command: the reference, or the sources and the wrapper. */
function helpText(program: string, subcommand: string): string {
  const name = SCRIPT_OF[program] ?? program;
  const reference = REFERENCES[name];
  if (reference !== undefined) {
    const text = readFileSync(join(ROOT, reference), 'utf8');
    if (subcommand === '') return text;
    return text.split(/^## /m).find((part) => part.startsWith(`\`${name} ${subcommand}\``)) ?? '';
  }
  const sources = ['products', 'workshop']
    .map((home) => join(ROOT, 'scripts', home, name.replace('scripts/', '')))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.(?:ts|py)$/.test(file))
        .map((file) => join(folder, file)),
    );
  return [join(ROOT, name), ...sources].map((file) => readFileSync(file, 'utf8')).join('\n');
}

/** Commands in the code of a document: program, subcommand or nothing, options. */
function commandsIn(
  text: string,
): { line: string; program: string; subcommand: string; options: string[] }[] {
  const blocks = [...text.matchAll(/^ *```(?:sh|bash)?\n([\s\S]*?)^ *```/gm)].map(([, block]) =>
    String(block),
  );
  const spans = [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`]+)`/g)].map(([, span]) =>
    String(span),
  );
  const lines = [...blocks, ...spans].flatMap((code) => code.replaceAll(/\\\n\s*/g, ' ').split('\n'));
  return lines.flatMap((line) => {
    const command =
      /(?:^\s*|\$ |-- |&& |\| |sudo (?:-u \S+ )?)(?:"\$VIGIE\/|\.\/)?(scripts\/[a-z]+|vigie(?:-room|-oversight|-root)?)"?((?:\s.*)?)$/.exec(
        line,
      );
    if (command === null) return [];
    const [, program = '', rest = ''] = command;
    const own = rest.split(/[|;]| && /)[0] ?? '';
    const [, subcommand = ''] = /^\s+([a-z][a-z-]*)(?=\s|$)/.exec(own) ?? [];
    return [{ line, program, subcommand, options: own.match(/(?<=[\s[])--[a-z][a-z-]*/g) ?? [] }];
  });
}

t.test('every command and option that a guide names is in the help of its program', async (t) => {
  let optionCount = 0;
  for (const document of COMMAND_DOCUMENTS) {
    for (const { line, program, subcommand, options } of commandsIn(
      readFileSync(join(ROOT, document), 'utf8'),
    )) {
      const help = helpText(program, subcommand);
      t.not(help, '', `${document}: ${line}`);
      optionCount += options.length;
      const unknownOptions = options.filter((option) => !new RegExp(`${option}(?![a-z-])`).test(help));
      t.same(unknownOptions, [], `${document}: ${line}`);
    }
  }
  t.ok(optionCount > 100, `${optionCount} options were checked`);
  t.same(
    commandsIn('`vigie doctor --benchmrk`\n```sh\n./scripts/demo \\\n  --opn # --page\n```').map(
      ({ program, subcommand, options }) => [program, subcommand, ...options],
    ),
    [
      ['scripts/demo', '', '--opn', '--page'],
      ['vigie', 'doctor', '--benchmrk'],
    ],
    'commands are found in blocks and spans (control)',
  );
  t.equal(helpText('vigie', 'docter'), '', 'a command that does not exist has no help (control)');
});

t.test('the guide Legal has its chapters on duties, on limits of the proof and on users', async (t) => {
  const text = readFileSync(join(ROOT, 'docs/guide/legal.md'), 'utf8');
  for (const heading of [
    'Requirement by requirement',
    'What the box does not prove',
    'Who can do what on a box',
  ])
    t.match(text, new RegExp(`^## ${heading}\\n\\n[|-] \\S`, 'm'), heading);
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
  const tests = testFiles();
  for (const document of TABLE_DOCUMENTS) {
    const text = readFileSync(join(ROOT, document), 'utf8');
    const cells = [...text.matchAll(LAST_COLUMN)].map(([, cell]) => cell ?? '').join('\n');
    const testNames = [...cells.matchAll(/`([a-z0-9]+\/[a-z0-9.-]+)`/g)].map(([, name]) => name as string);
    t.ok(testNames.length > 20, `${document}: ${testNames.length}`);
    const missing = testNames.filter((name) => filesNamed(name.replace(/\.[a-z]+$/, ''), tests).length === 0);
    t.same([...new Set(missing)], [], document);
  }
});
