/** Interface of a loader, which finds the model of a configuration, checks it and opens the backend that runs it. */

import type { Clock } from '../../base/clock.ts';
import { AgentError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DetectorConfig } from '../../contract/config.ts';
import type { Backend, RawDetections, RunOptions } from './backend.ts';
import type { ModelCard } from './card.ts';

export interface LoadOptions {
  readonly config: DetectorConfig;
  /** Folder of the model cards and their files. */
  readonly modelDir: string;
  /** Vision's own folder: the model that ran last, in case the installed one is damaged, and the element's record. */
  readonly keptDir?: string | undefined;
  /** Folders of an installed ONNX Runtime; others than the closed list are for tests. */
  readonly libraryFolders?: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Loaded model, in the form of the link's `detector` message. */
export interface DetectorInfo {
  readonly model: string;
  readonly sha256: string;
  /** The chosen execution provider, or the element. */
  readonly provider: string;
  /** Reason for a fallback from the configured element, first provider or installed model; null if there is none. */
  readonly fallback: string | null;
  /** Installed ONNX Runtime that runs it: version, path and providers. */
  readonly library?: string;
}

export interface Loaded {
  readonly card: ModelCard;
  readonly backend: Backend;
  readonly info: DetectorInfo;
  /** `detector.model` on the CPU beside an element, for features and larger pictures, which the element cannot give. */
  readonly cpuModel?: Pick<Loaded, 'card' | 'backend'>;
}

export interface Loader {
  /** True if a restart of vision may run the model as configured: by what was held off, or by an engine that is built. */
  readonly mayTryAgain: boolean;
  /**
   * True if the model's runtime has failed, or is not known to work yet: the process may not be able to exit normally.
   */
  readonly failed: boolean;
  /** @throws AgentError `config` or `corrupt`, one line that says what would be right */
  load(): Promise<Loaded>;
  /** See Backend.run. */
  run(rgb: Uint8Array, options: RunOptions): Promise<RawDetections>;
  /** Frees the backend after the current run. Idempotent. */
  release(): Promise<void>;
}

/** Joins two reasons, cut to the link's limit of a thousand characters. */
export function joined(first: string, second: string | null): string {
  return (second === null ? first : `${first}; ${second}`).slice(0, 1000);
}

export function checkInput({ input }: DetectorConfig, card: ModelCard): void {
  const { multipleOf, default: usual, fixed = false } = card.input;
  if (fixed ? String(input) === String(usual) : input.every((side) => side % multipleOf === 0)) return;
  const takes = fixed
    ? `${usual.join('x')} only`
    : `multiples of ${multipleOf}, for instance ${usual.join('x')}`;
  throw new AgentError('config', `detector.input ${input.join('x')}: model ${card.name} takes ${takes}`);
}

export const mayNameOf =
  (card: ModelCard) =>
  (label: number): boolean =>
    Object.hasOwn(card.classes, String(label));
