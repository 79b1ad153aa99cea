/**
 * Prints vigie(1), or with `oversight` vigie-oversight(1), from the program's own help, so that the two cannot differ.
 * With `--example` it prints the example configuration.
 */
import type { Command, CommandUnknownOpts } from '@commander-js/extra-typings';
import { programVersion } from '../../../agent/base/package-root.ts';
import { makeProgram } from '../../../agent/cli/program.ts';
import { EXAMPLE } from '../../../agent/config/example.ts';
import { makeProgram as makeOversightProgram } from '../../products/oversight/program.ts';

interface Page {
  readonly program: Command;
  /** Text after the name of the program. */
  readonly summary: string;
  /** Text after its own description, in groff. */
  readonly description: readonly string[];
  readonly files: readonly (readonly [string, string])[];
  readonly seeAlso: readonly string[];
}

const box = (): Page => ({
  program: makeProgram(),
  summary: 'street events from one city camera; pixels stay at home',
  description: [
    'The agent runs as',
    '.BR vigie.service ;',
    'these commands are for its installation, checks and queries.',
  ],
  files: [
    ['/etc/vigie/vigie.yaml', 'the configuration; /usr/share/vigie/vigie.yaml is an example with every key'],
    ['/etc/vigie/pki/', 'certificates, and box.key, which is root’s and read by the agent alone'],
    ['/etc/vigie/enrol.json', 'settings and token for the enrolment, until the box has its certificate'],
    ['/run/vigie-enrol/status.json', 'state of the enrolment or of the last renewal'],
    ['/etc/default/vigie', 'environment of the agent: VIGIE_LOG and single values of the configuration'],
    ['/var/lib/vigie/', 'outbox, archive, journal: the state that survives a restart'],
    ['/boot/firmware/vigie/', 'files of a technician, installed at boot; result.txt reports the result'],
  ],
  seeAlso: ['.BR systemctl (1),', 'file:///usr/share/doc/vigie/install.md'],
});

const oversight = (): Page => ({
  program: makeOversightProgram(),
  summary:
    'keys and authorisations of an authority, verified journals and reports, a witness, the public page',
  description: ['It needs no box and no room, and runs as the user who calls it.'],
  files: [],
  seeAlso: [
    '.BR openssl (1),',
    'file:///usr/share/doc/vigie\\-oversight/authorisation.md,',
    'file:///usr/share/doc/vigie\\-oversight/journal.md',
  ],
});

const args = process.argv.slice(2);
process.stdout.write(
  args.includes('--example') ? EXAMPLE : pageOf(args.includes('oversight') ? oversight() : box()),
);

function pageOf({ program, summary, description, files, seeAlso }: Page): string {
  const name = escaped(program.name());
  const lines = [
    `.TH ${name.toUpperCase()} 1 "" "Vigie ${programVersion()}" "User Commands"`,
    '.SH NAME',
    `${name} \\- ${escaped(summary)}`,
    '.SH SYNOPSIS',
    `.B ${name}`,
    '.I command',
    '[options]',
    '.SH DESCRIPTION',
    escaped(program.description()),
    ...description,
    '.SH COMMANDS',
    ...program.commands.filter((one) => one.name() !== 'help').flatMap((one) => section(one, `${name} `)),
    ...(files.length === 0 ? [] : ['.SH FILES']),
    ...files.flatMap(([file, meaning]) => ['.TP', `.I ${escaped(file)}`, escaped(meaning)]),
    '.SH EXIT STATUS',
    '0 done, 1 something is not in order or failed, 2 usage, configuration or input.',
    '.SH SEE ALSO',
    ...seeAlso,
  ];
  return `${lines.join('\n')}\n`;
}

/** `before`: words that precede the command, in groff. */
function section(command: CommandUnknownOpts, before: string): string[] {
  const name = `${before}${escaped(command.name())}`;
  // Help in the form that a terminal shows, so that both are the same.
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text), getOutHelpWidth: () => 76 });
  command.outputHelp();
  return [
    `.SS ${name}`,
    '.nf',
    ...help.trimEnd().split('\n').map(escaped),
    '.fi',
    ...command.commands.filter((one) => one.name() !== 'help').flatMap((inner) => section(inner, `${name} `)),
  ];
}

/** A backslash, a hyphen and a leading dot or quote have a meaning in groff. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&');
}
