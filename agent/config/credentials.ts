/**
 * `credential:NAME` in the place of a file: what systemd hands to the service (LoadCredential=, systemd.exec(5)), so
 * that a private key may stay in root's hands, or encrypted, and is readable by this one service while it runs.
 */
import { join } from 'node:path';
import { type Path, shown } from './problem.ts';
import { isGroup, type Mistake } from './shape.ts';

const CREDENTIAL = /^credential:([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63})$/;

/** Where systemd puts the credentials of the agent's unit; from outside of it nobody can look. */
const OF_THE_UNIT = '/run/credentials/vigie.service';

/** Files that may be given so. */
const PLACES: readonly (readonly [string, string] | readonly [string])[] = [
  ['mqtt', 'ca'],
  ['mqtt', 'cert'],
  ['mqtt', 'key'],
  ['authorisation'],
  ['installation'],
];

/**
 * Puts the files' paths into `data`. `needed`: this process will read them, so systemd must have named its folder.
 */
export function resolveCredentials(
  data: Record<string, unknown>,
  env: Readonly<Record<string, string | undefined>>,
  needed: boolean,
): Mistake[] {
  const dir = env['CREDENTIALS_DIRECTORY'];
  return PLACES.flatMap((path): Mistake[] => {
    const group = path.length === 1 ? data : data[path[0]];
    const key = path.at(-1) ?? '';
    const value = isGroup(group) ? group[key] : undefined;
    if (!isGroup(group) || typeof value !== 'string' || !value.startsWith('credential:')) return [];
    const name = CREDENTIAL.exec(value)?.[1];
    if (name !== undefined) group[key] = join(dir ?? OF_THE_UNIT, name);
    if (name === undefined) {
      return [fault(path, value, 'is no name of a credential; 1 to 64 of A-Z, a-z, 0-9, _ . and - are')];
    }
    if (dir !== undefined || !needed) return [];
    return [
      fault(path, value, `is given by systemd only: LoadCredential=${name}:FILE in the service's unit`),
    ];
  });
}

/** Whether this is a credential at which only the service itself can look. */
export function isOutOfSight(file: string): boolean {
  return file.startsWith(`${OF_THE_UNIT}/`) && process.env['CREDENTIALS_DIRECTORY'] === undefined;
}

function fault(path: Path, value: string, message: string): Mistake {
  return { path, at: 'value', found: shown(value, path), message };
}
