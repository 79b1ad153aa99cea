/**
 * Checks a configuration on trial with the running release's `vigie check`, as a child process of the agent's user.
 * Root knows what a configuration may change; the release knows which models and rules exist.
 *
 * INVARIANTS
 * - No code of the release runs as root: the child has the user and group of the agent, and no other group.
 * - The child gets the text, and from the environment only what overrides the configuration.
 * - Its answer is untrusted: the form, the size and the characters are checked. No answer counts as a refusal.
 *
 * LIMITS  CHECK_WITHIN_MS, ANSWER_BYTES_MAX, PROBLEMS_MAX problems; processes that the child leaves end with root's
 * unit.
 */
import { spawnSync } from 'node:child_process';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { printable } from '../../../../agent/base/printable.ts';
import type { ProposalProblem } from '../../../../agent/contract/config-trial.ts';
import type { ChildUser } from '../agent-user.ts';

/** Timeout for a technician's request, ms; the page waits 15 s for an answer. */
const CHECK_WITHIN_MS = 10_000;
const ANSWER_BYTES_MAX = 262_144;
const PROBLEMS_MAX = 50;
const MESSAGE_CHARS_MAX = 500;
const PATH_CHARS_MAX = 200;
/** Options for little memory, as for every program of a box. */
const NODE = ['--max-semi-space-size=2', '--optimize-for-size'];

const Answer = Type.Object({
  ok: Type.Boolean(),
  problems: Type.Array(Type.Object({ path: Type.String(), message: Type.String() })),
});

export interface ReleaseCheckOptions {
  /** Path of the release's program `vigie`. */
  readonly program: string;
  readonly user: ChildUser;
  readonly env: NodeJS.ProcessEnv;
  readonly withinMs?: number;
}

/** Returns the release's validation errors; none means that it accepts the text. */
export function releaseProblems(text: string, options: ReleaseCheckOptions): readonly ProposalProblem[] {
  try {
    const { ok, problems } = answerOf(text, options);
    const shownProblems = problems.slice(0, PROBLEMS_MAX).map(({ path, message }) => ({
      path: printable(path, PATH_CHARS_MAX - 1),
      message: printable(message, MESSAGE_CHARS_MAX - 1),
      order: false,
    }));
    if (ok || shownProblems.length > 0) return shownProblems;
    return [unanswered('it refuses without a reason')];
  } catch (error) {
    if (error instanceof AgentError && error.kind !== 'bug') return [unanswered(error.message)];
    throw error;
  }
}

function answerOf(
  text: string,
  { program, user, env, withinMs = CHECK_WITHIN_MS }: ReleaseCheckOptions,
): Static<typeof Answer> {
  const words = [...NODE, program, 'check', '--json', '--no-files', '-'];
  const { error, stdout, signal } = spawnSync(process.execPath, words, {
    ...user,
    cwd: '/',
    env: environment(env),
    input: text,
    stdio: ['pipe', 'pipe', 'ignore'],
    encoding: 'utf8',
    timeout: withinMs,
    maxBuffer: ANSWER_BYTES_MAX,
    killSignal: 'SIGKILL',
  });
  if (error !== undefined) throw new AgentError('unavailable', errorText(error, withinMs), error);
  if (signal !== null) throw new AgentError('unavailable', `it was ended by ${signal}`);
  const answer = jsonOf(stdout);
  if (Value.Check(Answer, answer)) return answer;
  throw new AgentError('corrupt', 'its answer is not in the form of one');
}

function environment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const overriding = Object.entries(env).filter(([name]) => name.startsWith('VIGIE_'));
  return { ...Object.fromEntries(overriding), PATH: '/usr/bin:/bin', NODE_ENV: 'production' };
}

function errorText(error: NodeJS.ErrnoException, withinMs: number): string {
  if (error.code === 'ETIMEDOUT') return `no answer within ${withinMs / 1000} s`;
  if (error.code === 'EPIPE') return 'it ended before it had read the configuration';
  if (error.code === 'ENOBUFS') return `an answer of more than ${ANSWER_BYTES_MAX} bytes`;
  return messageOf(error);
}

function unanswered(reason: string): ProposalProblem {
  const message = printable(
    `the check by the running release: ${reason}; no configuration is tried without it`,
    MESSAGE_CHARS_MAX - 1,
  );
  return { path: '', message, order: false };
}
