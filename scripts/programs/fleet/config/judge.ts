/**
 * Validates a configuration on the ops machine with the code of the box, except for the files that it names on the box.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import { claimedAuthorisation } from '../../../../agent/orders/signed-order.ts';
import { wholeProblems } from '../../root/configuration/trial-judge.ts';
import type { Place } from './copies.ts';

const SUFFIX = '.dsse.json';

/** The authorities' authorisations, as the room has them. The box verifies their signatures. */
export class Orders {
  readonly #orders: readonly Authorisation[];

  /** Reads `paths`: signed authorisations, or folders of them. Throws AgentError `config`. */
  constructor(paths: readonly string[]) {
    this.#orders = paths.flatMap(filesOf).map(orderIn);
  }

  /** Returns the box's authorisation; of several, the one that ends last. */
  of({ site, box }: Place): Authorisation | undefined {
    return this.#orders
      .filter((order) => order.site === site && order.box === box && order.installation !== true)
      .sort((a, b) => b.notAfter.localeCompare(a.notAfter))[0];
  }
}

/** Returns a line for each validation error; none means that it may be sent. */
export function problemsOf(
  place: Place,
  { before, after }: { readonly before: string; readonly after: string },
  orders: Orders,
  nowMs: number,
): string[] {
  const order = orders.of(place);
  const problems = wholeProblems(after, before, {
    env: {},
    files: false,
    order: () => order,
    wallMs: () => nowMs,
  });
  return problems.map(({ path, message, order: ofOrder }) => {
    const hint = ofOrder && order === undefined ? '; no order of this box was given (--order)' : '';
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

function orderIn(file: string): Authorisation {
  try {
    return claimedAuthorisation(readFileSync(file));
  } catch (error) {
    rethrowBug(error);
    throw new AgentError('config', `--order: ${file}: ${messageOf(error)}`, error);
  }
}
