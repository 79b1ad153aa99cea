/**
 * `bundle.js DIR COPYRIGHT` makes root's program one file, DIR/vigie-root.js: it outlives every release of the agent, whose
 * modules it must not need. COPYRIGHT is its debian/copyright, with the licence of every package that is in it.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { packageRoot, programVersion } from '../../../agent/base/package-root.ts';

const HEAD = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: vigie-root

Files: *
Copyright: Vigie contributors
License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
`;
/** Where packages carry it, by Debian's eyes. */
const LICENCE_FILE = /^(licen[cs]e|copying)(\.(md|txt))?$/i;

const [dir, copyright] = process.argv.slice(2);
if (dir === undefined || copyright === undefined) {
  process.stderr.write('bundle: give a folder, and the file that is to be its copyright\n');
  process.exit(2);
}
const root = packageRoot();
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['dist/scripts/programs/root/main.js'],
  outfile: join(dir, 'vigie-root.js'),
  bundle: true,
  metafile: true,
  platform: 'node',
  target: 'node20.17',
  format: 'esm',
  // What is CommonJS in it asks for node's own modules by require().
  banner: {
    js: '#!/usr/bin/node\nimport { createRequire as vigieRequire } from "node:module"; const require = vigieRequire(import.meta.url);',
  },
  legalComments: 'none',
  logLevel: 'warning',
});
// That it is a module, and which version.
writeFileSync(
  join(dir, 'package.json'),
  `${JSON.stringify({ name: 'vigie-root', version: programVersion(), type: 'module' })}\n`,
);
mkdirSync(dirname(copyright), { recursive: true });
const packages = new Set(
  Object.keys(metafile.inputs).flatMap(
    (file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [],
  ),
);
writeFileSync(copyright, [HEAD, ...[...packages].sort().map(paragraph)].join('\n'));

/** As copyright-format/1.0 wants it: the licence's own text, indented, its empty lines as dots. */
function paragraph(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license: string;
  };
  const file = readdirSync(join(root, folder)).find((one) => LICENCE_FILE.test(one));
  const text = file === undefined ? '' : readFileSync(join(root, folder, file), 'utf8').trim();
  const owner =
    /^\s*(?:[Cc]opyright )?\([Cc]\) .+$|^\s*Copyright [A-Z0-9].+$/m.exec(text)?.[0].trim() ??
    `the authors of ${name}`;
  const lines = text.split(/\r?\n/).map((line) => ` ${line.trim() === '' ? '.' : line.trimEnd()}`);
  return `Files: usr/share/vigie-root/first-release/vigie-root.js
Comment: the part of it that is ${name} ${version}
Copyright: ${owner.replace(/^[Cc]opyright /, '')}
License: ${license}
${text === '' ? ` ${name} comes without a text; its package.json says ${license}.` : lines.join('\n')}
`;
}
