/**
 * Writes the pages of docs/ref that are generated from the sources. With `--check` it writes nothing and exits with 1
 * if a page is out of date.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { describeCommands } from '../../../agent/cli/describe.ts';
import { makeProgram } from '../../../agent/cli/program.ts';
import { describeConfig } from '../../../agent/config/describe.ts';
import { makeProgram as makeOversightProgram } from '../../products/oversight/program.ts';
import { makeProgram as makeRootProgram } from '../../products/root/program.ts';
import { describeAsyncApi } from './asyncapi.ts';
import { describeOpenApi } from './openapi.ts';
import { describeSchema } from './schema.ts';

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
  version: string;
};

const PAGES: Readonly<Record<string, () => string>> = {
  'docs/ref/config.md': describeConfig,
  'docs/ref/cli.md': () => describeCommands(makeProgram(), 'Commands'),
  'docs/ref/vigie-oversight.md': () =>
    describeCommands(makeOversightProgram(), 'Commands for the oversight of boxes'),
  'docs/ref/vigie-root.md': () => describeCommands(makeRootProgram(), 'Commands of root’s program'),
  'docs/ref/events.schema.json': describeSchema,
  'docs/ref/asyncapi.yaml': () => describeAsyncApi(version),
  'docs/ref/openapi.yaml': () => describeOpenApi(version),
};

const checking = process.argv.includes('--check');
for (const [name, make] of Object.entries(PAGES)) {
  const file = join(packageRoot(), name);
  mkdirSync(dirname(file), { recursive: true });
  const text = make();
  const isCurrent = existsSync(file) && readFileSync(file, 'utf8') === text;
  if (checking && !isCurrent) {
    process.stderr.write(`${name} is out of date; run \`npm run docs\`\n`);
    process.exitCode = 1;
  }
  if (!checking && !isCurrent) {
    writeFileSync(file, text);
    process.stdout.write(`${name} written\n`);
  }
}
