/**
 * Serves one request in a unit that systemd starts per connection: a line on standard input, a line on standard output.
 */
import { messageOf } from '../../../agent/base/errors.ts';

const REQUEST_WITHIN_MS = 5000;

/** Reads the request; empty if none arrives in time, or if it is too long. */
export async function firstLine(charsMax: number): Promise<string> {
  const enough = setTimeout(() => process.stdin.destroy(), REQUEST_WITHIN_MS);
  let text = '';
  try {
    for await (const chunk of process.stdin.setEncoding('utf8')) {
      text += String(chunk);
      if (text.includes('\n') || text.length > charsMax) break;
    }
  } catch (error) {
    // The client has disconnected or sent nothing in time, which counts as no request.
    process.stderr.write(`${messageOf(error)}\n`);
  } finally {
    clearTimeout(enough);
  }
  const end = text.indexOf('\n');
  return end === -1 || end > charsMax ? '' : text.slice(0, end);
}

/** Exits after the answer, since the client may leave the connection open. */
export async function answerAndLeave(answer: object): Promise<never> {
  await new Promise<void>((resolve) => process.stdout.write(`${JSON.stringify(answer)}\n`, () => resolve()));
  process.exit(0);
}
