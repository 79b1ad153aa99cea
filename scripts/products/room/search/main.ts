/** Command line of `scripts/room search`: searches the archives of all boxes of a site. See docs/guide/search.md. */
import { examplesText, positiveNumber } from '../../../../agent/cli/commands/options.ts';
import { runProgram } from '../../../../agent/cli/run-program.ts';
import {
  caOption,
  certKeyOption,
  certOption,
  ROOM_KEY_TEXT,
  roomOption,
  siteOption,
} from '../../../lib/room-link/room-options.ts';
import { typedProgram } from '../../../lib/typed-program.ts';
import { type SearchOptions, search } from './search.ts';

const ASK =
  'scripts/room search --room room.yaml --sign desk.pem --case 2026/1234 --reason "theft of a bicycle"';
const HOUR = '--from 2026-11-24T14:00 --to 2026-11-24T15:00';

const program = typedProgram('room search')
  .description(
    'Asks the archives of all boxes of a site, by a signed command that each box records. Exits with 0 only if every box has sent all its matches. See docs/guide/search.md.',
  )
  .requiredOption('--sign <file>', ROOM_KEY_TEXT)
  .addOption(roomOption().makeOptionMandatory())
  .requiredOption('--case <number>', 'number of the case; each box stores it with the search')
  .requiredOption('--reason <text>', 'reason; each box stores it with the search')
  .requiredOption('--from <time>', 'start of the interval, YYYY-MM-DD[THH:MM[:SS[.sss]]][Z|±HH:MM]')
  .requiredOption('--to <time>', 'end of the interval (exclusive), in the same form')
  .option('--kind <kind...>', 'only events of these kinds')
  .option('--zone <id...>', 'only events in these zones or over these lines')
  .option('--box <box...>', 'ask only these boxes')
  .option('--timeout <s>', 'maximum wait for each reply, in seconds', positiveNumber(3600), 30)
  .option('--time-zone <name>', 'times in this zone instead of that of room.yaml, or else of this machine')
  .option('--max <n>', 'approximate maximum number of events to fetch', positiveNumber(1_000_000), 10_000)
  .addOption(siteOption())
  .addOption(caOption())
  .addOption(certOption())
  .addOption(certKeyOption())
  .option('--json', 'print one JSON object')
  .addHelpText(
    'after',
    examplesText([
      [
        `${ASK} ${HOUR} --kind loitering --zone forecourt`,
        'an hour, every box; times without an offset are those of the site',
      ],
      [`${ASK} ${HOUR} --box canebiere-017 --json | jq .events`, 'one box, for programs'],
    ]),
  )
  .action(async (options: SearchOptions) => {
    process.exitCode = await search(options);
  });

await runProgram('room', () => program.parseAsync());
