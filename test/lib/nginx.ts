/** A real nginx on loopback, with one site. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';

const START_WITHIN_MS = 10_000;

export class Nginx {
  readonly port: number;
  readonly #log: string;
  readonly #child: ChildProcess;

  private constructor(port: number, log: string, child: ChildProcess) {
    this.port = port;
    this.#log = log;
    this.#child = child;
  }

  /** Serves `site`, a configuration with the given replacements; `listen 443` becomes a free port. */
  static async start(
    t: Test,
    dir: string,
    site: string,
    places: Readonly<Record<string, string>>,
  ): Promise<Nginx> {
    const port = await freePort();
    mkdirSync(join(dir, 'tmp'), { recursive: true });
    let text = site.replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`);
    for (const [from, to] of Object.entries(places)) text = text.replaceAll(from, to);
    writeFileSync(join(dir, 'site.conf'), text);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const main = [
      'daemon off; master_process on; worker_processes 1;',
      process.geteuid?.() === 0 ? 'user root;' : '',
      `pid ${dir}/nginx.pid; error_log ${dir}/error.log info;`,
      'events { worker_connections 256; }',
      `http { access_log off; ${temporary.map((name) => `${name}_temp_path ${dir}/tmp/${name};`).join(' ')}`,
      `include ${dir}/site.conf; }`,
    ];
    writeFileSync(join(dir, 'nginx.conf'), main.join('\n'));
    const log = join(dir, 'error.log');
    const args = ['-p', dir, '-e', log, '-c', join(dir, 'nginx.conf')];
    const child = spawn('/usr/sbin/nginx', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const nginx = new Nginx(port, log, child);
    t.teardown(() => nginx.stop());
    const untilMs = performance.now() + START_WITHIN_MS;
    while (!nginx.log.includes('start worker process ')) {
      if (child.exitCode !== null || performance.now() > untilMs)
        throw new Error(`nginx: ${output}${nginx.log}`);
      await sleep(20);
    }
    return nginx;
  }

  get log(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : '';
  }

  /** Reloads certificates and lists, as `systemctl reload nginx` does. */
  async reload(): Promise<void> {
    const before = this.log.split('start worker process ').length;
    this.#child.kill('SIGHUP');
    while (this.log.split('start worker process ').length === before) await sleep(20);
    // The previous workers take connections until they have received the signal.
    while (this.log.split(' exited with code').length < before) await sleep(20);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    await exit;
  }
}
