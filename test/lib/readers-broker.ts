/** The shipped broker for readers, beside a room's broker, with other paths and ports. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { PROGRAM_RULES, readersAcl } from '../../scripts/lib/broker-acl.ts';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { systemPath } from '../../scripts/lib/system-path.ts';
import { ROOT, scratch } from './paths.ts';
import { pairOf, type Room, waitUntil } from './room.ts';

const SHIPPED = join(ROOT, 'scripts/products/room/broker/mosquitto/readers.conf');

export interface ReadersBroker {
  readonly url: string;
  readonly pid: number | undefined;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts the broker with its bridge; stopped when the test ends. `readers`: names of programs that it admits. */
export async function readersBroker(t: Test, room: Room, readers: readonly string[]): Promise<ReadersBroker> {
  const [dir, port, bridge] = [scratch(t), await freePort(), await pairOf(room, 'bridge.room')];
  const [server, acl, log] = [await room.authority.broker(), join(dir, 'readers.acl'), join(dir, 'log')];
  writeFileSync(acl, readersAcl(PROGRAM_RULES, readers), { mode: 0o600 });
  mkdirSync(join(dir, 'state'));
  const own: Readonly<Record<string, string>> = {
    acl_file: acl,
    listener: `${port} 127.0.0.1`,
    cafile: room.programs.ca,
    certfile: server.cert,
    keyfile: server.key,
    address: new URL(bridge.url).host,
    bridge_cafile: room.authority.ca,
    bridge_certfile: bridge.cert,
    bridge_keyfile: bridge.key,
    persistence_location: `${join(dir, 'state')}/`,
  };
  const lines = readFileSync(SHIPPED, 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith('crlfile '))
    .map((line) => {
      const [key = ''] = line.split(' ');
      return own[key] === undefined ? line : `${key} ${own[key]}`;
    });
  writeFileSync(
    join(dir, 'readers.conf'),
    [`user ${userInfo().username}`, `log_dest file ${log}`, ...lines].join('\n'),
  );
  let child: ReturnType<typeof spawn> | undefined;
  const start = async (): Promise<void> => {
    child = spawn('setpriv', ['--pdeathsig', 'TERM', 'mosquitto', '-c', join(dir, 'readers.conf')], {
      stdio: 'ignore',
      env: { ...process.env, PATH: systemPath() },
    });
    await waitUntil(t, 'the readers’ broker runs', () => /running/.test(logOf()));
  };
  const logOf = (): string => {
    try {
      return readFileSync(log, 'utf8');
    } catch {
      return '';
    }
  };
  const stop = async (): Promise<void> => {
    const broker = child;
    child = undefined;
    if (broker === undefined || broker.exitCode !== null) return;
    const exit = once(broker, 'exit');
    broker.kill('SIGTERM');
    await exit;
  };
  t.teardown(stop);
  await start();
  return {
    url: `mqtts://localhost:${port}`,
    get pid() {
      return child?.pid;
    },
    start,
    stop,
  };
}
