/** Runs a pipeline of GStreamer's own and gives what comes out of it. */
import { execFileSync } from 'node:child_process';

const BYTES_MAX = 268_435_456;

/** All buffers, one after the other; `text` is launch text without a sink. */
export function gstreamerFrames(text: string): Buffer {
  return execFileSync('gst-launch-1.0', ['-q', ...text.split(' '), '!', 'fdsink', 'fd=1'], {
    maxBuffer: BYTES_MAX,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
