/**
 * Validates a configuration on the ops machine with the code of the box, except for the files that it names on the box.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import { claimedAuthorisation } from '../../../../agent/orders/signed-authorisation.ts';
import { fullTextProblems } from '../../root/configuration/trial-validator.ts';
import type { Place } from './copies.ts';

const SUFFIX = '.dsse.json';

/** The authorities' authorisations, as the room has them. The box verifies their signatures. */
export class Authorisations {
  readonly #authorisations: readonly Authorisation[];

  /** Reads `paths`: signed authorisations, or folders of them. Throws AgentError `config`. */
  constructor(paths: readonly string[]) {
    this.#authorisations = paths.flatMap(filesOf).map(readAuthorisation);
  }

  /** Returns the box's authorisation; of several, the one that ends last. */
  of({ site, box }: Place): Authorisation | undefined {
    return this.#authorisations
      .filter(
        (authorisation) =>
          authorisation.site === site && authorisation.box === box && authorisation.installation !== true,
      )
      .sort((a, b) => b.notAfter.localeCompare(a.notAfter))[0];
  }
}

/** Returns a line for each validation error; none means that it may be sent. */
export function problemsOf(
  place: Place,
  { before, after }: { readonly before: string; readonly after: string },
  authorisations: Authorisations,
  nowMs: number,
): string[] {
  const authorisation = authorisations.of(place);
  const problems = fullTextProblems(after, before, {
    env: {},
    files: false,
    authorisation: () => authorisation,
    wallMs: () => nowMs,
  });
  return problems.map(({ path, message, order: isOfAuthorisation }) => {
    const hint =
      isOfAuthorisation && authorisation === undefined ? '; no order of this box was given (--order)' : '';
    return `${path === '' ? '' : `${path}: `}${message}${hint}`;
  });
}

function filesOf(path: string): string[] {
  if (!existsSync(path)) throw new AgentError('config', `--order: ${path}: no such file`);
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => name.endsWith(SUFFIX));
  if (names.length === 0) throw new AgentError('config', `--order: ${path} does not contain a *${SUFFIX}`);
  return names.sort().map((name) => join(path, name));
}

function readAuthorisation(file: string): Authorisation {
  try {
    return claimedAuthorisation(readFileSync(file));
  } catch (error) {
    rethrowBug(error);
    throw new AgentError('config', `--order: ${file}: ${messageOf(error)}`, error);
  }
}
