/**
 * Prints vigie(1), made from the program's own help, so that the two cannot differ; with `--example` the example
 * configuration.
 */
import type { Command } from 'commander';
import { programVersion } from '../../../agent/base/package-root.ts';
import { makeProgram } from '../../../agent/cli/program.ts';
import { EXAMPLE } from '../../../agent/config/example.ts';

const FILES: readonly (readonly [string, string])[] = [
  ['/etc/vigie/vigie.yaml', 'the configuration; /usr/share/vigie/vigie.yaml is an example with every key'],
  ['/etc/vigie/pki/', 'certificates, and box.key, which is root’s and read by the agent alone'],
  ['/etc/vigie/enrol.json', 'what the box is to get its certificate by, until it has it'],
  ['/run/vigie-enrol/status.json', 'how far the enrolment is, or the last renewal'],
  ['/etc/default/vigie', 'environment of the agent: VIGIE_LOG and single values of the configuration'],
  ['/var/lib/vigie/', 'outbox, archive, journal: all that survives a restart'],
  ['/boot/firmware/vigie/', 'what a technician leaves there is taken at boot; result.txt says what was done'],
];

const program = makeProgram();
const lines = [
  `.TH VIGIE 1 "" "Vigie ${programVersion()}" "User Commands"`,
  '.SH NAME',
  'vigie \\- street events from one city camera; pixels stay at home',
  '.SH SYNOPSIS',
  '.B vigie',
  '.I command',
  '[options]',
  '.SH DESCRIPTION',
  escaped(program.description()),
  'The agent runs as',
  '.BR vigie.service ;',
  'these commands are for whoever installs, checks or questions it.',
  '.SH COMMANDS',
  ...program.commands.filter((command) => command.name() !== 'help').flatMap((c) => section(c, '')),
  '.SH FILES',
  ...FILES.flatMap(([file, meaning]) => ['.TP', `.I ${escaped(file)}`, escaped(meaning)]),
  '.SH EXIT STATUS',
  '0 done, 1 something is not in order or failed, 2 usage, configuration or input.',
  '.SH SEE ALSO',
  '.BR systemctl (1),',
  'file:///usr/share/doc/vigie/install.md',
];
process.stdout.write(process.argv.includes('--example') ? EXAMPLE : `${lines.join('\n')}\n`);

function section(command: Command, before: string): string[] {
  const name = `${before}${command.name()}`;
  // The help as it is typed on a terminal: what people find there and here is the same.
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text), getOutHelpWidth: () => 76 });
  command.outputHelp();
  return [
    `.SS vigie ${escaped(name)}`,
    '.nf',
    ...help.trimEnd().split('\n').map(escaped),
    '.fi',
    ...command.commands.filter((c) => c.name() !== 'help').flatMap((inner) => section(inner, `${name} `)),
  ];
}

/** A backslash, a hyphen and a leading dot or quote mean something to groff. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&');
}
