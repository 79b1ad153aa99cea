/** Generates a reference page of a program's commands (docs/ref): the help of each, as printed. */
import type { CommandUnknownOpts } from '@commander-js/extra-typings';

const WIDTH_CHARS = 100;

/** Returns Markdown. The same program always gives the same text, whatever the terminal. */
export function describeCommands(program: CommandUnknownOpts, title: string): string {
  const sections = program.commands.map(
    (command) => `## \`${program.name()} ${command.name()}\`\n\n${helpBlock(command)}`,
  );
  const head = `# ${title}\n\nMade from the program’s own help. Errors are one line on standard error; results go to standard output.`;
  return `${[head, helpBlock(program), ...sections].join('\n\n')}\n`;
}

function helpBlock(command: CommandUnknownOpts): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    getOutHelpWidth: () => WIDTH_CHARS,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return `\`\`\`\n${text.trim()}\n\`\`\``;
}
