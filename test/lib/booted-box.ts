/** The units of a box that is booted in a container, as systemd sees them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { Test } from 'tap';
import { MAYOR, PREFECT } from './authority.ts';
import type { Container, Said } from './nspawn.ts';
import { scratch } from './paths.ts';
import { until } from './room.ts';

/** A quiet machine boots a box in 10 s; one of half its speed with three tests beside took 91 s from an order to its end. */
export const PATIENCE_MS = 300_000;

/** Ids of the events that wait, from a copy: the agent has the file for itself, and may write while it is copied. */
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

  /** 0 while there is none. */
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

  /** Ends a suspension, with the keys of both holders. */
  resume(): Said {
    const container = this.#container;
    const keys = [PREFECT, MAYOR].map(({ privateKey }, i) => {
      const file = `/media/holder-${i}.pem`;
      container.write(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
      container.run('chown', 'vigie:', file);
      return file;
    });
    return container.run('vigie', 'resume', '--reason', 'lifted', '--key', ...keys);
  }

  /** No vision, and an agent that says why and is fed by nobody's frames: for longer than a watchdog time. */
  async standsStill(how: string): Promise<void> {
    const container = this.#container;
    const still = (): boolean =>
      container.states('vigie').some((state) => state.startsWith('active, suspended, nothing is watched'));
    await until(this.#t, `${how}: suspended`, still, PATIENCE_MS);
    const agent = this.agent;
    const dead = (): boolean => this.agent !== agent || this.vision !== 0;
    for (let i = 0; i < 22; i += 1) {
      await sleep(500);
      if (dead()) break;
    }
    this.#t.notOk(dead(), `${how}: no vision, and the same agent`);
  }

  /** Active by its own word, and frames come: the line of `systemctl status` says so. On a busy machine few: not one a second. */
  async watches(how: string): Promise<void> {
    const container = this.#container;
    let said = '';
    const seen = (): boolean => {
      said = container.states('vigie', 'vigie-vision').join(' | ');
      return /^active, watching, (?!0\.0 ).* \| active, /.test(said);
    };
    try {
      await until(this.#t, `${how}: active, and frames come`, seen, PATIENCE_MS);
    } catch (error) {
      const log = container.run('journalctl', '--no-pager', '-o', 'cat', '-n', '60').out;
      writeFileSync(join(scratch(this.#t), 'journal.txt'), log);
      this.#t.comment(log);
      // What only a summary is kept of must say why.
      const errors = log.split('\n').filter((line) => /"level":[56]0|^vigie: /.test(line));
      this.#t.fail(`${how}, at last: ${[said, ...errors.slice(-3)].join(' | ').slice(0, 1500)}`);
      throw error;
    }
    this.#t.pass(`${how}: ${container.show('vigie', 'StatusText')}`);
  }
}
