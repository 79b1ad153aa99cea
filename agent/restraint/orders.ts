/**
 * Reads the signed authorisations that a configuration names: the authorisation, and an installation authorisation
 * under which the box analyses while it is being installed.
 *
 * INVARIANTS:
 * - Fails closed: a file that is unreadable, or not signed by the authority, permits nothing and states the reason.
 * - The installation authorisation counts only if no authorisation holds. A file named as one counts only if it is one.
 */
import { createHash, type KeyObject } from 'node:crypto';
import { AgentError, rethrowBug } from '../base/errors.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { CommandRefused } from '../contract/command.ts';
import type { Config } from '../contract/config.ts';
import { authorisationFault, openAuthorisation, type Place } from '../orders/signed-order.ts';
import { type Coverage, coverageOf, readAuthorisationFile } from './authorisation.ts';

/** An authorisation that is valid in everything but time. */
export interface Signed {
  readonly content: Authorisation;
  /** Text of the signed envelope. */
  readonly order: string;
  /** Hash of the file, lower-case hex. */
  readonly sha256: string;
  /** Coverage of the configuration's rules. */
  readonly coverage: readonly Coverage[];
}

export interface OrderRefusal {
  readonly reason: string;
}

export interface Orders {
  readonly authorisation: Signed | OrderRefusal;
  /** Undefined if none is configured. */
  readonly installation: Signed | OrderRefusal | undefined;
}

type Ordered = Pick<Config, 'authorisation' | 'installation' | 'rules' | 'zones' | 'lines'>;

export const NO_ORDER = '`authorisation` is not in the configuration';

export function readOrders(config: Ordered, key: KeyObject): Orders {
  const { authorisation, installation } = config;
  return {
    authorisation:
      authorisation === undefined ? { reason: NO_ORDER } : read(authorisation, 'authorisation', config, key),
    installation: installation === undefined ? undefined : read(installation, 'installation', config, key),
  };
}

/** Returns the authorisation under which the box may analyse at this time, or the reason why there is none. */
export function orderInForce(
  { authorisation, installation }: Orders,
  place: Place,
  nowMs: number,
): Signed | OrderRefusal {
  const own = holding(authorisation, place, nowMs);
  if (!('reason' in own) || installation === undefined) return own;
  const permit = holding(installation, place, nowMs);
  if (!('reason' in permit)) return permit;
  const reason = `the permit to install does not hold: ${permit.reason}`;
  return { reason: own.reason === NO_ORDER ? reason : `${own.reason}; and ${reason}` };
}

function holding(order: Signed | OrderRefusal, place: Place, nowMs: number): Signed | OrderRefusal {
  if ('reason' in order) return order;
  const fault = authorisationFault(order.content, place, nowMs);
  if (fault === undefined) return order;
  const late = fault.code === 'expired' || fault.code === 'not-yet-valid';
  const now = new Date(nowMs).toISOString();
  return { reason: late ? `${fault.message}; it is ${now} by the latest time seen` : fault.message };
}

function read(
  file: string,
  name: 'authorisation' | 'installation',
  config: Ordered,
  key: KeyObject,
): Signed | OrderRefusal {
  try {
    const bytes = readAuthorisationFile(file, name);
    const content = openAuthorisation(bytes, key);
    if (name === 'installation' && content.installation !== true) {
      throw new AgentError(
        'config',
        `installation ${file} is not an installation authorisation; set it as \`authorisation\``,
      );
    }
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return { content, order: bytes.toString('utf8'), sha256, coverage: coverageOf(content, config) };
  } catch (error) {
    rethrowBug(error);
    return { reason: error instanceof CommandRefused ? `${name} ${file}: ${error.message}` : error.message };
  }
}
