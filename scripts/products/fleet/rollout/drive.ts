/** `fleet rollout …`: starts, runs, skips boxes of, and shows a rollout. */

import { MultiBar, type SingleBar } from 'cli-progress';
import { AgentError } from '../../../../agent/base/errors.ts';
import { printableJson } from '../../../../agent/base/printable.ts';
import { StateLock } from '../../../../agent/base/state-lock.ts';
import { releaseName } from '../../../../agent/contract/release.ts';
import {
  type FleetContext,
  requireConfirmation,
  whileLocked,
  withFleet,
  withLockedFleet,
} from '../context.ts';
import { say, warn } from '../output.ts';
import { Repository } from '../release/repository.ts';
import { bytesText } from '../release/words.ts';
import { signingKey } from '../settings.ts';
import { type Choice, chooseBoxes } from './choose.ts';
import { Controller, foreignOrdersText } from './controller.ts';
import { createRollout, freeName } from './create.ts';
import { KIND_NAMES } from './kinds.ts';
import { RolloutMetricsFile } from './metrics.ts';
import { type Plan, readPlan } from './plan.ts';
import { type RolloutRow, Rollouts } from './rollouts.ts';
import { OVER } from './states.ts';
import type { DirOption } from './status-commands.ts';
import { assignWaves, inParts } from './stratify.ts';
import { boxCount, columns, namedByReason, someOf } from './table.ts';
import { restOf, viewLines, waveName } from './text.ts';
import { type BoxView, type RolloutView, viewOf } from './view.ts';

/** Maximum time that a request of another program waits in the store, ms. */
const POLL_MS = 2000;

/** Options of a command that makes a rollout. */
export interface MakingOptions extends DirOption {
  readonly name?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly takeOver?: boolean;
}

export interface StartOptions extends MakingOptions {
  readonly plan: string;
  readonly root?: boolean;
}

export function controllerOf(context: FleetContext, metrics = metricsFileOf(context)): Controller {
  const { fleet, store, link, clock } = context;
  const onChecked = (name: string): void => metrics.writeIfDue(() => shownRollout(context, name));
  return new Controller({ store, link, clock, key: signingKey(fleet), pollMs: POLL_MS, say, onChecked });
}

function metricsFileOf({ fleet, clock }: FleetContext): RolloutMetricsFile {
  return new RolloutMetricsFile({ file: fleet.metricsFile, clock, warn });
}

function shownRollout({ store, clock }: FleetContext, name: string): RolloutView | undefined {
  const row = new Rollouts(store).get(name);
  return row === undefined ? undefined : viewOf(store, row, clock.wallMs());
}

export function start(version: string, options: StartOptions): Promise<void> {
  const open = options.dryRun === true ? withFleet : withLockedFleet;
  return open(options.dir, async (context) => {
    const { fleet, store, signal, clock } = context;
    const plan = readPlan(options.plan, fleet.timeZone);
    if (fleet.repository === undefined)
      throw new AgentError(
        'config',
        'fleet.yaml: repository is missing; the folder of the published releases',
      );
    const targets = new Repository(fleet.repository).targets()?.signed;
    if (targets === undefined)
      throw new AgentError('config', `${fleet.repository}: no release is published there`);
    await prepare(context, options);
    const choice = chooseBoxes(targets, { name: version, isRoot: options.root === true }, store.boxes());
    const day = new Date(clock.wallMs()).toISOString().slice(0, 10);
    const about = choice.kind === 'root' ? `root-${version}` : version;
    const name = options.name ?? freeName(store, `${day}-${about}`);
    for (const line of choiceLines(name, choice, plan)) say(line);
    if (options.dryRun === true) return;
    await requireConfirmation(
      `${boxCount(choice.takes.length)} will get ${KIND_NAMES[choice.kind]} ${choice.seq}-${choice.version}.`,
      options.yes === true,
      signal,
    );
    createRollout(
      store,
      {
        kind: choice.kind,
        name,
        description: `${choice.seq}-${choice.version}`,
        plan,
        boxes: choice.takes,
      },
      { key: signingKey(fleet), nowMs: clock.wallMs() },
    );
    say(`${name} is created; \`fleet rollout run\` sends it, and continues it after an interruption`);
  });
}

/**
 * Brings the store up to date before a rollout is made. Throws AgentError `denied` if the store is behind the fleet, or
 * if orders by another key are retained and must not be overwritten.
 */
export async function prepare(context: FleetContext, { dryRun, takeOver }: MakingOptions): Promise<void> {
  const controller = controllerOf(context);
  await controller.start(context.signal);
  if (dryRun !== true) await controller.finish();
  const lag = controller.lag();
  if (lag !== undefined) throw new AgentError('denied', lag.text);
  const foreignOrders = controller.foreignOrders(context.clock.wallMs());
  if (foreignOrders.length === 0) return;
  if (takeOver === true) say(`${foreignOrdersText(foreignOrders)}; they are written over`);
  else
    throw new AgentError(
      'denied',
      `${foreignOrdersText(foreignOrders)}; end that rollout on the machine that started it, or pass --take-over if that is impossible`,
    );
}

/** Returns lines with the choice: boxes, waves and bytes. */
function choiceLines(
  name: string,
  { kind, takes, upToDate, leftOut, seq, version }: Choice,
  requestedPlan: Plan,
): string[] {
  const leftOutLines = namedByReason(leftOut).map((line) => `not sent to ${line}`);
  if (takes.length === 0)
    return [
      ...leftOutLines,
      `no box would install ${KIND_NAMES[kind]} ${seq}: it runs already on ${boxCount(upToDate.length)}`,
    ];
  const plan = inParts(requestedPlan, takes.length);
  const waves = assignWaves(name, takes, plan);
  const rows = [...plan.waves.keys(), plan.waves.length].map((n) => {
    const waveBoxes = takes.filter((_, i) => waves[i] === n);
    const sum = (way: 'delta' | 'full') => waveBoxes.filter((box) => box.way === way);
    const bytes = (list: typeof waveBoxes): string =>
      bytesText(list.reduce((total, box) => total + (box.bytes ?? 0), 0));
    const [delta, full] = [sum('delta'), sum('full')];
    const hours = n === 0 ? plan.canary.hours : (plan.waves[n - 1]?.soakHours ?? 0);
    return [
      n === 0 ? 'canaries' : `wave ${n}`,
      `${waveBoxes.length}`,
      `${delta.length}`,
      bytes(delta),
      `${full.length}`,
      bytes(full),
      `${hours} h`,
      someOf(
        waveBoxes.map((box) => box.box),
        5,
      ),
    ];
  });
  const total = takes.reduce((sum, box) => sum + (box.bytes ?? 0), 0);
  return [
    ...leftOutLines,
    ...(upToDate.length === 0
      ? []
      : [`it runs already on ${boxCount(upToDate.length)}: ${someOf(upToDate.map(({ box }) => box))}`]),
    ...columns([['', 'BOXES', 'DELTA', 'BYTES', 'FULL', 'BYTES', 'SOAK', 'NAMES'], ...rows]),
    `${boxCount(takes.length)}, ${bytesText(total)} in all: ${KIND_NAMES[kind]} ${releaseName(seq, version)}`,
  ];
}

export interface RunOptions extends DirOption {
  readonly once?: boolean;
}

export function run({ dir, once: dueOnly }: RunOptions): Promise<void> {
  return withLockedFleet(dir, async (context) => {
    const { store, signal, clock } = context;
    const metrics = metricsFileOf(context);
    const controller = controllerOf(context, metrics);
    await controller.start(signal);
    await controller.finish();
    const row = present(store, controller.lag() === undefined ? 'start' : 'adopt');
    const after = await controller.run(row.name, signal, dueOnly === true);
    metrics.write(() => shownRollout(context, row.name));
    const nowMs = clock.wallMs();
    for (const line of viewLines(viewOf(store, after, nowMs), nowMs)) say(line);
    if (after.state === 'halted')
      throw new AgentError(
        'unavailable',
        `${row.name} has halted: ${after.reason ?? ''}; rollout abort, or rollout skip BOX and rollout resume`,
      );
    if (after.state === 'incomplete')
      throw new AgentError('unavailable', `${row.name} is over and incomplete: ${after.reason ?? ''}`);
  });
}

/** Throws AgentError `config` if no rollout is running. */
export function present(store: FleetContext['store'], next: 'start' | 'adopt' = 'start'): RolloutRow {
  const row = new Rollouts(store).present();
  if (row === undefined)
    throw new AgentError(
      'config',
      `no rollout is under way; \`fleet rollout ${next}\` ${next === 'start' ? 'makes one' : 'finds one that the database does not have'}`,
    );
  return row;
}

/** Carries out what is due now, under the lock. `nameOf` is called once the fleet's state is known. */
export function runOnce(context: FleetContext, nameOf: () => string): Promise<RolloutRow> {
  return whileLocked(context.fleet.dir, async () => {
    const metrics = metricsFileOf(context);
    const controller = controllerOf(context, metrics);
    await controller.start(context.signal);
    const name = nameOf();
    const row = await controller.run(name, context.signal, true);
    metrics.write(() => shownRollout(context, name));
    return row;
  });
}

/** Says that the program that runs the rollout carries out the request. */
export function sayStored(name: string, request: string): void {
  say(`${name}: ${request} is said; the program that runs it does it`);
}

export function sayState({ name, state }: RolloutRow): void {
  say(`${name}: ${state}${state === 'running' ? '; `fleet rollout run` continues it' : ''}`);
}

export interface SkipOptions extends DirOption {
  /** Reason for the records. */
  readonly reason: string;
}

/**
 * Leaves named boxes out of the running rollout. It does not wait for them, and they count neither as success nor as
 * failure.
 */
export function skip(names: readonly string[], { dir, reason }: SkipOptions): Promise<void> {
  return withFleet(dir, async (context) => {
    const { store, clock } = context;
    const row = present(store);
    const view = viewOf(store, row, clock.wallMs());
    const boxes = names.map((name) => boxNamed(view, name));
    const ids = boxes.map(({ site, box }) => `${site}/${box}`);
    store.transaction(() => {
      const rollouts = new Rollouts(store);
      for (const box of boxes) rollouts.skip(row.name, box, reason, clock.wallMs());
      store.record(`rollout ${row.name}: skip ${ids.join(', ')}: ${reason}`, clock.wallMs());
    });
    say(`${row.name}: ${ids.length} left out: ${someOf(ids)}: ${reason}`);
    if (StateLock.isHeld(dir)) sayStored(row.name, 'skip');
    else sayState(await runOnce(context, () => row.name));
  });
}

function boxNamed({ rollout, boxes }: RolloutView, name: string): BoxView {
  const matches = boxes.filter(({ site, box }) => box === name || `${site}/${box}` === name);
  const [first] = matches;
  if (first === undefined)
    throw new AgentError('config', `${name}: not a box of ${rollout}; \`rollout status --json\` names them`);
  if (matches.length > 1)
    throw new AgentError(
      'config',
      `${name}: ${matches.length} sites have a box of that name; write SITE/BOX`,
    );
  return first;
}

export interface RolloutStatusOptions extends DirOption {
  readonly watch?: boolean;
  readonly json?: boolean;
}

/** Shows the newest or the named rollout, from the store that `run` keeps current. */
export function rolloutStatus(
  name: string | undefined,
  { dir, watch, json }: RolloutStatusOptions,
): Promise<void> {
  return withFleet(dir, async ({ store, signal, clock }) => {
    const view = (): RolloutView => {
      const all = new Rollouts(store).all();
      const row = name === undefined ? all[0] : all.find((other) => other.name === name);
      if (row === undefined)
        throw new AgentError(
          'config',
          name === undefined ? 'no rollout has been started yet' : `unknown rollout ${name}`,
        );
      return viewOf(store, row, clock.wallMs());
    };
    if (json === true) process.stdout.write(`${printableJson(view(), 1)}\n`);
    else if (watch === true && process.stderr.isTTY) await watchBars(view, { signal, clock });
    else for (const line of viewLines(view(), clock.wallMs())) say(line);
  });
}

async function watchBars(
  view: () => RolloutView,
  { signal, clock }: Pick<FleetContext, 'signal' | 'clock'>,
): Promise<void> {
  const bars = new MultiBar({
    format: '{wave}  {bar}  {value} of {total} confirmed  {rest}',
    stream: process.stderr,
    hideCursor: true,
  });
  try {
    const byWave = new Map<number, SingleBar>();
    for (;;) {
      const now = view();
      for (const wave of now.waves) {
        const { confirmed: well } = wave.states;
        const labels = { wave: waveName(wave).padEnd(8), rest: restOf(wave) };
        const bar = byWave.get(wave.wave) ?? bars.create(Math.max(wave.boxes, 1), well, labels);
        byWave.set(wave.wave, bar);
        bar.update(well, labels);
      }
      if (signal.aborted || OVER.includes(now.state)) break;
      await clock.sleep(POLL_MS, signal);
    }
  } finally {
    bars.stop();
  }
  for (const line of viewLines(view(), clock.wallMs())) say(line);
}
