/** Preloaded by Node: a file that is below FAKE_ROOT is read there instead of on this machine. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const root = process.env['FAKE_ROOT'] ?? '';
const { existsSync } = fs;

function redirected(path: unknown): unknown {
  if (typeof path !== 'string' || !/^\/(sys|dev|usr\/lib|usr\/local)\b/.test(path)) return path;
  const fake = join(root, path);
  return existsSync(fake) ? fake : path;
}

type Call = (...args: readonly unknown[]) => unknown;
function redirect(owner: Record<string, Call>, names: readonly string[]): void {
  for (const name of names) {
    const real = owner[name] as Call;
    owner[name] = (path, ...rest) => real(redirected(path), ...rest);
  }
}

redirect(fs as unknown as Record<string, Call>, ['readFileSync', 'readdirSync', 'realpathSync', 'statSync']);
redirect(fs.promises as unknown as Record<string, Call>, ['open']);
syncBuiltinESMExports();
