/**
 * Labels: what a replay must say. A label names a clip, holds a complete configuration, and lists the
 * incidents that are expected: for each the rule and the window (seconds of the clip) in which its start
 * must fall. Anything else that starts is a false alert. `expectedAtLeast` asks for a count only.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';

const LabelSchema = Type.Object({
  clip: Type.String({ minLength: 1 }),
  config: Type.Object({ rules: Type.Array(Type.Object({ id: Type.String(), kind: Type.String() })) }),
  expected: Type.Optional(
    Type.Array(Type.Object({ rule: Type.String(), startS: Type.Tuple([Type.Number(), Type.Number()]) })),
  ),
  expectedAtLeast: Type.Optional(
    Type.Array(Type.Object({ rule: Type.String(), count: Type.Integer({ minimum: 1 }) })),
  ),
});
type LabelFile = Static<typeof LabelSchema>;

export interface Label extends LabelFile {
  readonly name: string;
  readonly clipPath: string;
}

export interface Start {
  readonly rule: string;
  /** Seconds of the clip. */
  readonly atS: number;
}

export interface RuleScore {
  readonly rule: string;
  readonly kind: string;
  truePositives: number;
  falseNegatives: number;
  falsePositives: number;
  /** Seconds that a hit lies from the middle of its window. */
  errorsS: number[];
  /** One readable line for each miss and each false alert. */
  faults: string[];
}

/** Reads every label of a folder; `clipDirs` are tried in turn for the clips. Throws `config`. */
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
 * Pairs starts with windows: each window takes the earliest start that fits, windows that close first
 * choosing first, which leaves as few windows empty as any pairing can (interval scheduling).
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
    faults: [],
  };
  const free = [...startsS].sort((a, b) => a - b);
  const windows = (label.expected ?? []).filter((e) => e.rule === rule).map(({ startS }) => startS);
  for (const [fromS, toS] of windows.sort((a, b) => a[1] - b[1])) {
    const index = free.findIndex((s) => s >= fromS && s <= toS);
    if (index < 0) {
      score.falseNegatives += 1;
      score.faults.push(`${label.name}: ${rule} missed between ${fromS} and ${toS} s`);
      continue;
    }
    const [hit] = free.splice(index, 1);
    score.truePositives += 1;
    score.errorsS.push((hit as number) - (fromS + toS) / 2);
  }
  score.falsePositives = free.length;
  for (const s of free) score.faults.push(`${label.name}: ${rule} false at ${s.toFixed(1)} s`);
  return score;
}

function scoreCount(label: Label, rule: string, kind: string, count: number, atLeast: number): RuleScore {
  const missing = Math.max(0, atLeast - count);
  return {
    rule,
    kind,
    truePositives: Math.min(count, atLeast),
    falseNegatives: missing,
    falsePositives: 0,
    errorsS: [],
    faults: missing === 0 ? [] : [`${label.name}: ${rule} ${count} starts, at least ${atLeast} expected`],
  };
}
