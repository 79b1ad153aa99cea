/** Commands for whoever watches over a room. */
import type { Command } from 'commander';
import type { WitnessOptions } from '../witness.ts';
import { command } from './options.ts';
import { caOption, certKeyOption, certOption, roomOption, siteOption } from './room-options.ts';

export function addRoomCommands(program: Command): void {
  addWitness(program);
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
