/** Calls of the kernel for a process that holds pixels; Node has none for them. */
import { addon } from './addon.ts';

/** Returns the CPU time of the calling thread since its start, in ms. /proc is updated only at scheduler ticks. */
export const threadCpuMs = (): number => addon.threadCpuMs();

/** Closes this process to dumps, tracing and reading of its memory. Only root can then do it. */
export const forbidDumps = (): void => addon.forbidDumps();
