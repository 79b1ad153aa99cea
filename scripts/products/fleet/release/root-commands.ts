/** `fleet root …`: makes and publishes the TUF root, which decides who may sign (docs/guide/fleet.md). */
import { join } from 'node:path';
import type { Command, OptionValues } from '@commander-js/extra-typings';
import { AgentError } from '../../../../agent/base/errors.ts';
import { command } from '../../../../agent/cli/commands/options.ts';
import { say } from '../output.ts';
import { agreeToRoot } from './agreement.ts';
import { checkRootFile, publishRoot } from './publish.ts';
import { Repository } from './repository.ts';
import { firstRoot, nextRoot, type RootChange } from './root.ts';
import { signedDigest } from './root-check.ts';
import {
  addSign,
  agreeOption,
  type InRepository,
  type PublishFlags,
  published,
  publishing,
  signable,
  toSign,
  withRepository,
} from './shared-options.ts';
import { describe } from './signing-file.ts';

export function rootCommands(program: Command): void {
  const root = command(
    program,
    'root',
    'the root of trust: who may sign what; boxes follow it from the one they were made with',
    [
      [
        'scripts/fleet root rotate --targets-key dora=dora.key.pub --drop-targets carl --out root2.json',
        'carl’s key goes, dora’s comes',
      ],
      ['scripts/fleet root rotate --out root2.json', 'the same keys for another year'],
    ],
  );
  root.helpCommand(false);
  rootKeys(
    signable(root, 'init', 'make the first root, to be signed by two keyholders of the root role', [
      [
        'scripts/fleet root init --root-key anna=anna.key.pub ben=ben.key.pub carl=carl.key.pub --targets-key anna=anna-t.key.pub ben=ben-t.key.pub dora=dora.key.pub --online-key online.key.pub --out root1.json',
        'two of three sign roots, two of three sign releases, the room’s own key says what is newest',
      ],
    ]),
  ).action((flags: InRepository & RootChange & { out: string }) => {
    const repository = new Repository(flags.repository);
    if (repository.roots().length > 0) {
      throw new AgentError('config', `${flags.repository}: has a root; change it with \`fleet root rotate\``);
    }
    toSign(repository, flags.out, firstRoot(flags, Date.now()), 'root');
  });
  rootKeys(
    signable(
      root,
      'rotate',
      'make the next root: with other keys, or the same for another year; old and new keyholders sign',
      [
        [
          'scripts/fleet root rotate --root-key ben=ben-new.key.pub --out root2.json',
          'ben has a new root key',
        ],
      ],
    ),
  )
    .option('--drop-root <holder...>', 'keyholders whose root key goes')
    .option('--drop-targets <holder...>', 'keyholders whose targets key goes')
    .action((flags: InRepository & RootChange & { out: string }) =>
      withRepository(flags, (repository) =>
        toSign(repository, flags.out, nextRoot(repository, flags, Date.now()), 'root'),
      ),
    );
  addSign(root, 'root', 'root2.json');
  published(
    command(root, 'publish', 'put a root that enough have signed before the boxes', [
      ['scripts/fleet root publish root2.json', ''],
    ]),
  )
    .argument('<file>', 'the signed file')
    .addOption(agreeOption())
    .option(
      '--previous-online-key <file>',
      'where the online key changes: the one until now, so that no box is refused meanwhile',
    )
    .option(
      '--releases-later',
      'although boxes accept no release until `release renew` is signed by the new keyholders',
    )
    .action((file: string, flags: PublishFlags) =>
      withRepository(flags, async (repository) => {
        const content = checkRootFile(repository, file, Date.now());
        for (const line of describe(content)) say(line);
        await agreeToRoot(content, file, flags.agree);
        const { signed } = await publishRoot(repository, file, {
          ...publishing(flags, repository.targets() !== undefined),
          agreed: signedDigest(content.metadata),
        });
        say(`published: root ${signed.version}, good until ${signed.expires}`);
        say(
          `${join(flags.repository, 'metadata/root.json')}: for new boxes (/etc/vigie-root/root.json), and beside each keyholder’s key`,
        );
      }),
    );
}

function rootKeys<A extends unknown[], O extends OptionValues>(subcommand: Command<A, O>) {
  return subcommand
    .option('--root-key <holder=file...>', 'public keys of who signs roots')
    .option('--targets-key <holder=file...>', 'public keys of who signs releases')
    .option('--online-key <file>', 'public key of the room');
}
