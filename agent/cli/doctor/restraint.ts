/** Whether the box may look at all; doctor asks before it tries the camera, and writes nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import type { Config } from '../../contract/config.ts';
import type { CapturePermit } from '../../contract/permit.ts';
import { coverageOf } from '../../restraint/authorisation.ts';
import { Authority } from '../../restraint/authority.ts';
import { permitUnder } from '../../restraint/permit.ts';
import { SUSPENSION_FILE, Suspension } from '../../restraint/suspension.ts';
import { type Finding, failed, ok } from './finding.ts';

export interface MayLook {
  /** Undefined: the camera must not be looked at. */
  readonly permit: CapturePermit | undefined;
  readonly findings: readonly Finding[];
}

export function mayLook(config: Config, stateDir: string): MayLook {
  const authority = new Authority({ config, stateDir, clock: systemClock });
  authority.load();
  const held = authority.now();
  const file = join(stateDir, SUSPENSION_FILE);
  const { suspended, reason } =
    existsSync(file) || authority.known ? new Suspension(file).read() : { suspended: false, reason: '' };
  if ('reason' in held) {
    const fix = 'docs/guide/authorisation.md says how to get and place one';
    return { permit: undefined, findings: [failed('authorisation', held.reason, fix)] };
  }
  const { order, notAfter } = held.content;
  const coverage = coverageOf(held.content, config.rules);
  const findings = [
    ok('authorisation', `order ${order}, valid until ${notAfter}`),
    ...coverage.flatMap(({ rule, reason: why }) =>
      why === undefined
        ? []
        : [failed(`rule ${rule}`, why, 'change the rule, or ask for an order that names it')],
    ),
  ];
  if (!suspended) return { permit: permitUnder(held.content, coverage), findings };
  const fix = 'vigie resume, with two of its keys; the camera is not looked at until then';
  return { permit: undefined, findings: [...findings, failed('suspended', reason, fix)] };
}
