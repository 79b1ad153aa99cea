/**
 * Bundles the browser apps, the technician's page and the room's console: app.js, style.css and index.html each. The
 * console also has a style sheet and chunks of code for screens that are loaded when they are opened. Unchanged files
 * are not rewritten, so that a package stays up to date.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { ruleFields } from './rule-fields.ts';

interface App {
  /** Folder of the app's sources, and below dist of its output. */
  readonly dir: string;
  readonly define: Readonly<Record<string, string>>;
  /** Style sheets, each a file of its own. */
  readonly styles: readonly string[];
}

/** Folder of the chunks, whose names contain a hash of their content. */
const CHUNKS_DIR = 'chunks';

const APPS: readonly App[] = [
  { dir: 'agent/page/app', define: { RULE_FIELDS: JSON.stringify(ruleFields()) }, styles: ['style'] },
  { dir: 'scripts/products/room/app', define: {}, styles: ['style', 'views'] },
];

for (const app of APPS) await bundle(app);

async function bundle({ dir, define, styles }: App): Promise<void> {
  const sources = join(packageRoot(), dir);
  const out = join(packageRoot(), 'dist', dir);
  const { outputFiles } = await build({
    absWorkingDir: packageRoot(),
    entryPoints: {
      app: join(sources, 'app.tsx'),
      ...Object.fromEntries(styles.map((name) => [name, join(sources, `${name}.css`)])),
    },
    outdir: out,
    bundle: true,
    splitting: true,
    chunkNames: `${CHUNKS_DIR}/[name]-[hash]`,
    write: false,
    minify: true,
    format: 'esm',
    // Covers phones of the last four years, and the browsers of a room.
    target: ['chrome105', 'firefox110', 'safari15.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    define,
    legalComments: 'none',
    logLevel: 'warning',
  });
  const paths = new Set(outputFiles.map(({ path }) => path));
  for (const path of existingChunks(out)) if (!paths.has(path)) rmSync(path);
  for (const { path, contents } of outputFiles) put(path, Buffer.from(contents));
  put(join(out, 'index.html'), readFileSync(join(sources, 'index.html')));
}

function existingChunks(out: string): string[] {
  const folder = join(out, CHUNKS_DIR);
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

function put(file: string, contents: Buffer): void {
  mkdirSync(dirname(file), { recursive: true });
  if (!existsSync(file) || !readFileSync(file).equals(contents)) writeFileSync(file, contents);
}
