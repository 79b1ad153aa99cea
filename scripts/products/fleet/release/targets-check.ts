/** Checks a list of releases before anyone signs or publishes it. */
import { type Metadata, Targets } from '@tufjs/models';
import { AgentError } from '../../../../agent/base/errors.ts';
import { expiryProblem } from './expiry.ts';
import { SPECIFICATION, signedBytes } from './metadata.ts';

/**
 * Maximum number of skipped versions; each interrupted publication leaves one. A list with the highest possible number
 * would be the last that boxes accept.
 */
const VERSIONS_SKIPPED_MAX = 100;

/** Throws AgentError `denied`, one line, for a list that no command of `fleet release` would make. */
export function checkTargets(
  targets: Targets,
  published: Metadata<Targets> | undefined,
  nowMs: number,
  place: string,
): void {
  const problem =
    versionProblem(targets, published) ??
    expiryProblem('targets', targets.expires, nowMs) ??
    formProblem(targets);
  if (problem !== undefined) throw new AgentError('denied', `${place}: ${problem}`);
}

function versionProblem(targets: Targets, published: Metadata<Targets> | undefined): string | undefined {
  const versionMax = (published?.signed.version ?? 0) + 1 + VERSIONS_SKIPPED_MAX;
  if (!Number.isSafeInteger(targets.version) || targets.version > versionMax)
    return `is targets ${targets.version}; the highest number that is accepted now is ${versionMax}; make it again`;
  return undefined;
}

/** Refuses delegations and unknown fields: they are not shown, so no one may sign them. */
function formProblem(targets: Targets): string | undefined {
  if (targets.delegations !== undefined)
    return 'gives releases to another role (delegations); there must be none';
  const { version, expires } = targets;
  const canonical = new Targets({ specVersion: SPECIFICATION, version, expires, targets: targets.targets });
  return signedBytes(canonical).equals(signedBytes(targets))
    ? undefined
    : 'holds fields that `fleet release` does not make';
}
