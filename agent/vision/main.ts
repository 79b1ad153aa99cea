/**
 * Entry point of the vision process, the only process that holds pixels.
 *
 * The link is file descriptor 3: already connected, or listening where systemd activates the process. The process
 * starts on the agent's `start` message. It ends when the link closes, so vision never outlives an agent that has
 * exited or is suspended.
 */
import inspector from 'node:inspector';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { systemClock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { LinkEnd } from '../base/link-end.ts';
import { type LogLevel, makeLogger } from '../base/log.ts';
import { encodeMessage, type PlainFromVision, ToVision } from '../contract/link.ts';
import { RestraintFolder } from '../orders/restraint-folder.ts';
import { allowed } from './authorisation/authorisation.ts';
import { VisionFlow } from './flow.ts';
import { forbidDumps } from './native/process.ts';

const LINK_FD = 3;
/** Interval between checks of the authorisation's dates and of the suspension record, in ms. */
const CHECK_EVERY_MS = 1000;
/**
 * V8 flags by major version of Node. They are set here because an unknown flag on the command line would stop Node.
 *
 * A function must run five times as long as usual before V8 optimises it. V8 then knows more of the values in use and
 * does not compile the same functions repeatedly (docs/design/005-benchmark.md).
 */
const V8_FLAGS: Readonly<Record<string, readonly string[]>> = {
  // The default is 132 KiB (V8 11.3, src/flags/flag-definitions.h).
  20: ['--interrupt-budget=675840'],
};
/** True if systemd runs this process as the service's unit, activated by its socket. */
const unit = process.env['LISTEN_FDS'] === '1';

/**
 * Returns the model folder in the unit's CacheDirectory=, a colon-separated list of which the first counts
 * (systemd.exec(5)).
 */
function keptDir(): string | undefined {
  const dir = process.env['CACHE_DIRECTORY']?.split(':')[0];
  return dir ? join(dir, 'models') : undefined;
}

async function linkSocket(): Promise<Socket> {
  if (!unit) return new Socket({ fd: LINK_FD, readable: true, writable: true });
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      server.close();
      resolve(socket);
    });
    server.once('error', reject);
    server.listen({ fd: LINK_FD });
  });
}

async function main(): Promise<void> {
  // Pixels will lie in this memory: no process but of root may dump or trace it.
  forbidDumps();
  const log = makeLogger('vision', (process.env['VIGIE_LOG'] ?? 'warn') as LogLevel);
  let flow: VisionFlow | undefined;
  let ending = false;

  const end = async (code: number): Promise<void> => {
    if (ending) return;
    ending = true;
    await flow?.stop();
    process.exitCode = code;
    // Only the end of the process closes the link, because the agent reports the exit when the link closes.
    const leave = (): void => {
      // The driver's own shutdown may never end.
      if (flow?.hangs) process.kill(process.pid, 'SIGKILL');
      process.exit(code);
    };
    link.flushed().then(leave, leave);
  };

  const fail = (error: unknown): void => {
    if (ending) return;
    const kind = error instanceof AgentError ? error.kind : 'bug';
    if (kind === 'bug') log.error({ err: error }, 'vision failed');
    const message: PlainFromVision = {
      kind: 'failed',
      error: kind,
      message: messageOf(error).slice(0, 1000),
    };
    link.send(encodeMessage(message));
    void end(1);
  };

  const begin = ({ settings, order }: Extract<ToVision, { kind: 'start' }>): VisionFlow => {
    const dir = process.env['VIGIE_RESTRAINT_DIR'];
    const folder = dir === undefined ? undefined : new RestraintFolder(dir);
    const { masks, sealTo, substream, vehicleColours, stillHolds } = allowed({
      order,
      settings,
      folder,
      unit,
    });
    setInterval(() => {
      try {
        stillHolds();
      } catch (error) {
        fail(error);
      }
    }, CHECK_EVERY_MS).unref();
    return new VisionFlow({
      settings: { ...settings, masks: [...masks], vehicleColours },
      substream,
      sealTo,
      keptDir: keptDir(),
      // The addresses that the unit's network filter allows. A second lookup might return others.
      resolveHost: unit && folder !== undefined ? async (host) => folder.addressesOf(host) : undefined,
      clock: systemClock,
      log,
      send: (m) => link.send(m),
    });
  };

  const link = new LinkEnd(await linkSocket(), ToVision, {
    onMessage: ({ message }) => {
      if (message.kind === 'start') {
        try {
          flow = begin(message);
        } catch (error) {
          fail(error);
          return;
        }
        flow.run().then(() => end(0), fail);
      } else if (message.kind === 'ack') {
        flow?.acknowledge(message);
      } else if (message.kind === 'confirm-view') {
        flow?.confirmView();
      } else if (message.kind === 'preview') {
        flow?.preview(message.request);
      } else if (message.kind === 'heat') {
        flow?.heat(message.steps);
      } else {
        void end(0);
      }
    },
    onClosed: (error) => {
      // The service manager that restarts a killed agent reports it. Only the messages that the agent sent can be wrong
      // here.
      if (error instanceof AgentError && !ending) log.error({ err: error }, 'link broken');
      else if (!ending) log.info({}, 'the agent has disconnected');
      void end(error instanceof AgentError ? 1 : 0);
    },
  });
  link.send(encodeMessage({ kind: 'hello', pid: process.pid }));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(0));
}

const [nodeMajor = ''] = process.versions.node.split('.');
for (const flag of V8_FLAGS[nodeMajor] ?? []) setFlagsFromString(flag);
// Node's debugger would expose every pixel to any process that may signal this one.
process.on('SIGUSR1', () => undefined);
inspector.close();
await main();
