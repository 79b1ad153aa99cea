/**
 * `vigie-root logs`: returns lines of the system's journal for the room. Runs in a unit that may read only the
 * journal. The agent may not read it and only forwards what this program has redacted.
 *
 * LIMITS:
 * - Only units `vigie*`.
 * - The newest LOGS_BYTES_MAX of text.
 * - READ_WITHIN_MS for reading the journal.
 */
import { spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { redactedText } from '../../../agent/base/redacted-text.ts';
import {
  LOGS_BYTES_MAX,
  LOGS_PACKED_CHARS_MAX,
  type LogsAnswer,
  LogsArgs,
  type LogsResult,
} from '../../../agent/contract/diagnosis.ts';
import { answerAndLeave, firstLine } from './one-request.ts';

const REQUEST_CHARS_MAX = 200;
const SINCE_S = 86_400;
/** Timeout for reading the journal, ms. A slow card takes seconds for a gigabyte; the agent waits longer. */
const READ_WITHIN_MS = 20_000;
/**
 * Ratio of the fitting size to which text is cut in each step. Log text usually compresses to a tenth, and needs no
 * cut.
 */
const TRY_RATIO = 0.9;

const packed = promisify(gzip);

/** Answers one request from standard input on standard output. */
export async function provisionLogs(): Promise<void> {
  const request = jsonOf(await firstLine(REQUEST_CHARS_MAX));
  await answerAndLeave(await answerTo(request));
}

async function answerTo(request: unknown): Promise<LogsAnswer> {
  if (!Value.Check(LogsArgs, request)) return { refused: 'not a question for lines of the log' };
  const { sinceS = SINCE_S, bytesMax = LOGS_BYTES_MAX } = request;
  try {
    const { entries, wasCut } = await newestEntries(sinceS, bytesMax);
    return await logsResult(redactedText(entries.join('\n')).split('\n'), bytesMax, wasCut);
  } catch (error) {
    rethrowBug(error);
    return { refused: messageOf(error).slice(0, 500) };
  }
}

/**
 * Returns entries of one or more lines, oldest first. Throws AgentError `unavailable` if the journal cannot be read.
 */
async function newestEntries(
  sinceS: number,
  bytesMax: number,
): Promise<{ readonly entries: readonly string[]; readonly wasCut: boolean }> {
  const names = ['--unit=vigie*', `--since=-${sinceS}s`, '--reverse', '--output=short-iso'];
  const child = spawn('journalctl', ['--no-pager', '--quiet', ...names], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: READ_WITHIN_MS,
  });
  let failure = '';
  child.on('error', (error) => {
    failure = messageOf(error);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    failure = (failure + text).slice(0, 300);
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  const newestFirst: string[] = [];
  let [bytes, rest, wasCut] = [0, '', false];
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      bytes += Buffer.byteLength(line) + 1;
      // Continuation lines of an entry are indented.
      if (/^\s/.test(line) && newestFirst.length > 0) newestFirst.push(`${newestFirst.pop()}\n${line}`);
      else newestFirst.push(line);
    }
    wasCut = bytes > bytesMax;
    if (!wasCut) continue;
    child.kill();
    break;
  }
  const code = await exit;
  // The child was killed if there was more than requested.
  if (code !== 0 && !wasCut)
    throw new AgentError('unavailable', `journalctl: ${failure.trim() || 'no answer in time'}`);
  return { entries: newestFirst.reverse(), wasCut };
}

/** Returns the newest lines that fit, compressed for transport. */
export async function logsResult(
  lines: readonly string[],
  bytesMax: number,
  wasCut: boolean,
): Promise<LogsResult> {
  let keptLines = lines.filter((line) => line !== '');
  let room = bytesMax;
  let isCut = wasCut;
  for (;;) {
    const newest = newestWithin(keptLines, room);
    isCut ||= newest.length < keptLines.length;
    keptLines = newest;
    const text = keptLines.map((line) => `${line}\n`).join('');
    const bytes = Buffer.byteLength(text);
    const packedText = (await packed(text)).toString('base64');
    if (packedText.length <= LOGS_PACKED_CHARS_MAX)
      return { lines: keptLines.length, bytes, cut: isCut, gzip: packedText };
    room = Math.floor((bytes * LOGS_PACKED_CHARS_MAX * TRY_RATIO) / packedText.length);
  }
}

function newestWithin(lines: readonly string[], bytesMax: number): string[] {
  let bytes = 0;
  let from = lines.length;
  while (from > 0) {
    bytes += Buffer.byteLength(lines[from - 1] ?? '') + 1;
    if (bytes > bytesMax) break;
    from -= 1;
  }
  return lines.slice(from);
}
