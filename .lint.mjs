// Project rules that no linter knows (docs/design/016-project-rules.md): how long a file is, how much of a stage main and flow use,
// and that every member of a class is read by other code than its test. One line for each breach; exit 1.
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { listedFiles } from './.listed-files.mjs';

const LINES_MAX = 400;
/** Every file costs the runner more than a second. */
const TEST_LINES_MAX = 500;
const FILES_OF_A_STAGE_MAX = 3;
/** The order of things: `parts` makes the parts, `main` starts them, `flow` passes on what they say. */
const ROOTS = ['agent', 'agent/vision'].flatMap((home) =>
  ['parts', 'main', 'flow'].map((name) => `${home}/${name}.ts`),
);
const files = listedFiles('*.ts', '*.tsx').map(({ file, text }) => ({
  file,
  text,
  tree: ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true),
}));

const breaches = [];

for (const { file, text } of files) {
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

const read = new Set();
const members = [];
for (const { file, tree } of files) {
  const isTest = file.startsWith('test/');
  const look = (node) => {
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
    const { line } = node.getSourceFile().getLineAndCharacterOfPosition(member.name.getStart());
    return [{ name: member.name.text, where: `${file}:${line + 1}`, of: node.name?.text ?? 'class' }];
  });
}

for (const { name, where, of } of members) {
  if (!read.has(name)) breaches.push(`${where}: nobody but tests reads ${of}.${name}`);
}

for (const breach of breaches) console.error(breach);
process.exitCode = breaches.length === 0 ? 0 : 1;
