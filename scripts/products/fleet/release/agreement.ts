/**
 * Asks a person to agree before content is signed or published: to each difference of a root separately, to a list of
 * releases as a whole. Without a terminal a root must be named by its SHA-256, so that a script agrees only to a root
 * that someone has read.
 */
import { createInterface } from 'node:readline/promises';
import { AgentError } from '../../../../agent/base/errors.ts';
import { signedDigest } from './root-check.ts';
import { differences, isOfRoot, type SigningFile } from './signing-file.ts';

/**
 * Asks for agreement to a root; other metadata passes.
 *
 * @param agreed SHA-256 of the root that was read and agreed to
 * @throws AgentError denied without agreement to this root, config without a terminal to ask at
 */
export async function agreeToRoot(
  content: SigningFile,
  file: string,
  agreed: string | undefined,
): Promise<void> {
  if (!isOfRoot(content.metadata)) return;
  const digest = signedDigest(content.metadata);
  if (agreed !== undefined) {
    if (agreed.toLowerCase() === digest) return;
    throw new AgentError(
      'denied',
      `--agree: names another root than ${file}, whose SHA-256 is ${digest}; read its differences again`,
    );
  }
  if (!process.stdin.isTTY)
    throw new AgentError(
      'config',
      `${file}: agreeing to each difference needs a terminal; read them, then name the root with --agree SHA256`,
    );
  const all = differences(content);
  const questions =
    all.length === 0
      ? ['The first root, with every key above: do you agree?']
      : all.map((line) => `${line}: do you agree?`);
  if (!(await agreesTo(questions)))
    throw new AgentError('denied', `${file}: not agreed to; nothing was done`);
}

/** Asks the questions until one is refused. Throws AgentError `config` without a terminal. */
export async function agreesTo(questions: readonly string[]): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new AgentError('config', 'a confirmation needs a terminal; check the file, then pass --yes');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    for (const question of questions) {
      if (!/^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())) return false;
    }
    return true;
  } finally {
    terminal.close();
  }
}
