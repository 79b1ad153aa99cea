/**
 * What a technician put on the boot partition goes to its place, once: checked as a whole, installed with owners
 * and modes, removed from there. What was done, or why not, stays there as result.txt.
 *
 * INVARIANTS: nothing is installed unless all of it is in order; the configuration goes last, and what is taken is
 * removed only after everything is on disk, so that a power cut in between costs no more than a second try. No key
 * and no password is written to result.txt.
 * LIMITS: FILES_MAX files of FILE_BYTES_MAX each.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Config } from '../contract/config.ts';

export const CONFIG_NAME = 'vigie.yaml';
export const RESULT_NAME = 'result.txt';
/** Where vigie.service looks for the key that it hands to the agent (LoadCredential=). */
const KEY_PLACE = 'pki/box.key';
const FILES_MAX = 64;
/** Certificates with their chain take some kB; the configuration has a limit of its own (256 KiB). */
const FILE_BYTES_MAX = 256 * 1024;

export interface BootPartitionOptions {
  /** Folder on the boot partition. */
  readonly from: string;
  /** /etc/vigie; its owner and group are those of what is installed. */
  readonly to: string;
  /** The mistakes of a configuration, or the configuration. */
  inspect(file: string): { readonly config: Config | undefined; readonly problems: readonly string[] };
  /** Throws AgentError when certificate, key and authority cannot be used together. `config` names files that exist. */
  checkCredentials(config: Config): void;
  /** UTC, for the first line of the result. */
  readonly now: Date;
}

interface Piece {
  /** Path on the boot partition, relative to its folder. */
  readonly source: string;
  /** Absolute path of its place. */
  readonly target: string;
}

export interface Provisioned {
  readonly state: 'installed' | 'refused' | 'nothing';
  /** As in result.txt. */
  readonly lines: readonly string[];
}

export function takeFromBootPartition(options: BootPartitionOptions): Provisioned {
  const { from, to } = options;
  if (!existsSync(join(from, CONFIG_NAME))) {
    return { state: 'nothing', lines: [`${join(from, CONFIG_NAME)}: not there, nothing to take`] };
  }
  const found = plan(options);
  if (found.problems.length > 0) {
    const next = 'Nothing was installed. Put it right in this folder and start the box again.';
    return finish(options, 'refused', [...found.problems, next]);
  }
  const { pieces, left } = found;
  for (const { source, target } of pieces) {
    if (source === CONFIG_NAME && existsSync(target)) {
      place(readFileSync(target), `${target}.before`, to, 0o640);
    }
    place(readFileSync(join(from, source)), target, to, isKey(target, to) ? 0o600 : 0o640);
  }
  const lines = [
    ...pieces.map(({ source, target }) => `${source} is now ${target}`),
    ...left.map((name) => `${name}: the configuration does not name it; it was left here`),
    'What was taken is removed from here. Deleting is not erasing: whoever has had this card may have the key.',
  ];
  const result = finish(options, 'installed', lines);
  for (const { source } of pieces) rmSync(join(from, source));
  return result;
}

function isKey(target: string, to: string): boolean {
  return relative(to, target) === KEY_PLACE;
}

/** Everything that is wrong at once, or what goes where: the configuration last. */
function plan(options: BootPartitionOptions): { problems: string[]; pieces: Piece[]; left: string[] } {
  const { from, to, inspect } = options;
  const refuse = (problems: readonly string[]) => ({ problems: [...problems], pieces: [], left: [] });
  const { names, problems: odd } = filesOf(from);
  if (odd.length > 0) return refuse(odd);
  const { config, problems } = inspect(join(from, CONFIG_NAME));
  if (config === undefined) return refuse(problems);
  const pieces: Piece[] = [];
  const missing: string[] = [];
  const wanted = [...new Set(pathsIn(config, `${to}/`))];
  for (const target of wanted) {
    const inside = relative(to, target);
    const source = [inside, basename(target)].find((name) => names.includes(name));
    if (source !== undefined) pieces.push({ source, target });
    else if (!existsSync(target))
      missing.push(`${target}: the configuration names it, but there is no ${inside} in this folder`);
  }
  if (config.mqtt?.key !== undefined && !isKey(config.mqtt.key, to)) {
    missing.push(
      `mqtt.key: must be ${join(to, KEY_PLACE)}, from where the service hands it to the agent alone`,
    );
  }
  if (missing.length > 0) return refuse(missing);
  try {
    options.checkCredentials(staged(config, pieces, from));
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    return refuse([messageOf(error)]);
  }
  pieces.push({ source: CONFIG_NAME, target: join(to, CONFIG_NAME) });
  const taken = new Set(pieces.map(({ source }) => source));
  return { problems: [], pieces, left: names.filter((name) => !taken.has(name) && name !== RESULT_NAME) };
}

/** Files in the folder and in its pki/, as relative paths. */
function filesOf(from: string): { names: string[]; problems: string[] } {
  const names: string[] = [];
  const problems: string[] = [];
  for (const dir of ['', 'pki']) {
    if (dir !== '' && !existsSync(join(from, dir))) continue;
    for (const entry of readdirSync(join(from, dir)).sort()) {
      const name = join(dir, entry);
      const stat = lstatSync(join(from, name));
      if (stat.isDirectory()) continue;
      if (!stat.isFile()) problems.push(`${name}: is no ordinary file`);
      else if (stat.size > FILE_BYTES_MAX) problems.push(`${name}: is larger than ${FILE_BYTES_MAX} bytes`);
      else names.push(name);
    }
  }
  if (names.length > FILES_MAX) problems.push(`more than ${FILES_MAX} files; this folder is for Vigie alone`);
  return { names, problems };
}

/** Every path below `prefix` that the configuration names, whatever the key. */
function pathsIn(value: unknown, prefix: string): string[] {
  if (typeof value === 'string') return value.startsWith(prefix) && !value.includes('/../') ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((inner) => pathsIn(inner, prefix));
}

/** The configuration with the files where they still are. */
function staged(config: Config, pieces: readonly Piece[], from: string): Config {
  const source = new Map(pieces.map((piece) => [piece.target, join(from, piece.source)]));
  const { mqtt } = config;
  if (mqtt === undefined) return config;
  const now = (file: string): string => source.get(file) ?? file;
  const { ca, cert, key, ...rest } = mqtt;
  return {
    ...config,
    mqtt: {
      ...rest,
      ...(ca !== undefined && { ca: now(ca) }),
      ...(cert !== undefined && { cert: now(cert) }),
      ...(key !== undefined && { key: now(key) }),
    },
  };
}

/** The folder's owner and group are those of the file: root, and the agent's group. */
function place(content: Buffer, target: string, to: string, mode: number): void {
  const dir = dirname(target);
  if (!existsSync(dir)) {
    throw new AgentError('config', `${dir}: no such folder; the package makes ${to} and ${to}/pki`);
  }
  const { uid, gid } = statSync(to);
  writeAtomically(target, content);
  chownSync(target, uid, gid);
  chmodSync(target, mode);
}

function finish(
  { from, now }: BootPartitionOptions,
  state: 'installed' | 'refused',
  lines: readonly string[],
): Provisioned {
  const head = `${now.toISOString()} ${state}`;
  // For whoever looks at the card on another machine: lines end as Windows wants them too.
  writeAtomically(join(from, RESULT_NAME), `${[head, ...lines].join('\r\n')}\r\n`);
  return { state, lines: [head, ...lines] };
}
