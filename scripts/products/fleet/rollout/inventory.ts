/** `fleet inventory`: exports the inventory for a spreadsheet. */
import { AgentError } from '../../../../agent/base/errors.ts';
import { withFleet } from '../context.ts';
import { releaseName, releaseText } from '../store.ts';
import { type DirOption, learnt } from './status-commands.ts';
import { csvLine } from './table.ts';

export function inventory({ dir, csv }: DirOption & { readonly csv?: boolean }): Promise<void> {
  if (csv !== true) throw new AgentError('config', 'inventory: --csv is the form that there is');
  return withFleet(dir, async (context) => {
    await learnt(context);
    const names = [
      'site',
      'box',
      'link',
      'reported',
      'key',
      'release',
      'previous',
      'root_release',
      'board',
      'arch',
      'os',
      'kernel',
      'node',
    ];
    const extraNames = [
      'mode',
      'authorisation',
      'order_not_after',
      'cert_not_after',
      'config_sha256',
      'config_revision',
      'free_bytes',
      'os_updates',
    ];
    const lines = context.store
      .boxes()
      .map(({ site, box: name, state, reported_at: reported, fingerprint, report }) => {
        const { updater, config } = report ?? {};
        const previous = updater?.previous;
        return csvLine([
          ...[site, name, state, reported === null ? null : new Date(reported).toISOString(), fingerprint],
          ...[
            report === undefined ? null : releaseText(report),
            previous == null ? null : releaseName(previous),
            updater?.root.release == null ? null : releaseName(updater.root.release),
          ],
          ...[
            updater?.board ?? null,
            updater?.arch ?? null,
            updater?.os ?? null,
            updater?.kernel ?? null,
            updater?.node ?? null,
          ],
          ...[
            report?.mode ?? null,
            report?.authorisation ?? null,
            report?.orderNotAfter ?? null,
            report?.certNotAfter ?? null,
          ],
          ...[
            config?.sha256 ?? null,
            config?.revision ?? null,
            updater?.freeBytes ?? null,
            updater?.osUpdates?.pending ?? null,
          ],
        ]);
      });
    process.stdout.write(`${[csvLine([...names, ...extraNames]), ...lines].join('\r\n')}\r\n`);
  });
}
