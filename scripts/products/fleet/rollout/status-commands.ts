/** `fleet status` and `fleet box`: show the state of the fleet. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError, rethrowBug } from '../../../../agent/base/errors.ts';
import { printableJson } from '../../../../agent/base/printable.ts';
import type { UpdateReport } from '../../../../agent/contract/update.ts';
import { counted } from '../../../lib/counted.ts';
import { EnrolStore } from '../../room/enrol/store.ts';
import { type FleetContext, withFleet } from '../context.ts';
import { say, warn } from '../output.ts';
import type { Fleet } from '../settings.ts';
import { type BoxRow, type FleetStore, releaseName, releaseText } from '../store.ts';
import { KIND_NAMES } from './kinds.ts';
import { Knowledge } from './knowledge.ts';
import { Rollouts } from './rollouts.ts';
import { ago, boxCount, type Column, columns, someOf, tableOf } from './table.ts';

const WATCH_MS = 2000;
const HOME_AND_CLEAR = '\x1b[H\x1b[J';

export interface DirOption {
  readonly dir: string;
}

export interface StatusOptions extends DirOption {
  readonly wide?: boolean;
  readonly json?: boolean;
  readonly watch?: boolean;
  readonly site?: string;
}

/** Receives the retained messages. If the broker is unreachable, warns that the shown state is older. */
export async function learnt({ fleet, store, link, signal, clock }: FleetContext): Promise<Knowledge> {
  const knowledge = new Knowledge(store);
  try {
    await link.connect(signal);
    for (const line of knowledge.take(link.take(), clock.wallMs(), link.connected)) warn(line);
  } catch (error) {
    rethrowBug(error);
    warn(`${error.message}; this is what was known before`);
    return knowledge;
  }
  for (const line of knowledge.missingLines()) warn(line);
  for (const line of enrolledLines(fleet, store, clock.wallMs())) warn(line);
  return knowledge;
}

/** Names boxes that have a certificate and were never heard. */
function enrolledLines({ enrolment }: Fleet, store: FleetStore, nowMs: number): string[] {
  const file = enrolment === undefined ? undefined : join(enrolment, 'enrolment.db');
  if (file === undefined || !existsSync(file)) return [];
  const enrolled = new EnrolStore(file);
  try {
    const good = enrolled
      .certificates()
      .filter(
        ({ use, revoked_at, not_after }) => use === 'client' && revoked_at === null && not_after > nowMs,
      );
    const knownBoxes = new Set(store.boxes().map((row) => row.box));
    const never = [...new Set(good.map((row) => row.box))].filter((name) => !knownBoxes.has(name));
    if (never.length === 0) return [];
    return [`${boxCount(never.length)} with a certificate, never heard of: ${someOf(never)}`];
  } finally {
    enrolled.close();
  }
}

export function audit({ dir, count }: DirOption & { readonly count: number }): Promise<void> {
  return withFleet(dir, async ({ store }) => {
    const rows = store
      .audit(count)
      .map(({ at, actor, action }) => [new Date(at).toISOString(), actor, action]);
    for (const line of columns([['WHEN', 'WHO', 'WHAT'], ...rows])) say(line);
  });
}

export function status(options: StatusOptions): Promise<void> {
  return withFleet(options.dir, async (context) => {
    const { store, link, signal, clock } = context;
    const knowledge = await learnt(context);
    const selectedRows = (): BoxRow[] =>
      store.boxes().filter(({ site }) => options.site === undefined || site === options.site);
    if (options.json === true) {
      process.stdout.write(
        `${printableJson({ boxes: selectedRows().map(jsonOfBox), refusals: store.refusals() }, 1)}\n`,
      );
      return;
    }
    const isTerminal = process.stdout.isTTY === true;
    let before = '';
    do {
      for (const line of knowledge.take(link.take(), clock.wallMs(), link.connected)) warn(line);
      const lines = statusLines(selectedRows(), store, options.wide === true, clock.wallMs());
      const rows =
        options.watch === true && isTerminal ? lines.slice(0, (process.stdout.rows ?? 40) - 1) : lines;
      if (options.watch === true && isTerminal) process.stdout.write(HOME_AND_CLEAR);
      // In a pipe, only changed lines are printed.
      const text = (
        isTerminal ? rows : lines.filter((line) => options.watch !== true || !before.includes(line))
      ).join('\n');
      if (text !== '') process.stdout.write(`${text}\n`);
      before = lines.join('\n');
      // A service that listens to the silences of the boxes is started again.
      if (options.watch === true && !link.connected)
        throw new AgentError('unavailable', 'the broker is not reached any more');
      if (options.watch === true) await clock.sleep(WATCH_MS, signal);
    } while (options.watch === true && !signal.aborted);
  });
}

/** Returns texts such as "43-1.5.0 on 12", the most frequent first. */
function countedBy(boxes: readonly BoxRow[], of: (box: BoxRow) => string): string[] {
  const counts = new Map<string, number>();
  for (const name of boxes.map(of)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} on ${n}`);
}

function statusLines(boxes: readonly BoxRow[], store: FleetStore, wide: boolean, nowMs: number): string[] {
  const count = (of: (box: BoxRow) => boolean): number => boxes.filter(of).length;
  const runs = countedBy(boxes, ({ report }) => (report === undefined ? 'unknown' : releaseText(report)));
  const roots = countedBy(boxes, ({ report }) =>
    report?.updater == null ? 'unknown' : releaseName(report.updater.root.release),
  );
  const silent = count(({ reported_at }) => reported_at === null);
  const refusalCount = store.refusals().reduce((sum, row) => sum + row.count, 0);
  const head = [
    `${boxCount(boxes.length)}: ${count(({ state }) => state === 'online')} online, ${silent} never reported; ${someOf(runs, 5)}`,
    ...(boxes.length === 0 ? [] : [`${KIND_NAMES.root}: ${someOf(roots, 5)}`]),
    ...(refusalCount === 0 ? [] : [`reports refused: ${refusalCount} (fleet status --json names them)`]),
  ];
  const reported: Column<BoxRow> = ['REPORTED', ({ reported_at }) => ago(reported_at, nowMs)];
  return [...head, ...tableOf([...COLUMNS, reported, ...(wide ? WIDE_COLUMNS : [])], boxes)];
}

const COLUMNS: readonly Column<BoxRow>[] = [
  ['SITE', ({ site }) => site],
  ['BOX', ({ box }) => box],
  ['LINK', ({ state }) => state ?? 'unknown'],
  ['RELEASE', ({ report }) => (report === undefined ? '-' : releaseText(report))],
  ['PHASE', phaseText],
  ['ROLLOUT', ({ report }) => report?.updater?.rollout ?? '-'],
  ['MODE', ({ report }) => report?.mode ?? '-'],
];

function phaseText({ report, other }: BoxRow): string {
  if (other !== null) return 'ANOTHER KEY';
  return report?.updater?.phase ?? (report === undefined ? '-' : 'no updater');
}

/** Returns a column of the reports; its cell is empty for a box without one. */
function ofReport(name: string, of: (report: UpdateReport) => string | null | undefined): Column<BoxRow> {
  return [name, ({ report }) => (report === undefined ? '' : (of(report) ?? '-'))];
}

const WIDE_COLUMNS: readonly Column<BoxRow>[] = [
  ofReport('BOARD', ({ updater }) => updater?.board),
  ofReport('ARCH', ({ updater }) => updater?.arch),
  ofReport('NODE', ({ updater }) => updater?.node),
  ofReport('OS', ({ updater }) => updater?.os),
  ofReport('PREVIOUS', ({ updater }) => updater?.previous && releaseName(updater.previous)),
  ofReport('ROOT', ({ updater }) => updater && `${releaseName(updater.root.release)} ${updater.root.phase}`),
  ofReport('CONFIG', ({ config }) => `${config.revision} ${config.phase}`),
  ofReport('FREE', ({ updater }) => updater && `${(updater.freeBytes / 1e9).toFixed(1)} GB`),
  ofReport('CERTIFICATE', ({ certNotAfter }) => certNotAfter?.slice(0, 10)),
  ofReport('ORDER', ({ orderNotAfter }) => orderNotAfter?.slice(0, 10)),
  ofReport('OS UPDATES', ({ updater }) => {
    const { osUpdates } = updater ?? {};
    return osUpdates && `${osUpdates.pending}${osUpdates.reboot ? ', reboot' : ''}`;
  }),
  ofReport('REASON', ({ updater, refused }) => updater?.reason ?? updater?.root.reason ?? refused ?? ''),
];

function jsonOfBox(row: BoxRow): object {
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return {
    site: row.site,
    box: row.box,
    link: row.state,
    linkSince: time(row.state_at),
    reportedAt: time(row.reported_at),
    key: row.fingerprint,
    keySince: time(row.pinned_at),
    otherKey: row.other,
    report: row.report ?? null,
  };
}

export interface BoxOptions extends DirOption {
  readonly acceptKey?: string;
  readonly retire?: boolean;
  readonly site?: string;
  readonly json?: boolean;
}

export function box(name: string, options: BoxOptions): Promise<void> {
  return withFleet(options.dir, async (context) => {
    const { store, clock } = context;
    const { acceptKey, retire, json } = options;
    if (retire !== true) await learnt(context);
    const row = oneBox(store, name, options.site);
    if (acceptKey !== undefined) {
      store.acceptKey(row.site, name, acceptKey, clock.wallMs());
      say(
        `${name}: its key is ${acceptKey} from now on; its newest report is accepted when reports are next received`,
      );
    } else if (retire === true) {
      store.retire(row.site, name, clock.wallMs());
      say(
        `${name}: out of the inventory until it reports again; its certificate is revoked by \`fleet cert revoke ${name}\``,
      );
    } else if (json === true) {
      const { site } = row;
      const orders = new Rollouts(store).ordersOf(site, name);
      process.stdout.write(
        `${printableJson({ ...jsonOfBox(row), orders, history: store.history(site, name) }, 1)}\n`,
      );
    } else for (const line of boxLines(store, row, clock.wallMs())) say(line);
  });
}

function oneBox(store: FleetStore, name: string, site: string | undefined): BoxRow {
  const matches = store.boxesNamed(name).filter((row) => site === undefined || row.site === site);
  const [row] = matches;
  if (row === undefined) throw new AgentError('config', `${name}: no box of that name is in the inventory`);
  if (matches.length === 1) return row;
  const sites = matches.map((other) => other.site).join(', ');
  throw new AgentError('config', `${name}: a box of that name is at ${sites}; name one with --site`);
}

function boxLines(store: FleetStore, row: BoxRow, nowMs: number): string[] {
  const { site, report, fingerprint, pinned_at, other, state, state_at, reported_at, revoked_at } = row;
  const at = (ms: number | null): string => (ms === null ? 'never' : new Date(ms).toISOString());
  const pairs: [string, string][] = [
    ['box', `${row.box} at ${site}`],
    ['link', `${state ?? 'unknown'} since ${at(state_at)}`],
    ['reported', `${at(reported_at)} (${ago(reported_at, nowMs)} ago)`],
    ['key', fingerprint === null ? 'none yet' : `${fingerprint} since ${at(pinned_at)}`],
  ];
  if (revoked_at !== null)
    pairs.push([
      'REVOKED',
      `${at(revoked_at)}; what it reports is refused (docs/guide/fleet-certificates.md)`,
    ]);
  if (other !== null)
    pairs.push([
      'ANOTHER KEY',
      `${other} signs its reports; accept it with \`fleet box ${row.box} --accept-key ${other}\``,
    ]);
  if (report !== undefined) {
    const { updater, config } = report;
    pairs.push(
      ['release', releaseText(report)],
      ['mode', report.mode],
      ['authorisation', `${report.authorisation ?? 'none'} until ${report.orderNotAfter ?? '-'}`],
      ['certificate', `until ${report.certNotAfter ?? '-'}`],
      ['journal', counted(report.journalIndex, 'entry', 'entries')],
      ['configuration', `revision ${config.revision}, ${config.phase}, sha256 ${config.sha256 ?? 'unknown'}`],
    );
    if (updater !== null) {
      const { board, arch, os, kernel, node } = updater;
      pairs.push(
        ['update', changeText(updater)],
        ...reasonPairs('reason', updater.reason),
        ['previous', releaseName(updater.previous)],
        [KIND_NAMES.root, releaseName(updater.root.release)],
        ['its update', changeText(updater.root)],
        ...reasonPairs('its reason', updater.root.reason),
        ['board', `${board}, ${arch}, ${os}, kernel ${kernel}, node ${node}`],
      );
    }
    if (report.refused !== null) pairs.push(['refused by it', report.refused]);
  }
  const orders = new Rollouts(store).ordersOf(site, row.box);
  const history = store.history(site, row.box);
  const refusals = store.refusals().filter((other) => other.site === site && other.box === row.box);
  return [
    ...columns(pairs),
    ...section(
      'Orders',
      orders.slice(0, 10).map(({ created_at, kind, action, rollout, counter, published_at, cleared_at }) => {
        const sendState =
          published_at === null || published_at === 0 ? 'not sent' : cleared_at === null ? 'sent' : 'over';
        return [at(created_at), KIND_NAMES[kind], action, rollout, `counter ${counter}`, sendState];
      }),
    ),
    ...section(
      'Reports',
      history
        .slice(0, 20)
        .map((line) => [
          at(line.received_at),
          line.release ?? '-',
          line.phase,
          `root ${line.root ?? '-'}`,
          line.rollout ?? '-',
          line.mode,
          `config ${line.config}`,
          line.reason ?? '',
        ]),
    ),
    ...section(
      'Refused',
      refusals.map(({ reason, count, last_at }) => [`${count}`, reason, `last ${at(last_at)}`]),
    ),
  ];
}

type Change = Pick<NonNullable<UpdateReport['updater']>['root'], 'phase' | 'since' | 'rollout' | 'target'>;

function changeText({ phase, since: phaseStart, rollout, target }: Change): string {
  // The time is 0 if nothing has ever changed.
  const sinceText = Date.parse(phaseStart) > 0 ? ` since ${phaseStart}` : '';
  return `${phase}${sinceText}, rollout ${rollout ?? 'none'}, target ${releaseName(target)}`;
}

function reasonPairs(name: string, reason: string | null): [string, string][] {
  return reason === null ? [] : [[name, reason]];
}

function section(title: string, rows: readonly string[][]): string[] {
  if (rows.length === 0) return [];
  const wide = Math.max(...rows.map((row) => row.length));
  const full = rows.map((row) => [...row, ...Array.from({ length: wide - row.length }, () => '')]);
  return ['', title, ...columns(full).map((line) => `  ${line}`)];
}
