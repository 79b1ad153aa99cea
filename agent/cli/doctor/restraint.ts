/**
 * Decides whether doctor may access the camera: only under the box's own authorisation and with an entry in its
 * journal.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { AgentError, rethrowBug } from '../../base/errors.ts';
import { StateLock } from '../../base/state-lock.ts';
import type { Config } from '../../contract/config.ts';
import { type Finding, failed, ok, unknown } from '../../contract/finding.ts';
import type { CapturePermit } from '../../contract/permit.ts';
import { ownFolder } from '../../orders/restraint-folder.ts';
import { Authority } from '../../restraint/authority.ts';
import { writeOwnFolder } from '../../restraint/folder.ts';
import { Journal } from '../../restraint/journal/journal.ts';
import { JOURNAL_DIR } from '../../restraint/journal/key.ts';
import { CHECKPOINT } from '../../restraint/journal/layout.ts';
import { RestraintState } from '../../restraint/journal/restraint-state.ts';
import { permitUnder } from '../../restraint/permit.ts';
import type { RootRecord } from '../../restraint/root-record.ts';
import { SuspensionRecords } from '../../restraint/suspension-records.ts';

/** Permission for camera access, with its proof. */
export interface CameraAccess {
  readonly permit: CapturePermit;
  /** Folder in which vision finds the trusted keys. */
  readonly restraintDir: string;
  /** Records the end of the access in the journal; must be called in any case. */
  end(framesRead: number): void;
}

export interface AccessDecision {
  /** Undefined: the camera must not be accessed. */
  readonly access: CameraAccess | undefined;
  readonly findings: readonly Finding[];
}

/** Decides if no agent runs on this folder. The start of the access is in the journal before it returns. */
export function decideAccess(
  config: Config,
  stateDir: string,
  record: RootRecord | undefined,
): AccessDecision {
  if (!existsSync(join(stateDir, JOURNAL_DIR, CHECKPOINT))) {
    const reason = `not opened: ${stateDir} has no journal to record the camera access; start the agent once, or name its folder with --state`;
    return { access: undefined, findings: [unknown('camera', reason)] };
  }
  const lock = new StateLock(stateDir);
  try {
    lock.take();
    const result = evaluateAccess(config, stateDir, record, lock);
    if (result.access === undefined) lock.release();
    return result;
  } catch (error) {
    lock.release();
    rethrowBug(error);
    return {
      access: undefined,
      findings: [failed('journal', error.message, 'sudo vigie doctor, or as the agent’s user')],
    };
  }
}

function evaluateAccess(
  config: Config,
  stateDir: string,
  record: RootRecord | undefined,
  lock: StateLock,
): AccessDecision {
  const journal = new Journal({ stateDir, origin: `vigie/${config.site}/${config.box}` });
  const history = new RestraintState();
  journal.probe();
  journal.start();
  for (const content of journal.contentsSince((entry) => 'restraint' in entry)) history.learn(content);
  const { authority: keyid, suspension, confirmedMs: confirmedBeforeMs } = history;
  const facts = { authority: keyid, suspension, confirmedBeforeMs };
  const authority = new Authority({
    config,
    stateDir,
    clock: systemClock,
    folder: record?.folder,
    journal: { recordedState: facts },
  });
  authority.load();
  const activeAuthorisation = authority.now();
  if ('reason' in activeAuthorisation) {
    const fix = 'docs/guide/authorisation.md says how to get and place one';
    return { access: undefined, findings: [failed('authorisation', activeAuthorisation.reason, fix)] };
  }
  const { order, notAfter } = activeAuthorisation.content;
  const { coverage } = activeAuthorisation;
  const installationNote =
    activeAuthorisation.content.installation === true
      ? ', an installation authorisation: no rule runs under it'
      : '';
  const findings = [
    ok('authorisation', `${order}, valid until ${notAfter}${installationNote}`),
    ...coverage.flatMap(({ rule, reason: obstacle }) =>
      obstacle === undefined
        ? []
        : [failed(`rule ${rule}`, obstacle, 'change the rule, or ask for an authorisation that names it')],
    ),
  ];
  const { suspended, reason } = suspensionOf(stateDir, record, facts);
  if (suspended) {
    const fix = 'vigie resume, with two of its keys; the camera is not analysed until then';
    return { access: undefined, findings: [...findings, failed('suspended', reason, fix)] };
  }
  if (record === undefined) writeOwnFolder(stateDir, config);
  const enter = (phase: 'begin' | 'end', framesRead: number | null): void => {
    const at = new Date(systemClock.wallMs()).toISOString();
    journal.append({ at, type: 'look', by: 'doctor', phase, framesRead });
  };
  enter('begin', null);
  const end = (framesRead: number): void => {
    try {
      enter('end', framesRead);
    } finally {
      lock.release();
    }
  };
  const restraintDir = (record?.folder ?? ownFolder(stateDir)).dir;
  return {
    access: { permit: permitUnder(activeAuthorisation.envelope, coverage), restraintDir, end },
    findings,
  };
}

/** Combines all records of suspensions. It repairs none of them, because this command only reads. */
function suspensionOf(
  stateDir: string,
  record: RootRecord | undefined,
  facts: { readonly suspension: RestraintState['suspension']; readonly authority: string | undefined },
): { suspended: boolean; reason: string } {
  const refuse = (): never => {
    throw new AgentError('bug', 'a camera test must not end a suspension');
  };
  const records = new SuspensionRecords({
    stateDir,
    clock: systemClock,
    record,
    readOnly: true,
    onFailed: refuse,
    journal: { writable: false, recordedState: facts, enter: refuse, enterSurely: refuse },
  });
  return records.state();
}
