/**
 * Runs one soak: a private broker, the room's archive and the agent on a repeated clip. The memory and the descriptors
 * of both processes are sampled at a fixed interval.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { getLocal } from '../../../agent/base/local-http.ts';
import { type LocalStatus, METRICS_PATH, STATUS_PATH } from '../../../agent/contract/local-status.ts';
import { processReport } from '../../../agent/health/host.ts';
import { type LiveBoxOptions, withLiveBox } from './live-box.ts';

export interface SoakOptions extends LiveBoxOptions {
  readonly hours: number;
  readonly everyMs: number;
  progress(hours: number, now: ProcessSample): void;
}

export const PROCESSES = ['vision', 'agent'] as const;
export type ProcessName = (typeof PROCESSES)[number];

/** Sample of one moment; a process that is not running has no entry. */
export interface ProcessSample {
  readonly hours: number;
  readonly processes: Readonly<
    Partial<
      Record<ProcessName, { readonly pid: number; readonly rssMiB: number; readonly fds: number | null }>
    >
  >;
}

export interface Soaked {
  readonly samples: readonly ProcessSample[];
  readonly status: LocalStatus;
  readonly metrics: string;
  /** Time from the capture of the frame in which an incident began until the room's archive has it, ms. */
  readonly arrivalMs: readonly number[];
}

/** Throws AgentError `unavailable` if the agent, the broker or the archive fails. */
export function soak(options: SoakOptions): Promise<Soaked> {
  return withLiveBox(options, async ({ agentPid, socket, broken, arrivalMs }) => {
    const samples = await watch(options, agentPid, socket, AbortSignal.any([broken, options.signal]));
    if (broken.aborted) throw broken.reason;
    const status = JSON.parse(await getLocal(socket, STATUS_PATH)) as LocalStatus;
    return { samples, status, metrics: await getLocal(socket, METRICS_PATH), arrivalMs };
  });
}

/**
 * A restart of vision changes its process number. The agent is asked for it at intervals, which is cheap but not free.
 */
const ASK_EVERY_SAMPLES = 12;

async function watch(
  { hours, everyMs, progress }: SoakOptions,
  agentPid: number,
  socket: string,
  signal: AbortSignal,
): Promise<ProcessSample[]> {
  const samples: ProcessSample[] = [];
  const beganMs = performance.now();
  let visionPid: number | undefined;
  for (let index = 0; !signal.aborted; index += 1) {
    if (index % ASK_EVERY_SAMPLES === 0) {
      const { report } = JSON.parse(await getLocal(socket, STATUS_PATH)) as LocalStatus;
      visionPid = report.processes.vision?.pid;
    }
    const agent = processReport(agentPid);
    const vision = visionPid === undefined ? null : processReport(visionPid);
    const sample: ProcessSample = {
      hours: (performance.now() - beganMs) / 3_600_000,
      processes: { ...(vision && { vision }), ...(agent && { agent }) },
    };
    samples.push(sample);
    progress(sample.hours, sample);
    if (sample.hours >= hours) break;
    const nextMs = beganMs + (index + 1) * everyMs;
    await sleep(Math.max(0, nextMs - performance.now()), undefined, { signal }).catch((error: Error) => {
      if (error.name !== 'AbortError') throw error;
    });
  }
  return samples;
}
