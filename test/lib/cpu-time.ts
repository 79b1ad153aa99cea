/** Measures CPU time in passes over a frame, so that a bar holds on a slow or busy machine as on a fast one. */

const FRAME_BYTES = 416 * 256 * 3;
const PASSES = 300;
const frame = Uint8Array.from({ length: FRAME_BYTES }, (_, k) => (k * 31) & 255);

/** CPU-ms of this process since `before`, an answer of process.cpuUsage(). */
export function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** CPU-ms of one pass over the bytes of a 416×256 RGB frame in plain JavaScript, on this machine at this moment. */
export function passMs(): number {
  let sum = 0;
  const pass = (): void => {
    for (let k = 0; k < frame.length; k += 1) sum = (sum + (frame[k] ?? 0) * (k & 7)) | 0;
  };
  for (let k = 0; k < 20; k += 1) pass();
  const before = process.cpuUsage();
  for (let k = 0; k < PASSES; k += 1) pass();
  const ms = cpuMsSince(before) / PASSES;
  // What nobody reads may be left out by the compiler.
  return sum === 0.5 ? Number.NaN : ms;
}
