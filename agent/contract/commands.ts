/**
 * Table of the signed commands: arguments, result and permitted recipients. Arguments are checked once, where a command
 * arrives. The room builds its requests and reads the replies with the same schemas.
 */
import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { caseProblem } from './case.ts';
import { type CommandOp, CommandRefused, type SignedCommand } from './command.ts';
import { DoctorResult, LOGS_BYTES_MAX, LogsArgs, LogsResult, RenewResult } from './diagnosis.ts';
import { OpenHotspotArgs, OpenHotspotResult } from './hotspot.ts';
import { RestraintResult, ResumeArgs, SuspendArgs, TimeResetResult } from './mode.ts';
import { UnsealArgs, UnsealResult } from './sealed-evidence.ts';
import { SearchArgs, SearchResult } from './search.ts';
import { TrackArgs, TrackResult, TrackStillResult } from './track-log.ts';
import { ConfigCopy } from './update.ts';

interface CommandTerms {
  readonly args: TObject;
  readonly result: TSchema;
  /** One-line description of the arguments for a refusal. With null, the refusal names the path and the fault. */
  readonly takes: string | null;
  /** The arguments name a case in its normal form, and a reason. */
  readonly namesCase: boolean;
  /** One message may give the command to every box of a site. */
  readonly isForAll: boolean;
}

const Nothing = Type.Object({}, { additionalProperties: false });
const NO_ARGS = { args: Nothing, takes: 'no arguments' } as const;
const OF_ONE_BOX = { namesCase: false, isForAll: false } as const;

export const COMMANDS = {
  search: {
    args: SearchArgs,
    result: SearchResult,
    takes: null,
    namesCase: true,
    isForAll: true,
  },
  suspend: {
    args: SuspendArgs,
    result: RestraintResult,
    takes: null,
    namesCase: false,
    isForAll: true,
  },
  resume: { ...OF_ONE_BOX, args: ResumeArgs, result: RestraintResult, takes: null },
  unseal: { ...OF_ONE_BOX, args: UnsealArgs, result: UnsealResult, takes: null, namesCase: true },
  'reset-time': { ...OF_ONE_BOX, ...NO_ARGS, result: TimeResetResult },
  'open-hotspot': {
    ...OF_ONE_BOX,
    args: OpenHotspotArgs,
    result: OpenHotspotResult,
    takes: 'minutes: 1 to 60, a whole number',
  },
  'unlock-pairing': { ...OF_ONE_BOX, ...NO_ARGS, result: Nothing },
  logs: {
    ...OF_ONE_BOX,
    args: LogsArgs,
    result: LogsResult,
    takes: `sinceS: 1 to 2678400, and bytesMax: 1000 to ${LOGS_BYTES_MAX}`,
  },
  doctor: { ...OF_ONE_BOX, ...NO_ARGS, result: DoctorResult },
  'renew-certificate': { ...OF_ONE_BOX, ...NO_ARGS, result: RenewResult },
  'read-configuration': { ...OF_ONE_BOX, ...NO_ARGS, result: ConfigCopy },
  tracks: {
    ...OF_ONE_BOX,
    args: TrackArgs,
    result: Type.Union([TrackResult, TrackStillResult]),
    takes: null,
    namesCase: true,
  },
} as const satisfies Readonly<Record<CommandOp, CommandTerms>>;

type Commands = typeof COMMANDS;
export type CommandArgs<K extends CommandOp> = Static<Commands[K]['args']>;
export type CommandResult<K extends CommandOp> = Static<Commands[K]['result']>;

/** Command of one kind with valid arguments. */
export interface CheckedCommand<K extends CommandOp> extends Omit<SignedCommand, 'op' | 'args'> {
  readonly op: K;
  readonly args: CommandArgs<K>;
}

/**
 * Executes a command and returns its result or a promise of it.
 * @throws CommandRefused
 */
export type CommandHandler<K extends CommandOp> = (
  command: CheckedCommand<K>,
) => CommandResult<K> | Promise<CommandResult<K>>;
export type CommandHandlers = { readonly [K in CommandOp]: CommandHandler<K> };

/**
 * Checks the arguments of a command.
 * @throws CommandRefused `bad-arguments`, with the command and the fault
 */
export function checkedCommand<K extends CommandOp>(op: K, command: SignedCommand): CheckedCommand<K> {
  const { counter, key, envelope } = command;
  return { op, args: checkedArgs(op, command.args), counter, key, envelope };
}

/** Reports whether a box's reply is a result of this command. */
export function isResultOf<K extends CommandOp>(op: K, result: unknown): result is CommandResult<K> {
  return Value.Check(COMMANDS[op].result, result);
}

/** Returns the JSON pointer and message of the first fault in the arguments, or undefined if they are valid. */
export function argsProblem(
  op: CommandOp,
  args: unknown,
): { readonly path: string; readonly message: string } | undefined {
  const { args: schema, namesCase }: CommandTerms = COMMANDS[op];
  // Checked first, because its message is more useful for an empty text.
  const ofCase = namesCase && Value.Check(Case, args) ? caseProblem(args) : undefined;
  if (ofCase !== undefined) return { path: `/${ofCase.field}`, message: ofCase.message };
  const error = Value.Errors(schema, args).First();
  return error === undefined ? undefined : { path: error.path || '/', message: error.message };
}

const Case = Type.Object({ case: Type.String(), reason: Type.String() });

function checkedArgs<K extends CommandOp>(op: K, args: unknown): CommandArgs<K> {
  const schema: Commands[K]['args'] = COMMANDS[op].args;
  const problem = argsProblem(op, args);
  if (problem === undefined && Value.Check(schema, args)) return args;
  const { takes } = COMMANDS[op];
  const message = takes === null ? `${op}: ${problem?.path}: ${problem?.message}` : `${op} takes ${takes}`;
  throw new CommandRefused('bad-arguments', message);
}
