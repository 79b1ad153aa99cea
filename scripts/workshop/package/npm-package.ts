/** Reads the package.json of an npm package, as far as the package builders need it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Needed = Readonly<Record<string, string>>;

export interface Manifest {
  readonly name?: string;
  readonly version: string;
  readonly dependencies?: Needed;
  /** Missing on another platform. */
  readonly optionalDependencies?: Needed;
  /** Packages installed beside it: commander, whose types another package only makes stricter. */
  readonly peerDependencies?: Needed;
  readonly libc?: readonly string[];
}

export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Returns the names of the packages that this one may load; some need not exist. */
export function neededBy({ dependencies, optionalDependencies, peerDependencies }: Manifest): string[] {
  return Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
}
