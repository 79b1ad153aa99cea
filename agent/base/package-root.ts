/** Root folder of the package. Models and units are found relative to it, both from dist/ and from source. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentError } from './errors.ts';

export function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) {
    const parent = dirname(dir);
    if (parent === dir) throw new AgentError('bug', 'package.json not found above the program');
    dir = parent;
  }
  return dir;
}

/** Folder of the detectors' models and their cards. */
export const modelsDir = (): string => join(packageRoot(), 'models');

export function programVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  return String(Reflect.get(Object(manifest), 'version'));
}
