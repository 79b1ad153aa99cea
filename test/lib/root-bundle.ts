/** Root's program as its package brings it: one file, whose start takes half the time that its modules would take. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from './paths.ts';

const BUILT = join(ROOT, 'dist');
const MAKER = join(BUILT, 'scripts/programs/package/bundle.js');

/** Makes it, unless it is there for this very code; returns its path. */
export function rootProgram(): string {
  const dir = join(ROOT, '.cache', `root-program-${codeHash()}`);
  const program = join(dir, 'vigie-root.js');
  if (existsSync(program)) return program;
  mkdirSync(dirname(dir), { recursive: true });
  const fresh = mkdtempSync(`${dir}.`);
  execFileSync(process.execPath, [MAKER, fresh, join(fresh, 'copyright')], { stdio: 'pipe' });
  try {
    renameSync(fresh, dir);
  } catch (error) {
    // Another test has made it meanwhile.
    if (!existsSync(program)) throw error;
    rmSync(fresh, { recursive: true });
  }
  return program;
}

/** Of all modules that may be in it. */
function codeHash(): string {
  const hash = createHash('sha256').update(readFileSync(join(ROOT, 'package-lock.json')));
  for (const folder of ['agent', 'scripts']) {
    const files = readdirSync(join(BUILT, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => name.endsWith('.js')).sort())
      hash.update(`${file}\0`).update(readFileSync(join(BUILT, folder, file)));
  }
  return hash.digest('hex').slice(0, 12);
}
