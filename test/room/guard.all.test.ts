/** Tests the shipped limits of connections by address (guard.nft), in networks of their own. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT, scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';

const GUARD = join(ROOT, 'scripts/products/room/broker/mosquitto/guard.nft');
const PORTS = [8883, 8884, 8885, 8886];
const skip = process.getuid?.() === 0 ? false : 'only root makes networks';

/** A network of its own; ended with the test. */
class Network {
  readonly #pid: number;

  constructor(t: Test) {
    const child = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
    t.teardown(() => child.kill('SIGKILL'));
    this.#pid = child.pid ?? 0;
  }

  /** False until the program has left the network of this machine. */
  get isApart(): boolean {
    return readlinkSync(`/proc/${this.pid}/ns/net`) !== readlinkSync('/proc/self/ns/net');
  }

  get pid(): string {
    return String(this.#pid);
  }

  command(...args: string[]): string[] {
    return ['nsenter', '--target', this.pid, '--net', ...args];
  }

  /** Runs a program in it; throws if it fails. */
  run(...args: string[]): string {
    const [program = '', ...rest] = this.command(...args);
    const { status, stdout, stderr } = spawnSync(program, rest, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** Opens connections from an address of it; returns how many were accepted. They are held until the test ends. */
  async connections(
    t: Test,
    from: string,
    to: string,
    port: number,
    count: number,
    everyMs = 150,
  ): Promise<number> {
    const script = `
      let accepted = 0, i = 0;
      const timer = setInterval(() => {
        if (i++ >= ${count}) return;
        require('net').connect({ port: ${port}, host: '${to}', localAddress: '${from}' })
          .on('connect', () => accepted++).on('error', () => {});
      }, ${everyMs});
      setTimeout(() => { clearInterval(timer); console.log(accepted); }, ${count * everyMs + 1500});`;
    const [program = '', ...rest] = this.command(process.execPath, '-e', script);
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => child.kill('SIGKILL'));
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    await waitUntil(t, `connections to ${port}`, () => out.includes('\n'), 60_000);
    return Number(out);
  }
}

void t.test(
  'an address holds only its own places, and strangers none of the programs’',
  { skip, timeout: 300_000 },
  async (t) => {
    const [broker, street] = [new Network(t), new Network(t)];
    await waitUntil(t, 'networks of their own', () => broker.isApart && street.isApart);
    broker.run('ip', 'link', 'add', 'inside', 'type', 'veth', 'peer', 'name', 'outside', 'netns', street.pid);
    for (const [network, link, ...addresses] of [
      [broker, 'inside', '10.9.0.1/16', 'fd00::1/48'],
      [
        street,
        'outside',
        '10.9.0.2/16',
        '10.9.0.3/16',
        '10.9.0.4/16',
        'fd00:0:0:1::2/48',
        'fd00:0:0:1::3/48',
        'fd00:0:0:2::2/48',
      ],
    ] as const) {
      for (const address of addresses)
        network.run(
          'ip',
          'address',
          'add',
          address,
          'dev',
          link,
          ...(address.includes(':') ? ['nodad'] : []),
        );
      network.run('ip', 'link', 'set', link, 'up');
      network.run('ip', 'link', 'set', 'lo', 'up');
    }
    const listen = `for (const port of [${PORTS.join()}]) require('net').createServer(() => {}).listen(port, '::', () => console.log(port));`;
    const [program = '', ...rest] = broker.command(process.execPath, '-e', listen);
    const server = spawn(program, rest);
    t.teardown(() => server.kill('SIGKILL'));
    let listening = '';
    server.stdout.on('data', (chunk: Buffer) => {
      listening += chunk.toString();
    });
    await waitUntil(t, 'it listens', () => listening.split('\n').length > PORTS.length);
    t.equal(
      await street.connections(t, '10.9.0.4', '10.9.0.1', 8883, 100),
      100,
      'without the guard there is no limit',
    );

    const file = join(scratch(t), 'guard.nft');
    const guard = readFileSync(GUARD, 'utf8')
      .replace(
        'set programs { type ipv4_addr; flags interval; }',
        'set programs { type ipv4_addr; flags interval; elements = { 10.9.0.2 } }',
      )
      .replace(
        'set archives { type ipv4_addr; flags interval; }',
        'set archives { type ipv4_addr; flags interval; elements = { 10.9.0.3 } }',
      );
    writeFileSync(file, guard);
    for (const _ of [1, 2]) broker.run('nft', '-f', file);
    t.match(
      broker.run('nft', 'list', 'table', 'inet', 'vigie_broker'),
      /10\.9\.0\.2/,
      'loaded twice without an error',
    );

    const at = (from: string, port: number, count: number, everyMs?: number): Promise<number> =>
      street.connections(t, from, from.includes(':') ? 'fd00::1' : '10.9.0.1', port, count, everyMs);
    t.equal(await at('10.9.0.2', 8883, 80), 64, 'an address holds 64 at the boxes’ port');
    t.equal(await at('10.9.0.3', 8883, 10), 10, 'and another its own');
    t.equal(await at('fd00:0:0:1::2', 8883, 40), 40);
    t.equal(await at('fd00:0:0:1::3', 8883, 40), 24, 'the addresses of a /64 are one');
    t.equal(await at('fd00:0:0:2::2', 8883, 10), 10);
    const burst = await at('10.9.0.4', 8883, 60, 1);
    t.ok(burst >= 40 && burst <= 50, `${burst} of 60 in one moment`);
    t.equal(await at('10.9.0.2', 8884, 30), 16, 'a host of programs holds 16');
    t.equal(await at('10.9.0.3', 8884, 5), 0, 'others none');
    t.equal(await at('10.9.0.2', 8886, 5), 0, 'at both ports together');
    t.equal(await at('10.9.0.3', 8885, 20), 20, 'the archive’s host is admitted');
    t.equal(await at('10.9.0.2', 8885, 5), 0, 'no other host, whatever programs it has');
    t.equal(await at('fd00:0:0:2::2', 8885, 5), 0);
    const [, refusedCount = '0'] =
      /counter programs_refused \{\s*packets (\d+)/.exec(
        broker.run('nft', 'list', 'table', 'inet', 'vigie_broker'),
      ) ?? [];
    t.ok(Number(refusedCount) >= 29, `${refusedCount} refused connections are counted`);
    const own = spawnSync(
      'nsenter',
      [
        '--target',
        broker.pid,
        '--net',
        process.execPath,
        '-e',
        `
    const net = require('net'); let n = 0;
    for (let i = 0; i < 50; i++) net.connect(8885, '127.0.0.1').on('connect', () => n++).on('error', () => {});
    setTimeout(() => { console.log(n); process.exit(); }, 1500);`,
      ],
      { encoding: 'utf8' },
    );
    t.equal(own.stdout.trim(), '50', 'programs on the broker’s machine are always admitted');
  },
);
