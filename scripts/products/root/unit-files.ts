/**
 * Refuses releases that contain units, drop-ins, users, folders or device rules. Those belong to the package vigie-root
 * alone, since systemd and udev would obey them as root.
 */
import { AgentError } from '../../../agent/base/errors.ts';
import type { Entry } from '../../lib/manifest.ts';

/** Folders that systemd, udev and D-Bus read, at any depth. */
const FOLDERS = new Set(['systemd', 'sysusers.d', 'tmpfiles.d', 'rules.d', 'hwdb.d', 'dbus-1', 'polkit-1']);
/** Names of drop-in folders. */
const DROP_INS = /\.(service|socket|path|timer|target|mount)\.d$/;
/** File names that are refused at the top of a release. */
const TOP_NAMES =
  /^[^/]*\.(service|socket|path|timer|target|mount|automount|swap|slice|scope|device|link|network|netdev|rules|conf)$/;

/** Throws AgentError `corrupt` if a release contains such a file. */
export function assertNoUnits(release: string, entries: readonly Entry[]): void {
  const match = entries.find(
    ({ path, type }) =>
      type !== 'dir' &&
      (TOP_NAMES.test(path) || path.split('/').some((name) => FOLDERS.has(name) || DROP_INS.test(name))),
  );
  if (match === undefined) return;
  throw new AgentError(
    'corrupt',
    `release ${release}: ${match.path}: a release must not bring units, users, folders or rules of the system; they belong to the package vigie-root`,
  );
}
