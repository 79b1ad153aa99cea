/**
 * What lies on the boot partition: in our folder, and where people put things by mistake. Capitals do not count: on FAT
 * they are no difference, and a card from Windows or macOS has them as they please.
 *
 * LIMITS: ENTRIES_MAX names of a folder are read, DEPTH_MAX folders deep; a larger folder is a mistake by itself.
 */
import { type Dirent, lstatSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export const CONFIG_NAME = 'vigie.yaml';
export const RESULT_NAME = 'result.txt';
const FOLDER_NAME = 'vigie';
/** What is too large for our folder: packages, and what was baked into the image. It is left alone. */
const LARGE_NAME = 'vigie-files';
const PKI_NAME = 'pki';
const FILES_MAX = 64;
/** Certificates with their chain take some kB; the configuration has a limit of its own (256 KiB). */
const FILE_BYTES_MAX = 256 * 1024;
const ENTRIES_MAX = 1000;
/** Ours as well, and no configuration of the agent. */
const OF_UPDATER = /^update(?:\.yaml|-root\.json)(?:\.txt)?$/i;
/** A folder that was packed with its own folder, twice. */
const DEPTH_MAX = 3;

export interface Found {
  /** Files in the folder and in its pki/, relative to the folder; the result is not among them. */
  readonly names: readonly string[];
  /** Files and folders elsewhere that look like ours, relative to the folder: deeper, or `../` beside it. */
  readonly strays: readonly string[];
  /** Why the folder cannot be taken, whatever is in it. */
  readonly problems: readonly string[];
}

/** Undefined: nothing of ours is on the partition. */
export function findFiles(from: string): Found | undefined {
  const folder = statSync(from, { throwIfNoEntry: false });
  const beside = besides(from);
  if (folder === undefined && beside.length === 0) return undefined;
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
    if (!stat.isFile()) problems.push(`${shownName(path)}: is no ordinary file`);
    else if (stat.size > FILE_BYTES_MAX) {
      problems.push(`${shownName(path)}: is larger than ${FILE_BYTES_MAX} bytes`);
    } else names.push(path);
  }
  if (names.length > FILES_MAX) problems.push(`more than ${FILES_MAX} files; this folder is for Vigie alone`);
  for (const [index, name] of names.entries()) {
    if (names.findIndex((other) => sameName(other, name)) === index) continue;
    problems.push(`${shownName(name)}: is there more than once (capitals do not count); keep one`);
  }
  return { names, strays: [...beside, ...strays], problems };
}

export function sameName(one: string, other: string): boolean {
  return lower(one) === lower(other);
}

/** A name as it may be printed: it comes from whoever wrote the card. */
export function shownName(path: string): string {
  const plain = path.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
  return plain.length > 120 ? `${plain.slice(0, 120)}…` : plain;
}

/** What is wrong with the place or the name of something that was not taken, and what would be right. */
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

/** The file that was most likely meant where `wanted` is not there: in another folder, or with one more ending. */
export function meantFor(wanted: string, paths: readonly string[]): string | undefined {
  const bare = (path: string): string => lower(basename(path)).replace(/\.txt$/, '');
  const found = paths.find((path) => bare(path) === bare(wanted));
  return found === undefined ? undefined : shownName(found);
}

/** What a person takes for a configuration or a certificate of ours. Files of the desktop begin with a dot. */
export function looksOurs(name: string): boolean {
  if (/^(?:enrol\.json|setup-code\.json|hotspot-key)(?:\.txt)?$/i.test(name) || OF_UPDATER.test(name))
    return true;
  return isConfigLike(name) || /^[^.].*\.(?:crt|cer|pem|key|csr|dsse\.json|pub)(?:\.txt)?$/i.test(name);
}

export function isConfigLike(name: string): boolean {
  if (OF_UPDATER.test(name)) return false;
  return /^vigie/i.test(name) || /^[^.].*\.ya?ml(?:\.txt)?$/i.test(name);
}

/** What begins with our name at the top of the partition, but for our folders. */
function besides(from: string): string[] {
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

/** Empty where there is no such folder. */
function entriesOf(dir: string): Dirent[] {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(dir, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, ENTRIES_MAX);
}

function lower(name: string): string {
  return name.toLowerCase();
}
