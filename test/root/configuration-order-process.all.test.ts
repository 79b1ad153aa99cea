/**
 * Tests configuration orders through real parts: the fleet's program, a broker, an agent, and root's program beside it.
 */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { shownSha256, withSecretsOf } from '../../agent/config/secrets.ts';
import { CONFIG_ORDER_FILE } from '../../agent/contract/update.ts';
import { openAuthorisation } from '../../agent/orders/signed-authorisation.ts';
import { readAuthorisationFile } from '../../agent/restraint/authorisation.ts';
import { Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { type Box, openBox } from '../../scripts/products/root/box.ts';
import { assessTrials } from '../../scripts/products/root/change/judge.ts';
import { fullTextProblems } from '../../scripts/products/root/configuration/trial-validator.ts';
import { DEFAULT_PLACES } from '../../scripts/products/root/paths.ts';
import { WORK_WITHIN_MS } from '../../scripts/products/root/record-lock.ts';
import { AT_ALL_TIMES, AUTHORITY, authoriseFile } from '../lib/authority.ts';
import { bundled } from '../lib/bundled.ts';
import { makeSigner } from '../lib/commands.ts';
import { calmSource } from '../lib/encoded-clip.ts';
import { scratch } from '../lib/paths.ts';
import { type Program, start, VIGIE } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';

const WAIT_MS = 60_000;
const FLEET = bundled('scripts/products/fleet');
const textOf = (file: string): string => readFileSync(file, 'utf8');

/** Acts as systemd does for the agent's unit. */
class Unit {
  readonly #begin: () => Program;
  program: Program;
  starts = 1;
  #next: Promise<unknown> | undefined;

  constructor(begin: () => Program) {
    this.#begin = begin;
    this.program = begin();
  }

  restart(): void {
    const { program } = this;
    program.child.kill('SIGTERM');
    this.#next = program.exit.then(() => {
      this.program = this.#begin();
      this.starts += 1;
      this.#next = undefined;
    });
  }

  get state() {
    const { code, err } = this.program;
    const gaveUp = code === undefined || this.#next !== undefined ? undefined : `exit code ${code}`;
    return { active: this.#next === undefined && err.includes('agent started'), gaveUp, restarts: 0 };
  }
}

/** Root's part of the box, with that unit in place of systemd's. */
function rootOf(dir: string, config: string, agentState: string, unit: Unit): Box {
  const own = join(dir, 'root');
  mkdirSync(join(own, 'releases'), { recursive: true });
  const rootLib = join(own, 'root');
  const places = {
    ...DEFAULT_PLACES,
    lib: own,
    rootLib,
    state: own,
    config,
    agentState,
    settings: join(dir, 'none'),
    run: join(dir, 'run'),
  };
  const noop = (): Promise<void> => Promise.resolve();
  return openBox({ ...places, systemctl: 'false', timedatectl: 'false' }, () => undefined, WORK_WITHIN_MS, {
    units: {
      wereStarted: () => Promise.resolve([]),
      stop: noop,
      start: noop,
      resetFailed: noop,
      restart: () => Promise.resolve(unit.restart()),
      state: () => Promise.resolve(unit.state),
    },
    validator: {
      filled: withSecretsOf,
      shownSha256,
      problems: (text, previous) =>
        Promise.resolve(
          fullTextProblems(text, previous, {
            env: {},
            files: true,
            wallMs: () => Date.now(),
            authorisation: ({ authorisation = '' }) =>
              openAuthorisation(readAuthorisationFile(authorisation), AUTHORITY.publicKey),
          }),
        ),
    },
  });
}

async function runFleet(t: Test, dir: string, ...words: string[]): Promise<Program> {
  const program = start(t, process.execPath, [FLEET, ...words, '--dir', dir]);
  await program.exit;
  return program;
}

void t.test('an ordered configuration reaches the box, and the box reports it back', async (t) => {
  const dir = scratch(t);
  const broker = new Mosquitto({ dir: scratch(t) });
  t.teardown(() => broker.stop());
  await broker.start();
  const signer = makeSigner('desk', ['configure', 'read-configuration']);
  const [file, state, room] = [join(dir, 'vigie.yaml'), join(dir, 'state'), join(dir, 'room')];
  const content = {
    site: 'lab',
    box: 'lab-1',
    camera: { source: calmSource(), fps: 1 },
    zones: [
      {
        id: 'yard',
        polygon: [
          [0, 0],
          [1, 0],
          [1, 1],
        ],
      },
    ],
    rules: [{ id: 'stay', kind: 'loitering', zone: 'yard', afterS: 9, purpose: 'safety' }],
    commands: { keys: [signer.config] },
    metrics: { port: 0 },
    mqtt: { url: broker.url, ack: 'broker' },
  };
  writeFileSync(file, JSON.stringify(content));
  authoriseFile(file, join(dir, 'order'), AT_ALL_TIMES);
  // In the form that a room writes.
  writeFileSync(file, `# of the room\n${textOf(file)}\n# token: geheim\n`);
  const sign = join(dir, 'desk.pem');
  writeFileSync(sign, signer.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  mkdirSync(room);
  writeFileSync(join(room, 'fleet.yaml'), JSON.stringify({ mqtt: { url: broker.url }, sign }));

  const unit = new Unit(() => start(t, process.execPath, [VIGIE, 'run', '--config', file, '--state', state]));
  const box = rootOf(dir, file, state, unit);
  box.store.load();
  /** Runs what the units do: the orders, and the probation of a trial. */
  const follow = async (): Promise<void> => {
    const { machine, units } = box;
    // The agent of a plain run reports its journal to no record of root's.
    const own = { journalSize: () => unit.starts, isLawful: () => false };
    await machine.recover(false);
    await machine.run(() => undefined);
    await assessTrials({ ...box, own, unit: () => units.state('') });
  };
  const status = () => {
    const { phase, target, reason } = box.store.state.configuration;
    return { phase, revision: target?.number, reason };
  };
  const up = (): Promise<number> =>
    waitUntil(t, `up: ${unit.program.err.slice(-300)}`, () => unit.state.active, WAIT_MS);
  await up();

  const pulled = await runFleet(t, room, 'config', 'pull', 'all');
  t.equal(pulled.code, 0, pulled.err);
  t.match((await runFleet(t, room, 'audit')).out, /configuration requested from lab\/lab-1/);
  const copy = join(room, 'configs/lab/lab-1.yaml');
  t.match(textOf(copy), /# of the room.*# token: \*\*\*/s);

  const push = (...words: string[]): Promise<Program> =>
    runFleet(t, room, 'config', 'push', ...words, '--to', 'lab-1');
  const orderTimeMs = (): number =>
    statSync(join(state, CONFIG_ORDER_FILE), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  /** Sends an order, and waits until the agent has stored it. */
  const sendOrder = async (...words: string[]): Promise<void> => {
    const before = orderTimeMs();
    const program = await push(...words, '--yes');
    t.equal(program.code, 0, program.err);
    const ran = await runFleet(t, room, 'rollout', 'run', '--once');
    t.equal(ran.code, 0, ran.err);
    await waitUntil(t, 'the agent lays it', () => orderTimeMs() > before, WAIT_MS);
  };
  const dry = await push('--set', 'rules[stay].afterS=5', '--dry-run');
  t.match(dry.out, /^lab\/lab-1\n@@.*\n(.*\n)*-.*"afterS":9.*\n\+.*"afterS":5/m, dry.err);
  t.equal(orderTimeMs(), 0, 'shown is not sent');
  await sendOrder('--set', 'rules[stay].afterS=5');
  await follow();
  t.match(status(), { phase: 'confirmed', revision: 1 });
  t.match(textOf(file), /^# of the room\n.*"afterS":5.*\n# token: \*\*\*\n$/);
  const untilOver = async (): Promise<string> => {
    const ran = await runFleet(t, room, 'rollout', 'run');
    return ran.out;
  };
  t.match(await untilOver(), /done/, 'the box reports what it has, and the rollout is over');
  t.match(textOf(copy), /"afterS":9/, 'the copy follows when it is looked at');
  t.notMatch(unit.program.err, /geheim/);
});
