/** What an agent is given at its start. */
import type { Clock } from './base/clock.ts';
import type { AgentError } from './base/errors.ts';
import type { Logger } from './base/log.ts';
import type { Config } from './contract/config.ts';

export interface AgentOptions {
  readonly config: Config;
  /** Where it was read from, for the journal. */
  readonly configFile?: string;
  /** Why another one runs than the one that was asked for; undefined where it is that one. */
  readonly configRefused?: string | undefined;
  /** Folder for the outbox and what must outlive a restart; made when missing. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Activation socket of the vision unit; without it vision is spawned. */
  readonly visionSocket?: string | undefined;
  /** Folder of the model cards, where it is not the package's own. */
  readonly modelDir?: string;
  /** The kernel's sensors, where they are not in /sys/class. */
  readonly sysClass?: string;
  /** The camera can never work as configured (no such clip, element missing): the program ends with 2. */
  onUnusable(error: AgentError): void;
}
