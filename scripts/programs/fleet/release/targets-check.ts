/** Checks a list of releases before anyone signs or publishes it. */
import { type Metadata, Targets } from '@tufjs/models';
import { AgentError } from '../../../../agent/base/errors.ts';
import { expiryFault } from './expiry.ts';
import { SPECIFICATION, signedBytes } from './metadata.ts';

/**
 * Numbers that may be skipped: each publication that was cut off leaves one behind. A list with the highest number there
 * is would be the last that boxes take.
 */
const VERSIONS_SKIPPED_MAX = 100;

/** Throws AgentError `denied` for a list that no command of `fleet release` would have made, one line. */
export function checkTargets(
  targets: Targets,
  published: Metadata<Targets> | undefined,
  nowMs: number,
  where: string,
): void {
  const fault =
    versionFault(targets, published) ?? expiryFault('targets', targets.expires, nowMs) ?? formFault(targets);
  if (fault !== undefined) throw new AgentError('denied', `${where}: ${fault}`);
}

function versionFault(targets: Targets, published: Metadata<Targets> | undefined): string | undefined {
  const most = (published?.signed.version ?? 0) + 1 + VERSIONS_SKIPPED_MAX;
  if (!Number.isSafeInteger(targets.version) || targets.version > most)
    return `is targets ${targets.version}; the highest number that is accepted now is ${most}; make it again`;
  return undefined;
}

/** Delegations and unknown fields are shown to nobody, so that nobody may sign them. */
function formFault(targets: Targets): string | undefined {
  if (targets.delegations !== undefined)
    return 'gives releases to another role (delegations); there must be none';
  const { version, expires } = targets;
  const made = new Targets({ specVersion: SPECIFICATION, version, expires, targets: targets.targets });
  return signedBytes(made).equals(signedBytes(targets))
    ? undefined
    : 'holds fields that `fleet release` does not make';
}
