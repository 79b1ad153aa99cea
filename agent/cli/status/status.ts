/** `vigie status`: shows the state of the running box on one screen. */

import { statusFindings } from '../../local/findings.ts';
import { printJson } from '../print.ts';
import { stateDir } from '../state-dir.ts';
import { localStatus } from './local.ts';
import { releaseFindings } from './release.ts';
import { statusText } from './screen.ts';

export interface StatusOptions {
  readonly state: string | undefined;
  readonly json: boolean | undefined;
}

const WIDTH_ELSEWHERE = 80;

/**
 * Prints the status and returns the exit code: 0 healthy, 1 needs a person.
 * @throws AgentError `config` if no agent runs
 */
export async function status(options: StatusOptions): Promise<number> {
  const { env, stdout } = process;
  const status = await localStatus(stateDir(options.state, env));
  const findings = [...statusFindings(status), ...releaseFindings(env)];
  const well = findings.every(({ state }) => state !== 'failed');
  if (options.json) {
    printJson({ ok: well, findings, ...status });
  } else {
    // no-color.org: set and not empty.
    const colours = stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '';
    stdout.write(`${statusText(status, findings, { width: stdout.columns ?? WIDTH_ELSEWHERE, colours })}\n`);
  }
  return well ? 0 : 1;
}
