/**
 * Tests older files put back in a plain run, where one user owns everything. The other files reveal a single file. A
 * whole folder put back is detected by a head kept elsewhere (journal-export.test.ts), and by root (booted.all.test.ts).
 */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Suspension } from '../../agent/restraint/suspension.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { authorised } from '../lib/authority.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

class Box {
  readonly stateDir: string;
  readonly #dir: string;
  readonly #t: Test;

  constructor(t: Test) {
    this.#t = t;
    this.#dir = scratch(t);
    this.stateDir = join(this.#dir, 'state');
  }

  /** Runs an agent until it settles in the mode; returns its reason. */
  async runUntil(mode: string): Promise<string> {
    const mqtt = { url: 'mqtt://127.0.0.1:1', ack: 'broker' };
    const config = configOf({ site: SITE, box: BOX, camera: { source: 'test:pattern', fps: 5 }, mqtt });
    const agent = makeAgent(this.#t, authorised(config, join(this.#dir, 'order')), this.stateDir);
    await agent.start();
    try {
      await waitUntil(this.#t, mode, () => agent.report().mode === mode, 20_000);
      return agent.report().restraint.reason ?? '';
    } finally {
      await agent.stop();
    }
  }

  file(name: string): string {
    return join(this.stateDir, name);
  }

  keep(name: string): void {
    cpSync(this.stateDir, join(this.#dir, name), { recursive: true });
  }

  putBack(name: string, ...files: readonly string[]): void {
    const from = join(this.#dir, name);
    if (files.length === 0) {
      rmSync(this.stateDir, { recursive: true });
      cpSync(from, this.stateDir, { recursive: true });
    }
    for (const file of files) cpSync(join(from, file), this.file(file), { recursive: true });
  }
}

async function suspendedBox(t: Test): Promise<Box> {
  const box = new Box(t);
  await box.runUntil('active');
  box.keep('before');
  new Suspension(box.file('suspension.json')).suspend('order of the court', 'box', Date.now());
  t.equal(await box.runUntil('suspended'), 'order of the court');
  box.keep('suspended');
  return box;
}

t.test('a box stays suspended and says so after one file was put back, edited or removed', async (t) => {
  const box = await suspendedBox(t);
  const putBackText =
    /suspension.json was put back, edited or removed, as the journal shows.*order of the court/;
  box.putBack('before', 'suspension.json');
  t.match(await box.runUntil('suspended'), putBackText, 'put back');
  t.match(await box.runUntil('suspended'), putBackText, 'and so at every start');
  const text = readFileSync(box.file('suspension.json'), 'utf8');
  t.match(text, /"suspended":true/, 'the file is put right');
  box.putBack('suspended');
  rmSync(box.file('suspension.json'));
  await box.runUntil('suspended');
  box.putBack('suspended');
  for (const name of ['suspension.json', 'authority.json', 'latest-time', 'latest-time-confirmed'])
    rmSync(box.file(name), { force: true });
  await box.runUntil('suspended');
  box.putBack('suspended');
  rmSync(box.file('journal'), { recursive: true });
  t.match(await box.runUntil('suspended'), /order of the court/, 'without its journal');
});

t.test(
  'a journal put back beside newer files, or replaced by a new one, leaves nothing allowed',
  { skip: unlessAll },
  async (t) => {
    const box = await suspendedBox(t);
    box.putBack('before', 'journal');
    await box.runUntil('suspended');
    box.putBack('before');
    rmSync(box.file('journal'), { recursive: true });
    await box.runUntil('unauthorised');
  },
);
