/** Determines who changed the configuration, when an agent starts with another one than before. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ChangeOrigin } from '../contract/config-change.ts';
import { previousFile } from '../contract/config-trial.ts';
import { STATUS_FILE } from '../contract/update.ts';
import { readStatus } from './root-files.ts';

/**
 * Returns the origin. Every change by the page or by an order begins as a trial, and root restarts the agent for it.
 * Only an order belongs to a rollout.
 */
export function changeOrigin(configFile: string | undefined, updateDir: string | undefined): ChangeOrigin {
  if (configFile === undefined || updateDir === undefined || !existsSync(previousFile(configFile)))
    return 'box';
  try {
    const { rollout } = readStatus(join(updateDir, STATUS_FILE)).configuration;
    return rollout === null ? 'technician' : 'order';
  } catch {
    // Another program writes the file. Without it the origin is unknown, and the change is reported regardless.
    return 'box';
  }
}
