/** What can be typed: `vigie-root`. */
import { existsSync, mkdirSync } from 'node:fs';
import { Command, Option } from 'commander';
import { AgentError } from '../../../agent/base/errors.ts';
import { printableJson, printableLine } from '../../../agent/base/printable.ts';
import { agentHealth } from '../../../agent/base/probation.ts';
import { StateLock } from '../../../agent/base/state-lock.ts';
import { machine } from './board.ts';
import { repair } from './boot.ts';
import { back, fromPackage } from './by-hand.ts';
import { systemBoxClock } from './clock.ts';
import { addBoxCommands } from './commands.ts';
import { type Context, removeOthers } from './context.ts';
import { Engine } from './engine.ts';
import { judge } from './judge.ts';
import { isDue, pendingUpdates } from './os-updates.ts';
import { DEFAULT_PLACES, type Places } from './places.ts';
import { AT_REST } from './record.ts';
import { ReleaseFolder } from './releases.ts';
import { readOrderReader, readSettings, type Settings } from './settings.ts';
import { StatusWriter, screenOf } from './status.ts';
import { Store } from './store.ts';
import { startPending } from './switching.ts';
import { RUN_UNIT, systemUnits } from './units.ts';

/** As long as a change of the record takes, and more. */
const LOCK_WITHIN_MS = 10_000;
const LOCK_AGAIN_MS = 100;
/** An order laid during a probation is looked at when that is over. */
const PROGRESS_EVERY_MS = 10_000;

interface Options extends Places {
  readonly systemctl: string;
  readonly aptGet: string;
}

interface Assembled extends Context {
  readonly settings: Settings;
  readonly status: StatusWriter;
}

export function makeProgram(): Command {
  const program = new Command('vigie-root')
    .description(
      'Keeps the releases of Vigie on this box: takes what the room orders, tries it, goes back if it is not well.',
    )
    .exitOverride()
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 it failed or must wait for another, 2 usage or configuration.',
    );
  const add = (name: string, text: string): Command => withPlaces(program.command(name).description(text));
  add('run', 'carry out the room’s order as far as it can go now').action(runCommand);
  add('boot', 'finish or undo what a power cut left; before the agent starts').action(bootCommand);
  add('judge', 'watch the new release until it has proved itself, or go back').action(judgeCommand);
  add('status', 'what runs, what is wanted, and how far it is')
    .option('--json', 'as JSON')
    .action(statusCommand);
  add('back', 'go back to the release that is kept').action(backCommand);
  add('from-package', 'go to the release that the package of the agent has brought').action(
    fromPackageCommand,
  );
  addBoxCommands(program);
  return program;
}

function withPlaces(command: Command): Command {
  const { lib, state, config, agentState, settings, root, firstRelease, run, bootId } = DEFAULT_PLACES;
  const place = (flags: string, text: string, value: string): Option =>
    new Option(flags, text).default(value);
  for (const option of [
    place('--lib <dir>', 'folder with current and releases/', lib),
    place('--state <dir>', 'the updater’s own folder', state),
    place('--config <file>', 'the agent’s configuration, root’s', config),
    place('--agent-state <dir>', 'the agent’s state folder', agentState),
    place('--settings <file>', 'the updater’s configuration', settings),
    place('--root <file>', 'the signed root to begin with', root),
    place('--first-release <dir>', 'what the package of the agent brings', firstRelease),
    place('--run <dir>', 'of the running system', run),
    place('--boot-id <file>', 'the kernel’s name of this boot', bootId),
    place('--systemctl <program>', 'what asks systemd', 'systemctl'),
    place('--apt-get <program>', 'what asks apt', 'apt-get'),
  ])
    command.addOption(option);
  return command;
}

const say = (line: string): void => void process.stderr.write(`${printableLine(line)}\n`);
const print = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`);

function assemble(options: Options): Assembled {
  if (!existsSync(options.lib)) throw new AgentError('config', `--lib: ${options.lib}: no such folder`);
  const clock = systemBoxClock(options.run, options.bootId);
  const settings = readSettings(options.settings);
  const releases = new ReleaseFolder(options.lib);
  const status = new StatusWriter({
    places: options,
    machine: machine(settings.board),
    releases,
    wallMs: () => clock.wallMs(),
    say,
  });
  const store = new Store(options.state, clock, {
    say,
    changed: (state) => status.write(state),
    current: () => releases.current(),
  });
  return {
    places: options,
    clock,
    settings,
    releases,
    status,
    store,
    units: systemUnits(options.systemctl),
    health: () => agentHealth(options.agentState),
    say,
  };
}

/** One at a time. `busy`: what to do where another is at work. */
async function alone(
  options: Options,
  act: (context: Assembled) => Promise<void>,
  busy: () => void = () => {
    throw new AgentError(
      'denied',
      `another vigie-root is at work on ${options.state}; see vigie-root status`,
    );
  },
): Promise<void> {
  const context = assemble(options);
  mkdirSync(options.state, { recursive: true, mode: 0o755 });
  const lock = new StateLock(options.state);
  if (!(await taken(lock, options.state))) return busy();
  try {
    context.store.load();
    await act(context);
  } finally {
    lock.release();
  }
}

async function taken(lock: StateLock, dir: string): Promise<boolean> {
  for (const untilMs = performance.now() + LOCK_WITHIN_MS; performance.now() < untilMs; ) {
    try {
      lock.take();
      return true;
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
      if (error.kind !== 'denied')
        throw new AgentError(
          error.kind,
          `${dir} is the updater’s; run vigie-root as root (${error.message})`,
          error,
        );
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_AGAIN_MS));
  }
  return false;
}

async function runCommand(options: Options): Promise<void> {
  // Whoever is at work looks at the order once more when it is done; the timer comes in any case.
  await alone(options, runAlone, () => say('another vigie-root is at work; it goes on'));
}

async function runAlone(context: Assembled): Promise<void> {
  const { places, settings, releases, store, status, clock } = context;
  await repair(context, false);
  // Only here is the client of signed metadata needed, which takes a while to load.
  const { ServerSource } = await import('./release-source.ts');
  const source = new ServerSource({ places, settings, machine: machine(settings.board), releases, say });
  let toldMs = 0;
  const engine = new Engine({
    context,
    source,
    reader: () => readOrderReader(places.config, process.env),
    progress: (bytes) => {
      if (bytes !== null && performance.now() - toldMs < PROGRESS_EVERY_MS) return;
      toldMs = bytes === null ? 0 : performance.now();
      status.write(store.state, bytes);
    },
  });
  await engine.run();
  removeOthers(context);
  const { osUpdates, phase } = store.state;
  const nowMs = clock.wallMs();
  if (AT_REST.has(phase) && isDue(osUpdates?.atMs, nowMs)) {
    const pending = await pendingUpdates((places as Options).aptGet);
    if (pending !== undefined) store.change({ osUpdates: { atMs: nowMs, pending } });
  }
  if (status.isOld()) status.write(store.state);
}

async function bootCommand(options: Options): Promise<void> {
  await alone(options, async (context) => {
    await repair(context, true);
    context.status.write(context.store.state);
  });
}

async function judgeCommand(options: Options): Promise<void> {
  await alone(options, async (context) => {
    const { store, settings, units } = context;
    await repair(context, false);
    // The one before may have been killed when it had gone back.
    await startPending(context);
    if (store.state.phase !== 'probation') return;
    await judge(context, settings);
    // What has been ordered meanwhile.
    await units.start([RUN_UNIT]);
  });
}

function statusCommand(options: Options & { readonly json?: true }): void {
  const { store, status } = assemble(options);
  store.read();
  const now = status.of(store.state);
  if (options.json === true) process.stdout.write(`${printableJson(now, 2)}\n`);
  else screenOf(now).forEach(print);
}

async function backCommand(options: Options): Promise<void> {
  await byHand(options, back);
}

async function fromPackageCommand(options: Options): Promise<void> {
  await byHand(options, fromPackage);
}

async function byHand(options: Options, act: (context: Context) => Promise<void>): Promise<void> {
  await alone(options, async (context) => {
    await repair(context, false);
    await act(context);
    const { phase, reason } = context.store.state;
    if (phase !== 'probation')
      throw new AgentError('unavailable', `${phase}: ${reason ?? 'see the journal of the unit'}`);
    print('switched; it stays if it proves itself, see vigie-root status');
  });
}
