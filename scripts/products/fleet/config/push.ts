/** `fleet config push`: shows the changes box by box, and sends them as a rollout. */
import { readFileSync } from 'node:fs';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { parseYaml } from '../../../../agent/base/yaml-text.ts';
import { counted } from '../../../lib/counted.ts';
import { type FleetContext, requireConfirmation, withFleet, withLockedFleet } from '../context.ts';
import { say, warn } from '../output.ts';
import { createRollout, freeName } from '../rollout/create.ts';
import { type MakingOptions, prepare } from '../rollout/drive.ts';
import { type Plan, planOf, readPlan } from '../rollout/plan.ts';
import { boxCount, namedByReason, someOf } from '../rollout/table.ts';
import { signingKey } from '../settings.ts';
import type { BoxRow } from '../store.ts';
import { type Choice, chooseChanges, fieldsOf } from './change-selection.ts';
import { Copies } from './copies.ts';
import { diffLines } from './diff.ts';
import { patched, patchOf } from './patch.ts';
import { boardOf, selected } from './selector.ts';
import { Authorisations } from './validation.ts';

const VALIDATION_ERRORS_MAX = 20;

export interface PushOptions extends MakingOptions {
  readonly to: string;
  readonly set?: readonly string[];
  readonly unset?: readonly string[];
  readonly plan?: string;
  readonly order?: readonly string[];
}

export function push(file: string | undefined, options: PushOptions): Promise<void> {
  const open = options.dryRun === true ? withFleet : withLockedFleet;
  return open(options.dir, async (context) => {
    const { fleet, store, clock } = context;
    const change = changeOf(file, options);
    const authorisations = new Authorisations(options.order ?? []);
    await prepare(context, options);
    const boxes = selected(options.to, store.boxes());
    if (change.place !== undefined) mustBe(change.place, boxes);
    const copies = new Copies(options.dir);
    const choice = chooseChanges({
      boxes,
      copies,
      authorisations,
      nowMs: clock.wallMs(),
      change: change.apply,
    });
    tell(choice);
    const plan = planFor(choice, options, fleet.timeZone);
    if (options.dryRun === true || plan === undefined) return;
    await send(context, { choice, copies, plan, options });
  });
}

interface Sending {
  readonly choice: Choice;
  readonly copies: Copies;
  readonly plan: Plan;
  readonly options: PushOptions;
}

async function send(context: FleetContext, { choice, copies, plan, options }: Sending): Promise<void> {
  const { fleet, store, signal, clock } = context;
  const { changes, leftOut } = choice;
  const leftOutText = leftOut.length === 0 ? '' : `, ${counted(leftOut.length, 'is', 'are')} left out`;
  await requireConfirmation(
    `${boxCount(changes.length)} will get another configuration${leftOutText}.`,
    options.yes === true,
    signal,
  );
  const rows = new Map(store.boxes().map((row) => [`${row.site}/${row.box}`, row]));
  const rowOf = ({ site, box }: { site: string; box: string }) => rows.get(`${site}/${box}`);
  const revision = 1 + Math.max(0, ...changes.map((box) => rowOf(box)?.report?.config.revision ?? 0));
  const day = new Date(clock.wallMs()).toISOString().slice(0, 10);
  const name = options.name ?? freeName(store, `${day}-config-${revision}`);
  createRollout(
    store,
    {
      kind: 'configuration',
      name,
      description: `revision ${revision}`,
      plan,
      boxes: changes.map((change) => ({
        site: change.site,
        box: change.box,
        board: boardOf({ report: rowOf(change)?.report }),
        fields: fieldsOf(change, revision),
        bytes: null,
        way: null,
      })),
    },
    { key: signingKey(fleet), nowMs: clock.wallMs() },
  );
  for (const change of changes) copies.pushed(change, change.before, change.after);
  say(`${name} is created; \`fleet rollout run\` sends it, and continues it after an interruption`);
}

/** Returns the change. A complete file names its site and box; any other is merged into the file of each box. */
function changeOf(file: string | undefined, { set = [], unset = [] }: PushOptions) {
  const text = file === undefined ? undefined : contentOf(file);
  const place = text === undefined ? undefined : placeIn(text);
  if (text !== undefined && place !== undefined && set.length + unset.length === 0)
    return { place, apply: () => text };
  if (place !== undefined)
    throw new AgentError('config', `${file} is the complete file of ${place}; change it there, not by --set`);
  const patch = patchOf(text, set, unset);
  return { place: undefined, apply: (before: string) => patched(before, patch) };
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('config', `${file} cannot be read: ${messageOf(error)}`, error);
  }
}

function placeIn(text: string): string | undefined {
  try {
    const content = parseYaml(text);
    const { site, box } = Object(content) as { site?: unknown; box?: unknown };
    return typeof site === 'string' && typeof box === 'string' ? `${site}/${box}` : undefined;
  } catch (error) {
    throw new AgentError('config', `the file is not YAML: ${messageOf(error)}`, error);
  }
}

function mustBe(target: string, boxes: readonly BoxRow[]): void {
  const names = boxes.map(({ site, box }) => `${site}/${box}`);
  if (names.length === 1 && names[0] === target) return;
  const message = `the file is that of ${target}, and --to names ${someOf(names)}; to change many boxes give a patch without site and box, or --set`;
  throw new AgentError('config', message);
}

/** Prints the choice. Throws AgentError `config` if a file would be refused on its box. */
function tell({ changes, upToDate, leftOut, validationErrors }: Choice): void {
  for (const line of namedByReason(leftOut)) warn(`left out ${line}`);
  if (validationErrors.length > 0) {
    const lines = validationErrors.flatMap(({ box, lines: of }) =>
      of.map((line) => `${box.site}/${box.box}: ${line}`),
    );
    const restCount = lines.length - VALIDATION_ERRORS_MAX;
    const rest = restCount > 0 ? [`and ${restCount} more`] : [];
    const sum = `${validationErrors.length} of the files would be refused; nothing was sent`;
    throw new AgentError('config', [...lines.slice(0, VALIDATION_ERRORS_MAX), ...rest, sum].join('\n'));
  }
  if (upToDate.length > 0)
    say(`${counted(upToDate.length, 'has', 'have')} it already: ${someOf(upToDate.map(({ box }) => box))}`);
  const coloured = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
  // Written without filtering: the files' control characters have been removed, so only the colours are left.
  for (const line of diffLines(changes, coloured)) process.stdout.write(`${line}\n`);
}

/** Returns the plan, or undefined if no box needs an order. Throws AgentError `config`. */
function planFor(
  { changes, leftOut }: Choice,
  { plan, dryRun }: PushOptions,
  timeZone: string,
): Plan | undefined {
  const [first, ...otherChanges] = changes;
  if (first === undefined) {
    say('nothing changes');
    if (leftOut.length > 0 && dryRun !== true)
      throw new AgentError('unavailable', `${boxCount(leftOut.length)} left out`);
    return undefined;
  }
  if (plan !== undefined) return readPlan(plan, timeZone);
  if (otherChanges.length > 0 && dryRun !== true) {
    const message = `${changes.length} boxes go in waves: give --plan FILE (canary: {boxes: [${first.box}]} is enough)`;
    throw new AgentError('config', message);
  }
  // A single box needs no time to be heard: its trial has reached the broker before it confirms, and no later wave
  // waits.
  const thresholds = { heardMinutes: 0 };
  return planOf({ canary: { boxes: [first.box], hours: 0 }, waves: [{ share: 1 }], thresholds }, timeZone);
}
