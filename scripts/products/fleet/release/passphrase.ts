/**
 * Reads passphrases of keyholders' keys: typed at a terminal without echo, or from a file descriptor. Arguments and
 * environment are not used, since other programs of the machine can read them.
 */
import { readSync } from 'node:fs';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { counted } from '../../../lib/counted.ts';

/** Minimum number of characters: four words of a word list, or twelve random characters. */
const CHARACTERS_MIN = 12;
/** Maximum length that OpenSSL accepts. */
const BYTES_MAX = 1024;

export interface PassphraseOptions {
  /** File descriptor from which the first line is read. */
  readonly fd: number | undefined;
  /** File of the key, shown in the prompt. */
  readonly file: string;
}

/** Throws AgentError `config` if no passphrase is available, `denied` if the person cancels. */
export async function passphraseOf({ fd, file }: PassphraseOptions): Promise<string> {
  return fd === undefined ? await typed(`Passphrase of ${file}: `) : readFrom(fd);
}

/** Returns the passphrase of a new key: long enough, and typed twice at a terminal. */
export async function newPassphrase({ fd, file }: PassphraseOptions): Promise<string> {
  const passphrase = fd === undefined ? await typed(`New passphrase of ${file}: `) : readFrom(fd);
  if ([...passphrase].length < CHARACTERS_MIN)
    throw new AgentError(
      'config',
      `passphrase: ${counted([...passphrase].length, 'character')}; use at least ${CHARACTERS_MIN}, as four words by dice`,
    );
  if (fd !== undefined || (await typed('The same again: ')) === passphrase) return passphrase;
  throw new AgentError('config', 'passphrase: the second one differs from the first; no key was made');
}

function readFrom(fd: number): string {
  const buffer = Buffer.alloc(BYTES_MAX + 1);
  let length = 0;
  try {
    while (length <= BYTES_MAX && !buffer.subarray(0, length).includes('\n')) {
      const read = readSync(fd, buffer, length, buffer.length - length, null);
      if (read === 0) break;
      length += read;
    }
  } catch (error) {
    throw new AgentError(
      'config',
      `--passphrase-fd ${fd}: cannot be read (${messageOf(error)}); open it, as in 3<FILE`,
      error,
    );
  }
  const [line = ''] = buffer.subarray(0, length).toString('utf8').split(/\r?\n/, 1);
  if (line !== '' && length <= BYTES_MAX) return line;
  throw new AgentError(
    'config',
    `--passphrase-fd ${fd}: ${line === '' ? 'its first line is empty' : `more than ${BYTES_MAX} bytes`}; write the passphrase as its first line`,
  );
}

function typed(question: string): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY)
    throw new AgentError(
      'config',
      'passphrase: typing it needs a terminal; without one, name a descriptor with --passphrase-fd',
    );
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk: string): void => {
      for (const character of chunk) {
        const isEnd = character === '\r' || character === '\n';
        const isBreak = character === '\u0003' || character === '\u0004';
        if (isEnd || isBreak) {
          stdin.off('data', take);
          stdin.setRawMode(false);
          stdin.pause();
          stderr.write('\n');
          if (isBreak) reject(new AgentError('denied', 'passphrase: ended by hand; nothing was done'));
          else if (Buffer.byteLength(text) > BYTES_MAX)
            reject(new AgentError('config', `passphrase: more than ${BYTES_MAX} bytes; use a shorter one`));
          else resolve(text);
          return;
        }
        if (character === '\u007f' || character === '\b') text = [...text].slice(0, -1).join('');
        else text += character;
      }
    };
    stdin.on('data', take);
    stdin.resume();
  });
}
