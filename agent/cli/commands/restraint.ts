/** Commands about what the box may do, and what it has done. */
import { type Command, Option } from 'commander';
import type { AuthoriseOptions } from '../authorise.ts';
import type { JournalReportOptions } from '../journal/report/report.ts';
import type { JournalVerifyOptions } from '../journal/verify.ts';
import type { PinOptions } from '../pin.ts';
import type { ResumeOptions } from '../resume.ts';
import type { SuspendOptions } from '../suspend.ts';
import { LANGUAGES } from '../transparency/texts.ts';
import type { TransparencyOptions } from '../transparency/transparency.ts';
import { command, configOption, DEFAULT_CONFIG, signed, stateOption } from './options.ts';

export function addRestraintCommands(program: Command): void {
  addAuthority(program);
  addSuspension(program);
  addJournal(program);
  addTransparency(program);
}

function addAuthority(program: Command): void {
  command(
    program,
    'keygen',
    'make a pair of ed25519 keys: for an authority, or for who may let a box go on',
    [['vigie keygen authority.key', 'writes authority.key (for its holder alone) and authority.key.pub']],
  )
    .argument('<file>', 'where the private key goes; the public one gets .pub')
    .action(async (file: string) => {
      const { keygen } = await import('../keygen.ts');
      keygen(file);
    });
  const authorised = command(program, 'authorise', 'sign an order, so that a box may do what it says', [
    ['vigie authorise order.yaml --sign authority.key --out canebiere-017.dsse.json', 'at the authority'],
  ]);
  signed(authorised, 'the authority’s private key, PEM')
    .argument('<order>', 'the order, YAML (docs/guide/authorisation.md)')
    .requiredOption('--out <file>', 'the signed authorisation, for `authorisation` of the box')
    .action(async (order: string, options: AuthoriseOptions) => {
      const { authorise } = await import('../authorise.ts');
      authorise(order, options);
    });
  command(
    program,
    'pin',
    'in a plain run: vouch for the box as it is: authority’s key of the configuration, clock, journal',
    [
      [
        'vigie pin --config vigie.yaml --state state',
        'after the authority has changed its key, or the journal was lost; with the package: sudo vigie-root pin',
      ],
    ],
  )
    .addOption(configOption().default(DEFAULT_CONFIG))
    .addOption(stateOption())
    .action(async (options: PinOptions) => {
      const { pin } = await import('../pin.ts');
      pin(options);
    });
}

function addSuspension(program: Command): void {
  command(program, 'suspend', 'on the box: stop looking, until two keys of the authorisation say otherwise', [
    ['sudo -u vigie vigie suspend --reason "order 2026/1234 of the court"', 'outlives restarts and updates'],
  ])
    .requiredOption('--reason <text>', 'why; published and kept in the journal')
    .addOption(stateOption())
    .action(async (options: SuspendOptions) => {
      const { suspend } = await import('../suspend.ts');
      process.exitCode = await suspend(options);
    });
  command(program, 'resume', 'on the box: let it look again', [
    [
      'sudo -u vigie vigie resume --key /media/a/prefect.key --key /media/b/mayor.key --reason "order lifted"',
      'both holders are there with their keys',
    ],
  ])
    .requiredOption('--key <file...>', 'private keys of two of the authorisation’s resumeKeys, PEM')
    .requiredOption('--reason <text>', 'why; kept in the journal')
    .addOption(stateOption())
    .action(async (options: ResumeOptions) => {
      const { resume } = await import('../resume.ts');
      process.exitCode = await resume(options);
    });
}

function addJournal(program: Command): void {
  const meaning = 'the box’s tamper-evident journal: check it, read it, print the key that checks it';
  const journal = command(program, 'journal', meaning, [
    ['sudo -u vigie vigie journal key > canebiere-017.vkey', 'once, to be kept away from the box'],
    ['vigie journal verify copy --key canebiere-017.vkey', 'any time, anywhere'],
  ]);
  checking(
    command(journal, 'verify', 'check a journal offline; exit 0 in order, 1 not in order, 2 cannot be read', [
      ['vigie journal verify /var/lib/vigie/journal --key canebiere-017.vkey', 'its files alone'],
      [
        'vigie journal verify journal.jsonl --key canebiere-017.vkey --head head.txt',
        'against a head that the room or a witness kept: finds a journal that was rolled back or forked',
      ],
    ]),
  )
    .option('--json', 'print one JSON object')
    .action(async (place: string, options: JournalVerifyOptions) => {
      const { journalVerify } = await import('../journal/verify.ts');
      process.exitCode = journalVerify(place, options);
    });
  checking(
    command(journal, 'report', 'verify a journal, and tell in plain words what the box did in an interval', [
      [
        'vigie journal report journal.jsonl --key canebiere-017.vkey --from 2026-11-01 --to 2026-12-01 --out november.html',
        'as text, and as a page with a picture that can be printed',
      ],
    ]),
  )
    .option('--from <time>', 'first moment, YYYY-MM-DD[THH:MM[:SS]][Z|±HH:MM]; without it the whole journal')
    .option('--to <time>', 'first moment that counts no more, in the same form')
    .option('--time-zone <name>', 'times in this zone instead of the site’s own')
    .option('--out <file>', 'also as one page of HTML')
    .option('--json', 'print one JSON object')
    .action(async (place: string, options: JournalReportOptions) => {
      const { journalReport } = await import('../journal/report/report.ts');
      process.exitCode = journalReport(place, options);
    });
  command(journal, 'export', 'put a journal into one file, to be handed on', [
    ['vigie journal export /var/lib/vigie/journal --out canebiere-017.jsonl', 'no secret is in it'],
  ])
    .argument('<dir>', 'folder of the journal')
    .requiredOption('--out <file>', 'file to be made')
    .action(async (dir: string, options: { out: string }) => {
      const { journalExport } = await import('../journal/export.ts');
      journalExport(dir, options);
    });
  command(journal, 'key', 'print the verifier key of this box’s journal', [
    ['sudo -u vigie vigie journal key > canebiere-017.vkey', 'once, to be kept away from the box'],
  ])
    .addOption(stateOption())
    .action(async (options: { state?: string }) => {
      const { journalKey } = await import('../journal/key.ts');
      journalKey(options);
    });
}

/** Which journal, and what it is held against. */
function checking(made: Command): Command {
  return made
    .argument('<journal>', 'folder of the journal or of a copy, or a file that `vigie journal export` wrote')
    .requiredOption('--key <vkey>', 'verifier key as `vigie journal key` prints it, or a file that holds it')
    .option('--head <file...>', 'earlier or later signed heads of this box, kept elsewhere')
    .option(
      '--witness <vkey...>',
      'keys of witnesses, or files that hold them: each must have cosigned a head',
    );
}

function addTransparency(program: Command): void {
  command(program, 'transparency', 'write the public page of this box, and the sign for its pole', [
    [
      'sudo -u vigie vigie transparency --url https://ville.example/cameras/017 --contact dpd@ville.example --out page',
      'page/index.html, page/sign.html (A4, with a QR code of the address), page/sign.txt',
    ],
  ])
    .requiredOption('--url <url>', 'where the page will stand')
    .requiredOption('--contact <text>', 'whom people ask about their rights')
    .requiredOption('--out <dir>', 'folder for the page and the sign; made when missing')
    .addOption(new Option('--language <language>', 'of the page').choices(LANGUAGES).default('fr'))
    .addOption(configOption().default(DEFAULT_CONFIG))
    .addOption(stateOption())
    .action(async (options: TransparencyOptions) => {
      const { transparency } = await import('../transparency/transparency.ts');
      process.exitCode = transparency(options);
    });
}
