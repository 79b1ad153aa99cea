/** Queries the running agent over its socket. */
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { getLocal } from '../../base/local-http.ts';
import { LOCAL_SOCKET, LocalStatus, STATUS_PATH } from '../../contract/local-status.ts';

/**
 * Returns the status of the agent on a state folder.
 * @throws AgentError `config` if none replies
 */
export async function localStatus(stateDir: string): Promise<LocalStatus> {
  const socket = join(stateDir, LOCAL_SOCKET);
  const answer: unknown = jsonOf(await answered(socket));
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
    const problem = /EACCES|EPERM/.test(messageOf(error))
      ? 'not for this user; try as the service’s own: sudo -u vigie vigie status'
      : 'no agent runs here; systemctl status vigie says why, another folder is named with --state';
    throw new AgentError('config', `${socket}: ${problem}`, error);
  }
}
