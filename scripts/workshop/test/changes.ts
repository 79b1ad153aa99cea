/**
 * Finds the test files that a change can reach. A file reaches what it imports, and each file or
 * folder of the project that one of its strings names. Programs are started by path; units and documents are read. A helper
 * that composes a path names the file or folder in its head: `@starts scripts/products/room/`.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, extname, join, normalize } from 'node:path';
import { hasCode } from '../../../agent/base/errors.ts';

/** Files on which every test depends: installed packages, compiler, runner. */
const EVERYWHERE =
  /^(?:package\.json|package-lock\.json|tsconfig\.json|\.npmrc|patches\/.*|scripts\/(?:setup|test)|scripts\/lib\/addons\.sh|scripts\/workshop\/test\/(?:main|suite|schedule|tally)\.ts|test\/lib\/run\.ts)$/;
/** Paths in a string of the code; relative ones are imports, or are resolved from the compiled file. */
const QUOTED =
  /(['"`])((?:\.{1,2}\/|dist\/|(?:agent|scripts|systemd|models|docs|test\/fixtures|patches)\/)[^'"`\n]*)\1/g;
const QUOTED_FOLDER = /(['"`])(systemd|models|docs)\1/g;
/** Paths in a shell script, a unit or a package's file. */
const BARE = /(?:agent|scripts|systemd|models|patches)\/[\w./-]+/g;
const DECLARED = /@starts +([^*\n]+)/g;
const CODE = new Set(['.ts', '.tsx', '.mjs', '.cjs']);
/** Documents and data reach nothing. */
const LEAVES = new Set(['.md', '.json', '.onnx', '.jpg', '.png', '.yaml', '.py', '.txt']);

/** Returns the changed files since a commit: committed, in the work tree, and new. Throws if git does not know it. */
export function changedSince(root: string, sinceCommit: string): string[] {
  const git = (...args: string[]): string[] =>
    execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
      .split('\n')
      .filter((line) => line !== '');
  return [
    ...git('diff', '--name-only', '--no-renames', sinceCommit, '--'),
    ...git('ls-files', '--others', '--exclude-standard'),
  ];
}

/** Texts of all files of the project by path; of a file that is read as a whole, an empty text. */
export function projectTexts(root: string): Map<string, string> {
  const fileList = execFileSync(
    'git',
    ['-C', root, 'ls-files', '--cached', '--others', '--exclude-standard'],
    {
      encoding: 'utf8',
      maxBuffer: 16 * 1024 * 1024,
    },
  );
  const texts = new Map<string, string>();
  for (const file of fileList.split('\n')) {
    if (file === '') continue;
    if (LEAVES.has(extname(file))) texts.set(file, '');
    else texts.set(file, textOf(join(root, file)));
  }
  return texts;
}

/** Empty for a file that is listed by git and deleted in the work tree. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
}

/** Returns the files that a file reaches directly. */
export function reachedBy(file: string, text: string, files: ReadonlySet<string>): string[] {
  const paths: string[] = [];
  if (CODE.has(extname(file))) {
    for (const [, , path = ''] of text.matchAll(QUOTED))
      paths.push(path.startsWith('.') ? normalize(join(dirname(file), path)) : path);
    for (const [, , path = ''] of text.matchAll(QUOTED_FOLDER)) paths.push(`${path}/`);
    for (const [, declared = ''] of text.matchAll(DECLARED)) paths.push(...declared.trim().split(/[ ,]+/));
  } else {
    for (const [path] of text.matchAll(BARE)) paths.push(path);
  }
  return (
    paths
      // A template names the folder that it begins with; `scripts/products/` alone names no program.
      .map((path) => path.replace(/^dist\//, '').replace(/^((?:[\w.-]+\/){3,})\$\{.*/, '$1'))
      .flatMap((path) => filesAt(path, files))
      .filter((one) => one !== file && !one.endsWith('.test.ts'))
  );
}

/** A file, the source of a compiled file, the start of a program's folder, or all that lies in a folder. */
function filesAt(path: string, files: ReadonlySet<string>): string[] {
  const one = [path, path.replace(/\.js$/, '.ts'), path.replace(/\.js$/, '.tsx'), `${path}/main.ts`].find(
    (candidate) => files.has(candidate),
  );
  if (one !== undefined) return [one];
  const folder = path.endsWith('/') ? path : `${path}/`;
  return [...files].filter((file) => file.startsWith(folder));
}

/** Returns all test files that reach one of the changed files, with the changed files that are tests themselves. */
export function reachingTests(
  changedFiles: readonly string[],
  texts: ReadonlyMap<string, string>,
): Set<string> {
  const files = new Set(texts.keys());
  const isTest = (file: string): boolean => file.endsWith('.test.ts');
  if (changedFiles.some((file) => EVERYWHERE.test(file))) return new Set([...files].filter(isTest));
  const users = new Map<string, string[]>();
  for (const [file, text] of texts) {
    for (const reached of new Set(reachedBy(file, text, files)))
      users.set(reached, [...(users.get(reached) ?? []), file]);
  }
  const foundFiles = new Set<string>();
  const waiting = [...changedFiles];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (foundFiles.has(file)) continue;
    foundFiles.add(file);
    waiting.push(...(users.get(file) ?? []));
  }
  return new Set([...foundFiles].filter((file) => isTest(file) && files.has(file)));
}
