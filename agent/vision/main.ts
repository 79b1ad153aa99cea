/**
 * The vision process: the only place where pixels exist. It is started with the link on file
 * descriptor 3 (connected, or listening where systemd activates it), does what the agent's `start`
 * message says, and ends when the link closes: an agent that is gone or suspended leaves no vision.
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
import { VisionFlow } from './flow.ts';
import { allowed } from './order/order.ts';

const LINK_FD = 3;
/** How often the order's dates and the record of suspensions are looked at. */
const LOOK_EVERY_MS = 1000;
/**
 * V8's flags by node's major version; set here and not on the command line, where one that node does not know would stop it.
 * A function must have run five times as long as usual before it is optimised: V8 then knows more of the values that it works
 * on, and does not compile the same functions again and again (docs/design/005-benchmark.md).
 */
const V8_FLAGS: Readonly<Record<string, readonly string[]>> = {
  // Of 132 KiB (V8 11.3, src/flags/flag-definitions.h).
  20: ['--interrupt-budget=675840'],
};
/** Run as the service's unit, by its socket. */
const unit = process.env['LISTEN_FDS'] === '1';

/** The unit's CacheDirectory= (systemd.exec(5): several are parted by colons). */
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
  const log = makeLogger('vision', (process.env['VIGIE_LOG'] ?? 'warn') as LogLevel);
  let flow: VisionFlow | undefined;
  let ending = false;

  const end = async (code: number): Promise<void> => {
    if (ending) return;
    ending = true;
    await flow?.stop();
    process.exitCode = code;
    // The link is closed by the end of the process and by nothing before it: the agent says "gone" when it is closed.
    const leave = (): void => {
      // Its driver's own goodbye may never end.
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
    }, LOOK_EVERY_MS).unref();
    return new VisionFlow({
      settings: { ...settings, masks: [...masks], vehicleColours },
      substream,
      sealTo,
      keptDir: keptDir(),
      // The address that the unit's filter lets it reach, and not what a second look-up might say.
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
      // An agent that was killed is told by whoever starts it again; only what it has sent can be wrong here.
      if (error instanceof AgentError && !ending) log.error({ err: error }, 'link broken');
      else if (!ending) log.info({}, 'the agent has gone');
      void end(error instanceof AgentError ? 1 : 0);
    },
  });
  link.send(encodeMessage({ kind: 'hello', pid: process.pid }));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(0));
}

const [nodeMajor = ''] = process.versions.node.split('.');
for (const flag of V8_FLAGS[nodeMajor] ?? []) setFlagsFromString(flag);
// Node's debugger would show every pixel to whoever may send this process a signal.
process.on('SIGUSR1', () => undefined);
inspector.close();
await main();
