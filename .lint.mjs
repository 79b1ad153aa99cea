// Project rules that no linter knows (docs/design/016-project-rules.md): how long a file is, how much of a stage main and flow use,
// syntax that hides mistakes, that every member of a class is read by other code than its test, and the format of C++. The
// language rules follow (.wording.mjs). One line for each breach; exit 1.
import { spawnSync } from 'node:child_process';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { sources as files, listedFiles } from './.listed-files.mjs';

const LINES_MAX = 400;
/** Every file costs the runner more than a second. */
const TEST_LINES_MAX = 500;
const FILES_OF_A_STAGE_MAX = 3;
/** The order of things: `parts` makes the parts, `main` starts them, `flow` passes on what they say. */
const ROOTS = ['agent', 'agent/vision'].flatMap((home) =>
  ['parts', 'main', 'flow'].map((name) => `${home}/${name}.ts`),
);
const breaches = [];

const native = listedFiles('*.cpp', '*.h');
for (const { file, text } of [...files, ...native]) {
  const lines = text.split('\n').length - 1;
  const linesMax = file.startsWith('test/') ? TEST_LINES_MAX : LINES_MAX;
  if (lines > linesMax)
    breaches.push(`${file}: ${lines} lines, at most ${linesMax}: it holds more than one idea`);
}

for (const root of ROOTS) {
  const { tree } = files.find(({ file }) => file === root);
  const home = dirname(root);
  const ofStage = new Map();
  for (const node of tree.statements) {
    if (!ts.isImportDeclaration(node) || !node.moduleSpecifier.text.startsWith('.')) continue;
    const [stage, ...rest] = relative(home, join(home, node.moduleSpecifier.text)).split('/');
    // What everybody shares is no stage.
    if (rest.length === 0 || stage === 'base' || stage === 'contract' || stage === '..') continue;
    ofStage.set(stage, (ofStage.get(stage) ?? new Set()).add(rest.join('/')));
  }
  for (const [stage, named] of ofStage) {
    if (named.size <= FILES_OF_A_STAGE_MAX) continue;
    breaches.push(`${root}: imports ${named.size} files of ${stage}, at most ${FILES_OF_A_STAGE_MAX}`);
  }
}

/** Returns the advice for a node whose syntax hides mistakes; undefined for any other. */
function hiddenMistake(node, isTest) {
  if (ts.isSpreadAssignment(node)) {
    const spread = bare(node.expression);
    if (ts.isObjectLiteralExpression(spread))
      return 'write the members themselves; a spread literal only saves lines';
    // A test may start from a bag of defaults: no promise of the program hangs on it.
    const isBag = ts.isIdentifier(spread) || ts.isAccessExpression(spread) || ts.isCallExpression(spread);
    let parent = node.parent.parent;
    while (ts.isParenthesizedExpression(parent)) parent = parent.parent;
    if (!isTest && isBag && ts.isNewExpression(parent))
      return 'name each argument: of a bag, the compiler does not notice a member that was renamed';
  }
  // Node 20 holds the signals of `any` weakly: a timeout that nothing else holds is collected and never aborts.
  if (isSignalOf('timeout', node) && ts.findAncestor(node.parent, (above) => isSignalOf('any', above)))
    return 'use withDeadline (agent/base/deadline.ts): this timeout can be lost to the garbage collector';
  return undefined;
}

const bare = (node) => (ts.isParenthesizedExpression(node) ? bare(node.expression) : node);
const isSignalOf = (name, node) =>
  ts.isCallExpression(node) && node.expression.getText() === `AbortSignal.${name}`;

const read = new Set();
const members = [];
for (const { file, tree } of files) {
  const isTest = file.startsWith('test/');
  const look = (node) => {
    const advice = hiddenMistake(node, isTest);
    if (advice !== undefined) breaches.push(`${placeOf(file, node)}: ${advice}`);
    if (!isTest && ts.isPropertyAccessExpression(node)) read.add(node.name.text);
    if (!isTest && ts.isElementAccessExpression(node) && ts.isStringLiteral(node.argumentExpression))
      read.add(node.argumentExpression.text);
    if (!isTest && ts.isBindingElement(node) && ts.isObjectBindingPattern(node.parent))
      read.add((node.propertyName ?? node.name).getText());
    if (!isTest && ts.isClassLike(node)) members.push(...membersOf(file, node));
    ts.forEachChild(node, look);
  };
  look(tree);
}

function membersOf(file, node) {
  return node.members.flatMap((member) => {
    // What overrides is called by whoever knows the base, a library's too.
    const overrides = member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword) ?? false;
    if (overrides || member.name === undefined || !ts.isIdentifier(member.name)) return [];
    return [{ name: member.name.text, where: placeOf(file, member.name), of: node.name?.text ?? 'class' }];
  });
}

function placeOf(file, node) {
  return `${file}:${node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}

for (const { name, where, of } of members) {
  if (!read.has(name)) breaches.push(`${where}: nobody but tests reads ${of}.${name}`);
}

// One version, named: each formats in its own way. It is a package of Debian's (./scripts/setup --for test).
const FORMATTER = 'clang-format-19';
if (native.length > 0) {
  const { error, stderr } = spawnSync(
    FORMATTER,
    ['--dry-run', '--Werror', ...native.map(({ file }) => file)],
    { encoding: 'utf8' },
  );
  if (error !== undefined)
    breaches.push(`${FORMATTER}: ${error.message}; ./scripts/setup --for test installs it`);
  breaches.push(...stderr.split('\n').filter((line) => /: error:/.test(line)));
}

for (const breach of breaches) console.error(breach);
if (breaches.length > 0) process.exitCode = 1;
await import('./.wording.mjs');
