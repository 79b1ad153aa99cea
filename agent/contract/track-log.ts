/**
 * Log of tracks: the part of an authorisation that permits it, the later questions, and their answers. A track is
 * pseudonymous data about the people and vehicles that passed. The grade in the authorisation alone decides which
 * tracks are stored and disclosed.
 */
import { type Static, Type } from '@sinclair/typebox';
import { CASE_ABOUT, CASE_CHARS_MAX } from './case.ts';
import { envelopeOf } from './command.ts';
import { Keyholder } from './config.ts';
import { PointNorm } from './geometry.ts';
import { type Group, groupOf, LABELS, type ObjectLabel, UNKNOWN } from './label.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Count = Type.Integer({ minimum: 0 });
const Text = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]+$', description });
const Polygon = Type.Array(PointNorm, { minItems: 3, maxItems: 64, description: 'corners [x, y], 0..1' });
const Area = Type.Object({ id: Id, polygon: Polygon }, strict);

/**
 * Grades of the log.
 * - `counts`: every class is stored, and only numbers are disclosed.
 * - `vehicles`: cars, motorcycles, buses and trucks are stored and disclosed.
 * - `persons`: every class is stored and disclosed, persons only with the signature of an approver.
 */
export const TRACK_GRADES = ['counts', 'vehicles', 'persons'] as const;
export type TrackGrade = (typeof TRACK_GRADES)[number];

/** Longest time span of a question about persons, in hours. */
export const PERSONS_SPAN_HOURS_MAX = 24;
/** Counts begin and end at multiples of this step, in ms, so that no number reveals a single moment. */
export const COUNT_STEP_MS = 600_000;

export const TrackLogGrant = Type.Object(
  {
    purpose: Text(64, 'purpose of the log'),
    legalBasis: Text(300, 'the law, order or decree that this purpose is based on'),
    grade: Type.Union(
      TRACK_GRADES.map((grade) => Type.Literal(grade)),
      {
        description:
          '`counts`: all classes are stored and only numbers are disclosed; `vehicles`: only vehicles are stored and disclosed; `persons`: all are stored, and each question about persons needs the signature of an approver too',
      },
    ),
    magistrate: Type.Optional(
      Text(200, 'the authorising magistrate; needed for the grade `persons`, and only there'),
    ),
    approvers: Type.Optional(
      Type.Array(Keyholder, {
        minItems: 2,
        maxItems: 16,
        description:
          'people who approve questions about persons, each with a key of their own that the room does not hold; for the grade `persons` alone, and without them no such question is answered',
      }),
    ),
    zones: Type.Union([Type.Literal('all'), Type.Array(Area, { minItems: 1, maxItems: 32 })], {
      description: '`all`, or the areas in which tracks are stored; everything outside is left out',
    }),
    notKept: Type.Optional(
      Type.Array(Area, {
        maxItems: 32,
        description: 'a track that touches one of these areas is not stored',
      }),
    ),
    colour: Type.Optional(
      Type.Boolean({ description: 'the names of the two main colours of vehicles are stored, by day' }),
    ),
    days: Type.Integer({ minimum: 1, maximum: 30, description: 'retention period of a track' }),
    spanHours: Type.Integer({
      minimum: 1,
      maximum: 744,
      description: `maximum time that one query may cover, hours; ${PERSONS_SPAN_HOURS_MAX} for persons`,
    }),
    budget: Type.Object(
      {
        case: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
        keyDay: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
        day: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
      },
      {
        ...strict,
        description:
          'maximum number of tracks disclosed in one case, to one key in 24 hours, and to all keys in 24 hours; an answer without tracks costs one',
      },
    ),
  },
  strict,
);
export type TrackLogGrant = Static<typeof TrackLogGrant>;

/** Reports whether tracks of the class are stored under the grade. */
export function isKept(grade: TrackGrade, label: ObjectLabel): boolean {
  if (grade !== 'vehicles') return true;
  return label !== UNKNOWN && (groupOf(label) satisfies Group) === 'vehicle';
}

/** Colours relative to the scene. At night, and in scenes without colour, a vehicle has none. */
export const COLOURS = ['black', 'grey', 'white', 'red', 'brown', 'yellow', 'green', 'blue'] as const;
export const Colour = Type.Union(COLOURS.map((name) => Type.Literal(name)));
export type Colour = (typeof COLOURS)[number];

const Class = Type.Union([...Object.values(LABELS).map((name) => Type.Literal(name)), Type.Literal(UNKNOWN)]);

const ClockTime = Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$' });

const LineAsked = Type.Object(
  {
    line: Type.Tuple([PointNorm, PointNorm], { description: 'its two ends' }),
    direction: Type.Union(
      (['left', 'right', 'both'] as const).map((side) => Type.Literal(side)),
      {
        description:
          '`right`: from the left-hand side of the line, seen from its first end, to the right-hand side',
      },
    ),
  },
  { ...strict, description: 'the ground point passes the line, as it would a line of the configuration' },
);

/** Actions of a track in a polygon. */
export const AREA_DEEDS = ['enters', 'leaves', 'stays', 'stops'] as const;

const AreaAsked = Type.Object(
  {
    polygon: Polygon,
    does: Type.Union(AREA_DEEDS.map((deed) => Type.Literal(deed))),
    atLeastS: Type.Integer({
      minimum: 0,
      maximum: 86_400,
      description: 'how long it stays or stops at least, s; 0 for `enters` and `leaves`',
    }),
  },
  { ...strict, description: 'the ground point lies in the area, as it would in a zone of the configuration' },
);

/** Id of a framing of the camera: the time at which it started. */
export const ViewId = Time;

export const TrackQuestion = Type.Object(
  {
    from: Type.String({ ...Time, description: 'start of the interval, inclusive' }),
    to: Type.String({
      ...Time,
      description: 'end of the interval, exclusive; at most a minute ahead of the box’s clock',
    }),
    daily: Type.Optional(
      Type.Object(
        { from: ClockTime, to: ClockTime },
        {
          ...strict,
          description: 'only between these times of the site’s clock; over midnight where `to` is not later',
        },
      ),
    ),
    classes: Type.Optional(Type.Array(Class, { minItems: 1, maxItems: 16, uniqueItems: true })),
    colours: Type.Optional(
      Type.Array(Colour, {
        minItems: 1,
        maxItems: 8,
        uniqueItems: true,
        description: 'come first in the answer; no other is left out, since names of colours are often wrong',
      }),
    ),
    view: Type.Optional({
      ...ViewId,
      description: 'the view that the place was drawn on; needed with `where`',
    }),
    where: Type.Optional(Type.Union([LineAsked, AreaAsked])),
    answer: Type.Union(
      (['tracks', 'count', 'coverage'] as const).map((answer) => Type.Literal(answer)),
      { description: '`coverage`: only the times of analysis and the camera views' },
    ),
  },
  strict,
);
export type TrackQuestion = Static<typeof TrackQuestion>;
export type TrackPlace = NonNullable<TrackQuestion['where']>;

/** Requests a redacted still of the current view, to draw on. */
export const TrackStillQuestion = Type.Object({ answer: Type.Literal('still') }, strict);
export type TrackStillQuestion = Static<typeof TrackStillQuestion>;

/** Maximum size of an approval in bytes; a question with 64 corners has 4 kB. */
export const TRACK_APPROVAL_BYTES_MAX = 8192;

const requestFields = {
  case: Type.String({ minLength: 1, maxLength: CASE_CHARS_MAX, description: CASE_ABOUT }),
  reason: Type.String({ minLength: 1, maxLength: 200 }),
  question: Type.Union([TrackQuestion, TrackStillQuestion]),
};

/** Arguments of the command `tracks`. */
export const TrackArgs = Type.Object(
  {
    ...requestFields,
    cursor: Type.Optional(
      Type.String({ pattern: '^[0-8]\\.\\d{1,15}\\.\\d{1,15}$', description: '`next` of the page before' }),
    ),
    approval: Type.Optional({
      ...envelopeOf(TRACK_APPROVAL_BYTES_MAX, 1),
      description: 'of an approver, where the question is about persons',
    }),
  },
  strict,
);
export type TrackArgs = Static<typeof TrackArgs>;

/** Reasons why part of the requested time was not analysed, or is unknown. */
export const GAP_REASONS = [
  /** No authorisation with a log of tracks was valid, or the log began later. */
  'not-authorised',
  'suspended',
  /** The agent or vision did not run, or restarted. */
  'not-running',
  /** The last rows before a power cut or a crash were not written. */
  'not-written',
  'no-picture',
  /** The picture was unusable: covered, moved, dark, frozen. */
  'blind',
  'clock-not-set',
  /** The wall clock jumped. */
  'clock-step',
  /** Disk error, or the log was full. */
  'storage',
  /** The camera showed another view than the one on which the place was drawn. */
  'other-view',
  /** Older than the retention of tracks. */
  'retention',
  /** Not yet reached by the box's clock. */
  'future',
] as const;
export type GapReason = (typeof GAP_REASONS)[number];

/** Maximum number of gaps listed individually. */
export const GAPS_MAX = 200;

export const TrackCoverage = Type.Object(
  {
    seen: Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'ratio of the requested time in which frames were analysed',
    }),
    watched: Type.Number({
      minimum: 0,
      maximum: 1,
      description:
        'ratio in which only the second stream was watched, because it showed no motion, and the main one was not decoded',
    }),
    gaps: Type.Array(
      Type.Object(
        { from: Time, to: Time, why: Type.Union(GAP_REASONS.map((why) => Type.Literal(why))) },
        strict,
      ),
      { maxItems: GAPS_MAX },
    ),
    more: { ...Count, description: 'gaps beyond these' },
  },
  strict,
);
export type TrackCoverage = Static<typeof TrackCoverage>;

export const TrackView = Type.Object(
  {
    view: ViewId,
    to: Type.Union([Time, Type.Null()], { description: 'null: it is the view of now' }),
    widthToHeight: Type.Number({ exclusiveMinimum: 0, description: 'of the picture' }),
  },
  strict,
);
export type TrackView = Static<typeof TrackView>;

/** Maximum number of tracks in one page. With the byte limit below, a page is a small message for every broker. */
export const PAGE_TRACKS_MAX = 200;
export const PAGE_TRACK_BYTES_MAX = 131_072;

export const FoundTrack = Type.Object(
  {
    track: { ...Count, description: 'the number by which events of the same time name the object' },
    class: Class,
    colours: Type.Array(Colour, {
      maxItems: 2,
      description: 'main colour first; empty if it cannot be determined',
    }),
    from: { ...Time, description: 'where it was first seen' },
    to: { ...Time, description: 'where it was last seen' },
    at: { ...Time, description: 'when it met the query; `from` if the query names no place' },
    durationS: Type.Number({
      minimum: 0,
      description:
        'how long it stayed or stopped, s; 0 if the query does not ask for it. Values near the threshold vary: check them',
    }),
    seen: Type.Boolean({ description: 'false: at that moment it was out of sight, between two places' }),
    score: Type.Number({ minimum: 0, maximum: 1, description: 'the best of the detector' }),
    stoppedS: { ...Count, description: 'its longest stop' },
    cut: Type.Boolean({
      description:
        'it began before the stored part, or continued after it: at a border of the authorised areas, a seam or a restart',
    }),
    widthToHeight: Type.Number({ minimum: 0, description: 'of its box' }),
    path: Type.Array(
      Type.Tuple([Type.Number(), Type.Number(), Type.Number(), Type.Number(), Type.Integer()], {
        description:
          's since `from`; ground point x, y and height of the box, 0..1; 1 where it was seen on the way to this point, else 0',
      }),
      { maxItems: 4096 },
    ),
  },
  strict,
);
export type FoundTrack = Static<typeof FoundTrack>;

export const TrackResult = Type.Object(
  {
    order: Type.String({ maxLength: 100 }),
    grade: TrackLogGrant.properties.grade,
    approvers: Type.Array(Id, {
      maxItems: 16,
      description:
        'names of the people of whom one must approve a question about persons; without any, no such question is answered',
    }),
    timeZone: Type.String({ maxLength: 64 }),
    kept: Type.Object(
      {
        days: Type.Integer({ description: 'how long the box keeps tracks' }),
        oldest: Type.Union([Time, Type.Null()], { description: 'start of its oldest track' }),
      },
      strict,
    ),
    views: Type.Array(TrackView, {
      maxItems: 64,
      description: 'within the time asked about, the newest first',
    }),
    coverage: TrackCoverage,
    matches: { ...Count, description: 'of the complete query, all pages; 0 if only coverage was requested' },
    tracks: Type.Array(FoundTrack, { maxItems: PAGE_TRACKS_MAX, description: 'sorted by `at`' }),
    next: Type.Union([Type.String(), Type.Null()], { description: 'cursor of the next page' }),
    left: Type.Object(
      { case: Count, keyDay: Count, day: Count },
      { ...strict, description: 'remaining budgets' },
    ),
  },
  strict,
);
export type TrackResult = Static<typeof TrackResult>;

export const TrackStillResult = Type.Object(
  {
    view: Type.Union([ViewId, Type.Null()]),
    at: Time,
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    jpeg: Type.String({ maxLength: 900_000, description: 'the redacted still in Base64' }),
  },
  strict,
);
export type TrackStillResult = Static<typeof TrackStillResult>;

/** Journal record: the complete question, written before the answer is sent. */
export const TrackRecord = Type.Object(
  {
    record: Type.Literal('tracks'),
    at: Time,
    key: Type.String({ description: 'name of the key that signed' }),
    approvedBy: Type.Union([Type.String(), Type.Null()], {
      description: 'name of the approver, as the authorisation has it',
    }),
    counter: Type.Integer(),
    ...requestFields,
    cursor: Type.Union([Type.String(), Type.Null()]),
    matches: Count,
    given: { ...Count, description: 'tracks in this answer' },
    seen: { ...TrackCoverage.properties.seen, description: 'ratio of the requested time that was analysed' },
  },
  strict,
);
export type TrackRecord = Static<typeof TrackRecord>;

/** Part of the health report and of each heartbeat of the journal. */
export const TrackLogReport = Type.Object(
  {
    state: Type.Union(
      (['off', 'on', 'paused'] as const).map((state) => Type.Literal(state)),
      {
        description:
          '`off`: no authorisation allows it, and there is no file of tracks; `paused`: no tracks are stored now',
      },
    ),
    grade: Type.Union([TrackLogGrant.properties.grade, Type.Null()]),
    days: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
    oldest: Type.Union([Time, Type.Null()]),
    questions: { ...Count, description: 'answered since the start of the agent' },
    given: { ...Count, description: 'tracks disclosed since the start of the agent' },
  },
  strict,
);
export type TrackLogReport = Static<typeof TrackLogReport>;
