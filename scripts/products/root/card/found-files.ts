/**
 * Lists the files on the boot partition: in the expected folder, and in places where people put them by mistake. Names
 * are compared without case, because FAT ignores it and Windows and macOS change it.
 *
 * LIMITS: reads ENTRIES_MAX names of a folder, DEPTH_MAX folders deep. A larger folder is reported as a validation
 * error.
 */
import { type Dirent, lstatSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export const CONFIG_NAME = 'vigie.yaml';
export const RESULT_NAME = 'result.txt';
const FOLDER_NAME = 'vigie';
/** Folder with large files, such as packages and files baked into the image. It is ignored. */
const LARGE_NAME = 'vigie-files';
const PKI_NAME = 'pki';
const FILES_MAX = 64;
/**
 * Maximum size of a file, in bytes. Certificates with their chain take some kB; the configuration has its own limit of
 * 256 KiB.
 */
const FILE_BYTES_MAX = 256 * 1024;
const ENTRIES_MAX = 1000;
/** Files of vigie-root, which are not a configuration of the agent. */
const OF_UPDATER = /^update(?:\.yaml|-root\.json)(?:\.txt)?$/i;
/** Maximum folder depth; allows for a folder that was packed inside its own folder twice. */
const DEPTH_MAX = 3;

export interface FoundFiles {
  /** Files in the folder and in its pki/, relative to the folder. result.txt is not included. */
  readonly names: readonly string[];
  /**
   * Misplaced files and folders with names like ours, relative to the folder: in deeper folders, or as `../` beside it.
   */
  readonly strays: readonly string[];
  /** Reasons that make the folder unusable, independent of its files. */
  readonly problems: readonly string[];
}

/** Returns undefined if the partition holds no file of ours. */
export function findFiles(from: string): FoundFiles | undefined {
  const folder = statSync(from, { throwIfNoEntry: false });
  const siblings = siblingsOf(from);
  if (folder === undefined && siblings.length === 0) return undefined;
  const names: string[] = [];
  const strays: string[] = [];
  const problems = folder?.isDirectory() === false ? [`${from}: is a file; must be a folder`] : [];
  for (const path of filesBelow(from, '', DEPTH_MAX)) {
    if (lower(path) === RESULT_NAME || lower(path) === `${RESULT_NAME}.new`) continue;
    const dir = dirname(path);
    if (dir !== '.' && lower(dir) !== PKI_NAME) {
      if (looksOurs(basename(path))) strays.push(path);
      continue;
    }
    const stat = lstatSync(join(from, path));
    if (!stat.isFile()) problems.push(`${shownName(path)}: is not a regular file`);
    else if (stat.size > FILE_BYTES_MAX) {
      problems.push(`${shownName(path)}: is larger than ${FILE_BYTES_MAX} bytes`);
    } else names.push(path);
  }
  if (names.length > FILES_MAX) problems.push(`more than ${FILES_MAX} files; this folder is for Vigie alone`);
  for (const [index, name] of names.entries()) {
    if (names.findIndex((other) => sameName(other, name)) === index) continue;
    problems.push(`${shownName(name)}: is there more than once (capitals do not count); keep one`);
  }
  return { names, strays: [...siblings, ...strays], problems };
}

export function sameName(one: string, other: string): boolean {
  return lower(one) === lower(other);
}

/** Returns a name that is safe to print; it comes from the author of the card. */
export function shownName(path: string): string {
  const plain = path.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
  return plain.length > 120 ? `${plain.slice(0, 120)}…` : plain;
}

/** Describes what is wrong with the place or name of a file that was not installed, and what is accepted. */
export function strayText(path: string): string {
  const name = shownName(path);
  const base = basename(path);
  const rename = lower(base) === CONFIG_NAME ? '' : `, as ${CONFIG_NAME} if it is the configuration`;
  if (path.startsWith('../')) return `${name}: lies beside this folder; must lie in it${rename}`;
  const depth = path.split('/').length - 1;
  const inPki = lower(dirname(path)) === PKI_NAME;
  if (depth > 0 && !inPki) {
    const deep = depth === 1 ? 'one folder too deep' : `${depth} folders too deep`;
    const right = isConfigLike(base)
      ? `must lie in this folder, as ${CONFIG_NAME}`
      : 'files of this folder lie in it or in its folder pki';
    return `${name}: lies ${deep}; ${right}`;
  }
  const windows = '; Windows adds .txt and hides it (Explorer: View, File name extensions)';
  const ofLabel = /^(setup-code\.json|hotspot-key|update\.yaml|update-root\.json)\.txt$/i.exec(base)?.[1];
  if (ofLabel !== undefined) return `${name}: must be named ${lower(ofLabel)}${windows}`;
  if (!isConfigLike(base)) return `${name}: is taken together with a ${CONFIG_NAME} only`;
  const hidden = /\.txt$/i.test(base) ? windows : ', if it is the configuration';
  return `${name}: must be named ${CONFIG_NAME}${hidden}`;
}

/**
 * Returns the file that was most likely meant if `target` is missing: in another folder, or with an extra extension.
 */
export function meantFor(target: string, paths: readonly string[]): string | undefined {
  const bare = (path: string): string => lower(basename(path)).replace(/\.txt$/, '');
  const match = paths.find((path) => bare(path) === bare(target));
  return match === undefined ? undefined : shownName(match);
}

/**
 * Reports whether a name looks like a configuration or certificate of ours. Desktop files, which begin with a dot, do
 * not.
 */
export function looksOurs(name: string): boolean {
  if (/^(?:enrol\.json|setup-code\.json|hotspot-key)(?:\.txt)?$/i.test(name) || OF_UPDATER.test(name))
    return true;
  return isConfigLike(name) || /^[^.].*\.(?:crt|cer|pem|key|csr|dsse\.json|pub)(?:\.txt)?$/i.test(name);
}

export function isConfigLike(name: string): boolean {
  if (OF_UPDATER.test(name)) return false;
  return /^vigie/i.test(name) || /^[^.].*\.ya?ml(?:\.txt)?$/i.test(name);
}

/** Returns names at the top of the partition that begin with "vigie", except the two known folders. */
function siblingsOf(from: string): string[] {
  if (!sameName(basename(from), FOLDER_NAME)) return [];
  return entriesOf(dirname(from))
    .map(({ name }) => name)
    .filter((name) => /^vigie/i.test(name) && !sameName(name, FOLDER_NAME) && !sameName(name, LARGE_NAME))
    .map((name) => `../${name}`);
}

function filesBelow(root: string, inside: string, depth: number): string[] {
  return entriesOf(join(root, inside)).flatMap((entry) => {
    const path = join(inside, entry.name);
    if (!entry.isDirectory()) return [path];
    return depth === 0 ? [] : filesBelow(root, path, depth - 1);
  });
}

/** Returns an empty array if there is no such folder. */
function entriesOf(dir: string): Dirent[] {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(dir, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, ENTRIES_MAX);
}

function lower(name: string): string {
  return name.toLowerCase();
}
