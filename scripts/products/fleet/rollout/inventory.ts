/** `fleet inventory`: exports the inventory for a spreadsheet. */
import { AgentError } from '../../../../agent/base/errors.ts';
import { withFleet } from '../context.ts';
import { type BoxRow, releaseName, releaseText } from '../store.ts';
import { type DirOption, learnt } from './status-commands.ts';
import { csvLine } from './table.ts';

/** Each column has a name and the cell of a box. A cell without a value is empty. */
const COLUMNS: readonly (readonly [string, (box: BoxRow) => string | number | null | undefined])[] = [
  ['site', ({ site }) => site],
  ['box', ({ box }) => box],
  ['link', ({ state }) => state],
  ['reported', ({ reported_at: ms }) => ms && new Date(ms).toISOString()],
  ['key', ({ fingerprint }) => fingerprint],
  ['release', ({ report }) => report && releaseText(report)],
  ['previous', ({ report }) => report?.updater?.previous && releaseName(report.updater.previous)],
  ['root_release', ({ report }) => report?.updater?.root.release && releaseName(report.updater.root.release)],
  ...(['board', 'arch', 'os', 'kernel', 'node'] as const).map(
    (name) => [name, ({ report }: BoxRow) => report?.updater?.[name]] as const,
  ),
  ['mode', ({ report }) => report?.mode],
  ['authorisation', ({ report }) => report?.authorisation],
  ['order_not_after', ({ report }) => report?.orderNotAfter],
  ['cert_not_after', ({ report }) => report?.certNotAfter],
  ['config_sha256', ({ report }) => report?.config.sha256],
  ['config_revision', ({ report }) => report?.config.revision],
  ['free_bytes', ({ report }) => report?.updater?.freeBytes],
  ['os_updates', ({ report }) => report?.updater?.osUpdates?.pending],
];

export function inventory({ dir, csv }: DirOption & { readonly csv?: boolean }): Promise<void> {
  if (csv !== true) throw new AgentError('config', 'inventory: --csv is the form that there is');
  return withFleet(dir, async (context) => {
    await learnt(context);
    const lines = context.store.boxes().map((box) => csvLine(COLUMNS.map(([, cell]) => cell(box) ?? null)));
    process.stdout.write(`${[csvLine(COLUMNS.map(([name]) => name)), ...lines].join('\r\n')}\r\n`);
  });
}
