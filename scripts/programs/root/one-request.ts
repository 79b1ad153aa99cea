/** A unit that systemd starts for one connection: a line on standard input, a line on standard output. */
import { messageOf } from '../../../agent/base/errors.ts';

const REQUEST_WITHIN_MS = 5000;

/** Empty where none comes in time, or one that is too long. */
export async function firstLine(charsMax: number): Promise<string> {
  const enough = setTimeout(() => process.stdin.destroy(), REQUEST_WITHIN_MS);
  let text = '';
  try {
    for await (const chunk of process.stdin.setEncoding('utf8')) {
      text += String(chunk);
      if (text.includes('\n') || text.length > charsMax) break;
    }
  } catch (error) {
    // Whoever asked has gone, or said nothing in time: that is no request.
    process.stderr.write(`${messageOf(error)}\n`);
  } finally {
    clearTimeout(enough);
  }
  const end = text.indexOf('\n');
  return end === -1 || end > charsMax ? '' : text.slice(0, end);
}

/** Whoever asked may leave the connection open. */
export async function answerAndLeave(answer: object): Promise<never> {
  await new Promise<void>((resolve) => process.stdout.write(`${JSON.stringify(answer)}\n`, () => resolve()));
  process.exit(0);
}
