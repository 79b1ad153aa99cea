/** Command line of `scripts/room signer`: signs the console's requests to boxes. See docs/guide/console.md. */
import { accessSync, constants, statSync } from 'node:fs';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { printableLine } from '../../../../agent/base/printable.ts';
import { integerUpTo } from '../../../../agent/cli/commands/options.ts';
import { signingKey } from '../../../../agent/cli/signing-key.ts';
import { roomOf } from '../../../lib/room-link/room-file.ts';
import { typedProgram } from '../../../lib/typed-program.ts';
import { SignerRequests } from './requests.ts';
import { SignerServer } from './server.ts';
import { TrackRequests } from './track-requests.ts';

interface Arguments {
  readonly room: string;
  readonly sign: string;
  readonly socket: string;
  readonly sealed: string;
  readonly timeout: number;
}

const say = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`);
const warn = (line: string): void => void process.stderr.write(`room: ${printableLine(line)}\n`);

/**
 * Checks the folder at the start: a failed write would come only after a box has been asked and has recorded it in its
 * journal.
 */
function assertFolder(folder: string): void {
  try {
    if (!statSync(folder).isDirectory()) throw new Error('not a folder');
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new AgentError(
      'config',
      `--sealed ${folder}: ${messageOf(error)}; name a folder to write into`,
      error,
    );
  }
}

async function run({
  room: file,
  sign,
  socket,
  sealed: sealedDir,
  timeout: timeoutS,
}: Arguments): Promise<void> {
  const [room, key] = [roomOf({ room: file }), signingKey(sign)];
  assertFolder(sealedDir);
  const server = new SignerServer(
    new SignerRequests({ room, key, sealedDir, timeoutS, log: say }),
    new TrackRequests({ room, key, timeoutS, log: say }),
    warn,
  );
  await server.start(socket);
  say(`Signer for ${room.site} on ${socket}; Ctrl-C ends it`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  await server.stop();
}

const program = typedProgram('room signer')
  .description(
    'Signs the searches, the requests for sealed stills and the questions to logs of tracks that the console asks for, and sends them to the boxes: the key is here alone. See docs/guide/console.md.',
  )
  .requiredOption('--room <file>', 'room.yaml (site, timeZone, mqtt: {url, ca, cert, key})')
  .requiredOption(
    '--sign <file>',
    'ed25519 private key, PEM; its public half is among each box’s commands.keys',
  )
  .requiredOption('--socket <file>', 'Unix socket to listen on; for its user and its group (0660)')
  .requiredOption('--sealed <folder>', 'where sealed stills are put, as boxes hold them')
  .option('--timeout <s>', 'maximum wait for each reply of a box, in seconds', integerUpTo(3600), 30)
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
  warn(error.message);
  process.exitCode = error.kind === 'config' ? 2 : 1;
}
