/**
 * Selects the authorisation that a box's page may name, validated with the code of the box and for the same place.
 *
 * INVARIANT: fails closed. An authorisation that is not the authority's, or is for another box, is refused. An expired
 * or future one counts as none, as on the box.
 */
import type { KeyObject } from 'node:crypto';
import { AgentError } from '../../../../agent/base/errors.ts';
import { configuredStream } from '../../../../agent/contract/camera-address.ts';
import type { Config } from '../../../../agent/contract/config.ts';
import { keyIdOf } from '../../../../agent/orders/dsse.ts';
import { authorisationRefusal } from '../../../../agent/orders/signed-authorisation.ts';
import { readAuthorityKey } from '../../../../agent/restraint/authorisation.ts';
import {
  type AuthorisationRefusal,
  readAuthorisations,
  type SignedAuthorisation,
} from '../../../../agent/restraint/authorisations.ts';

export interface NamedAuthorisation {
  readonly order?: string;
  /** Replaces the file that the configuration names. */
  readonly authorityKey?: string;
}

export interface AuthorisationContext {
  readonly nowMs: number;
  /** Fingerprint of the authority's key in the box's journal; undefined if the journal does not name it. */
  readonly obeyed: string | undefined;
}

/** Throws AgentError `config` in one line. */
export function authorisationFor(
  config: Config,
  { order: file, authorityKey }: NamedAuthorisation,
  time: AuthorisationContext,
): SignedAuthorisation | AuthorisationRefusal {
  if (file === undefined) return { reason: '--order is not given' };
  const key = authority(config, authorityKey, time.obeyed);
  const { rules, zones, lines, site, box, camera } = config;
  const { authorisation } = readAuthorisations({ authorisation: file, rules, zones, lines }, key);
  if ('reason' in authorisation) throw new AgentError('config', `--order: ${authorisation.reason}`);
  const place = { site, box, camera: configuredStream(camera?.source), isCopy: true };
  const refusal = authorisationRefusal(authorisation.content, place, time.nowMs);
  if (refusal === undefined) return authorisation;
  if (refusal.code === 'expired' || refusal.code === 'not-yet-valid') return { reason: refusal.message };
  throw new AgentError('config', `--order: ${refusal.message}`);
}

function authority(config: Config, givenFile: string | undefined, obeyed: string | undefined): KeyObject {
  const file = givenFile ?? config.authorityKey;
  if (file === undefined) {
    throw new AgentError(
      'config',
      '--order: `authorityKey` is not in the configuration; name the authority’s public key with --authority-key',
    );
  }
  const key = readKey(file, givenFile === undefined);
  const keyid = keyIdOf(key);
  if (obeyed === undefined || obeyed === keyid) return key;
  throw new AgentError('config', `${file}: is the key ${keyid}, and by its journal the box obeys ${obeyed}`);
}

/** `ofBox`: the path refers to a file on the box. */
function readKey(file: string, ofBox: boolean): KeyObject {
  try {
    return readAuthorityKey(file);
  } catch (error) {
    if (!ofBox || !(error instanceof AgentError)) throw error;
    throw new AgentError('config', `${error.message}; name another file with --authority-key`, error);
  }
}
