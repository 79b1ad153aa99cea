/** `fleet release …`: makes, signs, publishes and withdraws releases (docs/guide/fleet.md). */
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import type { Targets } from '@tufjs/models';
import { AgentError } from '../../../../agent/base/errors.ts';
import { packageRoot } from '../../../../agent/base/package-root.ts';
import { command, integerUpTo } from '../../../../agent/cli/commands/options.ts';
import { ARCHES, type Arch, BOARDS, type Board } from '../../../../agent/contract/release.ts';
import { counted } from '../../../lib/counted.ts';
import { keygen } from '../../../lib/keygen.ts';
import { say, warn } from '../output.ts';
import { encryptedPem } from './keyholder-key.ts';
import { newPassphrase } from './passphrase.ts';
import { publishReleases, refresh } from './publish.ts';
import { offered, type Repository } from './repository.ts';
import {
  addSign,
  type InRepository,
  type PublishFlags,
  passphraseOption,
  published,
  publishing,
  repositoryOption,
  signable,
  toSign,
  withRepository,
} from './shared-options.ts';
import { describe, readSigningFile } from './signing-file.ts';
import { targetsWithout } from './withdraw.ts';
import { releaseOf, releaseWords } from './words.ts';

const SEQ_MAX = 999_999_999;
const COUNT_MAX = 50;

interface MakeFlags extends InRepository {
  readonly root?: true;
  readonly arch?: readonly Arch[];
  readonly boards?: readonly Board[];
  readonly tree?: readonly string[];
  readonly seq?: number;
  readonly seqMin?: number;
  readonly deltas: number;
  readonly keep: number;
  readonly out?: string;
  readonly allowDirty?: true;
  readonly clip?: string;
}

export function releaseCommands(program: Command): void {
  const release = command(program, 'release', 'releases: make, sign, publish, withdraw', [
    ['scripts/fleet release make', 'archives of this checkout, and a file to be signed'],
    [
      'scripts/fleet release sign release.json --key anna.key',
      'by two keyholders, each on their own machine',
    ],
    ['scripts/fleet release publish release.json', 'rollouts may offer it to boxes from now on'],
  ]);
  release.helpCommand(false);
  addKeygen(release);
  addMake(release);
  addSign(release, 'release', 'release.json');
  addPublish(release);
  addUpkeep(release);
}

function addKeygen(release: Command): void {
  command(release, 'keygen', 'make a pair of keys, for a keyholder (encrypted) or for the room', [
    [
      'scripts/fleet release keygen /media/stick/anna.key',
      'on a machine without a network; anna.key.pub is for `root init`',
    ],
    [
      'scripts/fleet release keygen fleet/online.key --online',
      'the room’s own key, which a timer uses: without a passphrase',
    ],
  ])
    .argument('<file>', 'where the private key goes; the public one gets .pub')
    .addOption(passphraseOption())
    .option('--online', 'the room’s own key: not encrypted, so that programs can use it')
    .action(async (file: string, { passphraseFd, online }: { passphraseFd?: number; online?: true }) => {
      if (online === true) return keygen(file);
      const passphrase = await newPassphrase({ fd: passphraseFd, file });
      keygen(file, (key) => encryptedPem(key, passphrase));
    });
}

function addMake(release: Command): void {
  command(
    release,
    'make',
    'make the archives of this commit, try it on the state of the release before, write release.json',
    [
      ['scripts/fleet release make', 'for both architectures'],
      ['scripts/fleet release make --arch arm64 --boards rpi4,rpi5', 'for some boards'],
      ['scripts/fleet release make --root --seq 413', 'of root’s program, which installs the others'],
    ],
  )
    .addOption(repositoryOption())
    .option('--root', 'a release of root’s program; made without a trial run')
    .addOption(new Option('--arch <arch...>', 'for these (default: all)').choices(ARCHES))
    .option('--boards <names>', 'for these boards alone, with commas', boards)
    .option('--seq <number>', 'number of the release (default: number of commits)', integerUpTo(SEQ_MAX))
    .option(
      '--seq-min <number>',
      'no way back below this release (default: as the release before)',
      integerUpTo(SEQ_MAX),
    )
    .option(
      '--deltas <count>',
      'number of previous releases of the program from which differences are made',
      integerUpTo(COUNT_MAX),
      5,
    )
    .option(
      '--keep <count>',
      'releases of the program that stay on offer, with this one',
      integerUpTo(COUNT_MAX),
      5,
    )
    .option('--out <folder>', 'where it goes (default: .cache/release/SEQ-VERSION, or root-SEQ-VERSION)')
    .option(
      '--tree <arch=folder...>',
      'a release’s folder that is there already (scripts/package --release-tree or --root-release-tree)',
    )
    .option('--clip <file>', 'footage for the trial (default: the street clip of the set-up)')
    .option('--allow-dirty', 'of files that are not committed: for trials, never for boxes in the street')
    .action((flags: MakeFlags) =>
      withRepository(flags, async (repository) => {
        // Loaded only here: signing a file does not need the code that runs an agent.
        const [{ makeRelease }, { checkState }] = await Promise.all([
          import('./make.ts'),
          import('./state-check.ts'),
        ]);
        const options = {
          boards: [],
          allowDirty: false,
          clip: join(packageRoot(), '.cache/vtest.avi'),
          ...flags,
          kind: flags.root === true ? ('root' as const) : undefined,
          arches: flags.arch ?? ARCHES,
          trees: new Map(flags.tree?.map(treeOf)),
          nowMs: Date.now(),
        };
        const file = await makeRelease(repository, options, { say, warn, checkState });
        for (const line of describe(readSigningFile(file))) say(line);
        say(`${file}: to be signed: fleet release sign ${file} --key KEY`);
      }),
    );
}

function addPublish(release: Command): void {
  published(
    command(release, 'publish', 'publish what two keyholders have signed', [
      [
        'scripts/fleet release publish .cache/release/412-0.3.0/release.json',
        'its archives lie beside it, in targets/',
      ],
    ]),
  )
    .argument('<file>', 'the signed file')
    .option('--targets <folder>', 'archives (default: targets beside the file)')
    .action((file: string, flags: PublishFlags) =>
      withRepository(flags, async (repository) => {
        const { signed } = await publishReleases(repository, file, publishing(flags));
        say(
          `published: targets ${signed.version}, good until ${signed.expires}; the newest is ${newestText(signed)}`,
        );
      }),
    );
}

function addUpkeep(release: Command): void {
  published(
    command(
      release,
      'refresh',
      'sign again that the published releases are the newest; from a timer, four times a day',
      [
        [
          'scripts/fleet release refresh --repository /srv/vigie --online-key /etc/vigie-fleet/online.key',
          'as the timer calls it',
        ],
      ],
    ),
  ).action((flags: PublishFlags) =>
    withRepository(flags, async (repository) => {
      const cleaned = await refresh(repository, publishing(flags));
      say(
        `timestamp good until ${repository.timestamp()?.signed.expires}${cleaned === 0 ? '' : `; ${counted(cleaned, 'file')} that nothing names removed`}`,
      );
    }),
  );
  command(release, 'list', 'what is on offer, and how long signatures are good', [
    ['scripts/fleet release list', ''],
  ])
    .addOption(repositoryOption())
    .action((flags: InRepository) => withRepository(flags, list));
  signable(release, 'withdraw', 'make a file to be signed, by which a release is offered no more', [
    [
      'scripts/fleet release withdraw 412 --out withdraw.json',
      'boxes that have it keep it; no other box installs it',
    ],
  ])
    .argument('<seq...>', 'numbers of releases')
    .action((seqs: string[], flags: InRepository & { out: string }) =>
      withRepository(flags, (repository) => {
        const numbers = seqs.map((text) => integerUpTo(SEQ_MAX)(text));
        toSign(repository, flags.out, targetsWithout(repository, numbers, Date.now()), 'release');
      }),
    );
  signable(
    release,
    'renew',
    'make a file to be signed, by which the same releases are offered for another 90 days',
    [['scripts/fleet release renew --out renew.json', 'where no release is due before the 90 days end']],
  ).action((flags: InRepository & { out: string }) =>
    withRepository(flags, (repository) =>
      toSign(repository, flags.out, targetsWithout(repository, [], Date.now()), 'release'),
    ),
  );
}

function list(repository: Repository): void {
  const root = repository.root();
  const targets = repository.targets();
  say(`root ${root.signed.version} until ${root.signed.expires}`);
  if (targets === undefined) {
    say('no release is published');
    return;
  }
  say(`targets ${targets.signed.version} until ${targets.signed.expires}`);
  say(
    `snapshot until ${repository.snapshot()?.signed.expires}, timestamp until ${repository.timestamp()?.signed.expires}`,
  );
  for (const one of offered(targets.signed)) say(releaseWords(one, targets.signed));
}

/** Returns the name of the newest release of either program. */
function newestText(targets: Targets): string {
  const [newest] = offered(targets);
  return newest === undefined ? 'none' : releaseOf(newest.custom);
}

function treeOf(text: string): [Arch, string] {
  const [, arch, dir] = /^(amd64|arm64)=(.+)$/.exec(text) ?? [];
  if (arch !== undefined && dir !== undefined) return [arch as Arch, dir];
  throw new AgentError('config', `--tree ${text}: write amd64=FOLDER or arm64=FOLDER`);
}

function boards(text: string): Board[] {
  return text.split(',').map((name) => {
    const board = BOARDS.find((one) => one === name);
    if (board === undefined) throw new InvalidArgumentError(`It must be of ${BOARDS.join(', ')}.`);
    return board;
  });
}
