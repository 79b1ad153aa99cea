/** CPU time of a thread, read from its own clock by way of the GStreamer binding (patches/), which vision has loaded anyway. */
import { createRequire } from 'node:module';

const binding = createRequire(import.meta.url)('node-gstreamer-superficial') as { threadCpuMs(): number };

/**
 * CPU time of the calling thread since it began, ms (clock_gettime(2), CLOCK_THREAD_CPUTIME_ID). Exact at once, at 0.3 µs a
 * call: /proc is brought up to date at scheduler ticks only, and getrusage(2) adds up all threads (15 µs).
 */
export const threadCpuMs = (): number => binding.threadCpuMs();
