/** Commands for the room, and for whoever watches over it. */
import type { Command } from 'commander';
import type { SearchOptions } from '../search/search.ts';
import type { UnsealOptions } from '../unseal.ts';
import type { WitnessOptions } from '../witness.ts';
import { command, positiveNumber, signed } from './options.ts';
import { caOption, certKeyOption, certOption, DESK_KEY, roomOption, siteOption } from './room-options.ts';
import { addTracks } from './tracks.ts';

export function addRoomCommands(program: Command): void {
  addSearch(program);
  addTracks(program);
  addUnseal(program);
  addWitness(program);
}

function addSearch(program: Command): void {
  const what = '--from 2026-11-24T14:00 --to 2026-11-24T15:00';
  const why = '--case 2026/1234 --reason "theft of a bicycle"';
  const made = command(
    program,
    'search',
    'ask the archives of all boxes of a site, by a signed command that each box records',
    [
      [
        `vigie search --room room.yaml --sign desk.pem ${why} ${what} --kind loitering --zone forecourt`,
        'an hour, every box; times without an offset are those of the site',
      ],
      [
        `vigie search --room room.yaml --sign desk.pem ${why} ${what} --box canebiere-017 --json | jq .events`,
        'one box, for programs',
      ],
    ],
  );
  signed(made, DESK_KEY)
    .addOption(roomOption().makeOptionMandatory())
    .requiredOption('--case <number>', 'number of the case; each box keeps it with the search')
    .requiredOption('--reason <text>', 'why; each box keeps it with the search')
    .requiredOption('--from <time>', 'first moment, YYYY-MM-DD[THH:MM[:SS[.sss]]][Z|±HH:MM]')
    .requiredOption('--to <time>', 'first moment that counts no more, in the same form')
    .option('--kind <kind...>', 'only events of these kinds')
    .option('--zone <id...>', 'only events in these zones or over these lines')
    .option('--box <box...>', 'ask only these boxes')
    .option('--timeout <s>', 'wait so long for each answer', positiveNumber(3600), 30)
    .option('--time-zone <name>', 'times in this zone instead of that of room.yaml, or else of this machine')
    .option('--max <n>', 'fetch about so many events at most', positiveNumber(1_000_000), 10_000)
    .addOption(siteOption())
    .addOption(caOption())
    .addOption(certOption())
    .addOption(certKeyOption())
    .option('--json', 'print one JSON object')
    .action(async (options: SearchOptions) => {
      const { search } = await import('../search/search.ts');
      process.exitCode = await search(options);
    });
}

function addUnseal(program: Command): void {
  const why = '--case 2026/1234 --reason "assault on the forecourt"';
  const made = command(
    program,
    'unseal',
    'ask a box, by a signed command that it journals, for the sealed still of an event',
    [
      [
        `vigie unseal --room room.yaml --sign desk.pem ${why} --box canebiere-017 --event b1c2-7 --out b1c2-7.age`,
        'the file as it lies on the box: only the authority’s key of age opens it',
      ],
    ],
  );
  signed(made, DESK_KEY)
    .addOption(roomOption().makeOptionMandatory())
    .requiredOption('--case <number>', 'number of the case; the box puts it into its journal')
    .requiredOption('--reason <text>', 'why; the box puts it into its journal')
    .requiredOption('--box <box>', 'the box that raised the event')
    .requiredOption('--event <id>', 'id of the event')
    .requiredOption('--out <file>', 'where the sealed file is written; it must not exist')
    .option('--timeout <s>', 'wait so long for the answer', positiveNumber(3600), 30)
    .addOption(siteOption())
    .addOption(caOption())
    .addOption(certOption())
    .addOption(certKeyOption())
    .action(async (options: UnsealOptions) => {
      const { unseal } = await import('../unseal.ts');
      await unseal(options);
    });
}

function addWitness(program: Command): void {
  const meaning =
    'cosign the journals of boxes as long as they only grow; an alarm on standard error otherwise';
  command(program, 'witness', meaning, [
    [
      'vigie witness --room room.yaml --dir /var/lib/vigie-witness --keys boxes.vkey --name witness.example',
      'all boxes of a site, as their heads come, until SIGTERM; exit 1 when there was an alarm',
    ],
    [
      'vigie witness --dir kept --keys boxes.vkey --name court.example canebiere-017.jsonl',
      'one journal or its export, without a broker',
    ],
  ])
    .argument('[journal...]', 'folders or exports of journals')
    .requiredOption(
      '--dir <dir>',
      'folder of the heads that are kept and of the witness’s own key; made when missing',
    )
    .requiredOption('--keys <file>', 'verifier keys of the boxes, a line each')
    .requiredOption('--name <name>', 'name in the witness’s signatures, such as its domain')
    .addOption(roomOption())
    .addOption(siteOption())
    .addOption(caOption())
    .addOption(certOption())
    .addOption(certKeyOption())
    .action(async (journals: string[], options: WitnessOptions) => {
      const { witness } = await import('../witness.ts');
      process.exitCode = await witness(journals, options);
    });
}
