/**
 * Installs the technician's files from the boot partition, once: checks them together, installs them with owner and
 * mode, and removes them from the partition. The outcome is written there as result.txt, for misnamed files too. On a
 * box that is already installed, the files of a new label are accepted without a configuration.
 *
 * INVARIANTS:
 * - No file is installed unless all files are valid and those that are taken can be removed.
 * - The configuration is installed last. The sources are removed only after everything is on disk, so a power cut costs
 *   no more than a second attempt.
 * - Files that an installation left on the partition are reported once.
 * - result.txt contains no key and no password.
 *
 * LIMITS: those of found-files.ts.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import type { Config } from '../../../../agent/contract/config.ts';
import { ENROL_FILE } from '../../../../agent/contract/enrolment.ts';
import { HOTSPOT_KEY_FILE } from '../../../../agent/contract/hotspot.ts';
import { SETUP_CODE_FILE } from '../../../../agent/contract/setup-code.ts';
import { EnrolFiles, requestProblem, setupCodeProblem } from '../enrolment/enrol-files.ts';
import { hotspotKeyProblem } from '../network/hotspot.ts';
import {
  CONFIG_NAME,
  type FoundFiles,
  findFiles,
  isConfigLike,
  looksOurs,
  meantFor,
  RESULT_NAME,
  sameName,
  shownName,
  strayText,
} from './found-files.ts';
import {
  settingsDir,
  UPDATE_FILES,
  updateFileProblem,
  updateFilesMissing,
  updatePlace,
} from './update-files.ts';

/** Target of the key that enrolment and renewal install; its certificate lies beside it. */
const KEY_PLACE = 'pki/box.key';
/** Paths that an enrolment requires or installs. */
const ENROLLED_PLACES = { ca: 'pki/ca.crt', cert: 'pki/box.crt', key: KEY_PLACE } as const;
/** Those that an enrolment installs. */
const INSTALLED_LATER: readonly string[] = [ENROLLED_PLACES.cert, KEY_PLACE];

export interface BootPartitionOptions {
  readonly from: string;
  /** Target folder, /etc/vigie. Installed files get its owner and group. */
  readonly to: string;
  /** Returns the configuration, or its validation errors. */
  inspect(file: string): { readonly config: Config | undefined; readonly problems: readonly string[] };
  /**
   * Returns why certificate, key and authority cannot be used, or not by this box. The paths in `config` are of
   * existing files.
   */
  certificateProblems(config: Config): readonly string[];
  /** Sets the host name to the box's name, by which a phone finds the page. Returns a line for the result. */
  nameHost?(box: string): string;
  readonly now: Date;
}

interface Piece {
  readonly source: string;
  /** Absolute path of the target. */
  readonly target: string;
  /** User who reads the file; the agent by default. */
  readonly reader?: 'root' | 'page';
}

interface Plan {
  readonly problems: readonly string[];
  readonly pieces: readonly Piece[];
  /** Name of the box whose page a phone looks for. */
  readonly pageOf?: string;
}

export interface Provisioned {
  readonly state: 'installed' | 'refused' | 'nothing';
  /** Lines of result.txt. */
  readonly lines: readonly string[];
}

/**
 * Installs the files from the boot partition.
 *
 * @throws AgentError unavailable: an installed file cannot be removed from the partition
 */
export function takeFromBootPartition(options: BootPartitionOptions): Provisioned {
  const { from } = options;
  const files = findFiles(from);
  if (files === undefined) return { state: 'nothing', lines: [`${from}: not there, nothing to take`] };
  const configName = files.names.find((name) => sameName(name, CONFIG_NAME));
  if (configName === undefined && isTold(files, from)) {
    return { state: 'nothing', lines: [`${join(from, CONFIG_NAME)}: not there, nothing to take`] };
  }
  const refuse = (problems: readonly string[]): Provisioned => {
    const next = 'Nothing was installed. Put it right in this folder and start the box again.';
    return finish(options, 'refused', [...problems, next]);
  };
  const isLabel = configName === undefined && isNewLabel(options, files);
  if (configName === undefined && !isLabel) return refuse(withoutConfig(files));
  const { problems, pieces, pageOf }: Plan =
    configName === undefined
      ? onCard(from, files.names, labelFiles(options.to))
      : plan(options, configName, files);
  if (problems.length > 0) return refuse(problems);
  const problem = writeResult(options, `${options.now.toISOString()} begun\r\n`);
  if (problem !== undefined)
    return refuse([`${problem}; files are not installed from a partition that cannot be written`]);
  const hostLine = pageOf === undefined ? undefined : options.nameHost?.(pageOf);
  return install(options, pieces, files, hostLine === undefined ? [] : [hostLine]);
}

/**
 * Reports whether the partition holds only a new label for an installed box: the phone's code and the Wi-Fi passphrase.
 * Files that an earlier installation left may lie beside them. Other files without a configuration are not a label.
 */
function isNewLabel({ from, to }: BootPartitionOptions, files: FoundFiles): boolean {
  const isOfLabel = (name: string): boolean => labelFiles(to).some((one) => sameName(one.name, name));
  const otherNames = files.names.filter((name) => !isOfLabel(name));
  if (otherNames.length === files.names.length || files.problems.length > 0) return false;
  const isAlone = !otherNames.some((name) => looksOurs(basename(name))) && files.strays.length === 0;
  return existsSync(join(to, CONFIG_NAME)) && (isAlone || isTold({ ...files, names: otherNames }, from));
}

/** Reports whether everything on the partition was left by an installation, whose result.txt names it. */
function isTold({ names, strays, problems }: FoundFiles, from: string): boolean {
  const file = join(from, RESULT_NAME);
  const isFile = statSync(file, { throwIfNoEntry: false })?.isFile() === true;
  const result = isFile ? readFileSync(file, 'utf8') : '';
  const ownNames = [...names.filter((name) => looksOurs(basename(name))), ...strays];
  const isNew = (name: string): boolean => !result.includes(`\n${shownName(name)}: `);
  return problems.length === 0 && /^\S+ installed\r?\n/.test(result) && !ownNames.some(isNew);
}

function withoutConfig({ names, strays, problems }: FoundFiles): string[] {
  const configs = names.filter((name) => isConfigLike(basename(name)));
  // Keys in the right place are named only if no other line says what is missing.
  const ownNames =
    configs.length + strays.length > 0 ? configs : names.filter((name) => looksOurs(basename(name)));
  return [
    `${CONFIG_NAME}: is not in this folder; must lie here, with the files that it names here or in pki/`,
    ...problems,
    ...[...ownNames, ...strays].map(strayText),
  ];
}

function install(
  options: BootPartitionOptions,
  pieces: readonly Piece[],
  files: FoundFiles,
  extraLines: readonly string[],
): Provisioned {
  const { from, to } = options;
  try {
    for (const { source, target, reader } of pieces) {
      if (target === join(to, CONFIG_NAME) && existsSync(target)) {
        place(readFileSync(target), `${target}.before`, to);
      }
      place(readFileSync(join(from, source)), target, to, reader);
    }
  } catch (error) {
    const next = 'Not all of it was installed, and nothing was taken from here. Start the box again.';
    return finish(options, 'refused', [messageOf(error), next]);
  }
  const sources = new Set(pieces.map(({ source }) => source));
  const remaining = files.names.filter((name) => !sources.has(name));
  const hasConfig = pieces.some(({ target }) => target === join(to, CONFIG_NAME));
  const notTaken = hasConfig ? 'the configuration does not name it' : 'is not of the label';
  const result = finish(options, 'installed', [
    ...pieces.map(({ source, target }) => `${shownName(source)} is now ${target}`),
    ...remaining.map((name) => `${shownName(name)}: ${notTaken}; it was left here`),
    ...files.strays.map((name) => `${shownName(name)}: does not lie in this folder; it was left there`),
    ...extraLines,
    `What was taken is removed from here. Deleting is not erasing: ${ofTheCard(pieces, to)}.`,
  ]);
  try {
    for (const source of sources) rmSync(join(from, source));
  } catch (error) {
    const message = `what was installed cannot be removed from ${from}, and will be taken again: ${messageOf(error)}`;
    throw new AgentError('unavailable', message, error);
  }
  return result;
}

function ofTheCard(pieces: readonly Piece[], to: string): string {
  const hasKey = pieces.some(({ target }) => isKey(target, to));
  return `anyone who has had this card may have ${hasKey ? 'the key' : 'what was on it'}`;
}

function isKey(target: string, to: string): boolean {
  return relative(to, target) === KEY_PLACE;
}

/** Returns all validation errors at once, or the files to install with the configuration last. */
function plan(
  { from, to, inspect, certificateProblems }: BootPartitionOptions,
  configName: string,
  { names, strays, problems: odd }: FoundFiles,
): Plan {
  if (odd.length > 0) return { problems: odd, pieces: [] };
  const { config, problems } = inspect(join(from, configName));
  if (config === undefined) return { problems, pieces: [] };
  const { pieces, problems: missing } = onCard(from, names, [
    ...labelFiles(to),
    enrolFile(to, config),
    ...updateFiles(to),
  ]);
  const comes = (target: string): boolean => pieces.some((piece) => piece.target === target);
  const isEnrolled = comes(join(to, ENROL_FILE));
  for (const [name, place] of Object.entries(isEnrolled ? ENROLLED_PLACES : {})) {
    if (config.mqtt?.[name as keyof typeof ENROLLED_PLACES] === join(to, place)) continue;
    missing.push(`mqtt.${name}: must be ${join(to, place)} for a box that is enrolled (${ENROL_FILE})`);
  }
  const updateDir = settingsDir(to);
  const updates = UPDATE_FILES.filter((name) => comes(updatePlace(updateDir, name)));
  missing.push(...updateFilesMissing(updateDir, updates));
  for (const target of new Set(pathsIn(config, `${to}/`))) {
    const inside = relative(to, target);
    const source = [inside, basename(target)]
      .map((wantedName) => names.find((name) => sameName(name, wantedName)))
      .find((name) => name !== undefined);
    if (source !== undefined) pieces.push({ source, target });
    else if (!existsSync(target) && !(isEnrolled && INSTALLED_LATER.includes(inside))) {
      const guess = meantFor(inside, [...names, ...strays]);
      const hint = guess === undefined ? '' : `; is it ${guess}?`;
      missing.push(`${target}: the configuration names it, but there is no ${inside} in this folder${hint}`);
    }
  }
  if (config.mqtt?.key !== undefined && !isKey(config.mqtt.key, to)) {
    missing.push(`mqtt.key: must be ${join(to, KEY_PLACE)}, where its renewal puts the next one`);
  }
  const wrong = missing.length > 0 ? missing : certificateProblems(staged(config, pieces, from));
  const hasPage = pieces.some(({ target }) => target === join(to, 'page', SETUP_CODE_FILE));
  return {
    problems: wrong,
    pieces: [...pieces, { source: configName, target: join(to, CONFIG_NAME) }],
    ...(hasPage && { pageOf: config.box }),
  };
}

/** A file that no configuration names. */
interface CardFile extends Required<Omit<Piece, 'source'>> {
  readonly name: string;
  /** Returns the validation error of the text; undefined if it has none. */
  problemOf(text: string): string | undefined;
}

const labelFiles = (to: string): readonly CardFile[] => [
  {
    name: SETUP_CODE_FILE,
    target: join(to, 'page', SETUP_CODE_FILE),
    reader: 'page',
    problemOf: setupCodeProblem,
  },
  {
    name: HOTSPOT_KEY_FILE,
    target: join(to, 'page', HOTSPOT_KEY_FILE),
    reader: 'root',
    problemOf: hotspotKeyProblem,
  },
];

const enrolFile = (to: string, { site, box }: Config): CardFile => ({
  name: ENROL_FILE,
  target: join(to, ENROL_FILE),
  reader: 'root',
  problemOf: (text) => requestProblem(text, site, box),
});

/** Files for vigie-root, whose folder lies beside the agent's. */
const updateFiles = (to: string): readonly CardFile[] =>
  UPDATE_FILES.map((name) => ({
    name,
    target: updatePlace(settingsDir(to), name),
    reader: 'root',
    problemOf: (text) => updateFileProblem(name, text),
  }));

/** Returns those of `files` that the card has, and their validation errors. */
function onCard(
  from: string,
  names: readonly string[],
  files: readonly CardFile[],
): { pieces: Piece[]; problems: string[] } {
  const pieces: Piece[] = [];
  const problems: string[] = [];
  for (const { name, target, reader, problemOf } of files) {
    const source = names.find((one) => sameName(one, name));
    if (source === undefined) continue;
    pieces.push({ source, target, reader });
    const problem = problemOf(readFileSync(join(from, source), 'utf8'));
    if (problem !== undefined) problems.push(`${name}: ${problem}`);
  }
  return { pieces, problems };
}

/** Returns each path below `prefix` that the configuration names under any key. */
function pathsIn(value: unknown, prefix: string): string[] {
  if (typeof value === 'string') return value.startsWith(prefix) && !value.includes('/../') ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((inner) => pathsIn(inner, prefix));
}

/** Returns the configuration with the paths of the files before installation. */
function staged(config: Config, pieces: readonly Piece[], from: string): Config {
  const source = new Map(pieces.map((piece) => [piece.target, join(from, piece.source)]));
  const { mqtt } = config;
  if (mqtt === undefined) return config;
  const now = (file: string): string => source.get(file) ?? file;
  // Files that the enrolment will install cannot be checked yet.
  const presentFile = (file: string | undefined): string | undefined =>
    file === undefined || source.has(file) || existsSync(file) ? file : undefined;
  const { ca, cert: certPlace, key: keyPlace, ...rest } = mqtt;
  const [cert, key] = [presentFile(certPlace), presentFile(keyPlace)];
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

/**
 * Installs a file with the folder's owner and group. A file for the page gets those of the page's folder; one for root
 * is readable by its owner alone.
 */
function place(content: Buffer, target: string, to: string, reader?: Piece['reader']): void {
  const page = reader === 'page' ? new EnrolFiles(to).pageFolder() : undefined;
  const dir = dirname(target);
  if (!existsSync(dir)) {
    throw new AgentError('config', `${dir}: no such folder; the package makes ${to} and ${to}/pki`);
  }
  const { uid, gid } = page ?? statSync(to);
  const mode = page?.everybody === true ? 0o644 : 0o640;
  if (reader === 'root') writeAtomically(target, content, 0o600, { uid, gid: uid });
  else writeAtomically(target, content, mode, { uid, gid });
}

/** Writes result.txt. If the partition refuses it, the returned lines include the error. */
function finish(
  options: BootPartitionOptions,
  state: 'installed' | 'refused',
  lines: readonly string[],
): Provisioned {
  const allLines = [`${options.now.toISOString()} ${state}`, ...lines];
  // CRLF line ends, for a card that is read on Windows.
  const problem = writeResult(options, `${allLines.join('\r\n')}\r\n`);
  const isReported = problem === undefined || allLines.some((line) => line.startsWith(problem));
  return { state, lines: isReported ? allLines : [...allLines, `${problem}; it is reported here only`] };
}

/** Returns why the result cannot be written, or undefined. Makes the folder if only files beside it exist. */
function writeResult({ from }: BootPartitionOptions, text: string): string | undefined {
  const file = join(from, RESULT_NAME);
  try {
    mkdirSync(from, { recursive: true });
    writeAtomically(file, text);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : messageOf(error);
    return `${file} cannot be written (${code})`;
  }
}
