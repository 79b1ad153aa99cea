/**
 * Lists the content of a release file by file, as text in the form of mtree(5), so that Debian's mtree(8) can check it
 * too.
 *
 * The text has `#mtree`, the tree itself (mtree(8) requires it), then a line for each path, sorted by bytes. The forms
 * are `./path type=file mode=0644 size=12 sha256digest=…`, `./path type=dir mode=0755` and `./path type=link
 * link=target`. The manifest itself is not included.
 *
 * LIMITS: names of letters, digits and `._+@,~-`, modes 0644 and 0755, links that stay in the tree, and ENTRIES_MAX
 * paths.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statSync,
} from 'node:fs';
import { join, posix } from 'node:path';
import { setImmediate as othersTurn } from 'node:timers/promises';
import { AgentError, type ErrorKind, messageOf } from '../../agent/base/errors.ts';
import { printable } from '../../agent/base/printable.ts';
import { MANIFEST_FILE } from '../../agent/contract/release.ts';

export interface Entry {
  /** Path below the tree, without `./`. */
  readonly path: string;
  readonly type: 'file' | 'dir' | 'link';
  /** Permission bits of files and folders. */
  readonly mode?: number;
  /** Size of files in bytes. */
  readonly size?: number;
  /** Hash of files, hexadecimal. */
  readonly sha256?: string;
  /** Target of links, as stored in the link. */
  readonly link?: string;
}

/** A release has about 4,000; a hundred times that is not a release. */
const ENTRIES_MAX = 100_000;
/** Space for as many paths of 160 characters. */
const TEXT_CHARS_MAX = 32 * 1_048_576;
/** Less than tar and ext4 permit. */
const PATH_CHARS_MAX = 1024;
const READ_BYTES = 262_144;

const FIRST_LINES = ['#mtree', '. type=dir mode=0755'];
const NAME = /^[A-Za-z0-9._+@,~-]{1,255}$/;
const FILE = /^\.\/(\S+) type=file mode=(0644|0755) size=(0|[1-9]\d{0,14}) sha256digest=([0-9a-f]{64})$/;
const DIR = /^\.\/(\S+) type=dir mode=(0755)$/;
const LINK = /^\.\/(\S+) type=link link=(\S+)$/;

/**
 * Reads a tree from disk with its modes; the top folder and its MANIFEST are left out. Follows no link.
 *
 * @throws AgentError corrupt for content that a release cannot have (a device, a name of other characters); unavailable
 * if it cannot be read
 */
export async function scanTree(dir: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    await scanFolder(dir, '', entries, Buffer.allocUnsafe(READ_BYTES));
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('unavailable', `${dir} cannot be read: ${messageOf(error)}`, error);
  }
  return entries.sort(byPath);
}

/** @throws AgentError config if a release may not have such an entry */
export function manifestText(entries: readonly Entry[]): string {
  const sorted = [...entries].sort(byPath);
  const text = `${[...FIRST_LINES, ...sorted.map(lineOf)].join('\n')}\n`;
  parsed(text, 'config');
  return text;
}

/**
 * Accepts exactly the output of `manifestText`, nothing similar.
 *
 * @throws AgentError corrupt, naming the line
 */
export function parseManifest(text: string): Entry[] {
  return parsed(text, 'corrupt');
}

/**
 * Compares a tree with its manifest: every path, type, mode, size, hash and link, nothing more, and no file of another
 * user.
 *
 * @throws AgentError corrupt with the first difference; unavailable if it cannot be read
 */
export async function verifyTree(dir: string, entries: readonly Entry[]): Promise<void> {
  const actualEntries = await scanTree(dir);
  const mode = (statSync(dir).mode & 0o7777).toString(8);
  if (mode !== '755') throw new AgentError('corrupt', `${dir} has mode 0${mode}, and should have 0755`);
  const expected = [...entries].sort(byPath);
  for (let i = 0; i < Math.max(actualEntries.length, expected.length); i += 1) {
    const [is, should] = [actualEntries[i], expected[i]];
    if (is !== undefined && should !== undefined && lineOf(is) === lineOf(should)) continue;
    throw new AgentError('corrupt', `${dir}: does not match its manifest: ${difference(is, should)}`);
  }
}

/**
 * Returns the changes that turn one tree into another: first remove (the deepest come first), then write (folders come
 * first). A path that differs only in its mode is written, since a hard link shares its mode with its other names.
 */
export function changedPaths(
  from: readonly Entry[],
  to: readonly Entry[],
): { write: string[]; remove: string[] } {
  const before = new Map(from.map((entry) => [entry.path, entry]));
  const after = new Map(to.map((entry) => [entry.path, entry]));
  const write = to.filter((entry) => {
    const old = before.get(entry.path);
    return old === undefined || lineOf(old) !== lineOf(entry);
  });
  const remove = from.filter(({ path, type }) => after.get(path)?.type !== type);
  return {
    write: write.sort(byPath).map(({ path }) => path),
    remove: remove
      .sort(byPath)
      .reverse()
      .map(({ path }) => path),
  };
}

/**
 * Reads synchronously: a release has thousands of small files, for which asynchronous calls took ten times the CPU
 * time. After each folder it yields to other work.
 */
async function scanFolder(dir: string, subfolder: string, entries: Entry[], buffer: Buffer): Promise<void> {
  const folders: string[] = [];
  for (const name of readdirSync(join(dir, subfolder))) {
    const path = posix.join(subfolder, name);
    if (path === MANIFEST_FILE) continue;
    if (!NAME.test(name)) throw wrong(dir, path, 'has a name that no release has');
    if (entries.length >= ENTRIES_MAX) throw wrong(dir, path, `is one of more than ${ENTRIES_MAX}`);
    const file = join(dir, path);
    const is = lstatSync(file);
    if (is.uid !== process.geteuid?.())
      throw wrong(dir, path, `belongs to user ${is.uid}, not to ${process.geteuid?.()}`);
    if (is.isSymbolicLink()) entries.push({ path, type: 'link', link: readlinkSync(file) });
    else if (is.isDirectory()) {
      entries.push({ path, type: 'dir', mode: is.mode & 0o7777 });
      folders.push(path);
    } else if (is.isFile()) entries.push({ path, type: 'file', ...scanFile(file, buffer) });
    else throw wrong(dir, path, 'is neither a file nor a folder nor a link');
  }
  for (const folder of folders) {
    await othersTurn();
    await scanFolder(dir, folder, entries, buffer);
  }
}

function scanFile(file: string, buffer: Buffer): { mode: number; size: number; sha256: string } {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const mode = fstatSync(fd).mode & 0o7777;
    const hash = createHash('sha256');
    let size = 0;
    for (;;) {
      const bytesRead = readSync(fd, buffer, 0, buffer.length, null);
      if (bytesRead === 0) return { mode, size, sha256: hash.digest('hex') };
      size += bytesRead;
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    closeSync(fd);
  }
}

function parsed(text: string, kind: ErrorKind): Entry[] {
  if (text.length > TEXT_CHARS_MAX)
    throw new AgentError(kind, `the manifest is longer than ${TEXT_CHARS_MAX} characters`);
  const lines = text.split('\n');
  const bad = (number: number, problem: string): never => {
    const line = printable(lines[number - 1] ?? '');
    throw new AgentError(kind, `manifest, line ${number}: ${problem}: ${line}`);
  };
  for (const [index, line] of FIRST_LINES.entries())
    if (lines[index] !== line) bad(index + 1, `it must be ${line}`);
  if (lines.pop() !== '') bad(lines.length, 'the last line has no end');
  if (lines.length - FIRST_LINES.length > ENTRIES_MAX) bad(lines.length, `more than ${ENTRIES_MAX} paths`);
  const folders = new Set(['.']);
  let last: Entry | undefined;
  return lines.slice(FIRST_LINES.length).map((line, index) => {
    const number = index + FIRST_LINES.length + 1;
    const entry = entryOf(line) ?? bad(number, 'not in the form of a manifest');
    const misplacement = misplaced(entry, folders);
    if (misplacement !== undefined) bad(number, misplacement);
    if (last !== undefined && byPath(last, entry) >= 0) bad(number, 'not sorted, or twice');
    if (entry.type === 'dir') folders.add(entry.path);
    last = entry;
    return entry;
  });
}

function entryOf(line: string): Entry | undefined {
  const [, file, fileMode, size, sha256] = FILE.exec(line) ?? [];
  if (file !== undefined && fileMode !== undefined && sha256 !== undefined)
    return { path: file, type: 'file', mode: Number.parseInt(fileMode, 8), size: Number(size), sha256 };
  const [, dir, dirMode] = DIR.exec(line) ?? [];
  if (dir !== undefined && dirMode !== undefined)
    return { path: dir, type: 'dir', mode: Number.parseInt(dirMode, 8) };
  const [, path, link] = LINK.exec(line) ?? [];
  return path === undefined || link === undefined ? undefined : { path, type: 'link', link };
}

/** Returns the reason why a release cannot have such an entry. */
function misplaced({ path, link }: Entry, folders: ReadonlySet<string>): string | undefined {
  if (path.length > PATH_CHARS_MAX || !path.split('/').every(isName))
    return 'no path below the tree in plain names';
  if (path === MANIFEST_FILE) return 'a manifest does not name itself';
  if (!folders.has(posix.dirname(path))) return 'its folder is not in the manifest before it';
  // `..` is only permitted in front: from a real folder it leads to real folders, and no link of the tree can lead
  // outside.
  if (link === undefined) return undefined;
  const steps = link.split('/');
  const down = steps.slice(steps.findIndex((step) => step !== '..'));
  const up = steps.length - down.length;
  return down.every(isName) && up < path.split('/').length ? undefined : 'a link that leaves the tree';
}

function isName(name: string): boolean {
  return NAME.test(name) && name !== '.' && name !== '..';
}

function lineOf({ path, type, mode, size, sha256, link }: Entry): string {
  if (type === 'link') return `./${path} type=link link=${link}`;
  const octal = `0${(mode ?? 0).toString(8)}`;
  if (type === 'dir') return `./${path} type=dir mode=${octal}`;
  return `./${path} type=file mode=${octal} size=${size} sha256digest=${sha256}`;
}

/** Names are ASCII only, so that the order of code units is that of bytes. */
function byPath(a: Entry, b: Entry): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}

function difference(is: Entry | undefined, should: Entry | undefined): string {
  if (should === undefined || (is !== undefined && byPath(is, should) < 0))
    return `${is?.path} should not be there`;
  if (is === undefined || byPath(should, is) < 0) return `${should.path} is missing`;
  return `it has ${lineOf(is)}, and should have ${lineOf(should)}`;
}

function wrong(dir: string, path: string, problem: string): AgentError {
  return new AgentError('corrupt', `${join(dir, printable(path))} ${problem}`);
}
