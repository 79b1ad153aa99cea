/**
 * Previews the drawn rules on the present tracks: who counts inside, since when, and which way lines are crossed. It
 * serves for aiming; the box evaluates more pictures and more conditions.
 *
 * LIMITS: tracks that were not seen for `GONE_MS` are removed.
 */
import type { PointNorm } from '../../contract/geometry.ts';
import type { ObjectLabel } from '../../contract/label.ts';
import type { PreviewHeader } from '../../contract/page-api.ts';
import type { SeenTrack } from '../../contract/page-link.ts';
import { covers } from '../../contract/polygon.ts';
import type { RuleConfig, RuleKind } from '../../contract/rule-config.ts';
import type { Drawing } from './drawing.ts';

export type SeenFrame = Extract<PreviewHeader, { picture: true }>;

export interface Inside {
  readonly track: number;
  readonly label: ObjectLabel;
  readonly sinceMs: number;
}

export interface RuleWatch {
  readonly rule: RuleConfig;
  /** Tracks that count, longest first. */
  readonly inside: readonly Inside[];
  /** Required time in s; undefined for a rule that fires at once. */
  readonly needS: number | undefined;
  /** Time in s for which the condition has held. */
  readonly stationaryS: number;
  readonly fires: boolean;
  /** Crossings of a line since the preview started. */
  readonly crossed: { readonly left: number; readonly right: number };
  /** True if tracks alone cannot show the rule's condition. */
  readonly evaluatedByBox: boolean;
}

interface Memory {
  readonly sinceByTrack: Map<number, { sinceMs: number; lastMs: number }>;
  /** Crowd: time since the minimum count is reached. */
  enoughSinceMs: number | undefined;
  left: number;
  right: number;
  firedAtMs: number | undefined;
}

/**
 * Input that each rule kind needs. Objects and walls have no tracks, and a driving direction takes more than a place:
 * only the box can evaluate those, from its pictures.
 */
const EVALUATED_FROM: Readonly<Record<RuleKind, 'tracks' | 'pictures'>> = {
  'vehicle-in-pedestrian-zone': 'tracks',
  loitering: 'tracks',
  'line-crossing': 'tracks',
  'wrong-way': 'pictures',
  'crowd-gathering': 'tracks',
  'illegal-dumping': 'pictures',
  graffiti: 'pictures',
  'illegal-parking': 'tracks',
};

/** Label that counts for a rule without a list of classes. */
const COUNTED: Readonly<Record<Exclude<RuleConfig, { classes: unknown }>['kind'], ObjectLabel>> = {
  'crowd-gathering': 'person',
  'illegal-dumping': 'person',
  graffiti: 'person',
};

/** Four pictures of a slow box. A track that was hidden for longer counts as ended. */
const GONE_MS = 4000;
/** Display time of a crossing, which itself is momentary. */
const SHOW_CROSSING_MS = 3000;

export class FiringWatch {
  #memories = new Map<string, Memory>();
  #feet = new Map<number, { at: PointNorm; lastMs: number }>();

  /** Takes the next frame; returns the state of each rule, in their order. */
  update({ atMs, tracks }: Pick<SeenFrame, 'atMs' | 'tracks'>, drawing: Drawing): RuleWatch[] {
    const memories = new Map<string, Memory>();
    const watches = drawing.rules.map((rule) => {
      const memory = this.#memories.get(rule.id) ?? newMemory();
      memories.set(rule.id, memory);
      return 'line' in rule
        ? this.#passing(rule, memory, atMs, tracks, drawing)
        : staying(rule, memory, atMs, tracks, drawing);
    });
    this.#memories = memories;
    for (const track of tracks) this.#feet.set(track.track, { at: footOf(track), lastMs: atMs });
    for (const [id, { lastMs }] of this.#feet) if (atMs - lastMs > GONE_MS) this.#feet.delete(id);
    return watches;
  }

  #passing(
    rule: Extract<RuleConfig, { line: string }>,
    memory: Memory,
    atMs: number,
    tracks: readonly SeenTrack[],
    { lines }: Drawing,
  ): RuleWatch {
    const line = lines.find(({ id }) => id === rule.line);
    for (const track of tracks.filter(({ label }) => counts(rule, label))) {
      const before = this.#feet.get(track.track)?.at;
      const side =
        line === undefined || before === undefined
          ? undefined
          : passed(line.from, line.to, before, footOf(track));
      if (side === undefined) continue;
      memory[side] += 1;
      if (rule.direction === 'both' || rule.direction === side) memory.firedAtMs = atMs;
    }
    return {
      rule,
      inside: [],
      needS: undefined,
      stationaryS: 0,
      fires: memory.firedAtMs !== undefined && atMs - memory.firedAtMs < SHOW_CROSSING_MS,
      crossed: { left: memory.left, right: memory.right },
      evaluatedByBox: false,
    };
  }
}

function newMemory(): Memory {
  return { sinceByTrack: new Map(), enoughSinceMs: undefined, left: 0, right: 0, firedAtMs: undefined };
}

type ZoneRule = Extract<RuleConfig, { zone: string }>;

function staying(
  rule: ZoneRule,
  memory: Memory,
  atMs: number,
  tracks: readonly SeenTrack[],
  { zones }: Drawing,
): RuleWatch {
  const polygon = zones.find(({ id }) => id === rule.zone)?.polygon ?? [];
  const inside = tracks
    .filter((track) => counts(rule, track.label) && covers(polygon, [footOf(track)]))
    .map(({ track, label }): Inside => {
      const sinceMs = memory.sinceByTrack.get(track)?.sinceMs ?? atMs;
      memory.sinceByTrack.set(track, { sinceMs, lastMs: atMs });
      return { track, label, sinceMs };
    })
    .sort((a, b) => a.sinceMs - b.sinceMs);
  const seenNow = new Set(tracks.map(({ track }) => track));
  for (const [track, { lastMs }] of memory.sinceByTrack) {
    // A track seen outside has left; one that is not seen may only be hidden.
    if (lastMs < atMs && (seenNow.has(track) || atMs - lastMs > GONE_MS)) memory.sinceByTrack.delete(track);
  }
  const isOfMany = 'minCount' in rule;
  const enough = inside.length >= (isOfMany ? rule.minCount : 1);
  memory.enoughSinceMs = enough ? (memory.enoughSinceMs ?? atMs) : undefined;
  const sinceMs = isOfMany ? memory.enoughSinceMs : inside[0]?.sinceMs;
  const stationaryS = sinceMs === undefined ? 0 : (atMs - sinceMs) / 1000;
  const evaluatedByBox = EVALUATED_FROM[rule.kind] === 'pictures';
  const needS = needOf(rule);
  return {
    rule,
    inside,
    needS,
    stationaryS,
    fires: !evaluatedByBox && enough && needS !== undefined && stationaryS >= needS,
    crossed: { left: 0, right: 0 },
    evaluatedByBox,
  };
}

function needOf(rule: ZoneRule): number | undefined {
  if ('afterS' in rule) return rule.afterS;
  return 'persistS' in rule ? rule.persistS : undefined;
}

function counts(rule: RuleConfig, label: ObjectLabel): boolean {
  if (!('classes' in rule)) return label === COUNTED[rule.kind];
  const labels: readonly string[] = rule.classes;
  return labels.includes(label);
}

/** Returns the ground point of a track. */
export function footOf({ xyxyNorm: [x1, , x2, y2] }: SeenTrack): PointNorm {
  return [(x1 + x2) / 2, y2];
}

/** Returns the side towards which a step crosses a line, looking from `from` to `to`; undefined if it does not. */
export function passed(
  from: PointNorm,
  to: PointNorm,
  before: PointNorm,
  after: PointNorm,
): 'left' | 'right' | undefined {
  const [start, end] = [rightOf(from, to, before), rightOf(from, to, after)];
  if (start * end >= 0) return undefined;
  if (rightOf(before, after, from) * rightOf(before, after, to) > 0) return undefined;
  return end > 0 ? 'right' : 'left';
}

/** Positive on the right of a→b, y down. */
function rightOf([ax, ay]: PointNorm, [bx, by]: PointNorm, [x, y]: PointNorm): number {
  return (bx - ax) * (y - ay) - (by - ay) * (x - ax);
}
