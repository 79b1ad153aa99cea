/** `fleet`: the program of ops for the releases, rollouts, configurations and certificates of many boxes. */
import { AgentError } from '../../../agent/base/errors.ts';
import { typedProgram } from '../../lib/typed-program.ts';
import { askCommands } from './ask/commands.ts';
import { restraintCommands } from './ask/restraint.ts';
import { certCommands } from './cert/commands.ts';
import { configCommands } from './config/commands.ts';
import { warn } from './output.ts';
import { releaseCommands } from './release/commands.ts';
import { rootCommands } from './release/root-commands.ts';
import { rolloutCommands } from './rollout/commands.ts';
import { simulateCommands } from './simulate/commands.ts';

const program = typedProgram('fleet').description('Keeps many boxes current. See docs/guide/fleet.md.');

releaseCommands(program);
rootCommands(program);
rolloutCommands(program);
configCommands(program);
certCommands(program);
askCommands(program);
restraintCommands(program);
simulateCommands(program);

// `fleet status | head`: the reader has closed the pipe, so no output is needed.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
  // An error in a file may have several lines, one per validation error.
  for (const line of error.message.split('\n')) warn(line);
  process.exitCode = error.kind === 'config' ? 2 : 1;
}
