/** Interface of a source of releases. */
import type { ReleaseKind } from '../../../agent/contract/release.ts';
import type { UpdaterStatus } from '../../../agent/contract/update.ts';
import type { Release } from './releases.ts';

/** A signed release for this box's architecture. */
export interface Offered {
  readonly seqMin: number;
  /** Returns one line why this box refuses it; undefined if it accepts it. */
  misfit(): string | undefined;
  /** Downloads the signed files; resumes an interrupted download. Throws AgentError. */
  download(signal: AbortSignal, onProgress: (doneBytes: number, total: number) => void): Promise<void>;
  /** Makes the complete folder below releases/, checked and durable. Throws AgentError. */
  stage(signal: AbortSignal): Promise<void>;
}

export interface ReleaseSource {
  /** Fetches new metadata first. Returns undefined if there is no such release. Throws AgentError. */
  find(kind: ReleaseKind, target: Release, signal: AbortSignal): Promise<Offered | undefined>;
  /** Returns the versions of the verified metadata; null before the first. */
  metadata(): UpdaterStatus['metadata'];
}
