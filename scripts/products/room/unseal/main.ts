/** Command line of `scripts/room unseal`: fetches the sealed still of an event. See docs/guide/search.md. */
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
import { unseal } from './unseal.ts';

const ASK =
  'scripts/room unseal --room room.yaml --sign desk.pem --case 2026/1234 --reason "assault on the forecourt"';

const program = typedProgram('room unseal')
  .description('Asks a box, by a signed command that it journals, for the sealed still of an event.')
  .requiredOption('--sign <file>', ROOM_KEY_TEXT)
  .addOption(roomOption().makeOptionMandatory())
  .requiredOption('--case <number>', 'number of the case; the box records it in its journal')
  .requiredOption('--reason <text>', 'reason; the box records it in its journal')
  .requiredOption('--box <box>', 'the box that raised the event')
  .requiredOption('--event <id>', 'id of the event')
  .requiredOption('--out <file>', 'where the sealed file is written; it must not exist')
  .option('--timeout <s>', 'maximum wait for the reply, in seconds', positiveNumber(3600), 30)
  .addOption(siteOption())
  .addOption(caOption())
  .addOption(certOption())
  .addOption(certKeyOption())
  .addHelpText(
    'after',
    examplesText([
      [
        `${ASK} --box canebiere-017 --event b1c2-7 --out b1c2-7.age`,
        'the file as stored on the box; only the authority’s key of age opens it',
      ],
    ]),
  )
  .action(unseal);

await runProgram('room', () => program.parseAsync());
