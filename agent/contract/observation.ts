/** Observation of one frame by vision: facts about places, without pixels. */
import { type Static, Type } from '@sinclair/typebox';
import { CAMERA_CONDITIONS } from './condition.ts';
import { PointNorm, SizePx, XyxyNorm } from './geometry.ts';
import { LabelSchema, ObjectGroup, ObjectLabel } from './label.ts';
import { Colour } from './track-log.ts';

const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Ms = Type.Number({ minimum: 0 });

/** Presence of a track in a zone since a media time, by its ground point and with hysteresis. */
export const ZonePresence = Type.Object({ zone: Id, sinceMs: Ms });
export type ZonePresence = Static<typeof ZonePresence>;

/** Maximum number of a track's places before its confirmation: more than confirmation takes at 10 frames a second. */
export const BEFORE_MAX = 8;

/** Place at which an object was detected. */
export const FoundPlace = Type.Object({ atMs: Ms, xyxyNorm: XyxyNorm }, { additionalProperties: false });
export type FoundPlace = Static<typeof FoundPlace>;

export const ObservedTrack = Type.Object({
  id: Type.Integer({ minimum: 1 }),
  group: ObjectGroup,
  label: ObjectLabel,
  /** Score of the last matched detection. */
  score: Type.Number({ minimum: 0, maximum: 1 }),
  /** Highest score of all matched detections so far. */
  bestScore: Type.Number({ minimum: 0, maximum: 1 }),
  xyxyNorm: XyxyNorm,
  /** Bottom centre of the box: the object's ground point. */
  ground: PointNorm,
  /** Velocity of the box's centre, normalised x and y per second. */
  velocityNormPerS: Type.Tuple([Type.Number(), Type.Number()]),
  /** Media time of the first detection. */
  firstMs: Ms,
  /** Media time of the last matched detection. */
  lastMs: Ms,
  /** A detection of this frame was matched. Without a detector run, the value is that of the last run. */
  seen: Type.Boolean(),
  /**
   * True if the content of a vehicle's or cycle's box has moved along with it within the last second. False if the box
   * jumps over an unchanged picture, or if only light or focus changes.
   */
  pixelsMove: Type.Boolean(),
  /**
   * Static false positive: weak boxes of its group come and go here over an unchanged picture. It has never moved and
   * never had a reliable score, so it carries no information about the street.
   */
  furniture: Type.Boolean(),
  zones: Type.Array(ZonePresence, { maxItems: 64 }),
  /** Places where it was detected before its confirmation, oldest first. Present only in the frame that confirms it. */
  before: Type.Optional(Type.Array(FoundPlace, { minItems: 1, maxItems: BEFORE_MAX })),
  /**
   * Main colours of a vehicle so far, primary colour first. Present only under an authorisation whose log of tracks
   * includes colours.
   */
  colours: Type.Optional(Type.Array(Colour, { minItems: 1, maxItems: 2, uniqueItems: true })),
});
export type ObservedTrack = Static<typeof ObservedTrack>;

/** A track's ground point passed a line. `right` = from the left-hand to the right-hand side of from→to. */
export const Crossing = Type.Object({
  line: Id,
  track: Type.Integer({ minimum: 1 }),
  direction: Type.Union([Type.Literal('left'), Type.Literal('right')]),
});
export type Crossing = Static<typeof Crossing>;

/** Person or vehicle that was within reach of a place when it changed: the associated track. */
export const AssociatedTrack = Type.Object({
  track: Type.Integer({ minimum: 1 }),
  label: LabelSchema,
  /** Time within reach of the place, up to the change, in ms. */
  besideMs: Ms,
  /** Media time at which it was last beside the place. */
  leftMs: Ms,
});
export type AssociatedTrack = Static<typeof AssociatedTrack>;

/** Zone that a static region touches. */
export const RegionPlace = Type.Object({
  zone: Id,
  /** The region's ground point lies in the zone. */
  standsIn: Type.Boolean(),
  /** Ratio of the region that lies in the zone. */
  share: Type.Number({ minimum: 0, maximum: 1 }),
});
export type RegionPlace = Static<typeof RegionPlace>;

/** Part of the picture that has changed, as far as known, permanently: facts, no pixels. */
export const StaticRegion = Type.Object({
  /** Unique during one run of the vision process. */
  id: Type.Integer({ minimum: 1 }),
  /**
   * `appeared`: an object is in a previously empty place. `removed`: the object that was there is gone. `changed`:
   * undetermined, as with paint.
   */
  kind: Type.Union([Type.Literal('appeared'), Type.Literal('removed'), Type.Literal('changed')]),
  xyxyNorm: XyxyNorm,
  /** Area of the object as a ratio of the frame (not of its box). */
  areaNorm: Type.Number({ minimum: 0, maximum: 1 }),
  /** Mean colour difference from the previous content, 0..1. */
  contrast: Type.Number({ minimum: 0, maximum: 1 }),
  /** Bottom centre of the box. */
  ground: PointNorm,
  /** Media time at which it appeared, that is, of the deposit. */
  firstMs: Ms,
  /** Media time at which it last grew. */
  grownMs: Ms,
  /** Most of it is visible now, has its settled appearance, and clearly differs from the previous content. */
  seen: Type.Boolean(),
  /** Media time of the last still that shows the place before the change. */
  beforeMs: Ms,
  /** True if at least one of the people nearby when it appeared is still there. */
  attended: Type.Boolean(),
  associatedTrack: Type.Optional(AssociatedTrack),
  places: Type.Array(RegionPlace, { maxItems: 64 }),
});
export type StaticRegion = Static<typeof StaticRegion>;

/**
 * Longest interruption after which an object counts as the same as before or as newly arrived, in ms. After a longer
 * one, or when the camera could not see, anything present counts as already there. Place appearances are stored for one
 * minute, and the light in a street changes more slowly than that.
 */
export const BREAK_MAX_MS = 60_000;

/**
 * Default distance that a vehicle may move and still count as stationary, in sizes of its box. It covers an opening
 * door and a jittering box, but not a vehicle that pulls out.
 */
export const PLACE_TOLERANCE = 0.25;

/** Stationary vehicle, followed by place and not by track. */
export const StationaryVehicle = Type.Object({
  /** Unique during one run of the process among vehicles of the same tolerance. */
  place: Type.Integer({ minimum: 1 }),
  /**
   * `followed`: it was tracked on its way there. `appeared`: the place had looked different. `unseen`: it was there
   * when analysis began or the view returned.
   */
  arrival: Type.Union([Type.Literal('followed'), Type.Literal('appeared'), Type.Literal('unseen')]),
  /** Distance that it may move and still count as stationary, in sizes of its box, as set by the rule. */
  moveTolerance: Type.Number({ exclusiveMinimum: 0 }),
  /**
   * `held`: not detected now, but the place looks the same. `hidden`: out of sight, usually behind something. A vehicle
   * that drove off unseen is also hidden for some seconds.
   */
  presence: Type.Union([Type.Literal('seen'), Type.Literal('held'), Type.Literal('hidden')]),
  /** `firstMs` is the time at which it stopped, `score` the best at this place. */
  vehicle: ObservedTrack,
});
export type StationaryVehicle = Static<typeof StationaryVehicle>;

/** 64 places for each tolerance; a box has one tolerance or few. */
export const STATIONARY_MAX = 256;

export const Observation = Type.Object({
  /** 1-based count of analysed frames. */
  frame: Type.Integer({ minimum: 1 }),
  /** Media time in ms; monotonic. All rule timers use it. */
  atMs: Ms,
  /** Wall time of capture, ms since the epoch, for people; never used by timers. */
  wallMs: Type.Number(),
  source: SizePx,
  /**
   * False if the detector did not run because nothing had moved. The tracks are then those of its last run, at most 2 s
   * ago, and an absent object proves nothing. If the field is absent, the detector ran.
   */
  looked: Type.Optional(Type.Boolean()),
  tracks: Type.Array(ObservedTrack, { maxItems: 512 }),
  crossings: Type.Array(Crossing, { maxItems: 512 }),
  standing: Type.Array(StationaryVehicle, { maxItems: STATIONARY_MAX }),
  /** Active static regions; absent if no rule needs them. */
  regions: Type.Optional(Type.Array(StaticRegion, { maxItems: 32 })),
  /** Active conditions of the camera; absent if they are not checked. */
  camera: Type.Optional(
    Type.Array(Type.Union(CAMERA_CONDITIONS.map((condition) => Type.Literal(condition))), {
      maxItems: CAMERA_CONDITIONS.length,
    }),
  ),
  /** Zones without visibility while the rest of the picture is fine; absent if there are none. */
  blindZones: Type.Optional(Type.Array(Id, { minItems: 1, maxItems: 64 })),
});
export type Observation = Static<typeof Observation>;
