/**
 * `vigie resume`: resumes the box with two keys of the authorisation. The running agent, or else the next one, verifies
 * them.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError } from '../base/errors.ts';
import { SUSPENSION_FILE } from '../orders/suspension.ts';
import { LOCAL_MODE_FILE, RESUME_REQUEST_FILE } from '../restraint/mode-files.ts';
import { signResume } from '../restraint/resume.ts';
import { Suspension } from '../restraint/suspension.ts';
import {
  ANSWER_WITHIN_MS,
  answered,
  checkedReason,
  existingDir,
  readLocalMode,
  recordFor,
  runningAgent,
  writing,
} from './local-mode.ts';
import { print, printNote } from './print.ts';
import { resumeKeys } from './signing-key.ts';

export interface ResumeOptions {
  readonly key: readonly string[];
  readonly reason: string;
  readonly state: string | undefined;
}

/** Validity of a resume request in ms; it is meant for immediate use. */
const VALID_MS = 3_600_000;

/** Resumes the box and returns the exit code. */
export async function resume(options: ResumeOptions): Promise<number> {
  const reason = checkedReason(options.reason);
  const dir = existingDir(options.state);
  const keys = resumeKeys(options.key);
  const local = readLocalMode(dir);
  const suspension = suspensionOf(dir, local?.statement.suspension ?? undefined);
  if (suspension === undefined) throw new AgentError('config', 'this box is not suspended');
  if (local === undefined) {
    throw new AgentError(
      'config',
      `${join(dir, LOCAL_MODE_FILE)} does not tell which box this is: start the agent`,
    );
  }
  const { site, box } = local.statement;
  const [notBefore, notAfter] = [Date.now() - 60_000, Date.now() + VALID_MS].map((ms) =>
    new Date(ms).toISOString(),
  ) as [string, string];
  const request = signResume({ site, box, suspension, reason, notBefore, notAfter }, keys);
  const file = join(dir, RESUME_REQUEST_FILE);
  writing(file, () => writeAtomically(file, request));
  if (runningAgent(dir) === undefined) {
    print(`no agent is running; the next one evaluates the request if it starts before ${notAfter}`);
    return 0;
  }
  const sha256 = createHash('sha256').update(request).digest('hex');
  const after = await answered(dir, ({ answer }) => answer?.request === sha256);
  if (after === undefined) {
    printNote(`the agent has not answered within ${ANSWER_WITHIN_MS / 1000} s`);
    return 1;
  }
  if (after.answer?.refused != null) {
    printNote(`vigie: refused, the box stays suspended: ${after.answer.refused}`);
    return 1;
  }
  print(`resumed; the box is now ${after.statement.mode}`);
  return 0;
}

/** Returns the id of the suspension from root, the running agent or the file, in the agent's order of precedence. */
function suspensionOf(dir: string, reportedId: string | undefined): string | undefined {
  const root = recordFor(dir)?.folder.suspension();
  if (root?.suspended === true) return root.id;
  if (runningAgent(dir) !== undefined && reportedId !== undefined) return reportedId;
  const own = new Suspension(join(dir, SUSPENSION_FILE)).read();
  return own.suspended ? own.id : undefined;
}
