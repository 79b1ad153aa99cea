/** Signs a command of the room to one box, or to all. It is valid for as long as clocks may differ. */
import type { KeyObject } from 'node:crypto';
import { COMMAND_TYPE, type Command } from '../../../agent/contract/command.ts';
import { signEnvelope } from '../../../agent/orders/dsse.ts';

/** Largest difference between the clocks of boxes and room, ms. */
export const CLOCKS_APART_MS = 300_000;

/** Returns the envelope as JSON text. @param nowMs wall time, ms since the epoch */
export function signedCommand(
  content: Omit<Command, 'notBefore' | 'notAfter'>,
  key: KeyObject,
  nowMs: number,
): string {
  const command: Command = {
    ...content,
    notBefore: new Date(nowMs - CLOCKS_APART_MS).toISOString(),
    notAfter: new Date(nowMs + CLOCKS_APART_MS).toISOString(),
  };
  return signEnvelope(COMMAND_TYPE, JSON.stringify(command), key);
}
