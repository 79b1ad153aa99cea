/** Command line of `scripts/room tracks`: queries the track log of one box. See docs/guide/search.md. */
import {
  examplesText,
  integerUpTo,
  placeName,
  positiveNumber,
} from '../../../../agent/cli/commands/options.ts';
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
import { type TracksOptions, tracks } from './tracks.ts';

const ASK =
  'scripts/room tracks --room room.yaml --sign desk.pem --case 2026/1234 --reason "theft from a van" --box canebiere-017';
const NIGHT = '--from 2026-11-24T02:00 --to 2026-11-24T05:00';
const LINE = '--view 2026-11-20T09:12:44.103Z --line .2,.6,.8,.6 --direction right';
const AREA = '--view 2026-11-20T09:12:44.103Z --area ".1,.5 .4,.5 .4,.9 .1,.9" --does stops --at-least 30';

const program = typedProgram('room tracks')
  .description(
    'Asks the log of tracks of one box what passed, by a signed command that the box journals. Exits with 0 only if all matches were received and the time range has no gap. See docs/guide/search.md.',
  )
  .requiredOption('--sign <file>', ROOM_KEY_TEXT)
  .addOption(roomOption().makeOptionMandatory())
  .option('--case <number>', 'number of the case; the box journals it')
  .option('--reason <text>', 'why; the box journals it')
  .option('--box <box>', 'the box that is asked, one alone', placeName)
  .option('--from <time>', 'start of the interval, YYYY-MM-DD[THH:MM[:SS[.sss]]][Z|±HH:MM]')
  .option('--to <time>', 'end of the interval (exclusive), in the same form')
  .option(
    '--daily <HH:MM-HH:MM>',
    'only between these times of the site’s clock; over midnight where the second is earlier',
  )
  .option('--class <class...>', 'only objects of these classes')
  .option('--colour <name...>', 'vehicles of these colours come first; no other is left out')
  .option('--view <time>', 'the view that --line or --area was drawn on, by its name')
  .option('--line <x1,y1,x2,y2>', 'tracks that cross this line; each 0 to 1, from the top left')
  .option('--direction <side>', 'with --line: left or right as seen from its first end, or both')
  .option('--area <"x,y x,y x,y …">', 'tracks that do something in this area; 3 to 64 corners')
  .option('--does <what>', 'with --area: enters, leaves, stays or stops')
  .option('--at-least <s>', 'with --does stays or stops: for how long', integerUpTo(86_400, 0))
  .option('--count', 'only the number of tracks')
  .option('--coverage', 'only when the box looked, and which views there were')
  .option('--still [file]', 'a redacted still of what the camera sees now, written to this file')
  .option('--question <file>', 'case, reason, box and question as the console has saved them')
  .option('--approval <file>', 'an approver’s approval, where the question is about persons')
  .option(
    '--approve <file>',
    'for an approver: write such an approval of this question, signed with --sign, valid for 24 hours; sends nothing',
  )
  .option('--max <n>', 'approximate maximum number of tracks to fetch', positiveNumber(1_000_000), 2000)
  .option('--out <file>', 'write the answer to this file, which must not exist')
  .option('--format <format>', 'json, csv or mf-json (OGC Moving Features)')
  .option('--timeout <s>', 'maximum wait for each reply, in seconds', positiveNumber(3600), 30)
  .option('--time-zone <name>', 'times in this zone instead of that of room.yaml, or else of this machine')
  .addOption(siteOption())
  .addOption(caOption())
  .addOption(certOption())
  .addOption(certKeyOption())
  .option('--json', 'print one JSON object')
  .addHelpText(
    'after',
    examplesText([
      [`${ASK} ${NIGHT} --coverage`, 'when the box looked, and which views there were'],
      [`${ASK} --still now.jpg`, 'a redacted still of now, to draw on; names its view'],
      [
        `${ASK} ${NIGHT} --class car truck --colour white ${AREA}`,
        'vehicles that stopped in a place, white ones marked',
      ],
      [
        `${ASK} --from 2026-11-01 --to 2026-11-24 --daily 02:00-05:00 ${LINE} --out hits.csv --format csv`,
        'whatever crossed a line by night, as a table',
      ],
      [
        `${ASK} ${NIGHT} --class person --approve approval.json`,
        'an approver signs a question about persons with their own key; who asks adds --approval approval.json',
      ],
    ]),
  )
  .action(async (options: TracksOptions) => {
    process.exitCode = await tracks(options);
  });

await runProgram('room', () => program.parseAsync());
