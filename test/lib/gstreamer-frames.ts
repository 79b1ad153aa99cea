/** Runs a GStreamer pipeline and returns its output. */
import { execFileSync } from 'node:child_process';

const BYTES_MAX = 268_435_456;

/** All buffers concatenated; `text` is launch text without a sink. */
export function gstreamerFrames(text: string): Buffer {
  return execFileSync('gst-launch-1.0', ['-q', ...text.split(' '), '!', 'fdsink', 'fd=1'], {
    maxBuffer: BYTES_MAX,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
