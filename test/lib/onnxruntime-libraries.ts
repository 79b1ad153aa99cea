/** ONNX Runtimes that are installed for a test: Debian's, npm's own file, and a fake (fake-onnxruntime.c). */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DetectorConfig } from '../../agent/contract/config.ts';
import { LIBRARY_FOLDERS } from '../../agent/contract/onnxruntime-library.ts';
import { INPUT, MODEL } from './inference-element.ts';
import { ROOT } from './paths.ts';

/** Debian's own folder of the closed list. */
const DEBIAN_DIR = LIBRARY_FOLDERS.at(-1) ?? '';
const DEBIAN_NAME = existsSync(DEBIAN_DIR)
  ? readdirSync(DEBIAN_DIR).find((name) => /^libonnxruntime\.so\.1\.\d+$/.test(name))
  : undefined;

/** Reason why such tests cannot run here, or false. */
export const noLibrary =
  DEBIAN_NAME === undefined ? 'libonnxruntime of Debian is not installed: scripts/setup --for test' : false;
export const notRoot = process.getuid?.() === 0 ? false : 'only root can own a library';

export const DEBIAN_FOLDERS = [DEBIAN_DIR];
export const DEBIAN_LIBRARY = join(DEBIAN_DIR, DEBIAN_NAME ?? '');
export const NPM_LIBRARY = join(
  ROOT,
  'node_modules/onnxruntime-node/bin/napi-v6/linux',
  process.arch,
  'libonnxruntime.so.1',
);

/** A new folder of root's below folders of root's, which no folder for temporary files is. */
export function rootFolder(t: { teardown(fn: () => void): void }): string {
  const dir = mkdtempSync('/usr/local/lib/vigie-test-');
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function copyLibrary(dir: string, from: string): string {
  const file = join(dir, 'libonnxruntime.so.1');
  copyFileSync(from, file);
  return file;
}

/** Compiles the fake into the folder; `flags` may leave out its entry. */
export function makeFake(dir: string, flags: readonly string[] = []): string {
  const file = join(dir, 'libonnxruntime.so.1');
  const source = join(ROOT, 'test/lib/fake-onnxruntime/fake-onnxruntime.c');
  const headers = String(execFileSync('pkg-config', ['--cflags', 'libonnxruntime'])).split(/\s+/);
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wno-unused-function'];
  const compile = ['-shared', '-fPIC', '-O1', ...warnings, `-DREAL="${DEBIAN_LIBRARY}"`, ...flags];
  execFileSync('cc', [...compile, ...headers.filter(Boolean), '-o', file, source], { stdio: 'inherit' });
  return file;
}

export function libraryConfig(
  providers: readonly string[] = ['cpu'],
  over: Partial<DetectorConfig> = {},
): DetectorConfig {
  return {
    model: MODEL,
    input: [...INPUT] as [number, number],
    backend: 'onnxruntime-library',
    providers: [...providers],
    ...over,
  };
}
