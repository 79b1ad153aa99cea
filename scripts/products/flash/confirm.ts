/** Asks for a confirmation before a disk is overwritten: the user types its size and its serial number. */
import { createInterface } from 'node:readline/promises';
import { AgentError } from '../../../agent/base/errors.ts';
import type { Disk } from './device.ts';

/**
 * Compares the disk's size and serial number with `answer`, the value of --confirm ("SIZE SERIAL"), or with the answer
 * on a terminal.
 *
 * @throws AgentError `denied` if they are not the disk's
 */
export async function confirm(disk: Disk, answer: string | undefined, signal: AbortSignal): Promise<void> {
  const { name, bytes, serial, model } = disk;
  const [size = '', ...rest] = (answer ?? (await askConfirmation(disk, signal))).trim().split(' ');
  if (size === String(bytes) && rest.join(' ') === serial) return;
  const diskText = `/dev/${name} (${model}) has ${bytes} bytes and the serial ${serial}`;
  throw new AgentError(
    'denied',
    `${diskText}; the ${answer === undefined ? 'typed' : 'given'} text differs. The disk is unchanged`,
  );
}

async function askConfirmation({ name, bytes, serial, model }: Disk, signal: AbortSignal): Promise<string> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    const message = `/dev/${name}: overwriting needs a confirmation, and there is no terminal; give --confirm "SIZE SERIAL"`;
    throw new AgentError('denied', message);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const gigabytes = (bytes / 1e9).toFixed(1);
  process.stderr.write(
    `Everything on /dev/${name} will be overwritten.\n  ${model}, ${gigabytes} GB\n  size   ${bytes}\n  serial ${serial}\n`,
  );
  try {
    const size = await terminal.question('Type its size: ', { signal });
    return `${size.trim()} ${(await terminal.question('Type its serial: ', { signal })).trim()}`;
  } finally {
    terminal.close();
  }
}
