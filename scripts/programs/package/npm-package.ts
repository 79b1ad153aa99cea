/** The package.json of a package of npm, as far as the makers of packages read it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Needed = Readonly<Record<string, string>>;

export interface Manifest {
  readonly name?: string;
  readonly version: string;
  readonly dependencies?: Needed;
  /** Missing on another platform. */
  readonly optionalDependencies?: Needed;
  /** What lies beside it: commander, whose types another package only makes stricter. */
  readonly peerDependencies?: Needed;
  readonly libc?: readonly string[];
}

export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Names of the packages that this one may load; some need not be there. */
export function neededBy({ dependencies, optionalDependencies, peerDependencies }: Manifest): string[] {
  return Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
}
