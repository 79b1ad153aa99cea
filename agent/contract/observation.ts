/** What vision says of one frame: facts about places, no pixels. */
import { type Static, Type } from '@sinclair/typebox';
import { CAMERA_CONDITIONS } from './condition.ts';
import { PointNorm, SizePx, XyxyNorm } from './geometry.ts';
import { LabelSchema, ObjectGroup, ObjectLabel } from './label.ts';
import { Colour } from './track-log.ts';

const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Ms = Type.Number({ minimum: 0 });

/** A track inside a zone (by its ground point, with hysteresis) since a media time. */
export const ZonePresence = Type.Object({ zone: Id, sinceMs: Ms });
export type ZonePresence = Static<typeof ZonePresence>;

/** Places of a track before it was confirmed: more than it takes at 10 frames a second. */
export const BEFORE_MAX = 8;

/** A place at which an object was found. */
export const FoundPlace = Type.Object({ atMs: Ms, xyxyNorm: XyxyNorm }, { additionalProperties: false });
export type FoundPlace = Static<typeof FoundPlace>;

export const ObservedTrack = Type.Object({
  id: Type.Integer({ minimum: 1 }),
  group: ObjectGroup,
  label: ObjectLabel,
  /** Of the last matched detection. */
  score: Type.Number({ minimum: 0, maximum: 1 }),
  /** The highest score of all its matched detections so far. */
  bestScore: Type.Number({ minimum: 0, maximum: 1 }),
  xyxyNorm: XyxyNorm,
  /** Bottom centre of the box: where the object stands. */
  ground: PointNorm,
  /** Velocity of the box's centre, normalised x and y per second. */
  velocityNormPerS: Type.Tuple([Type.Number(), Type.Number()]),
  /** Media time of the first detection. */
  firstMs: Ms,
  /** Media time of the last matched detection. */
  lastMs: Ms,
  /** A detection of this very frame was matched; where nobody looked, of the last frame that was looked at. */
  seen: Type.Boolean(),
  /**
   * Of vehicles and cycles: what the box shows has moved along with the box within the last second. Not so where a box jumps about over a
   * picture that stands still, and where only light or focus changes.
   */
  pixelsMove: Type.Boolean(),
  /**
   * Where it is, weak boxes of its group come and go over the same still picture, and it has neither moved nor been
   * sure: it says nothing of the street.
   */
  furniture: Type.Boolean(),
  zones: Type.Array(ZonePresence, { maxItems: 64 }),
  /** Where it was found before it was confirmed, oldest first; only in the frame that confirms it. */
  before: Type.Optional(Type.Array(FoundPlace, { minItems: 1, maxItems: BEFORE_MAX })),
  /** Main colours of a vehicle so far, the first of them first; only under an order whose log of tracks has colours. */
  colours: Type.Optional(Type.Array(Colour, { minItems: 1, maxItems: 2, uniqueItems: true })),
});
export type ObservedTrack = Static<typeof ObservedTrack>;

/** A track's ground point passed a line; `right` = from the left-hand side of from→to to its right-hand side. */
export const Crossing = Type.Object({
  line: Id,
  track: Type.Integer({ minimum: 1 }),
  direction: Type.Union([Type.Literal('left'), Type.Literal('right')]),
});
export type Crossing = Static<typeof Crossing>;

/** Somebody, or a vehicle, that was within reach of a place when it changed. */
export const Carrier = Type.Object({
  track: Type.Integer({ minimum: 1 }),
  label: LabelSchema,
  /** How long it had been within reach of the place, up to the change, ms. */
  besideMs: Ms,
  /** Media time at which it was last beside the place. */
  leftMs: Ms,
});
export type Carrier = Static<typeof Carrier>;

/** A part of a zone that a static region touches. */
export const RegionPlace = Type.Object({
  zone: Id,
  /** The region stands on the zone: its ground point lies in it. */
  standsIn: Type.Boolean(),
  /** Share of the region that lies in the zone. */
  share: Type.Number({ minimum: 0, maximum: 1 }),
});
export type RegionPlace = Static<typeof RegionPlace>;

/** A part of the picture that has changed for good, as far as can be told: facts, no pixels. */
export const StaticRegion = Type.Object({
  /** Unique while the vision process lives. */
  id: Type.Integer({ minimum: 1 }),
  /**
   * `appeared`: something stands where there was none; `removed`: it stood there before;
   * `changed`: neither can be told, as with paint.
   */
  kind: Type.Union([Type.Literal('appeared'), Type.Literal('removed'), Type.Literal('changed')]),
  xyxyNorm: XyxyNorm,
  /** Area of the thing itself as a share of the frame (not of its box). */
  areaNorm: Type.Number({ minimum: 0, maximum: 1 }),
  /** Mean difference of colour to what was there before, 0..1. */
  contrast: Type.Number({ minimum: 0, maximum: 1 }),
  /** Bottom centre of the box. */
  ground: PointNorm,
  /** Media time at which it appeared: the deposit. */
  firstMs: Ms,
  /** Media time at which it last grew. */
  grownMs: Ms,
  /** Most of it is in sight now, looks as it has come to look, and differs plainly from what was there. */
  seen: Type.Boolean(),
  /** Media time of the last still that shows the place as it was. */
  beforeMs: Ms,
  /** One of those who were beside it when it appeared still is. */
  attended: Type.Boolean(),
  carrier: Type.Optional(Carrier),
  places: Type.Array(RegionPlace, { maxItems: 64 }),
});
export type StaticRegion = Static<typeof StaticRegion>;

/**
 * Where nothing was seen for no longer than this, what is seen again is what was there, or has come meanwhile; after
 * longer, or when the camera could not see, whatever stands there was there before. A minute is as far as what places
 * looked like is remembered, and less than a street's light needs to become another.
 */
export const BREAK_MAX_MS = 60_000;

/**
 * How far a vehicle may move and still stand, in sizes of its box, where no rule says otherwise: a door that opens, a box
 * that jitters, not a vehicle that pulls out.
 */
export const PLACE_TOLERANCE = 0.25;

/** A vehicle that stands at one place, followed by place and not by track. */
export const StandingVehicle = Type.Object({
  /** Unique while the process lives, among those of the same tolerance. */
  place: Type.Integer({ minimum: 1 }),
  /**
   * `followed`: it was followed on its way there; `appeared`: the place had looked different; `unseen`: it stood there
   * when the box began to look, or the view came back.
   */
  arrival: Type.Union([Type.Literal('followed'), Type.Literal('appeared'), Type.Literal('unseen')]),
  /** How far it may move and still stand, in sizes of its box: the rule's that asks. */
  moveTolerance: Type.Number({ exclusiveMinimum: 0 }),
  /**
   * `held`: not detected now, but the place looks the same; `hidden`: out of sight, behind something as a rule. What
   * has driven off unseen is hidden too, for some seconds.
   */
  presence: Type.Union([Type.Literal('seen'), Type.Literal('held'), Type.Literal('hidden')]),
  /** `firstMs` is when it came to stand, `score` the best at this place. */
  vehicle: ObservedTrack,
});
export type StandingVehicle = Static<typeof StandingVehicle>;

/** 64 places for each tolerance; a box has one tolerance, or few. */
export const STANDING_MAX = 256;

export const Observation = Type.Object({
  /** 1-based count of analysed frames. */
  frame: Type.Integer({ minimum: 1 }),
  /** Media time, ms; never goes back. All rule timers use it. */
  atMs: Ms,
  /** Wall time of capture, ms since the epoch; for people, never for timers. */
  wallMs: Type.Number(),
  source: SizePx,
  /**
   * False where the detector did not look, since nothing had moved: the tracks are those of its last look, at most
   * 2 s ago. That something is not among them says nothing. Absent: it looked.
   */
  looked: Type.Optional(Type.Boolean()),
  tracks: Type.Array(ObservedTrack, { maxItems: 512 }),
  crossings: Type.Array(Crossing, { maxItems: 512 }),
  standing: Type.Array(StandingVehicle, { maxItems: STANDING_MAX }),
  /** Static regions that stand; absent where no rule needs them. */
  regions: Type.Optional(Type.Array(StaticRegion, { maxItems: 32 })),
  /** Conditions of the camera that stand; absent where nobody looks for them. */
  camera: Type.Optional(
    Type.Array(Type.Union(CAMERA_CONDITIONS.map((condition) => Type.Literal(condition))), {
      maxItems: CAMERA_CONDITIONS.length,
    }),
  ),
  /** Zones in which nothing can be seen while the rest of the picture is fine; absent where there is none. */
  blindZones: Type.Optional(Type.Array(Id, { minItems: 1, maxItems: 64 })),
});
export type Observation = Static<typeof Observation>;
