/**
 * Copies the standard error of a spawned vision process to the agent's, without the noise of a GStreamer plugin, and
 * keeps the last line of a foreign library. Vendors' libraries write there why they end the process.
 */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Clock } from '../base/clock.ts';
import { terminalLine } from '../base/log.ts';
import { printable } from '../base/printable.ts';
import { redactedText } from '../base/redacted-text.ts';

/**
 * Noise of Debian's onnxinference (gst-plugins-bad 1.26.2, ONNX Runtime 1.21). On load it writes about 570 such lines,
 * each followed by an empty one, and still works [seen]. systemd's journal leaves them out too (LogFilterPatterns= in
 * vigie-vision.service).
 */
const NOISE = /^(Schema error: .*)?$/;
/** Time for the last lines of an ended vision process. A driver's helper may hold the pipe open indefinitely. */
const LAST_LINES_MS = 200;

/** Maximum length of the last line that is kept. */
const LAST_LINE_CHARS_MAX = 300;

/**
 * Copies the lines of `child`, which was spawned with a pipe as its standard error. Returns a getter of the last line
 * that vision did not write itself; vision's own lines are JSON.
 */
export function passOnStderr(child: ChildProcess, clock: Clock): () => string | undefined {
  const { stderr } = child;
  let last: string | undefined;
  if (stderr === null) return () => undefined;
  createInterface({ input: stderr, crlfDelay: Infinity }).on('line', (line) => {
    if (NOISE.test(line)) return;
    if (!line.startsWith('{') && line.trim() !== '') last = line;
    const isForTerminal = process.stderr.isTTY === true && line.startsWith('{');
    process.stderr.write(isForTerminal ? terminalLine(`${line}\n`) : `${line}\n`);
  });
  child.once('exit', () => {
    void clock.sleep(LAST_LINES_MS).then(() => stderr.destroy());
  });
  return () => (last === undefined ? undefined : printable(redactedText(last).trim(), LAST_LINE_CHARS_MAX));
}
