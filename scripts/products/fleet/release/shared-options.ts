/** Options and helpers that the commands of releases and roots share. */
import { type Command, Option, type OptionValues } from '@commander-js/extra-typings';
import { AgentError } from '../../../../agent/base/errors.ts';
import { command, integerUpTo } from '../../../../agent/cli/commands/options.ts';
import { signingKey } from '../../../../agent/cli/signing-key.ts';
import { say, warn } from '../output.ts';
import { agreesTo, agreeToRoot } from './agreement.ts';
import { readLockedKey, unlockKey } from './keyholder-key.ts';
import { passphraseOf } from './passphrase.ts';
import type { PublishOptions } from './publish.ts';
import { Repository } from './repository.ts';
import {
  addSignature,
  checkAgainst,
  checkOrigin,
  describe,
  isComplete,
  isOfRoot,
  readSigningFile,
  signingFileOf,
  trustedRoot,
  writeSigningFile,
} from './signing-file.ts';

const REPOSITORY = 'fleet/repository';
const ONLINE_KEY = 'fleet/online.key';

export interface InRepository {
  readonly repository: string;
}

interface SignOptions {
  readonly key: string;
  readonly root?: string;
  readonly repository?: string;
  readonly passphraseFd?: number;
  /** Agreement to a list of releases. */
  readonly yes?: true;
  /** Agreement to a root, by its SHA-256. */
  readonly agree?: string;
}

export interface PublishFlags extends InRepository {
  readonly onlineKey: string;
  readonly previousOnlineKey?: string;
  readonly targets?: string;
  readonly releasesLater?: true;
  /** SHA-256 of a root. */
  readonly agree?: string;
}

/** Adds `sign` to the commands of releases or of roots. */
export function addSign(group: Command, kind: 'release' | 'root', example: string): void {
  const signCommand = command(
    group,
    'sign',
    'show what a file holds, and sign it with a keyholder’s key; the file then goes to the next keyholder',
    [
      [
        `scripts/fleet ${kind} sign ${example} --key /media/stick/anna.key`,
        'root.json, which anna trusts, lies beside her key',
      ],
    ],
  )
    .argument('<file>', 'the file to be signed')
    .requiredOption('--key <file>', 'private key of a keyholder, encrypted PEM')
    .addOption(passphraseOption())
    .option('--root <file>', 'the root that the keyholder trusts (default: root.json beside the key)')
    .option('--repository <folder>', 'what is published, where it is at hand: a stale file is seen at once')
    .action((file: string, options: SignOptions) => signFile(file, kind, options));
  if (kind === 'root') signCommand.addOption(agreeOption());
  else signCommand.option('--yes', 'sign without confirmation');
}

/** Names the root that someone has read, for use without a terminal. */
export const agreeOption = () =>
  new Option(
    '--agree <sha256>',
    'agree to every difference of the root with this SHA-256, without confirmation',
  );

/** Highest file descriptor that a shell opens for a program. */
const FD_MAX = 1023;

export const passphraseOption = () =>
  new Option(
    '--passphrase-fd <number>',
    'read the passphrase of the key from this file descriptor (default: from the terminal)',
  ).argParser(integerUpTo(FD_MAX, 0));

/** Adds a command that makes a file to be signed. */
export function signable(
  group: Command,
  name: string,
  meaning: string,
  examples: readonly (readonly [string, string])[],
) {
  return command(group, name, meaning, examples)
    .addOption(repositoryOption())
    .requiredOption('--out <file>', 'the file to be signed');
}

export function published<A extends unknown[], O extends OptionValues>(subcommand: Command<A, O>) {
  return subcommand
    .addOption(repositoryOption())
    .option('--online-key <file>', 'private key of the room that signs snapshot and timestamp', ONLINE_KEY);
}

export const repositoryOption = () =>
  new Option('--repository <folder>', 'what the web server gives to boxes').default(REPOSITORY);

/** Runs a command, and warns about metadata that expires soon. */
export async function withRepository(
  flags: InRepository,
  work: (repository: Repository) => void | Promise<void>,
): Promise<void> {
  const repository = new Repository(flags.repository);
  try {
    await work(repository);
  } finally {
    for (const line of repository.warnings(Date.now())) warn(`warning: ${line}`);
  }
}

export function publishing(
  { onlineKey, previousOnlineKey, targets, releasesLater }: PublishFlags,
  needed = true,
): PublishOptions {
  const files = needed ? [onlineKey, ...(previousOnlineKey === undefined ? [] : [previousOnlineKey])] : [];
  return {
    online: files.map((file) => signingKey(file, '--online-key')),
    targetsDir: targets,
    releasesLater,
    nowMs: Date.now(),
  };
}

export function toSign(
  repository: Repository,
  file: string,
  metadata: Parameters<typeof signingFileOf>[1],
  kind: string,
): void {
  writeSigningFile(file, signingFileOf(repository, metadata));
  for (const line of describe(readSigningFile(file))) say(line);
  say(`${file}: to be signed: fleet ${kind} sign ${file} --key KEY`);
}

async function signFile(file: string, kind: 'release' | 'root', options: SignOptions): Promise<void> {
  const locked = readLockedKey(options.key);
  const content = readSigningFile(file);
  if (isOfRoot(content.metadata) !== (kind === 'root')) {
    const other = kind === 'root' ? 'release' : 'root';
    throw new AgentError('config', `${file}: is for \`fleet ${other} sign\``);
  }
  const trusted = trustedRoot(options.key, options.root);
  if (trusted === undefined && content.roots.length > 0) {
    throw new AgentError(
      'config',
      `${options.key}: no root.json beside it; put the fleet's root (metadata/root.json) there, or name it with --root`,
    );
  }
  checkOrigin(content, file, trusted, Date.now());
  if (options.repository !== undefined) checkAgainst(new Repository(options.repository), content, file);
  for (const line of describe(content)) say(line);
  if (kind === 'root') await agreeToRoot(content, file, options.agree);
  else if (options.yes !== true && !(await agreesTo(['Sign this?'])))
    throw new AgentError('denied', `${file}: not signed`);
  const passphrase = await passphraseOf({ fd: options.passphraseFd, file: options.key });
  const keyholder = addSignature(content, unlockKey(locked, passphrase));
  writeSigningFile(file, content);
  const next = isComplete(content) ? `complete: fleet ${kind} publish ${file}` : 'more must sign';
  say(`${file}: signed by ${keyholder}; ${next}`);
}
