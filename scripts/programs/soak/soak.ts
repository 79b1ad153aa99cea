/**
 * One soak: a private broker, the room's archive and the agent on a clip that is played again and again, with the
 * memory and the descriptors of both processes read at a steady pace.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../agent/base/errors.ts';
import { getLocal } from '../../../agent/base/local-http.ts';
import {
  LOCAL_SOCKET,
  type LocalStatus,
  METRICS_PATH,
  STATUS_PATH,
} from '../../../agent/contract/local-status.ts';
import { processReport } from '../../../agent/health/host.ts';
import { roomBrokerFault } from '../../../agent/mqtt/faults.ts';
import type { KeyPair } from '../../lib/certificates.ts';
import { freePort, roomBroker } from '../../lib/mosquitto.ts';
import { AgentProcess } from '../demo/agent-process.ts';
import { Archive, localTimeZone } from '../room/archive/archive.ts';
import { Room } from '../room/archive/room.ts';
import { SqliteDatabase } from '../room/database/sqlite.ts';
import { BOX, SITE, soakBox } from './box.ts';

export interface SoakOptions {
  readonly hours: number;
  readonly clip: string;
  readonly fps: number;
  readonly everyMs: number;
  /** For the agent's log. */
  readonly logFile: string;
  readonly signal: AbortSignal;
  progress(hours: number, now: ProcessSample): void;
}

export const PROCESSES = ['vision', 'agent'] as const;
export type ProcessName = (typeof PROCESSES)[number];

/** Of one moment; a process that is not there has no entry. */
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
  /** From the capture of the frame in which an incident began until the room's archive has it, ms. */
  readonly arrivalMs: readonly number[];
}

/** Throws AgentError `unavailable` when the agent, the broker or the archive breaks. */
export async function soak(options: SoakOptions): Promise<Soaked> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-soak-'));
  const undo: (() => Promise<void> | void)[] = [() => rmSync(dir, { recursive: true, force: true })];
  try {
    return await run(options, dir, undo);
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

async function run(options: SoakOptions, dir: string, undo: (() => Promise<void> | void)[]): Promise<Soaked> {
  const { authorities, broker } = await roomBroker(dir, [{ site: SITE, box: BOX }]);
  const { ca } = authorities.boxes;
  undo.push(() => broker.stop());
  await broker.start();
  const broken = new AbortController();
  const breaks = (line: string): void => broken.abort(new AgentError('unavailable', line));
  const arrivalMs: number[] = [];
  const room = roomOf(
    join(dir, 'room.db'),
    broker.programsUrl,
    await authorities.programs.client('room'),
    ca,
    arrivalMs,
    breaks,
  );
  undo.push(() => room.stop());
  await room.start();
  const { command, stateDir, environment } = soakBox({
    dir,
    source: `file:${options.clip}`,
    fps: options.fps,
    broker: broker.url,
    ca,
    pair: await authorities.boxes.client(BOX),
    metricsPort: await freePort(),
  });
  const agent = new AgentProcess(command, { ...process.env, ...environment }, options.logFile);
  undo.push(() => agent.stop());
  void agent.start().then(({ code, signal, reason }) => {
    breaks(`the agent ended (${signal ?? `exit code ${code}`}): ${reason}`);
  });
  const signal = AbortSignal.any([broken.signal, options.signal]);
  const socket = join(stateDir, LOCAL_SOCKET);
  await answered(socket, signal);
  const samples = await watch(options, agent.pid ?? 0, socket, signal);
  if (broken.signal.aborted) throw broken.signal.reason;
  const status = JSON.parse(await getLocal(socket, STATUS_PATH)) as LocalStatus;
  return { samples, status, metrics: await getLocal(socket, METRICS_PATH), arrivalMs };
}

function roomOf(
  file: string,
  url: string,
  { cert, key }: KeyPair,
  ca: string,
  arrivalMs: number[],
  breaks: (line: string) => void,
): Room {
  return new Room({
    url,
    tls: { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) },
    archive: new Archive(new SqliteDatabase(file), {
      timeZone: localTimeZone(),
      now: Date.now,
      holder: 'this',
      onNotice: breaks,
    }),
    onStored: (fresh) => {
      for (const arrival of fresh)
        if (arrival.kind === 'event' && arrival.event?.data.phase === 'start')
          arrivalMs.push(Date.now() - Date.parse(arrival.time));
    },
    brokerFault: (error) => roomBrokerFault(error, url),
    onNotice: breaks,
    onStandby: breaks,
  });
}

/** Resolves when the agent answers and has its vision; throws when it does not within a minute. */
async function answered(socket: string, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + 60_000;
  for (;;) {
    if (signal.aborted) throw signal.reason;
    try {
      const { report } = JSON.parse(await getLocal(socket, STATUS_PATH)) as LocalStatus;
      if (report.frames.analysed > 0) return;
    } catch (error) {
      if (!(error instanceof AgentError) || performance.now() > untilMs) throw error;
    }
    await sleep(200);
  }
}

/** A restart of vision changes its number: the agent is asked for it now and then, which is cheap and not free. */
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
