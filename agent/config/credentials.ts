/**
 * Resolves `credential:NAME` in place of a file: a credential that systemd passes to the service (LoadCredential=,
 * systemd.exec(5)). A private key can thus belong to root or be encrypted, and only this one service can read it while
 * it runs.
 */
import { join } from 'node:path';
import { displayValue, type Path } from './problem.ts';
import { isGroup, type ValidationError } from './shape.ts';

const CREDENTIAL = /^credential:([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63})$/;

/** Folder in which systemd places the credentials of the agent's unit; not readable from outside the unit. */
const OF_THE_UNIT = '/run/credentials/vigie.service';

/** Settings that accept a credential. */
const PLACES: readonly (readonly [string, string] | readonly [string])[] = [
  ['mqtt', 'ca'],
  ['mqtt', 'cert'],
  ['mqtt', 'key'],
  ['authorisation'],
  ['installation'],
];

/**
 * Replaces the credentials in `data` by file paths. `needed`: this process will read them, so systemd must have set its
 * folder.
 */
export function resolveCredentials(
  data: Record<string, unknown>,
  env: Readonly<Record<string, string | undefined>>,
  needed: boolean,
): ValidationError[] {
  const dir = env['CREDENTIALS_DIRECTORY'];
  return PLACES.flatMap((path): ValidationError[] => {
    const group = path.length === 1 ? data : data[path[0]];
    const key = path.at(-1) ?? '';
    const value = isGroup(group) ? group[key] : undefined;
    if (!isGroup(group) || typeof value !== 'string' || !value.startsWith('credential:')) return [];
    const name = CREDENTIAL.exec(value)?.[1];
    if (name !== undefined) group[key] = join(dir ?? OF_THE_UNIT, name);
    if (name === undefined) {
      return [
        validationError(
          path,
          value,
          'is not a credential name; use 1 to 64 characters from A-Z, a-z, 0-9, "_", "." and "-"',
        ),
      ];
    }
    if (dir !== undefined || !needed) return [];
    return [
      validationError(
        path,
        value,
        `is given by systemd only: LoadCredential=${name}:FILE in the service's unit`,
      ),
    ];
  });
}

/** Reports whether this is a credential that only the service itself can read. */
export function isOutOfSight(file: string): boolean {
  return file.startsWith(`${OF_THE_UNIT}/`) && process.env['CREDENTIALS_DIRECTORY'] === undefined;
}

function validationError(path: Path, value: string, message: string): ValidationError {
  return { path, at: 'value', found: displayValue(value, path), message };
}
