/**
 * Converts a typed query of a track log into the arguments of the command.
 *
 * @throws {AgentError} `config`, one line
 */
import { Value } from '@sinclair/typebox/value';
import type { SiteTime } from '../../../../../agent/base/site-time.ts';
import { wrong } from '../../../../../agent/cli/bad-option.ts';
import { nearest } from '../../../../../agent/config/words.ts';
import { normalCase } from '../../../../../agent/contract/case.ts';
import { argsProblem } from '../../../../../agent/contract/commands.ts';
import { LABELS, UNKNOWN } from '../../../../../agent/contract/label.ts';
import {
  COLOURS,
  COUNT_STEP_MS,
  type TrackArgs,
  TrackQuestion,
} from '../../../../../agent/contract/track-log.ts';
import { assertBox } from '../../../../lib/room-link/room-file.ts';
import { type PlaceOptions, placeOf } from './typed-place.ts';

export interface QuestionOptions extends PlaceOptions {
  readonly case?: string;
  readonly reason?: string;
  readonly box?: string;
  readonly from?: string;
  readonly to?: string;
  readonly daily?: string;
  readonly class?: readonly string[];
  readonly colour?: readonly string[];
  readonly view?: string;
  readonly count?: boolean;
  readonly coverage?: boolean;
  /** File name; `true` if the option has no value. */
  readonly still?: string | true;
}

const CLASSES: readonly string[] = [...Object.values(LABELS), UNKNOWN];
const DAILY = /^((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)$/;
/** Options of a query about the past, which do not apply to a still of the current view. */
const OF_QUESTION = [
  ...(['from', 'to', 'daily', 'class', 'colour', 'view', 'line', 'direction', 'area', 'does'] as const),
  ...(['count', 'coverage'] as const),
];

/** Options that a saved query replaces. */
export const QUESTION_OPTIONS = [
  ...(['case', 'reason', 'box'] as const),
  ...OF_QUESTION,
  ...(['atLeast', 'still'] as const),
];

export function trackArgs(
  options: QuestionOptions,
  time: SiteTime,
): { readonly box: string; readonly args: TrackArgs } {
  const [number, reason, box] = (['case', 'reason', 'box'] as const).map((name) => {
    const text = options[name];
    if (text === undefined) throw wrong(`--${name}`, 'is needed, or a question of the console (--question)');
    return text;
  }) as [string, string, string];
  assertBox(box);
  const question = options.still === undefined ? questionOf(options, time) : stillOf(options);
  return { box, args: checkedArgs({ case: normalCase(number), reason, question }) };
}

/** Checks the arguments, as the box does. */
export function checkedArgs(args: TrackArgs): TrackArgs {
  const problem = argsProblem('tracks', args);
  if (problem === undefined) return args;
  // Validates the query first: an error in one member of a union is reported for the union as a whole.
  const { question } = args;
  const inQuestion = question.answer === 'still' ? undefined : Value.Errors(TrackQuestion, question).First();
  const { path, message } = inQuestion ?? problem;
  throw wrong(`--${path.split('/').at(1) ?? ''}`, message);
}

function stillOf(options: QuestionOptions): TrackArgs['question'] {
  const extraOption = OF_QUESTION.find((name) => options[name] !== undefined);
  if (extraOption !== undefined)
    throw wrong(`--${extraOption}`, 'is not for --still, which shows what the camera sees now; leave it out');
  return { answer: 'still' };
}

function questionOf(options: QuestionOptions, time: SiteTime): TrackQuestion {
  const { count, coverage } = options;
  if (count === true && coverage === true)
    throw wrong('--coverage', 'one question has one answer; leave out --count or --coverage');
  const answer = count === true ? 'count' : coverage === true ? 'coverage' : 'tracks';
  const place = placeOf(options);
  const view = options.view === undefined ? undefined : at('--view', options.view, time);
  if (place !== undefined && view === undefined) {
    throw wrong(
      '--view',
      'is needed with --line and --area: the view that the place was drawn on; --coverage lists them, --still names that of now',
    );
  }
  const classes =
    options.class && [...new Set(options.class)].map((name) => checkedName('--class', name, CLASSES));
  const colours =
    options.colour && [...new Set(options.colour)].map((name) => checkedName('--colour', name, COLOURS));
  const question = {
    ...spanOf(options, time, answer),
    ...(options.daily !== undefined && { daily: dailyOf(options.daily) }),
    ...(classes && { classes: classes as NonNullable<TrackQuestion['classes']> }),
    ...(colours && { colours: colours as NonNullable<TrackQuestion['colours']> }),
    ...(view !== undefined && { view }),
    ...(place !== undefined && { where: place }),
    answer,
  } satisfies TrackQuestion;
  return question;
}

function spanOf(
  { from, to }: QuestionOptions,
  time: SiteTime,
  answer: TrackQuestion['answer'],
): Pick<TrackQuestion, 'from' | 'to'> {
  if (from === undefined)
    throw wrong('--from', 'required: the start of the interval, YYYY-MM-DD[THH:MM[:SS]]');
  if (to === undefined)
    throw wrong('--to', 'required: the end of the interval (exclusive), YYYY-MM-DD[THH:MM[:SS]]');
  const span = { from: at('--from', from, time), to: at('--to', to, time) };
  if (span.from >= span.to) throw wrong('--to', `${to} is not after --from ${from}`);
  if (answer === 'count') {
    for (const name of ['from', 'to'] as const) {
      if (Date.parse(span[name]) % COUNT_STEP_MS === 0) continue;
      throw wrong(
        `--${name}`,
        `counts begin and end at whole ${COUNT_STEP_MS / 60_000} minutes of UTC; ${span[name]} is none`,
      );
    }
  }
  return span;
}

function dailyOf(text: string): NonNullable<TrackQuestion['daily']> {
  const [, from, to] = DAILY.exec(text.trim()) ?? [];
  if (from === undefined || to === undefined)
    throw wrong('--daily', `"${text.slice(0, 40)}" is not HH:MM-HH:MM, as 02:00-05:00`);
  return { from, to };
}

const at = (option: string, text: string, time: SiteTime): string =>
  new Date(time.parse(option, text)).toISOString();

function checkedName(option: string, name: string, names: readonly string[]): string {
  if (names.includes(name)) return name;
  const suggestion = nearest(name, names);
  const right =
    suggestion === undefined ? `it must be one of ${names.join(', ')}` : `did you mean "${suggestion}"?`;
  throw wrong(option, `"${name.slice(0, 40)}" is not known; ${right}`);
}
