/**
 * `bundle.js PROGRAM DIR COPYRIGHT` bundles a program with all its imports into one file, DIR/vigie-PROGRAM.js. The
 * programs are root's, which outlives every release of the agent, and oversight's, which runs where no other package of
 * Vigie is installed. COPYRIGHT is the debian/copyright of its package, with the licence of every npm package in the
 * file.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { packageRoot, programVersion } from '../../../agent/base/package-root.ts';

/** Path of the file in each Debian package. */
const PLACES = new Map([
  ['root', 'usr/share/vigie-root/first-release'],
  ['oversight', 'usr/share/vigie-oversight'],
]);
/** Names of licence files in packages, by Debian's criteria. */
const LICENCE_FILE = /^(licen[cs]e|copying)(\.(md|txt))?$/i;

const [program = '', dir, copyright] = process.argv.slice(2);
const place = PLACES.get(program);
if (place === undefined || dir === undefined || copyright === undefined) {
  const programNames = [...PLACES.keys()].join(' or ');
  process.stderr.write(`bundle: give ${programNames}, a folder, and the file that is to be its copyright\n`);
  process.exit(2);
}
const name = `vigie-${program}`;
const head = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ${name}

Files: *
Copyright: Vigie contributors
License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
`;
const root = packageRoot();
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: [`dist/scripts/products/${program}/main.js`],
  outfile: join(dir, `${name}.js`),
  bundle: true,
  metafile: true,
  platform: 'node',
  target: 'node20.17',
  format: 'esm',
  // CommonJS modules in it load node's own modules by require().
  banner: {
    js: '#!/usr/bin/node\nimport { createRequire as vigieRequire } from "node:module"; const require = vigieRequire(import.meta.url);',
  },
  legalComments: 'none',
  logLevel: 'warning',
});
// States that it is a module, and its version.
writeFileSync(
  join(dir, 'package.json'),
  `${JSON.stringify({ name, version: programVersion(), type: 'module' })}\n`,
);
mkdirSync(dirname(copyright), { recursive: true });
const packages = new Set(
  Object.keys(metafile.inputs).flatMap(
    (file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [],
  ),
);
writeFileSync(copyright, [head, ...[...packages].sort().map(paragraph)].join('\n'));

/** Formats a paragraph of copyright-format/1.0: the licence's own text, indented, with dots for its empty lines. */
function paragraph(folder: string): string {
  const {
    name: of,
    version,
    license,
  } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license: string;
  };
  const file = readdirSync(join(root, folder)).find((one) => LICENCE_FILE.test(one));
  const text = file === undefined ? '' : readFileSync(join(root, folder, file), 'utf8').trim();
  const owner =
    /^\s*(?:[Cc]opyright )?\([Cc]\) .+$|^\s*Copyright [A-Z0-9].+$/m.exec(text)?.[0].trim() ??
    `the authors of ${of}`;
  const lines = text.split(/\r?\n/).map((line) => ` ${line.trim() === '' ? '.' : line.trimEnd()}`);
  return `Files: ${place}/${name}.js
Comment: the part of it that is ${of} ${version}
Copyright: ${owner.replace(/^[Cc]opyright /, '')}
License: ${license}
${text === '' ? ` ${of} comes without a text; its package.json says ${license}.` : lines.join('\n')}
`;
}
