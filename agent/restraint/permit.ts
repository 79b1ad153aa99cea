/** Issues the permit to capture; no other module does. It requires a valid authorisation, or a recorded clip. */
import type { Config } from '../contract/config.ts';
import type { CapturePermit, RuleGrant } from '../contract/permit.ts';
import type { Coverage } from './authorisation.ts';

/** Issues a permit for a signed authorisation that has just been found valid, with its coverage. */
export function permitUnder(envelope: string, coverage: readonly Coverage[]): CapturePermit {
  const grants = coverage.flatMap(({ rule, grant }): [string, RuleGrant][] =>
    grant === undefined ? [] : [[rule, grant]],
  );
  return { rules: new Map(grants), order: envelope } as unknown as CapturePermit;
}

/** Issues a permit for recorded clips and test pictures: no live camera is used, and nothing is published. */
export function permitReplay({ rules }: Pick<Config, 'rules'>): CapturePermit {
  const grants = rules.map(({ id }): [string, RuleGrant] => [id, { shadow: false }]);
  return { rules: new Map(grants), order: null } as unknown as CapturePermit;
}
