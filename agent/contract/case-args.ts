/** Arguments of a command that names a case and a reason, by their schema. */
import type { TSchema } from '@sinclair/typebox';
import type { TypeCheck } from '@sinclair/typebox/compiler';
import { CASE_RULE, unreadableOf } from './case.ts';
import { type AcceptedCommand, type CommandOp, CommandRefused } from './command.ts';

interface Case {
  readonly case: string;
  readonly reason: string;
}

/** Throws CommandRefused `bad-arguments`, with the command and the place. */
export function checkedCaseArgs<T extends TSchema & { readonly static: Case }>(
  op: CommandOp,
  check: TypeCheck<T>,
  args: AcceptedCommand['args'],
): T['static'] {
  if (!check.Check(args)) {
    const error = check.Errors(args).First();
    throw new CommandRefused('bad-arguments', `${op}: ${error?.path || '/'}: ${error?.message ?? ''}`);
  }
  const unreadable = unreadableOf(args);
  if (unreadable === undefined) return args;
  throw new CommandRefused('bad-arguments', `${op}: /${unreadable}: ${CASE_RULE}`);
}
