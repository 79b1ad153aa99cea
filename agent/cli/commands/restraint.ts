/** Defines the commands for the permissions and the past actions of the box. */
import type { Command } from '@commander-js/extra-typings';
import { command, configOption, DEFAULT_CONFIG, stateOption } from './options.ts';

export function addRestraintCommands(program: Command): void {
  addPin(program);
  addSuspension(program);
  addJournal(program);
}

function addPin(program: Command): void {
  command(
    program,
    'pin',
    'without root’s record: confirm the current authority key, clock and journal of the box',
    [
      [
        'vigie pin --config vigie.yaml --state state',
        'after the authority has changed its key, or the journal was lost; with the package: sudo vigie-root pin',
      ],
    ],
  )
    .addOption(configOption().default(DEFAULT_CONFIG))
    .addOption(stateOption())
    .action(async ({ config, state }) => {
      const { pin } = await import('../pin.ts');
      pin({ config, state });
    });
}

function addSuspension(program: Command): void {
  command(
    program,
    'suspend',
    'on the box: stop the analysis until two keys of the authorisation sign a resume',
    [
      [
        'sudo -u vigie vigie suspend --reason "order 2026/1234 of the court"',
        'outlives restarts and updates',
      ],
    ],
  )
    .requiredOption('--reason <text>', 'why; published and kept in the journal')
    .addOption(stateOption())
    .action(async ({ reason, state }) => {
      const { suspend } = await import('../suspend.ts');
      process.exitCode = await suspend({ reason, state });
    });
  command(program, 'resume', 'on the box: resume the analysis', [
    [
      'sudo -u vigie vigie resume --key /media/a/prefect.key --key /media/b/mayor.key --reason "order lifted"',
      'both keyholders are present with their keys',
    ],
  ])
    .requiredOption('--key <file...>', 'private keys of two of the authorisation’s resumeKeys, PEM')
    .requiredOption('--reason <text>', 'why; kept in the journal')
    .addOption(stateOption())
    .action(async ({ key, reason, state }) => {
      const { resume } = await import('../resume.ts');
      process.exitCode = await resume({ key, reason, state });
    });
}

function addJournal(program: Command): void {
  const meaning = 'the box’s tamper-evident journal: hand it on, print the key that checks it';
  const journal = command(program, 'journal', meaning, [
    ['sudo -u vigie vigie journal key > canebiere-017.vkey', 'once; store it outside the box'],
    [
      'vigie journal export /var/lib/vigie/journal --out canebiere-017.jsonl',
      'for `vigie-oversight`, which checks and tells it anywhere',
    ],
  ]);
  command(journal, 'export', 'put a journal into one file, to be handed on', [
    ['vigie journal export /var/lib/vigie/journal --out canebiere-017.jsonl', 'no secret is in it'],
  ])
    .argument('<dir>', 'folder of the journal')
    .requiredOption('--out <file>', 'file to be made')
    .action(async (dir, { out }) => {
      const { journalExport } = await import('../journal/export.ts');
      journalExport(dir, { out });
    });
  command(journal, 'key', 'print the verifier key of this box’s journal', [
    ['sudo -u vigie vigie journal key > canebiere-017.vkey', 'once; store it outside the box'],
  ])
    .addOption(stateOption())
    .action(async ({ state }) => {
      const { journalKey } = await import('../journal/key.ts');
      journalKey({ state });
    });
}
