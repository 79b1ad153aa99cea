/**
 * Bundles the browser apps, the technician's page and the room's console: app.js, style.css and index.html each, and
 * nothing else that a browser loads. Unchanged files are not rewritten, so that a package stays up to date.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { ruleFields } from './rule-fields.ts';

interface App {
  /** Folder of the app's sources, and below dist of its output. */
  readonly dir: string;
  readonly define: Readonly<Record<string, string>>;
}

const APPS: readonly App[] = [
  { dir: 'agent/page/app', define: { RULE_FIELDS: JSON.stringify(ruleFields()) } },
  { dir: 'scripts/programs/room/app', define: {} },
];

for (const app of APPS) await bundle(app);

async function bundle({ dir, define }: App): Promise<void> {
  const sources = join(packageRoot(), dir);
  const out = join(packageRoot(), 'dist', dir);
  const { outputFiles } = await build({
    absWorkingDir: packageRoot(),
    entryPoints: { app: join(sources, 'app.tsx'), style: join(sources, 'style.css') },
    outdir: out,
    bundle: true,
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
  mkdirSync(out, { recursive: true });
  for (const { path, contents } of outputFiles) put(path, Buffer.from(contents));
  put(join(out, 'index.html'), readFileSync(join(sources, 'index.html')));
}

function put(file: string, contents: Buffer): void {
  if (!existsSync(file) || !readFileSync(file).equals(contents)) writeFileSync(file, contents);
}
