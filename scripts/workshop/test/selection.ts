/** Selects the test files of a run: by their names, by the names that a person gives, and by what has changed. */
import { basename } from 'node:path';

export const RUNS = ['quick', 'default', 'all', 'full'] as const;
export type Run = (typeof RUNS)[number];

/** Pure tests: no process, no broker, no real clip. */
const QUICK = /\.(?:unit|contract)\.test\.ts$/;
/** Files that only `--all` and `--full` run. */
const ONLY_ALL = /\.all\.test\.ts$/;

/** True if the file belongs to the run. */
export function isOfRun(file: string, run: Run): boolean {
  if (run === 'quick') return QUICK.test(file);
  return run === 'default' ? !ONLY_ALL.test(file) : true;
}

/** Name of a test file as people type it: `room/failover` for `test/room/failover.all.test.ts`. */
export function nameOf(file: string): string {
  const path = file.replace(/^test\//, '');
  const base = basename(path);
  return `${path.slice(0, path.length - base.length)}${base.slice(0, base.indexOf('.'))}`;
}

/** Returns the files of this name (`room/failover`, also with `test/` and its ending), or in the folder of this name. */
export function filesNamed(name: string, files: readonly string[]): string[] {
  const path = name.replace(/^\.\//, '').replace(/\/$/, '');
  const wantedNames = [path, path.replace(/^test\//, '')];
  return files.filter(
    (file) =>
      file === path ||
      wantedNames.includes(nameOf(file)) ||
      wantedNames.some((one) => file.startsWith(`test/${one}/`)),
  );
}
