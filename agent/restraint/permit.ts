/** The only place where the right to look is given: by an authorisation that holds, or for a recorded clip. */
import type { Config } from '../contract/config.ts';
import type { CapturePermit, RuleGrant } from '../contract/permit.ts';
import type { Coverage } from './authorisation.ts';

/** For a signed order that has just been found to hold, with what it covers. */
export function permitUnder(order: string, coverage: readonly Coverage[]): CapturePermit {
  const grants = coverage.flatMap(({ rule, grant }): [string, RuleGrant][] =>
    grant === undefined ? [] : [[rule, grant]],
  );
  return { rules: new Map(grants), order } as unknown as CapturePermit;
}

/** For recorded clips and test pictures: no street is looked at, and nothing is published. */
export function permitReplay({ rules }: Pick<Config, 'rules'>): CapturePermit {
  const grants = rules.map(({ id }): [string, RuleGrant] => [id, { shadow: false }]);
  return { rules: new Map(grants), order: null } as unknown as CapturePermit;
}
