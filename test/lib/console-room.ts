/** Calls of a room's console as people would make them, without a server between. */
import { type Call, CallError } from '../../scripts/products/room/console/handler.ts';
import type { RouteName } from '../../scripts/products/room/contract/api.ts';
import type { Role } from '../../scripts/products/room/contract/roles.ts';

/** Makes a call. Names are of people, roles are their permissions; parts that a call does not name are empty. */
export function callOf<N extends RouteName>(
  user: string,
  nowMs: number,
  parts: Partial<Pick<Call<N>, 'params' | 'query' | 'body' | 'key'>> = {},
): Call<N> {
  const role: Role = user.startsWith('sup') ? 'supervisor' : user.startsWith('aud') ? 'auditor' : 'operator';
  const account = { name: user, role, isProgram: false };
  const empty = { params: {}, query: {}, body: {}, key: '' };
  return { ...empty, ...parts, account, nowMs } as unknown as Call<N>;
}

/** Returns the error of a refused call; fails with the result if the call succeeds. */
export async function refusalOf(call: Promise<unknown>): Promise<CallError> {
  try {
    const result = await call;
    throw new Error(`was not refused: ${JSON.stringify(result).slice(0, 200)}`);
  } catch (error) {
    if (error instanceof CallError) return error;
    throw error;
  }
}
