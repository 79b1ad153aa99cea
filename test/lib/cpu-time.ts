/** Measures CPU time in passes over a frame, so that a limit holds on slow, fast and busy machines alike. */

const FRAME_BYTES = 416 * 256 * 3;
const PASSES = 300;
const WARM_UP = 100;
const frame = Uint8Array.from({ length: FRAME_BYTES }, (_, k) => (k * 31) & 255);

/** CPU-ms of this process since `before`, a result of process.cpuUsage(). */
export function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function pass(bytes: Uint8Array): number {
  let sum = 0;
  for (let k = 0; k < bytes.length; k += 1) sum = (sum + (bytes[k] as number) * (k & 7)) | 0;
  return sum;
}

/** CPU-ms of one pass over the bytes of a 416×256 RGB frame in plain JavaScript, on this machine at this moment. */
export function passMs(): number {
  // Repeated until V8 has optimised it.
  let sum = 0;
  for (let k = 0; k < WARM_UP; k += 1) sum ^= pass(frame);
  const before = process.cpuUsage();
  for (let k = 0; k < PASSES; k += 1) sum ^= pass(frame);
  const ms = cpuMsSince(before) / PASSES;
  // The compiler may omit a sum that is never read.
  return Number.isInteger(sum) ? ms : Number.NaN;
}

/** CPU-ms of one of `count` runs, and of a pass: the slower one of before and after, on a machine whose speed varies. */
export function cpuMsOfRuns(count: number, run: (index: number) => void): { ms: number; pass: number } {
  const passBefore = passMs();
  const before = process.cpuUsage();
  for (let index = 0; index < count; index += 1) run(index);
  const ms = cpuMsSince(before) / count;
  return { ms, pass: Math.max(passBefore, passMs()) };
}
