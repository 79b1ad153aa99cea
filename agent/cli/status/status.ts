/** `vigie status`: how the running box is, on one screen. */
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../base/errors.ts';
import { getLocal } from '../../base/local-http.ts';
import { LOCAL_SOCKET, LocalStatus, STATUS_PATH } from '../../contract/local-status.ts';
import { stateDir } from '../state-dir.ts';
import { statusFindings } from './findings.ts';
import { statusText } from './screen.ts';

export interface StatusOptions {
  readonly state?: string;
  readonly json?: boolean;
}

const WIDTH_ELSEWHERE = 80;

/** Returns the exit code: 0 all well, 1 something needs a person. Throws AgentError `config` when no agent runs. */
export async function status(options: StatusOptions): Promise<number> {
  const { env, stdout } = process;
  const status = await asked(join(stateDir(options.state, env), LOCAL_SOCKET));
  const findings = statusFindings(status);
  const well = findings.every(({ state }) => state !== 'failed');
  if (options.json) {
    stdout.write(`${JSON.stringify({ ok: well, findings, ...status }, null, 2)}\n`);
  } else {
    // no-color.org: set and not empty.
    const colours = stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '';
    stdout.write(`${statusText(status, findings, { width: stdout.columns ?? WIDTH_ELSEWHERE, colours })}\n`);
  }
  return well ? 0 : 1;
}

async function asked(socket: string): Promise<LocalStatus> {
  const answer: unknown = JSON.parse(await answered(socket));
  if (Value.Check(LocalStatus, answer)) return answer;
  const first = Value.Errors(LocalStatus, answer).First();
  throw new AgentError(
    'config',
    `${socket}: another version of the agent runs (${first?.path ?? ''}); restart it: systemctl restart vigie`,
  );
}

async function answered(socket: string): Promise<string> {
  try {
    return await getLocal(socket, STATUS_PATH);
  } catch (error) {
    const what = /EACCES|EPERM/.test(messageOf(error))
      ? 'not for this user; try as the service’s own: sudo -u vigie vigie status'
      : 'no agent runs here; systemctl status vigie says why, another folder is named with --state';
    throw new AgentError('config', `${socket}: ${what}`, error);
  }
}
