/** An authority for tests: its key, two keyholders who may resume a box, and the authorisations that it signs. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../../agent/config/load.ts';
import { AUTHORISATION_TYPE, type Authorisation } from '../../agent/contract/authorisation.ts';

import type { Config } from '../../agent/contract/config.ts';
import { authorisedAddress } from '../../agent/orders/camera-pin.ts';
import { signEnvelope } from '../../agent/orders/dsse.ts';

export interface TestKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Public key as configurations and authorisations write it. */
  readonly line: string;
}

export function testKey(): TestKey {
  const pair = generateKeyPairSync('ed25519');
  return { ...pair, line: pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64') };
}

/** The authority's key, one for the whole process. */
export const AUTHORITY = testKey();
export const PREFECT = testKey();
export const MAYOR = testKey();

const DAY_MS = 86_400_000;
const iso = (ms: number): string => new Date(ms).toISOString();

/** An authorisation for everything that the configuration requests, valid from yesterday for a month. */
export function authorisationFor(
  config: Config,
  change: Partial<Authorisation> = {},
  nowMs = Date.now(),
): Authorisation {
  return {
    order: '2026-77',
    authority: 'Ville de Test',
    site: config.site,
    box: config.box,
    camera: authorisedAddress(config.camera?.source),
    rules: config.rules.map((rule) => ({
      kind: rule.kind,
      zones: ['zone' in rule ? rule.zone : rule.line],
      purpose: rule.purpose,
      legalBasis: 'Code de test, art. L. 1',
    })),
    notBefore: iso(nowMs - DAY_MS),
    notAfter: iso(nowMs + 30 * DAY_MS),
    retention: { eventsDays: 366, snapshotsDays: 30, sealedDays: 30 },
    resumeKeys: [
      { name: 'prefect', publicKey: PREFECT.line },
      { name: 'mayor', publicKey: MAYOR.line },
    ],
    ...change,
  };
}

export function signedAuthorisation(authorisation: unknown, { privateKey }: TestKey = AUTHORITY): Buffer {
  return Buffer.from(signEnvelope(AUTHORISATION_TYPE, JSON.stringify(authorisation), privateKey));
}

/**
 * Returns the configuration with an authorisation, which is written to `dir`. A box without rules gets one that it does
 * not use.
 */
export function authorised(config: Config, dir: string, change: Partial<Authorisation> = {}): Config {
  mkdirSync(dir, { recursive: true });
  const [authorisation, authorityKey] = [join(dir, 'authorisation.dsse.json'), join(dir, 'authority.pub')];
  const content = authorisationFor(config, change);
  const spare = { kind: 'loitering', zones: 'all' as const, purpose: 'none', legalBasis: 'none' };
  const rules = content.rules.length > 0 || content.installation === true ? content.rules : [spare];
  writeFileSync(authorisation, signedAuthorisation({ ...content, rules }));
  const pem = AUTHORITY.publicKey.export({ type: 'spki', format: 'pem' });
  writeFileSync(authorityKey, pem, { mode: 0o644 });
  return { ...config, authorisation, authorityKey };
}

/** Does the same for a configuration in a file, and rewrites the file. */
export function authoriseFile(file: string, dir: string, change: Partial<Authorisation> = {}): void {
  const config = loadConfig(file, { env: {}, mode: 'check', files: false });
  // JSON is YAML too.
  writeFileSync(file, JSON.stringify(authorised(config, dir, change)));
}

/** Validity from long before to long after any time that a test makes up. */
export const AT_ALL_TIMES = { notBefore: iso(0), notAfter: iso(4_000_000_000_000) } as const;
