/**
 * Validates a verdict from the room when it arrives. No part of a refused one is quoted, because it may name a person.
 */
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { AgentError } from '../base/errors.ts';
import { VERDICT_BYTES_MAX, Verdict } from '../contract/verdict.ts';

const check = TypeCompiler.Compile(Verdict);

/**
 * Parses a verdict.
 * @throws AgentError `corrupt` if it is invalid
 */
export function parseVerdict(payload: Buffer): Verdict {
  if (payload.length > VERDICT_BYTES_MAX) {
    throw refusalOf(`${payload.length} bytes, at most ${VERDICT_BYTES_MAX} are taken`);
  }
  let verdict: unknown;
  try {
    verdict = JSON.parse(payload.toString('utf8'));
  } catch {
    // JSON.parse quotes the text that it could not read.
    throw refusalOf('not JSON');
  }
  if (!check.Check(verdict)) {
    throw refusalOf(
      'not {"episode" or "event": <id>, "verdict": "confirmed" | "false-alarm" | "unclear", "time": …}',
    );
  }
  return verdict;
}

function refusalOf(problem: string): AgentError {
  return new AgentError('corrupt', `verdict refused: ${problem}`);
}
