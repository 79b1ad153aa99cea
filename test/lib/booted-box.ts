/** The systemd units of a box that is booted in a container. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { Test } from 'tap';
import { MAYOR, PREFECT } from './authority.ts';
import type { Container, Output } from './nspawn.ts';
import { scratch } from './paths.ts';
import { waitUntil } from './room.ts';

/**
 * Time limit of a wait. A quiet machine boots a box in 10 s; one of half its speed with three tests beside took 91 s
 * from an order to its end.
 */
export const PATIENCE_MS = 300_000;

/**
 * Ids of the events in the outbox, read from a copy: the agent holds a lock on the file, and may write during the copy.
 */
export function outboxIds(container: Container): string[] {
  const copy = container.run(
    'sh',
    '-c',
    'rm -rf /root/copy; mkdir /root/copy; cp -a /var/lib/vigie/outbox.db* /root/copy',
  );
  if (copy.status !== 0) return [];
  const db = new Database(join(container.root, 'root/copy/outbox.db'));
  try {
    if (db.pragma('quick_check', { simple: true }) !== 'ok') return [];
    const bodies = db.prepare("SELECT body FROM alert WHERE topic LIKE '%/evt/%'").pluck().all() as (
      | string
      | Buffer
    )[];
    return bodies.map((body) => (JSON.parse(body.toString()) as { id: string }).id);
  } finally {
    db.close();
  }
}

export class BootedBox {
  readonly #t: Test;
  readonly #container: Container;

  constructor(t: Test, container: Container) {
    this.#t = t;
    this.#container = container;
  }

  /** Process id of the agent; 0 while it is not running. */
  get agent(): number {
    return Number(this.#container.show('vigie', 'MainPID'));
  }

  get vision(): number {
    return Number(this.#container.show('vigie-vision', 'MainPID'));
  }

  signal(name: string, pid: number): void {
    // kill(1) takes 0 for its own process group, to which this test belongs.
    if (pid <= 0) throw new Error(`no process to send ${name} to`);
    this.#container.run('kill', `-${name}`, String(pid));
  }

  /** Ends a suspension with the keys of both holders. */
  resume(): Output {
    const container = this.#container;
    const keys = [PREFECT, MAYOR].map(({ privateKey }, i) => {
      const file = `/media/holder-${i}.pem`;
      container.write(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
      container.run('chown', 'vigie:', file);
      return file;
    });
    return container.run('vigie', 'resume', '--reason', 'lifted', '--key', ...keys);
  }

  /**
   * Waits until vision is stopped and the agent states the reason and receives no frames, for longer than a watchdog
   * time.
   */
  async staysSuspended(situation: string): Promise<void> {
    const container = this.#container;
    const still = (): boolean =>
      container.states('vigie').some((state) => state.startsWith('active, suspended, not watching'));
    await waitUntil(this.#t, `${situation}: suspended`, still, PATIENCE_MS);
    const agent = this.agent;
    const dead = (): boolean => this.agent !== agent || this.vision !== 0;
    for (let i = 0; i < 22; i += 1) {
      await sleep(500);
      if (dead()) break;
    }
    this.#t.notOk(dead(), `${situation}: no vision, and the same agent`);
  }

  /**
   * Waits until the agent reports that it is active and frames arrive, by the line of `systemctl status`. A busy
   * machine analyses less than one frame a second.
   */
  async watches(situation: string): Promise<void> {
    const container = this.#container;
    let states = '';
    const isWatching = (): boolean => {
      states = container.states('vigie', 'vigie-vision').join(' | ');
      return /^active, watching, (?!0\.0 ).* \| active, /.test(states);
    };
    try {
      await waitUntil(this.#t, `${situation}: active, and frames come`, isWatching, PATIENCE_MS);
    } catch (error) {
      const log = container.run('journalctl', '--no-pager', '-o', 'cat', '-n', '60').out;
      writeFileSync(join(scratch(this.#t), 'journal.txt'), log);
      this.#t.comment(log);
      // The log must say why anything is kept only as a summary.
      const errors = log.split('\n').filter((line) => /"level":[56]0|^vigie: /.test(line));
      this.#t.fail(`${situation}, at last: ${[states, ...errors.slice(-3)].join(' | ').slice(0, 1500)}`);
      throw error;
    }
    this.#t.pass(`${situation}: ${container.show('vigie', 'StatusText')}`);
  }
}
