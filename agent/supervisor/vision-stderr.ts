/** What a vision that was spawned says on its standard error goes on to ours, without the noise of a GStreamer plugin. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Clock } from '../base/clock.ts';
import { terminalLine } from '../base/log.ts';

/**
 * Debian's onnxinference (gst-plugins-bad 1.26.2, ONNX Runtime 1.21) writes some 570 of these, an empty line after each, when
 * it is loaded, and works all the same [seen]. systemd's journal leaves them out too (LogFilterPatterns= in
 * vigie-vision.service).
 */
const NOISE = /^(Schema error: .*)?$/;
/** For the last lines of a vision that has ended; a helper of a driver may hold the pipe for ever. */
const LAST_LINES_MS = 200;

/** `child` was spawned with a pipe as its standard error. */
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
