/**
 * `MAIN FILE`: bundles a program and all its imports into one file, except modules compiled for the machine. Lazily
 * imported modules are in files beside it, so that a start does not read them. Each module resolves its imports from its
 * original place.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, extname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

const [main = '', outfile = ''] = process.argv.slice(2);
const OWN_PLACE = 'import.meta.url';

const asItLies: Plugin = {
  name: 'as-it-lies',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/dist\/.*\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const place = JSON.stringify(pathToFileURL(path).href);
      return { contents: text.replaceAll(OWN_PLACE, place), loader: 'js' };
    });
  },
};

await build({
  entryPoints: { [basename(outfile, extname(outfile))]: main },
  outdir: dirname(outfile),
  outExtension: { '.js': extname(outfile) },
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node20.17',
  format: 'esm',
  external: ['better-sqlite3', 'node-gstreamer-superficial', 'onnxruntime-node', 'sharp', 'pg-native'],
  plugins: [asItLies],
  // Bundled CommonJS modules load node's own modules by require().
  banner: {
    js: 'import { createRequire as vigieRequire } from "node:module"; const require = vigieRequire(import.meta.url);',
  },
  legalComments: 'none',
  logLevel: 'warning',
});
