/**
 * What is proposed is judged by the code of `vigie check`, for `vigie run`, and by the order that holds here. Without an
 * order that holds, or with one that has ended, nothing is covered and nothing runs: trying what is drawn is allowed then.
 */
import { rethrowBug } from '../../base/errors.ts';
import { editedText, proposableOf } from '../../config/edit.ts';
import { inspectText, type Problem } from '../../config/load.ts';
import { type Authorisation, cameraAddress } from '../../contract/authorisation.ts';
import type { Config } from '../../contract/config.ts';
import type { ProposalProblem } from '../../contract/config-trial.ts';
import type { Proposal } from '../../contract/proposal.ts';
import { authorisationFault } from '../../contract/signed-order.ts';
import type { TrialJudge } from '../../provision/config-trial.ts';
import { coverageOf } from '../../restraint/authorisation.ts';

/** 200 of these and a full configuration fit into a reply. */
const MESSAGE_CHARS_MAX = 500;

export interface JudgeOptions {
  readonly env: NodeJS.ProcessEnv;
  /** The order of this configuration, opened; undefined: it names none. Throws AgentError where it cannot be opened. */
  order(config: Config): Authorisation | undefined;
  wallMs(): number;
}

export function trialJudge({ env, order, wallMs }: JudgeOptions): TrialJudge {
  const inspect = (text: string) => inspectText(text, { env, mode: 'run' });
  return {
    proposable: (text) => {
      const { config } = inspectText(text, { env, mode: 'check', files: false });
      return config === undefined ? undefined : proposableOf(config);
    },
    edited: editedText,
    problems: (edited, proposal, former) => {
      const { config, problems } = inspect(edited);
      if (config === undefined) return problems.map(proposalProblem);
      const before = inspectText(former, { env, mode: 'check', files: false }).config;
      const against = orderProblems({ config, before, open: () => order(config), nowMs: wallMs() });
      return [...sourceProblems(config, proposal), ...against];
    },
  };
}

/** Passwords are not in `found` (config/problem.ts). */
function proposalProblem({ path, message, found }: Problem): ProposalProblem {
  const text = found === null ? message : `${message} (found ${found})`;
  return problem(path, text, false);
}

function problem(path: string, message: string, order: boolean): ProposalProblem {
  return { path: path.slice(0, 200), message: message.slice(0, MESSAGE_CHARS_MAX), order };
}

/** The environment has the last word on what a file says. */
function sourceProblems({ camera }: Config, { source }: Proposal): ProposalProblem[] {
  if (source === undefined || cameraAddress(camera?.source ?? '') === cameraAddress(source)) return [];
  const message = 'is set by the environment variable VIGIE_CAMERA_SOURCE; unset it, or change it there';
  return [problem('camera.source', message, false)];
}

interface Judged {
  readonly config: Config;
  /** As it was before; undefined where that was none. */
  readonly before: Config | undefined;
  open(): Authorisation | undefined;
  readonly nowMs: number;
}

/** A rule that the order did not cover before, and does not run, may stay as it is. */
function orderProblems({ config, before, open, nowMs }: Judged): ProposalProblem[] {
  const { site, box, camera } = config;
  const order = orderOf(open);
  if (order === undefined) return [];
  const place = { site, box, camera: cameraAddress(camera?.source ?? '') };
  // One that will be valid is the one to draw for.
  const atMs = Math.max(nowMs, Date.parse(order.notBefore));
  const fault = authorisationFault(order, place, atMs);
  const otherPlace = order.site !== site || order.box !== box;
  if (fault?.code === 'expired' || otherPlace) return [];
  if (fault !== undefined) return [problem('camera.source', fault.message, true)];
  // A permit to install covers no rule, and is there to draw under it.
  if (order.installation === true) return [];
  const idle = new Set(
    before && coverageOf(order, before).flatMap(({ rule, grant }) => (grant ? [] : [rule])),
  );
  return coverageOf(order, config).flatMap(({ rule, grant, reason = '' }, index) =>
    grant === undefined && !idle.has(rule) ? [problem(`rules[${index}]`, reason, true)] : [],
  );
}

function orderOf(open: () => Authorisation | undefined): Authorisation | undefined {
  try {
    return open();
  } catch (error) {
    rethrowBug(error);
    return undefined;
  }
}
