/**
 * Finds the installed libonnxruntime, which vision loads: code in the process with the pixels.
 *
 * INVARIANTS: only root can have written the file, the libraries beside it that it loads, and every folder on the way
 * to them. So no other user can exchange one of them between this check and dlopen(3).
 *
 * A descriptor instead of the path would not do. The library finds its providers by the folder that it was loaded from.
 */
import { lstatSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { AgentError, messageOf } from './errors.ts';
import { sysfsNames } from './sysfs.ts';

/** `libonnxruntime.so.1`, or with minor version and patch. */
const LIBRARY = /^libonnxruntime\.so\.1(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?$/;
/** Libraries that it loads from its own folder. */
const PROVIDER_LIBRARY = /^libonnxruntime_providers_[a-z_]{1,40}\.so$/;
/** Writable by group or others. */
const WRITABLE = 0o022;

/**
 * Returns the real path of the newest library in the first folder that has one.
 *
 * @throws AgentError `config`, one line: it is missing, or a user besides root could have written it
 */
export function findLibrary(folders: readonly string[]): string {
  for (const folder of folders) {
    const names = (sysfsNames(folder) ?? []).filter((name) => LIBRARY.test(name)).sort(byVersion);
    const newest = names.at(-1);
    if (newest === undefined) continue;
    checkFolders(folder);
    const file = realPath(join(folder, newest));
    const dir = dirname(file);
    checkFolders(dir);
    checkOwner(file, 'file');
    for (const name of (sysfsNames(dir) ?? []).filter((name) => PROVIDER_LIBRARY.test(name))) {
      const providerFile = realPath(join(dir, name));
      checkFolders(dirname(providerFile));
      checkOwner(providerFile, 'file');
    }
    return file;
  }
  throw new AgentError(
    'config',
    `no libonnxruntime.so.1 in ${folders.join(', ')}: install one there, or choose backend: onnxruntime`,
  );
}

function byVersion(a: string, b: string): number {
  const [, minorA = '-1', patchA = '-1'] = LIBRARY.exec(a) ?? [];
  const [, minorB = '-1', patchB = '-1'] = LIBRARY.exec(b) ?? [];
  return Number(minorA) - Number(minorB) || Number(patchA) - Number(patchB);
}

/** Checks a folder and all above it. */
function checkFolders(folder: string): void {
  const real = realPath(folder);
  checkOwner(real, 'folder');
  if (dirname(real) !== real) checkFolders(dirname(real));
}

function checkOwner(path: string, kind: 'file' | 'folder'): void {
  const stat = lstatSync(path);
  if (kind === 'file' ? !stat.isFile() : !stat.isDirectory()) throw refusalOf(path, `is not a ${kind}`);
  if (stat.uid !== 0)
    throw refusalOf(path, `belongs to user ${stat.uid}, not to root`, `chown root:root ${path}`);
  if ((stat.mode & WRITABLE) === 0) return;
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0');
  throw refusalOf(path, `may be written by others than root (mode ${mode})`, `chmod go-w ${path}`);
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw refusalOf(path, `cannot be followed (${messageOf(error)})`);
  }
}

function refusalOf(path: string, problem: string, remedy = `install ${basename(path)} again`): AgentError {
  return new AgentError('config', `ONNX Runtime is not loaded: ${path} ${problem}; ${remedy}`);
}
