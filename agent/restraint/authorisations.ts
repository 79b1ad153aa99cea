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
import { authorisationRefusal, openAuthorisation, type Place } from '../orders/signed-authorisation.ts';
import { type Coverage, coverageOf, readAuthorisationFile } from './authorisation.ts';

/** An authorisation that is valid in everything but time. */
export interface SignedAuthorisation {
  readonly content: Authorisation;
  /** Text of the signed envelope. */
  readonly envelope: string;
  /** Hash of the file, lower-case hex. */
  readonly sha256: string;
  /** Coverage of the configuration's rules. */
  readonly coverage: readonly Coverage[];
}

export interface AuthorisationRefusal {
  readonly reason: string;
}

export interface Authorisations {
  readonly authorisation: SignedAuthorisation | AuthorisationRefusal;
  /** Undefined if none is configured. */
  readonly installation: SignedAuthorisation | AuthorisationRefusal | undefined;
}

type AuthorisationConfig = Pick<Config, 'authorisation' | 'installation' | 'rules' | 'zones' | 'lines'>;

export const NO_AUTHORISATION = '`authorisation` is not in the configuration';

export function readAuthorisations(config: AuthorisationConfig, key: KeyObject): Authorisations {
  const { authorisation, installation } = config;
  return {
    authorisation:
      authorisation === undefined
        ? { reason: NO_AUTHORISATION }
        : read(authorisation, 'authorisation', config, key),
    installation: installation === undefined ? undefined : read(installation, 'installation', config, key),
  };
}

/** Returns the authorisation under which the box may analyse at this time, or the reason why there is none. */
export function orderInForce(
  { authorisation, installation }: Authorisations,
  place: Place,
  nowMs: number,
): SignedAuthorisation | AuthorisationRefusal {
  const own = checkValidity(authorisation, place, nowMs);
  if (!('reason' in own) || installation === undefined) return own;
  const installationAuthorisation = checkValidity(installation, place, nowMs);
  if (!('reason' in installationAuthorisation)) return installationAuthorisation;
  const reason = `the installation authorisation is not valid: ${installationAuthorisation.reason}`;
  return { reason: own.reason === NO_AUTHORISATION ? reason : `${own.reason}; and ${reason}` };
}

function checkValidity(
  authorisation: SignedAuthorisation | AuthorisationRefusal,
  place: Place,
  nowMs: number,
): SignedAuthorisation | AuthorisationRefusal {
  if ('reason' in authorisation) return authorisation;
  const error = authorisationRefusal(authorisation.content, place, nowMs);
  if (error === undefined) return authorisation;
  const late = error.code === 'expired' || error.code === 'not-yet-valid';
  const now = new Date(nowMs).toISOString();
  return { reason: late ? `${error.message}; it is ${now} by the latest time seen` : error.message };
}

function read(
  file: string,
  name: 'authorisation' | 'installation',
  config: AuthorisationConfig,
  key: KeyObject,
): SignedAuthorisation | AuthorisationRefusal {
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
    return { content, envelope: bytes.toString('utf8'), sha256, coverage: coverageOf(content, config) };
  } catch (error) {
    rethrowBug(error);
    return { reason: error instanceof CommandRefused ? `${name} ${file}: ${error.message}` : error.message };
  }
}
