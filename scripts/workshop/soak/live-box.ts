/**
 * Runs a box on this machine: a private broker, the room's archive, and the agent with its vision on an endless source.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../agent/base/errors.ts';
import { getLocal } from '../../../agent/base/local-http.ts';
import { LOCAL_SOCKET, type LocalStatus, STATUS_PATH } from '../../../agent/contract/local-status.ts';
import { roomBrokerProblem } from '../../../agent/mqtt/connection-errors.ts';
import { AgentProcess } from '../../lib/agent-process.ts';
import type { KeyPair } from '../../lib/certificates.ts';
import { freePort, roomBroker } from '../../lib/mosquitto.ts';
import { Archive, localTimeZone } from '../../products/room/archive/archive.ts';
import { Room } from '../../products/room/archive/room.ts';
import { ARCHIVE } from '../../products/room/contract/terms.ts';
import { SqliteDatabase } from '../../products/room/database/sqlite.ts';
import { BOX, SITE, soakBox } from './box.ts';

export interface LiveBoxOptions {
  /** Value of `camera.source`. */
  readonly source: string;
  /** Value of `camera.substream`. */
  readonly substream?: string | undefined;
  /** Detector runs a second, on average. */
  readonly fps: number;
  /** File for the agent's log. */
  readonly logFile: string;
  readonly signal: AbortSignal;
}

export interface LiveBox {
  readonly agentPid: number;
  /** Path of the agent's local socket. */
  readonly socket: string;
  /** Aborted with an AgentError `unavailable` when the agent, the broker or the archive fails. */
  readonly broken: AbortSignal;
  /** Time from the capture of the frame in which an incident began until the room's archive has it, ms. */
  readonly arrivalMs: readonly number[];
}

/** Starts a box, passes it to `use` once its vision analyses frames, and ends all of it. Rejects if a part fails. */
export async function withLiveBox<T>(options: LiveBoxOptions, use: (box: LiveBox) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-live-'));
  const undo: (() => Promise<void> | void)[] = [() => rmSync(dir, { recursive: true, force: true })];
  try {
    return await use(await start(options, dir, undo));
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

async function start(
  { source, substream, fps, logFile, signal }: LiveBoxOptions,
  dir: string,
  undo: (() => Promise<void> | void)[],
): Promise<LiveBox> {
  const { authorities, broker } = await roomBroker(dir, [{ site: SITE, box: BOX }]);
  const { ca } = authorities.boxes;
  undo.push(() => broker.stop());
  await broker.start();
  const broken = new AbortController();
  const breaks = (line: string): void => broken.abort(new AgentError('unavailable', line));
  const arrivalMs: number[] = [];
  const room = roomOf(
    join(dir, 'room.db'),
    broker.archiveUrl,
    await authorities.programs.client(ARCHIVE),
    ca,
    arrivalMs,
    breaks,
  );
  undo.push(() => room.stop());
  await room.start();
  const { command, stateDir, environment } = soakBox({
    dir,
    source,
    substream,
    fps,
    broker: broker.url,
    ca,
    pair: await authorities.boxes.client(BOX),
    metricsPort: await freePort(),
  });
  const inherited = { ...process.env, ...environment };
  const agent = new AgentProcess(command, inherited, logFile);
  undo.push(() => agent.stop());
  void agent.start().then(({ code, signal, reason }) => {
    breaks(`the agent ended (${signal ?? `exit code ${code}`}): ${reason}`);
  });
  const socket = join(stateDir, LOCAL_SOCKET);
  await answered(socket, AbortSignal.any([broken.signal, signal]));
  return { agentPid: agent.pid ?? 0, socket, broken: broken.signal, arrivalMs };
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
    // The broker is private, and there is only this box.
    register: undefined,
    archive: new Archive(new SqliteDatabase(file), {
      timeZone: localTimeZone(),
      now: Date.now,
      instanceId: 'this',
      onNotice: breaks,
    }),
    onStored: (arrivals) => {
      for (const arrival of arrivals)
        if (arrival.kind === 'event' && arrival.event?.data.phase === 'start')
          arrivalMs.push(Date.now() - Date.parse(arrival.time));
    },
    brokerProblem: (error) => roomBrokerProblem(error, url),
    onNotice: breaks,
    onStandby: breaks,
  });
}

/** Resolves when the agent answers and its vision analyses frames; throws if that takes more than a minute. */
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
