/**
 * Reads a query that the console saved for the approving person.
 *
 * @throws {AgentError} `config`, one line
 */
import { readFileSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { wrong } from '../../../../agent/cli/bad-option.ts';
import { normalCase } from '../../../../agent/contract/case.ts';
import { TrackArgs, TrackQuestion } from '../../../../agent/contract/track-log.ts';
import { NAME } from '../../../lib/room-link/room-file.ts';
import { checkedArgs } from '../questions/tracks/request.ts';

const Saved = Type.Object({
  box: Type.String({ pattern: NAME.source }),
  case: TrackArgs.properties.case,
  reason: TrackArgs.properties.reason,
  // Its times may have any format.
  question: Type.Object({ ...TrackQuestion.properties, from: Type.String(), to: Type.String() }),
});

export function savedQuestion(file: string): { readonly box: string; readonly args: TrackArgs } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrong('--question', `${file} cannot be read (${messageOf(error).slice(0, 200)})`);
  }
  const saved = jsonOf(text);
  if (!Value.Check(Saved, saved)) {
    const error = Value.Errors(Saved, saved).First();
    throw wrong(
      '--question',
      `${file}: ${error?.path || '/'}: ${error?.message}; it must be a question that the console has saved`,
    );
  }
  const { box, case: number, reason, question } = saved;
  const [from, to] = [question.from, question.to].map((time) => {
    const ms = Date.parse(time);
    if (Number.isNaN(ms)) throw wrong('--question', `${file}: "${time.slice(0, 40)}" is not a time`);
    return new Date(ms).toISOString();
  }) as [string, string];
  const args = { case: normalCase(number), reason, question: { ...question, from, to } };
  return { box, args: checkedArgs(args) };
}
