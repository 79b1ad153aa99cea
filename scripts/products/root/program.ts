/** Commands of `vigie-root` that change what runs on the box; the others are in commands.ts. */
import { Argument, Command, Option } from '@commander-js/extra-typings';
import { AgentError } from '../../../agent/base/errors.ts';
import { printableJson, printableLine } from '../../../agent/base/printable.ts';
import { CONFIG_REQUEST_BYTES_MAX } from '../../../agent/contract/config-trial.ts';
import { RELEASE_KINDS, type ReleaseKind } from '../../../agent/contract/release.ts';
import { CHANGE_KINDS } from '../../../agent/contract/update.ts';
import { type Box, makeFolder, openBox } from './box.ts';
import { type ByHand, fromPackage, rollBack } from './change/by-hand.ts';
import { assessTrials } from './change/judge.ts';
import { stampOf } from './change/orders.ts';
import { AT_REST } from './change/record.ts';
import { ConfigurationRequests } from './change/requests.ts';
import { addBoxCommands } from './commands.ts';
import { answerAndLeave, firstLine } from './one-request.ts';
import { isDue, pendingUpdates } from './os-updates.ts';
import { type BoxOptions, orderFile, PLACE_OPTIONS } from './paths.ts';
import { lockedIn, REQUEST_WITHIN_MS, recordLocked, WORK_WITHIN_MS, workerLock } from './record-lock.ts';
import { rehearse } from './rehearsal.ts';
import { screenOf } from './status.ts';
import { AGENT_UNIT, RUN_UNIT } from './units.ts';

const PROGRESS_EVERY_MS = 10_000;
/** Maximum number of runs in one start. If new orders keep coming, the next start handles the rest. */
const RUNS_MAX = 2;
/** Patience with another worker, ms. That one does the work, and the timer starts this one again. */
const WORKER_WITHIN_MS = 10_000;

type Options = Record<keyof BoxOptions | 'aptGet', string>;

export function makeProgram(): Command {
  const program = new Command('vigie-root')
    .description(
      'Root’s program on the box: carries out the room’s orders for releases and configurations, tries each, and rolls back what is not healthy.',
    )
    .exitOverride()
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 it failed or must wait for another, 2 usage or configuration.',
    );
  const add = (name: string, text: string) => withPlaces(program.command(name).description(text));
  add('run', 'carry out the room’s orders as far as they can go now').action(runCommand);
  add('boot', 'finish or undo what a power cut left; before the agent starts').action(bootCommand);
  add('judge', 'watch what is on trial until it has proved itself, or roll back').action(judgeCommand);
  add('status', 'the running release, its target, and the progress')
    .option('--json', 'as JSON')
    .action(statusCommand);
  add('back', 'roll back to the stored previous release').action((options: Options) =>
    byHand(options, 'release', rollBack),
  );
  add('from-package', 'go to the release that a package has brought: of the agent, or of root’s own program')
    .addArgument(new Argument('[what]', 'release: the agent’s').choices(RELEASE_KINDS).default('release'))
    .action((kind: ReleaseKind, options: Options) =>
      byHand(options, kind, (hand) => fromPackage(hand, kind)),
    );
  add('config-trial', 'check, try, keep or revert a configuration: one request on standard input').action(
    trialCommand,
  );
  addBoxCommands(program);
  return program;
}

/** Adds the options of all places. The cast is needed because a loop infers no option types. */
function withPlaces(command: Command): Command<[], Options> {
  const places = Object.values(PLACE_OPTIONS).map(([flag, text, place]) =>
    new Option(flag, text).default(place),
  );
  const aptGet = new Option('--apt-get <program>', 'what asks apt').default('apt-get');
  for (const option of [...places, aptGet]) command.addOption(option);
  return command as Command as unknown as Command<[], Options>;
}

const say = (line: string): void => void process.stderr.write(`${printableLine(line)}\n`);
const print = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`);

/** Opens the box, with its record read or rebuilt. Finishes or undoes what an earlier process has left. */
async function loadBox(options: Options, booting: boolean, withinMs = WORK_WITHIN_MS): Promise<Box> {
  makeFolder(options.state, say);
  const box = openBox(options, say, withinMs);
  const heal = async (): Promise<void> => {
    box.store.load();
    await box.payloads.release.heal(box.store.state);
    await box.payloads.root.heal(box.store.state);
  };
  await recordLocked(options, withinMs, heal, say);
  await box.machine.recover(booting);
  return box;
}

async function runCommand(options: Options): Promise<void> {
  const box = await loadBox(options, false);
  try {
    await lockedIn(workerLock(options), WORKER_WITHIN_MS, async () => {
      // systemd does not see an order that arrives while this service runs (systemd.path(5)), so the loop checks again.
      for (let runs = 0, seenOrders = ''; runs < RUNS_MAX && seenOrders !== ordersAt(options); runs += 1) {
        seenOrders = ordersAt(options);
        await rehearse(box, say);
        await runAlone(box, options);
      }
    });
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind !== 'denied') throw error;
    say('another vigie-root is running; it continues the work');
  }
}

const ordersAt = (places: Options): string =>
  CHANGE_KINDS.map((kind) => stampOf(orderFile(places, kind))).join();

async function runAlone({ machine, status, store, clock }: Box, { aptGet }: Options): Promise<void> {
  let toldMs = 0;
  await machine.run((bytes) => {
    if (bytes !== null && performance.now() - toldMs < PROGRESS_EVERY_MS) return;
    toldMs = bytes === null ? 0 : performance.now();
    status.write(store.state, bytes);
  });
  const nowMs = clock.wallMs();
  const { osUpdates, release } = store.state;
  if (AT_REST.has(release.phase) && isDue(osUpdates?.atMs, nowMs)) {
    const pending = await pendingUpdates(aptGet);
    await machine.locked(() => {
      if (pending !== undefined) store.set({ osUpdates: { atMs: nowMs, pending } });
      return Promise.resolve();
    });
  }
  if (status.isOld()) status.write(store.state);
}

async function bootCommand(options: Options): Promise<void> {
  const { status, store } = await loadBox(options, true);
  status.write(store.state);
}

async function judgeCommand(options: Options): Promise<void> {
  const box = await loadBox(options, false);
  const { units } = box;
  await assessTrials({ ...box, unit: () => units.state(AGENT_UNIT) });
  // Handles orders that have arrived meanwhile.
  await units.start([RUN_UNIT]);
}

function statusCommand(options: Options & { readonly json?: true }): void {
  const { store, status } = openBox(options, say, REQUEST_WITHIN_MS);
  store.read();
  const now = status.of(store.state);
  if (options.json === true) process.stdout.write(`${printableJson(now, 2)}\n`);
  else screenOf(now).forEach(print);
}

async function byHand(
  options: Options,
  kind: ReleaseKind,
  action: (hand: ByHand) => Promise<void>,
): Promise<void> {
  const { machine, releases, places } = await loadBox(options, false, REQUEST_WITHIN_MS);
  await machine.locked(() => action({ machine, releases, places }));
  const { phase, reason } = machine.state[kind];
  if (phase !== 'probation')
    throw new AgentError('unavailable', `${phase}: ${reason ?? 'see the journal of the unit'}`);
  print('switched; it stays if it proves itself, see vigie-root status');
}

/** Answers one request from standard input on standard output. */
async function trialCommand(options: Options): Promise<void> {
  const line = await firstLine(CONFIG_REQUEST_BYTES_MAX);
  const { machine, payloads, clock, places } = await loadBox(options, false, REQUEST_WITHIN_MS);
  const { rootValidatorOptions, trialValidator } = await import('./configuration/trial-validator.ts');
  const requests = new ConfigurationRequests({
    file: places.config,
    machine,
    payload: payloads.configuration,
    validator: trialValidator(rootValidatorOptions(places)),
    clock,
  });
  const reply = await requests.answer(line);
  if (reply.refused !== null) say(`refused: ${reply.refused}`);
  await answerAndLeave(reply);
}
