/** Paths of files outside the sources that tests use. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { packageRoot } from '../../agent/base/package-root.ts';

export const ROOT = packageRoot();
export const MODEL_DIR = join(ROOT, 'models');

/** 795 frames of a street, 768×576; downloaded by the set-up script. */
export const STREET_CLIP = join(ROOT, '.cache', 'vtest.avi');

/** A file of the evaluation data, or the reason why the test that needs it must be skipped. */
export function evaluationData(...path: string[]): { file: string; skip: string | false } {
  const dir = resolve(ROOT, process.env['VIGIE_DATA'] ?? '../shared/data');
  const file = join(dir, ...path);
  return { file, skip: existsSync(file) ? false : `no evaluation data: ${path.join('/')} (set VIGIE_DATA)` };
}

/** Sources of all tests, from the root of the project. */
export const testFiles = (): string[] =>
  readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join('test', file));

/** A new folder that is deleted with the test. */
export function scratch(t: { teardown(fn: () => void): void }): string {
  return folderIn(tmpdir(), t);
}

/** The same, never in memory, for tests that depend on a box's file system. */
export function scratchOnDisk(t: { teardown(fn: () => void): void }): string {
  return folderIn('/var/tmp', t);
}

function folderIn(parent: string, t: { teardown(fn: () => void): void }): string {
  const dir = mkdtempSync(join(parent, 'vigie-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
