/** `fleet rollout adopt`: copies what boxes and broker know into a store that is behind the fleet. */
import { AgentError } from '../../../../agent/base/errors.ts';
import { counted } from '../../../lib/counted.ts';
import { type FleetContext, requireConfirmation, withLockedFleet } from '../context.ts';
import { say } from '../output.ts';
import { Repository } from '../release/repository.ts';
import { signingKey } from '../settings.ts';
import { isOpen, membersOf, retainedOrdersOf, witnessesOf, writeMerged } from './adoption.ts';
import { chooseBoxes } from './choose.ts';
import type { Controller } from './controller.ts';
import type { RolloutBoxSpec } from './create.ts';
import { controllerOf } from './drive.ts';
import { ORDER_IN, ORDER_KINDS } from './kinds.ts';
import { type Merged, type MergedRollout, merge, type Witnesses } from './merge.ts';
import { type Plan, readPlan } from './plan.ts';
import { believableCounter, Rollouts } from './rollouts.ts';
import type { DirOption } from './status-commands.ts';
import { boxCount, someOf } from './table.ts';

export interface AdoptOptions extends DirOption {
  readonly plan?: string;
  readonly abort?: boolean;
  readonly yes?: boolean;
}

/** Adopts rollouts. `name` is the rollout that is still running, if reports alone do not show it. */
export function adopt(name: string | undefined, options: AdoptOptions): Promise<void> {
  return withLockedFleet(options.dir, async (context) => {
    for (const line of await adoptInto(context, name, options)) say(line);
  });
}

/** Adopts while the caller holds the lock. Returns lines with the resulting state. */
export async function adoptInto(
  context: FleetContext,
  name: string | undefined,
  options: Omit<AdoptOptions, 'dir'>,
): Promise<string[]> {
  const { store, signal, clock } = context;
  const controller = controllerOf(context);
  await controller.connect(signal);
  const witnesses = witnessesOf(store, controller.knowledge, clock.wallMs(), name);
  const merged = merge(witnesses);
  refuseName(name, witnesses);
  for (const line of linesOf(merged, witnesses, context)) say(line);
  const givenRollout = givenFor(merged, options, context, controller);
  if (isNothing(merged)) {
    if (name !== undefined || options.abort === true) throw nothingFor(options.abort === true);
    say('nothing to adopt: the database knows all that the fleet shows');
  } else {
    const question = 'The database adopts this; only withdrawals are sent.';
    await requireConfirmation(question, options.yes === true, signal);
    take(merged, { context, controller, givenRollout, abort: options.abort === true });
  }
  await controller.finish();
  return stateLines(context);
}

interface Taking {
  readonly context: FleetContext;
  readonly controller: Controller;
  readonly givenRollout: { readonly plan: Plan; readonly boxes: readonly RolloutBoxSpec[] } | undefined;
  readonly abort: boolean;
}

function take(merged: Merged, { context, controller, givenRollout, abort }: Taking): void {
  const { fleet, store, clock } = context;
  const { knowledge } = controller;
  const nowMs = clock.wallMs();
  const key = signingKey(fleet);
  store.transaction(() => {
    writeMerged(merged, { store, knowledge, key, nowMs, givenRollout });
    const outcomes = merged.rollouts.map(({ name, outcome }) => `, ${name} ${outcome}`).join('');
    store.record(
      `rollout adopt: ${counted(merged.orders.length, 'order')}, ${counted(merged.counters.length, 'report')}${outcomes}`,
      nowMs,
    );
    if (!abort) return;
    const row = new Rollouts(store).present();
    if (row === undefined) throw new AgentError('config', '--abort: no rollout is under way; leave it out');
    new Rollouts(store).want(row.name, 'abort');
    store.record(`rollout ${row.name}: abort`, nowMs);
  });
}

function isNothing({ orders, counters, rollouts }: Merged): boolean {
  return orders.length + counters.length + rollouts.length === 0;
}

function nothingFor(abort: boolean): AgentError {
  const fix = abort ? '`fleet rollout abort` ends a rollout that it has' : 'leave the name out';
  return new AgentError('config', `nothing to adopt: the database knows all that the fleet shows; ${fix}`);
}

function refuseName(name: string | undefined, { rollouts, orders, reports }: Witnesses): void {
  if (name === undefined) return;
  const stored = rollouts.find((rollout) => rollout.name === name);
  if (stored?.state === 'aborted' || stored?.state === 'done')
    throw new AgentError(
      'config',
      `${name} is ${stored.state} in the database, and stays so; leave the name out`,
    );
  const isMentioned = [...orders, ...reports].some(({ rollout }) => rollout === name);
  if (stored === undefined && !isMentioned)
    throw new AgentError('config', `neither an order nor a report names the rollout ${name}; check the name`);
}

/**
 * Returns the plan that a person gave. Throws AgentError `config` if a running rollout's plan is known only to the
 * person.
 */
function givenFor(
  merged: Merged,
  { plan: file, abort }: Pick<AdoptOptions, 'plan' | 'abort'>,
  context: FleetContext,
  controller: Controller,
): Taking['givenRollout'] {
  const strange = merged.rollouts.find((rollout) => !rollout.isKnown && isOpen(rollout));
  if (strange === undefined) {
    if (file !== undefined)
      throw new AgentError(
        'config',
        '--plan: every open rollout is in the database with its plan; leave it out',
      );
    return undefined;
  }
  const { name, kind } = strange;
  if (abort === true) return undefined;
  if (kind === 'configuration')
    throw new AgentError(
      'config',
      `${name} is not in the database, and the files of boxes that were not ordered yet are nowhere else; end it (--abort), and push them again`,
    );
  if (file === undefined)
    throw new AgentError(
      'config',
      `${name} is not in the database, and its plan is nowhere else; give the plan that it was started with (--plan FILE), or end it (--abort)`,
    );
  const plan = readPlan(file, context.fleet.timeZone);
  const window = retainedOrdersOf(strange, controller.knowledge)[0]?.strange?.window;
  if (window !== undefined && JSON.stringify(window) !== JSON.stringify(plan.window))
    throw new AgentError(
      'config',
      `--plan: its window is not that of the orders of ${name}; give the plan that it was started with`,
    );
  return { plan, boxes: boxesFor(strange, context, controller) };
}

/** Returns the boxes that were ordered, and those that would accept the release today. */
function boxesFor(
  strange: MergedRollout,
  { fleet, store }: FleetContext,
  { knowledge }: Controller,
): RolloutBoxSpec[] {
  const members = membersOf(strange, { store, knowledge });
  const fields = members[0]?.fields;
  const seq = fields !== undefined && 'seq' in fields ? fields.seq : 0;
  const targets =
    fleet.repository === undefined ? undefined : new Repository(fleet.repository).targets()?.signed;
  if (targets === undefined)
    throw new AgentError(
      'config',
      'fleet.yaml: repository: no release is published there; name the folder of the published releases',
    );
  const memberIds = new Set(members.map(({ site, box }) => `${site}/${box}`));
  const { takes } = chooseBoxes(targets, { name: String(seq) }, store.boxes());
  return [...members, ...takes.filter(({ site, box }) => !memberIds.has(`${site}/${box}`))];
}

function linesOf(
  { orders, counters, rollouts }: Merged,
  witnesses: Witnesses,
  { store, clock }: FleetContext,
): string[] {
  const storedRows = new Map(witnesses.rollouts.map((row) => [row.name, row]));
  const rolloutNames = new Set([...storedRows.keys(), ...rollouts.map(({ name }) => name)]);
  const few = new Map<string, string[]>();
  const laterCounters = new Set(counters.map(({ kind, id }) => `${kind} ${id}`));
  for (const { kind, id, rollout } of witnesses.reports)
    if (rollout !== null && !rolloutNames.has(rollout) && laterCounters.has(`${kind} ${id}`))
      few.set(rollout, [...(few.get(rollout) ?? []), id]);
  const odd = store.boxes().filter(({ report }) => {
    if (report === undefined) return false;
    return ORDER_KINDS.some(
      (orderKind) =>
        ORDER_IN[orderKind](report).counter !== null &&
        believableCounter(report, orderKind, clock.wallMs()) === undefined,
    );
  });
  return [
    ...(orders.length + counters.length === 0
      ? []
      : [
          `not in the database: orders at the broker of ${boxCount(orders.length)}, later orders in reports of ${boxCount(new Set(counters.map(({ id }) => id)).size)}`,
        ]),
    ...rollouts.map(({ name, outcome, reason, wave, boxes, isKnown }) => {
      const row = storedRows.get(name);
      const stateText =
        row === undefined ? 'not in the database' : `in the database ${row.state}, wave ${row.wave}`;
      const at = isKnown ? `, wave ${wave}` : '';
      return `${name}: ${outcome}${reason === null ? '' : ` (${reason})`}${at}; ${stateText}; ${isKnown ? 'changes' : 'known'}: ${boxCount(boxes.length)}`;
    }),
    ...[...few].map(
      ([name, ids]) =>
        `${name} is named by ${someOf(ids)} alone and passed over; if it is under way, say so: rollout adopt ${name} --plan FILE`,
    ),
    ...(odd.length === 0
      ? []
      : [
          `a counter that no clock gives is reported by ${someOf(odd.map(({ site, box }) => `${site}/${box}`))}; it is passed over`,
        ]),
  ];
}

function stateLines({ store }: FleetContext): string[] {
  const row = new Rollouts(store).present();
  if (row === undefined) return ['no rollout is under way'];
  const next: Partial<Record<typeof row.state, string>> = {
    running: '`fleet rollout run` continues it',
    finishing: '`fleet rollout run` continues it',
    paused: '`fleet rollout resume` continues it, `fleet rollout abort` ends it',
    halted: '`fleet rollout resume` continues it, `fleet rollout abort` ends it',
  };
  return [`${row.name}: ${row.state}, wave ${row.wave}; ${next[row.state] ?? ''}`];
}
