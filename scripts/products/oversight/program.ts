/**
 * Commands of `vigie-oversight`: an authority's keys and authorisations, journal reports for a judge, an independent
 * witness, and the public page. The code of each command is imported when it is called.
 */
import { type Command, Option } from '@commander-js/extra-typings';
import { commandProgram } from '../../../agent/cli/command-program.ts';
import { command } from '../../../agent/cli/commands/options.ts';
import {
  caOption,
  certKeyOption,
  certOption,
  roomOption,
  siteOption,
} from '../../lib/room-link/room-options.ts';
import type { AuthoriseOptions } from './authorise.ts';
import type { VerifyOptions } from './journal/verify.ts';
import type { ReportOptions } from './report/report.ts';
import { LANGUAGES } from './transparency/texts.ts';
import type { TransparencyOptions } from './transparency/transparency.ts';
import type { WitnessOptions } from './witness/attend.ts';

export function makeProgram(): Command {
  const program = commandProgram(
    'vigie-oversight',
    'For the oversight of Vigie boxes: signs authorisations, verifies journals, and writes the public page.',
  );
  addAuthority(program);
  addJournal(program);
  addWitness(program);
  addTransparency(program);
  return program;
}

function addAuthority(program: Command): void {
  command(
    program,
    'keygen',
    'make a pair of ed25519 keys, for an authority or for a keyholder who may resume a box',
    [
      [
        'vigie-oversight keygen authority.key',
        'writes authority.key (for its keyholder only) and authority.key.pub',
      ],
    ],
  )
    .argument('<file>', 'where the private key goes; the public one gets .pub')
    .action(async (file: string) => {
      const { keygen } = await import('../../lib/keygen.ts');
      keygen(file);
    });
  const authorised = command(
    program,
    'authorise',
    'sign an authorisation, so that a box may do what it allows',
    [
      [
        'vigie-oversight authorise order.yaml --sign authority.key --out canebiere-017.dsse.json',
        'at the authority',
      ],
    ],
  );
  authorised
    .requiredOption('--sign <file>', 'the authority’s private key, PEM')
    .argument('<order>', 'the authorisation, YAML (docs/guide/authorisation.md)')
    .requiredOption('--out <file>', 'the signed authorisation, for `authorisation` of the box')
    .action(async (file: string, options: AuthoriseOptions) => {
      const { authorise } = await import('./authorise.ts');
      authorise(file, options);
    });
}

function addJournal(program: Command): void {
  checking(
    command(program, 'verify', 'check a journal offline; exit 0 intact, 1 not intact, 2 unreadable', [
      ['vigie-oversight verify canebiere-017.jsonl --key canebiere-017.vkey', 'its entries alone'],
      [
        'vigie-oversight verify canebiere-017.jsonl --key canebiere-017.vkey --head head.txt',
        'against a head that the room or a witness stored: finds a journal that was rolled back or forked',
      ],
    ]),
  )
    .option('--json', 'print one JSON object')
    .action(async (place: string, options: VerifyOptions) => {
      const { verify } = await import('./journal/verify.ts');
      process.exitCode = verify(place, options);
    });
  checking(
    command(
      program,
      'report',
      'verify a journal, and report in plain words what the box did in an interval',
      [
        [
          'vigie-oversight report canebiere-017.jsonl --key canebiere-017.vkey --from 2026-11-01 --to 2026-12-01 --out november.html',
          'as text, and as a page with a picture that can be printed',
        ],
      ],
    ),
  )
    .option(
      '--from <time>',
      'start of the interval, YYYY-MM-DD[THH:MM[:SS]][Z|±HH:MM]; without it the whole journal',
    )
    .option('--to <time>', 'end of the interval, exclusive, in the same form')
    .option('--time-zone <name>', 'times in this zone instead of the site’s own')
    .option('--out <file>', 'also as one page of HTML')
    .option('--json', 'print one JSON object')
    .action(async (place: string, options: ReportOptions) => {
      const { report } = await import('./report/report.ts');
      process.exitCode = report(place, options);
    });
}

const JOURNAL = 'folder of the journal or of a copy, or a file that `vigie journal export` wrote';
const VKEY = 'verifier key as `vigie journal key` prints it, or a file that holds it';

/** Adds the arguments that name a journal and the evidence to compare it with. */
function checking(subcommand: Command) {
  return subcommand
    .argument('<journal>', JOURNAL)
    .requiredOption('--key <vkey>', VKEY)
    .option('--head <file...>', 'earlier or later signed heads of this box, stored elsewhere')
    .option(
      '--witness <vkey...>',
      'keys of witnesses, or files that hold them: each must have cosigned a head',
    );
}

function addWitness(program: Command): void {
  const meaning =
    'cosign the journals of boxes as long as they only grow; an alarm on standard error otherwise';
  command(program, 'witness', meaning, [
    [
      'vigie-oversight witness --room room.yaml --dir /var/lib/vigie-witness --keys boxes.vkey --name witness.example',
      'all boxes of a site, as their heads come, until SIGTERM; exit 1 when there was an alarm',
    ],
    [
      'vigie-oversight witness --dir kept --keys boxes.vkey --name court.example canebiere-017.jsonl',
      'one journal or its export, without a broker',
    ],
  ])
    .argument('[journal...]', 'folders or exports of journals')
    .requiredOption(
      '--dir <dir>',
      'folder of the stored heads and of the witness’s own key; created if missing',
    )
    .requiredOption('--keys <file>', 'verifier keys of the boxes, a line each')
    .requiredOption('--name <name>', 'name in the witness’s signatures, such as its domain')
    .addOption(roomOption())
    .addOption(siteOption())
    .addOption(caOption())
    .addOption(certOption())
    .addOption(certKeyOption())
    .action(async (journals: string[], options: WitnessOptions) => {
      const { attend } = await import('./witness/attend.ts');
      process.exitCode = await attend(journals, options);
    });
}

function addTransparency(program: Command): void {
  command(
    program,
    'transparency',
    'write the public page of a box, and the sign for its location, from files of the box',
    [
      [
        'vigie-oversight transparency --config canebiere-017.yaml --order canebiere-017.dsse.json --authority-key authority.key.pub --journal canebiere-017.jsonl --key canebiere-017.vkey --url https://ville.example/cameras/017 --contact dpd@ville.example --out page',
        'page/index.html, page/sign.html (A4, with a QR code of the address), page/sign.txt',
      ],
    ],
  )
    .requiredOption('--config <file>', 'the box’s configuration: rules, masks, retention')
    .option(
      '--order <file>',
      'the signed authorisation under which it runs; without it the page says that there is none',
    )
    .option('--authority-key <file>', 'the authority’s public key, PEM (default: that of the configuration)')
    .requiredOption('--journal <journal>', JOURNAL)
    .requiredOption('--key <vkey>', VKEY)
    .requiredOption('--url <url>', 'address at which the page will be published')
    .requiredOption('--contact <text>', 'whom people ask about their rights')
    .requiredOption('--out <dir>', 'folder for the page and the sign; created if missing')
    .addOption(new Option('--language <language>', 'of the page').choices(LANGUAGES).default('fr'))
    .action(async (options: TransparencyOptions) => {
      const { transparency } = await import('./transparency/transparency.ts');
      process.exitCode = transparency(options);
    });
}
