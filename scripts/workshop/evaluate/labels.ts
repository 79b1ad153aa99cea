/**
 * Reads labels, which state the required results of a replay, and scores results against them.
 *
 * A label names a clip, holds a complete configuration, and lists the expected incidents. Each has its rule and the
 * window (seconds of the clip) in which its start must fall. Any other start is a false alert. `expectedAtLeast`
 * requires only a count. `mayTell` names the camera conditions that are correct on this film. `orCannotSee` forgives
 * misses there if the box reports in time that it has no usable image.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { CAMERA_CONDITIONS, type CameraCondition } from '../../../agent/contract/condition.ts';
import { PRESENT_AT_START } from '../../../agent/contract/event.ts';
import type { UnnumberedEvent } from '../../../agent/contract/event-sink.ts';

const LabelSchema = Type.Object({
  clip: Type.String({ minLength: 1 }),
  config: Type.Object({ rules: Type.Array(Type.Object({ id: Type.String(), kind: Type.String() })) }),
  expected: Type.Optional(
    Type.Array(Type.Object({ rule: Type.String(), startS: Type.Tuple([Type.Number(), Type.Number()]) })),
  ),
  expectedAtLeast: Type.Optional(
    Type.Array(Type.Object({ rule: Type.String(), count: Type.Integer({ minimum: 1 }) })),
  ),
  mayTell: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
  orCannotSee: Type.Optional(Type.Boolean()),
});
type LabelFile = Static<typeof LabelSchema>;

export interface Label extends LabelFile {
  readonly name: string;
  readonly clipPath: string;
}

export interface Start {
  readonly rule: string;
  readonly kind: string;
  /** Time in seconds of the clip. */
  readonly atS: number;
}

export interface RuleScore {
  readonly rule: string;
  readonly kind: string;
  truePositives: number;
  falseNegatives: number;
  falsePositives: number;
  /** Distance of each hit from the middle of its window, s. */
  errorsS: number[];
  mistakes: Mistake[];
  /** Misses that are forgiven because the box reported that it has no usable image. */
  forgiven: Mistake[];
}

/** A miss or a false alert. */
export interface Mistake {
  readonly label: string;
  readonly rule: string;
  readonly outcome: 'missed' | 'false';
  /** Number of incidents; more than one if a count is short by that many. */
  readonly count: number;
  /**
   * Window of a miss, or twice the moment of a false alert, in seconds of the clip; undefined if only a count is known.
   */
  readonly windowS?: readonly [number, number];
  /** The same as readable text. */
  readonly line: string;
}

/**
 * Conditions for which a miss is forgiven. They are fewer than those that blind a camera, since no clip here is frozen,
 * covered or turned.
 */
const FORGIVING: readonly CameraCondition[] = ['cannot-see', 'too-dark'];
export const BLINDNESS: readonly string[] = FORGIVING;
/**
 * Deadline of the report, s. A short film is replayed in a loop, which need not be longer, because later reports do not
 * count.
 */
export const BLINDNESS_BY_S = 60;
/** Kinds for objects that were present when the box started: recorded once, neither found nor false. */
const NOT_COUNTED: readonly string[] = [PRESENT_AT_START];

/** Reads every label of a folder; `clipDirs` are searched in turn for the clips. Throws AgentError `config`. */
export function readLabels(dir: string, clipDirs: readonly string[]): Label[] {
  const names = readdirSync(dir).filter((name) => name.endsWith('.json'));
  return names.sort().map((name) => readLabel(join(dir, name), clipDirs));
}

function readLabel(file: string, clipDirs: readonly string[]): Label {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new AgentError('config', `${file}: not a readable label (${messageOf(error)})`, error);
  }
  if (!Value.Check(LabelSchema, parsed)) {
    const first = Value.Errors(LabelSchema, parsed).First();
    throw new AgentError('config', `${file}: ${first?.path}: ${first?.message}`);
  }
  const clipPath = clipDirs.map((dir) => join(dir, parsed.clip)).find((path) => existsSync(path));
  if (clipPath === undefined) {
    throw new AgentError('config', `${file}: clip ${parsed.clip} is in none of ${clipDirs.join(', ')}`);
  }
  return { ...parsed, name: basename(file, '.json'), clipPath };
}

/**
 * Pairs starts with windows: each window takes the earliest start that fits, and windows that close first choose first.
 * This leaves as few windows empty as any pairing can (interval scheduling).
 */
export function scoreStarts(label: Label, starts: readonly Start[]): RuleScore[] {
  return label.config.rules.map(({ id, kind }) => {
    const own = starts.filter(({ rule }) => rule === id).map(({ atS }) => atS);
    const atLeast = (label.expectedAtLeast ?? []).find(({ rule }) => rule === id);
    return atLeast === undefined
      ? scoreWindows(label, id, kind, own)
      : scoreCount(label, id, kind, own.length, atLeast.count);
  });
}

function scoreWindows(label: Label, rule: string, kind: string, startsS: readonly number[]): RuleScore {
  const score: RuleScore = {
    rule,
    kind,
    truePositives: 0,
    falseNegatives: 0,
    falsePositives: 0,
    errorsS: [],
    mistakes: [],
    forgiven: [],
  };
  const free = [...startsS].sort((a, b) => a - b);
  const windows = (label.expected ?? []).filter((e) => e.rule === rule).map(({ startS }) => startS);
  for (const [fromS, toS] of windows.sort((a, b) => a[1] - b[1])) {
    const index = free.findIndex((s) => s >= fromS && s <= toS);
    if (index < 0) {
      score.falseNegatives += 1;
      const line = `${label.name}: ${rule} missed between ${fromS} and ${toS} s`;
      score.mistakes.push({
        label: label.name,
        rule,
        outcome: 'missed',
        count: 1,
        windowS: [fromS, toS],
        line,
      });
      continue;
    }
    const [hit] = free.splice(index, 1);
    score.truePositives += 1;
    score.errorsS.push((hit as number) - (fromS + toS) / 2);
  }
  score.falsePositives = free.length;
  score.mistakes.push(...free.map((atS) => falseAlert(label.name, rule, rule, atS)));
  return score;
}

function scoreCount(label: Label, rule: string, kind: string, count: number, atLeast: number): RuleScore {
  const missing = Math.max(0, atLeast - count);
  const line = `${label.name}: ${rule} ${count} starts, at least ${atLeast} expected`;
  return {
    rule,
    kind,
    truePositives: Math.min(count, atLeast),
    falseNegatives: missing,
    falsePositives: 0,
    errorsS: [],
    mistakes: missing === 0 ? [] : [{ label: label.name, rule, outcome: 'missed', count: missing, line }],
    forgiven: [],
  };
}

function falseAlert(label: string, rule: string, name: string, atS: number): Mistake {
  return {
    label,
    rule,
    outcome: 'false',
    count: 1,
    windowS: [atS, atS],
    line: `${label}: ${name} false at ${atS.toFixed(1)} s`,
  };
}

/** Returns the starts that count, of every incident that a replay reported. */
export function startsOf(events: readonly UnnumberedEvent[]): Start[] {
  return events
    .filter(({ data }) => data.phase === 'start' && !NOT_COUNTED.includes(data.rule.kind))
    .map(({ time, data }) => ({ rule: data.rule.id, kind: data.rule.kind, atS: Date.parse(time) / 1000 }));
}

/**
 * Scores conditions of the camera, for the whole picture and for zones: each that the label does not allow is a false
 * one.
 */
export function scoreConditions({ name, mayTell = [] }: Label, starts: readonly Start[]): RuleScore[] {
  return conditionsOf(starts)
    .filter(({ kind }) => !mayTell.includes(kind))
    .map(({ rule, kind, atS }) => ({
      rule,
      kind,
      truePositives: 0,
      falseNegatives: 0,
      falsePositives: 1,
      errorsS: [],
      mistakes: [falseAlert(name, rule, kind, atS)],
      forgiven: [],
    }));
}

export function conditionsOf(starts: readonly Start[]): Start[] {
  const conditions: readonly string[] = CAMERA_CONDITIONS;
  return starts.filter(({ kind }) => conditions.includes(kind));
}

/** Returns the start by which a box reported in time that it has no usable image, or undefined. */
export function blindnessTold(starts: readonly Start[]): Start | undefined {
  return starts.find(({ kind, atS }) => BLINDNESS.includes(kind) && atS <= BLINDNESS_BY_S);
}

/** Returns the score with its misses marked as forgiven; false alerts stay unchanged. */
export function forgive(score: RuleScore, { kind, atS }: Start): RuleScore {
  const missed = score.mistakes.filter(({ outcome }) => outcome === 'missed');
  const remark = `forgiven: ${kind} reported at ${atS.toFixed(1)} s`;
  return {
    ...score,
    falseNegatives: 0,
    mistakes: score.mistakes.filter(({ outcome }) => outcome === 'false'),
    forgiven: missed.map((mistake) => ({ ...mistake, line: `${mistake.line}; ${remark}` })),
  };
}
