/**
 * Bundles the technician's app out of agent/page/app into dist/agent/page/app: app.js, style.css, index.html, and
 * nothing else that a phone loads. What has not changed is not written again, so that a package stays fresh.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { ruleFields } from './rule-fields.ts';

const SOURCES = join(packageRoot(), 'agent/page/app');
const OUT = join(packageRoot(), 'dist/agent/page/app');

const { outputFiles } = await build({
  absWorkingDir: packageRoot(),
  entryPoints: { app: join(SOURCES, 'app.tsx'), style: join(SOURCES, 'style.css') },
  outdir: OUT,
  bundle: true,
  write: false,
  minify: true,
  format: 'esm',
  // Phones of the last four years.
  target: ['chrome105', 'firefox110', 'safari15.4'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  define: { RULE_FIELDS: JSON.stringify(ruleFields()) },
  legalComments: 'none',
  logLevel: 'warning',
});
mkdirSync(OUT, { recursive: true });
for (const { path, contents } of outputFiles) put(path, Buffer.from(contents));
put(join(OUT, 'index.html'), readFileSync(join(SOURCES, 'index.html')));

function put(file: string, contents: Buffer): void {
  if (!existsSync(file) || !readFileSync(file).equals(contents)) writeFileSync(file, contents);
}
