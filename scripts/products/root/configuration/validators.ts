/** Validates a configuration that the room has ordered, by root's own files on the box. */
import { existsSync } from 'node:fs';
import type { CommandKey } from '../../../../agent/contract/config.ts';
import type { ProposalProblem } from '../../../../agent/contract/config-trial.ts';
import { BOX_FILE, RestraintFolder } from '../../../../agent/orders/restraint-folder.ts';
import type { Places } from '../paths.ts';
import { fullTextProblems, rootValidatorOptions } from './trial-validator.ts';

/** Timeout for the check of an ordered configuration, ms. No one is waiting on site, so a busy box may answer later. */
const CHECK_WITHIN_MS = 60_000;

/** Returns the validation errors of a text that the room has ordered; `may` are the rights of the order's key. */
export function orderProblems(
  places: Places,
  text: string,
  previous: string,
  may: readonly string[],
): readonly ProposalProblem[] {
  const folder = new RestraintFolder(places.folder);
  return fullTextProblems(text, previous, {
    ...rootValidatorOptions(places, CHECK_WITHIN_MS),
    files: true,
    may: may as CommandKey['may'],
    blackened: () => (existsSync(folder.path(BOX_FILE)) ? folder.box().masks : []),
  });
}
