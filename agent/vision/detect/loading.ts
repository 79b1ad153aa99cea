/** Interface of a loader: it finds the model of a configuration, checks it and opens the backend that runs it. */

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
  /** Vision's own folder: the model that ran last, for the day on which the installed one is damaged; the element's past. */
  readonly keptDir?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What was loaded, in the form of the link's `detector` message. */
export interface DetectorInfo {
  readonly model: string;
  readonly sha256: string;
  /** The execution provider that was taken, or the element. */
  readonly provider: string;
  /** Why it is not the configuration's element or first provider, or not the installed model; null where it is. */
  readonly fallback: string | null;
}

export interface Loaded {
  readonly card: ModelCard;
  readonly backend: Backend;
  readonly info: DetectorInfo;
}

export interface Loader {
  /** What was configured was held off, and may be tried now: by a vision that starts anew. */
  readonly mayTryAgain: boolean;
  /** What runs the model has failed, or is not known to be sound yet: the process may not be able to leave by itself. */
  readonly failed: boolean;
  /** @throws AgentError `config` or `corrupt`, one line that says what would be right */
  load(): Promise<Loaded>;
  /** See Backend.run. */
  run(rgb: Uint8Array, options: RunOptions): Promise<RawDetections>;
  /** Idempotent; waits for the run under way. */
  release(): Promise<void>;
}

/** The link takes a thousand characters. */
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
