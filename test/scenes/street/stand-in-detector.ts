/**
 * A model of the detector: the boxes that it would report for a scene's actors. Its errors were measured with
 * nanodet-g-city10 at 416 × 256 on PETS09-S2L1 and TUD-Stadtmitte (people) and on two clips of traffic (vehicles).
 * Errors last: a pose, a label, a lapse.
 */
import { iou, ratioInside, type SizePx, type XyxyPx } from '../../../agent/contract/geometry.ts';
import { type Group, groupOf, type Label } from '../../../agent/contract/label.ts';
import type { Detection } from '../../../agent/contract/picture.ts';
import { randomOf } from '../../lib/random.ts';
import { Drift, Spell } from './chance.ts';
import type { Actor, Ghost } from './scene.ts';

/** An actor in a frame: its whole box in source pixels, and its visible ratio, 0..1. */
export interface VisibleActor {
  readonly actor: Actor;
  readonly boxPx: XyxyPx;
  readonly inSight: number;
  /** 0 = stands, 1 = walks or drives. A standing actor looks the same from frame to frame, and so do its errors. */
  readonly motion: number;
}

/** The model's floor: lower scores are not in the file's output. */
const FLOOR = 0.15;
/** Median scores. They are 0.69 and 0.79 for people, 0.5 for cars seen from the side and from behind, and 0.3 from above. */
const MEAN_SCORE: Readonly<Record<Group, number>> = {
  person: 0.69,
  vehicle: 0.5,
  cycle: 0.65,
  animal: 0.6,
  bag: 0.3,
};
/**
 * Standard deviation of the score, measured as 0.134; correlation 0.74 after 0.1 s, 0.54 after 0.5 s, 0.47 after a
 * second.
 */
const SCORE_SIGMA = 0.13;
const SCORE_MEMORY_S = 0.7;
/**
 * Lapses of the score. Scores below 0.45 come in runs of 0.27 s on average (one in ten 0.6 s), 5 to 9 % of the time;
 * harder here.
 */
const LAPSE = { meanS: 0.4, ratio: 0.08 };
/** Standard deviations of centre x, centre y, width and height, in heights; twice as much at a score of 0.3. */
const BOX_SIGMA = [0.046, 0.039, 0.063, 0.068] as const;
const BOX_MEMORY_S = 0.28;
/**
 * Ratio of an error that remains in a standing actor.
 *
 * Measured on a parked van and a car on PETS09-S2L1 (790 frames each): centre x 0.017, centre y 0.008, width 0.035,
 * height 0.023 heights, score 0.03. No lapse, and another label in one frame of twenty. People who stand: 0.002 to
 * 0.024 in x, 0.003 to 0.03 at the feet.
 */
const STATIONARY_RATIO: Readonly<Record<Group, number>> = {
  person: 0.5,
  vehicle: 0.35,
  cycle: 0.5,
  animal: 0.5,
  bag: 0.5,
};
/** Mean score below which a standing actor lapses too: 7 of 362 frames of a car seen from above. */
const LAPSES_BELOW = 0.4;
/** Alternating labels of a car on the two clips of traffic: car 60 to 75 %, bus 17 to 33 %, truck 7 %. */
const FLIP = { meanS: 0.6, ratio: 0.3 };
/** Visible ratio below which the detector reports nothing; above it, the score falls with the visible ratio. */
const IN_SIGHT_MIN = 0.35;
/** Ratio of objects of which a part is reported a second time, with a low score. */
const PART_RATIO = 0.1;
/**
 * Number of places with false boxes, which stay where they are.
 *
 * Of 4,700 false vehicles on PETS09-S2L1 all but 5 lie in 22 places, and of 9,700 false people all but 30 in 125. They
 * score 0.15 to 0.3, one in a hundred more.
 */
const HAUNTED = { vehicles: 5, people: 16 };
const HAUNTED_SCORE = [0.15, 0.27] as const;
const GHOST_HIDDEN = 0.2;
/** False boxes that appear once, in boxes a frame. */
const STRAY_PER_FRAME = 0.04;

interface ActorErrors {
  readonly score: Drift;
  readonly lapse: Spell;
  readonly box: readonly Drift[];
  readonly flip: Spell;
  readonly random: () => number;
}

export class StandInDetector {
  readonly #random: () => number;
  readonly #errorsByActor = new Map<Actor, ActorErrors>();
  readonly #ghosts: readonly { ghost: Ghost; spell: Spell; jitter: Drift }[];
  readonly #falseBoxes: boolean;

  /** Makes the model; `falseBoxes` is false where measured boxes of a running clip bring their own. */
  constructor(seed: number, ghosts: readonly Ghost[], falseBoxes: boolean) {
    this.#random = randomOf(seed);
    this.#falseBoxes = falseBoxes;
    const all = falseBoxes ? [...ghosts, ...haunted(this.#random)] : ghosts;
    this.#ghosts = all.map((ghost, i) => {
      const random = randomOf(seed + 7919 * (i + 1));
      return {
        ghost,
        spell: new Spell(random, { meanS: 0.5, ratio: ghost.timeRatio }),
        jitter: new Drift(random, BOX_MEMORY_S),
      };
    });
  }

  /**
   * Boxes of one frame. `clip` has boxes measured in the clip that runs below; those that an actor hides are dropped.
   */
  detect(
    actors: readonly VisibleActor[],
    clip: readonly Detection[],
    atS: number,
    source: SizePx,
  ): Detection[] {
    const detections = clip.filter(
      ({ xyxyPx }) => !actors.some(({ boxPx }) => boxPx[3] > xyxyPx[3] && ratioInside(xyxyPx, boxPx) > 0.5),
    );
    for (const one of actors) detections.push(...this.#detectionsOf(one, atS, source));
    for (const { ghost, spell: now, jitter } of this.#ghosts) {
      if (!now.at(atS)) continue;
      const boxPx = inSource(ghost.box, source);
      // The cause of the false box is out of sight behind an actor.
      if (actors.some((one) => ratioInside(boxPx, one.boxPx) > GHOST_HIDDEN)) continue;
      const [x1, y1, x2, y2] = boxPx;
      const shift = 0.05 * (y2 - y1) * jitter.at(atS);
      push(detections, ghost.label, [x1 + shift, y1, x2 + shift, y2], ghost.score, source);
    }
    if (this.#falseBoxes) this.#stray(detections, source);
    return suppressed(detections);
  }

  #detectionsOf({ actor, boxPx, inSight, motion }: VisibleActor, atS: number, source: SizePx): Detection[] {
    const actorErrors = this.#errorsOf(actor);
    const lapse = actorErrors.lapse.at(atS);
    const drift = actorErrors.score.at(atS);
    const errors = actorErrors.box.map((one) => one.at(atS));
    const flipped = actorErrors.flip.at(atS);
    const missed = actor.missed?.some(([fromS, toS]) => atS >= fromS && atS < toS) === true;
    if (missed || inSight < IN_SIGHT_MIN) return [];
    const group = groupOf(actor.label);
    const mean = actor.score ?? MEAN_SCORE[group];
    const still = STATIONARY_RATIO[group];
    const error = still + (1 - still) * motion;
    const lapsed = lapse && (motion > 0.5 || mean < LAPSES_BELOW || group === 'person') ? 0.45 : 1;
    const sigma = SCORE_SIGMA * (mean / 0.69) * error;
    const score = Math.min(0.95, (mean + sigma * drift) * lapsed * Math.sqrt(inSight));
    const flips = group === 'vehicle' && flipped && (motion > 0.5 || actor.flips !== undefined);
    const label = flips ? otherVehicle(actor.label, actorErrors.random) : actor.label;
    const detections: Detection[] = [];
    push(
      detections,
      label,
      wrong(
        boxPx,
        errors.map((e) => e * error),
        score,
      ),
      score,
      source,
    );
    if (actorErrors.random() < PART_RATIO) {
      const [x1, y1, x2, y2] = boxPx;
      push(
        detections,
        label,
        [x1, y1, x2, y1 + 0.55 * (y2 - y1)],
        0.16 + 0.15 * actorErrors.random(),
        source,
      );
    }
    return detections;
  }

  #stray(detections: Detection[], source: SizePx): void {
    const random = this.#random;
    if (random() > STRAY_PER_FRAME) return;
    const { label, box } = hauntedPlace(random() < 0.8 ? 'person' : 'car', random);
    const [x1, y1, x2, y2] = inSource(box, source);
    push(detections, label, [x1, y1, x2, y2], 0.15 + 0.5 * random() ** 2, source);
  }

  #errorsOf(actor: Actor): ActorErrors {
    const existing = this.#errorsByActor.get(actor);
    if (existing !== undefined) return existing;
    const random = randomOf(Math.floor(this.#random() * 2 ** 32));
    const created = {
      score: new Drift(random, SCORE_MEMORY_S),
      lapse: new Spell(random, LAPSE),
      box: BOX_SIGMA.map(() => new Drift(random, BOX_MEMORY_S)),
      flip: new Spell(random, { ...FLIP, ratio: actor.flips ?? FLIP.ratio }),
      random,
    };
    this.#errorsByActor.set(actor, created);
    return created;
  }
}

function haunted(random: () => number): Ghost[] {
  return (['vehicles', 'people'] as const).flatMap((kind) =>
    Array.from({ length: HAUNTED[kind] }, () => {
      const label: Label = kind === 'people' ? 'person' : random() < 0.6 ? 'car' : 'bus';
      return hauntedPlace(label, random);
    }),
  );
}

function hauntedPlace(label: Label, random: () => number): Ghost {
  const height = 0.08 + 0.12 * random();
  const width = height * (label === 'person' ? 0.3 : 1.2);
  const [x, y] = [random() * (1 - width), height + random() * (1 - height)];
  const [from, to] = HAUNTED_SCORE;
  const score = from + (to - from) * random() ** 2;
  return { label, box: [x, y - height, x + width, y], score, timeRatio: 0.6 * random() ** 2 };
}

function inSource(
  [x1, y1, x2, y2]: readonly [number, number, number, number],
  { widthPx, heightPx }: SizePx,
): XyxyPx {
  return [x1 * widthPx, y1 * heightPx, x2 * widthPx, y2 * heightPx];
}

/** The box with the detector's errors, which grow as the score falls. */
function wrong([x1, y1, x2, y2]: XyxyPx, errors: readonly number[], score: number): XyxyPx {
  const doubt = Math.max(0.3, 1 + (0.7 - score) / 0.4);
  // Measured on people, in heights; a wider object uses its own size along each axis.
  const high = y2 - y1;
  const wide = Math.max(high, Math.sqrt(high * (x2 - x1)));
  const error = (k: number): number => {
    const size = k % 2 === 0 ? wide : high;
    return (
      Math.max(-2.5, Math.min(2.5, errors[k] as number)) *
      (BOX_SIGMA[k] as number) *
      Math.min(2, doubt) *
      size
    );
  };
  const [x, y] = [(x1 + x2) / 2 + error(0), (y1 + y2) / 2 + error(1)];
  const [w, h] = [(x2 - x1 + error(2)) / 2, (y2 - y1 + error(3)) / 2];
  return [x - w, y - h, x + w, y + h];
}

function otherVehicle(label: Label, random: () => number): Label {
  if (label === 'motorcycle') return label;
  const otherLabels = (['car', 'bus', 'truck'] as const).filter((other) => other !== label);
  return otherLabels[Math.floor(random() * otherLabels.length)] as Label;
}

function push(detections: Detection[], label: Label, box: XyxyPx, score: number, source: SizePx): void {
  if (score < FLOOR) return;
  const { widthPx, heightPx } = source;
  const xyxyPx: XyxyPx = [
    Math.max(0, box[0]),
    Math.max(0, box[1]),
    Math.min(widthPx, box[2]),
    Math.min(heightPx, box[3]),
  ];
  if (xyxyPx[2] - xyxyPx[0] < 2 || xyxyPx[3] - xyxyPx[1] < 2) return;
  detections.push({ xyxyPx, score, label, group: groupOf(label) });
}

/** Non-maximum suppression within the groups, with the model's own overlap limit. */
function suppressed(detections: readonly Detection[]): Detection[] {
  const remaining: Detection[] = [];
  for (const one of [...detections].sort((a, b) => b.score - a.score)) {
    if (!remaining.some((other) => other.group === one.group && iou(other.xyxyPx, one.xyxyPx) > 0.6))
      remaining.push(one);
  }
  return remaining;
}
