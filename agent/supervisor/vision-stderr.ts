/** Copies the standard error of a spawned vision process to the agent's, without the noise of a GStreamer plugin. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Clock } from '../base/clock.ts';
import { terminalLine } from '../base/log.ts';

/**
 * Noise of Debian's onnxinference (gst-plugins-bad 1.26.2, ONNX Runtime 1.21). On load it writes about 570 such lines,
 * each followed by an empty one, and still works [seen]. systemd's journal leaves them out too (LogFilterPatterns= in
 * vigie-vision.service).
 */
const NOISE = /^(Schema error: .*)?$/;
/** Time for the last lines of an ended vision process. A driver's helper may hold the pipe open indefinitely. */
const LAST_LINES_MS = 200;

/** Copies the lines of `child`, which was spawned with a pipe as its standard error. */
export function passOnStderr(child: ChildProcess, clock: Clock): void {
  const { stderr } = child;
  if (stderr === null) return;
  createInterface({ input: stderr, crlfDelay: Infinity }).on('line', (line) => {
    if (NOISE.test(line)) return;
    const isForTerminal = process.stderr.isTTY === true && line.startsWith('{');
    process.stderr.write(isForTerminal ? terminalLine(`${line}\n`) : `${line}\n`);
  });
  child.once('exit', () => {
    void clock.sleep(LAST_LINES_MS).then(() => stderr.destroy());
  });
}
