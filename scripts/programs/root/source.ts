/** Where releases come from. */
import type { ReleaseKind } from '../../../agent/contract/release.ts';
import type { UpdaterStatus } from '../../../agent/contract/update.ts';
import type { Release } from './releases.ts';

/** A release that release keys have signed, for this box's architecture. */
export interface Offered {
  readonly seqMin: number;
  /** One line why this box does not take it; undefined: it does. */
  misfit(): string | undefined;
  /** On this disk, as it was signed; goes on where it was interrupted. Throws AgentError. */
  download(signal: AbortSignal, onProgress: (done: number, total: number) => void): Promise<void>;
  /** Whole below releases/, checked and on the disk. Throws AgentError. */
  stage(signal: AbortSignal): Promise<void>;
}

export interface ReleaseSource {
  /** Fetches fresh metadata first. Undefined: there is no such release. Throws AgentError. */
  find(what: ReleaseKind, target: Release, signal: AbortSignal): Promise<Offered | undefined>;
  /** Versions of the metadata that was verified; null before the first. */
  metadata(): UpdaterStatus['metadata'];
}
