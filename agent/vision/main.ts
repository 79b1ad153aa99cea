/**
 * The vision process: the only place where pixels exist. It is started with the link on file
 * descriptor 3 (connected, or listening where systemd activates it), does what the agent's `start`
 * message says, and ends when the link closes: an agent that is gone or suspended leaves no vision.
 */
import inspector from 'node:inspector';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { type LogLevel, makeLogger } from '../base/log.ts';
import { encodeMessage, type PlainFromVision, ToVision } from '../contract/link.ts';
import { LinkEnd } from '../contract/link-end.ts';
import { VisionFlow } from './flow.ts';

const LINK_FD = 3;

/** The unit's CacheDirectory= (systemd.exec(5): several are parted by colons). */
function keptDir(): string | undefined {
  const dir = process.env['CACHE_DIRECTORY']?.split(':')[0];
  return dir ? join(dir, 'models') : undefined;
}

async function linkSocket(): Promise<Socket> {
  if (process.env['LISTEN_FDS'] !== '1') return new Socket({ fd: LINK_FD, readable: true, writable: true });
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
  const log = makeLogger('vision', (process.env['VIGIE_LOG'] ?? 'warn') as LogLevel);
  let flow: VisionFlow | undefined;
  let ending = false;

  const end = async (code: number): Promise<void> => {
    if (ending) return;
    ending = true;
    await flow?.stop();
    link.end();
    process.exitCode = code;
    // A native thread may keep the process up: leave once the last message has had time to go out.
    setTimeout(() => process.exit(code), 100).unref();
  };

  const fail = (error: unknown): void => {
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

  const link = new LinkEnd(await linkSocket(), ToVision, {
    onMessage: ({ message }) => {
      if (message.kind === 'start') {
        flow = new VisionFlow({
          settings: message.settings,
          keptDir: keptDir(),
          clock: systemClock,
          log,
          send: (m) => link.send(m),
        });
        flow.run().then(() => end(0), fail);
      } else if (message.kind === 'ack') {
        flow?.acknowledge(message);
      } else if (message.kind === 'confirm-view') {
        flow?.confirmView();
      } else if (message.kind === 'heat') {
        flow?.heat(message.steps);
      } else {
        void end(0);
      }
    },
    onClosed: (error) => {
      if (error !== undefined && !ending) log.error({ err: error }, 'link broken');
      void end(error === undefined ? 0 : 1);
    },
  });
  link.send(encodeMessage({ kind: 'hello', pid: process.pid }));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(0));
}

// Node's debugger would show every pixel to whoever may send this process a signal.
process.on('SIGUSR1', () => undefined);
inspector.close();
await main();
