/** Lists the project's files as git knows them, with their texts; for the checks that read sources and documents. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import ts from 'typescript';

/** Returns path and text of each file that matches a pattern: tracked, or new and not ignored. */
export function listedFiles(...patterns) {
  const listed = execFileSync(
    'git',
    ['ls-files', '--cached', '--others', '--exclude-standard', ...patterns],
    {
      encoding: 'utf8',
      maxBuffer: 16 * 1024 * 1024,
    },
  );
  return [...new Set(listed.split('\n'))]
    .filter((file) => file !== '')
    .flatMap((file) => {
      try {
        return [{ file, text: readFileSync(file, 'utf8') }];
      } catch (error) {
        // Listed by git, and deleted in the work tree.
        if (error.code === 'ENOENT') return [];
        throw error;
      }
    });
}

/** Returns each listed source with its syntax tree; both checks of the sources read these trees. */
export const sources = listedFiles('*.ts', '*.tsx').map(({ file, text }) => ({
  file,
  text,
  tree: ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true),
}));
