/**
 * Writes the pages of docs/ref that are made from the sources; with `--check` it writes nothing and
 * exits with 1 when a page is not what it would write.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../agent/base/package-root.ts';
import { describeCommands } from '../../agent/cli/describe.ts';
import { describeConfig } from '../../agent/config/describe.ts';
import { describeAsyncApi } from './asyncapi.ts';
import { describeSchema } from './schema.ts';

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
  version: string;
};

const PAGES: Readonly<Record<string, () => string>> = {
  'config.md': describeConfig,
  'cli.md': describeCommands,
  'events.schema.json': describeSchema,
  'asyncapi.yaml': () => describeAsyncApi(version),
};

const dir = join(packageRoot(), 'docs', 'ref');
const checking = process.argv.includes('--check');
mkdirSync(dir, { recursive: true });
for (const [name, make] of Object.entries(PAGES)) {
  const file = join(dir, name);
  const text = make();
  const fresh = existsSync(file) && readFileSync(file, 'utf8') === text;
  if (checking && !fresh) {
    process.stderr.write(`docs/ref/${name} is not what the sources say; run \`npm run docs\`\n`);
    process.exitCode = 1;
  }
  if (!checking && !fresh) {
    writeFileSync(file, text);
    process.stdout.write(`docs/ref/${name} written\n`);
  }
}
