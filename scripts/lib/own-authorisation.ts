/**
 * Creates a local authority for a run on this machine: its key, and an authorisation for all that the box would do, for
 * a month.
 */
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../agent/base/atomic-file.ts';
import { AUTHORISATION_TYPE, type Authorisation } from '../../agent/contract/authorisation.ts';
import type { Config } from '../../agent/contract/config.ts';
import { authorisedAddress } from '../../agent/orders/camera-pin.ts';
import { signEnvelope } from '../../agent/orders/dsse.ts';

const HOUR_MS = 3_600_000;

/**
 * Writes key and authorisation into `dir`; returns the environment that names them. The private keys are not stored.
 * @param extraFields its number, if it has one of its own, and the permitted log of tracks
 */
export function ownAuthorisation(
  config: Config,
  source: string,
  dir: string,
  runName: string,
  extraFields: Partial<Pick<Authorisation, 'order' | 'tracks'>> = {},
): NodeJS.ProcessEnv {
  const substream = config.camera?.substream;
  const files = { key: join(dir, 'authority.pub'), authorisation: join(dir, 'authorisation.dsse.json') };
  const authority = generateKeyPairSync('ed25519');
  const keyholders = [1, 2].map(() => generateKeyPairSync('ed25519'));
  const [fromMs, untilMs] = [Date.now() - HOUR_MS, Date.now() + 30 * 24 * HOUR_MS];
  const authorisation: Authorisation = {
    order: `${runName}-1`,
    authority: `no one: a ${runName} on this machine`,
    site: config.site,
    box: config.box,
    camera: authorisedAddress(source),
    ...(substream === undefined ? {} : { substream: authorisedAddress(substream) }),
    rules: config.rules.map(({ kind, purpose, ...rule }) => ({
      kind,
      zones: ['zone' in rule ? rule.zone : rule.line],
      purpose,
      legalBasis: `none: a ${runName}`,
    })),
    notBefore: new Date(fromMs).toISOString(),
    notAfter: new Date(untilMs).toISOString(),
    retention: { eventsDays: 30, snapshotsDays: 7, sealedDays: 30 },
    resumeKeys: keyholders.map(({ publicKey }, i) => ({
      name: `holder-${i + 1}`,
      publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    })),
    ...extraFields,
  };
  // The box refuses a key that a group may change, which a user of Debian has by umask 0002.
  writeAtomically(files.key, authority.publicKey.export({ type: 'spki', format: 'pem' }), 0o644);
  writeFileSync(
    files.authorisation,
    signEnvelope(AUTHORISATION_TYPE, JSON.stringify(authorisation), authority.privateKey),
  );
  return { VIGIE_AUTHORISATION: files.authorisation, VIGIE_AUTHORITY_KEY: files.key };
}
