/** Defines queries of the track log of one box from the room, and their answers. */
import { type Static, Type } from '@sinclair/typebox';
import {
  FoundTrack,
  TrackArgs,
  TrackLogGrant,
  TrackQuestion,
  TrackResult,
  TrackStillResult,
} from '../../../../agent/contract/track-log.ts';
import { AskedTime, Count, Name, Nullable, strict, Text, Time } from './schema.ts';

/** Maximum number of tracks of one query that the room fetches, page by page. The rest is only counted. */
export const ROOM_TRACKS_MAX = 2000;

const caseFields = {
  box: Name,
  case: Type.String({
    minLength: 1,
    maxLength: 64,
    description: 'number of the case; the console writes it in its normal form',
  }),
  reason: Type.String({ minLength: 1, maxLength: 200 }),
};

export const TrackRequest = Type.Object(
  {
    ...caseFields,
    question: Type.Object({ ...TrackQuestion.properties, from: AskedTime, to: AskedTime }, strict),
    approval: Type.Optional(TrackArgs.properties.approval),
  },
  strict,
);
export type TrackRequest = Static<typeof TrackRequest>;

/** Location of the city's own video of that time. */
export const VideoLink = Type.Object(
  {
    url: Nullable(Text(2000, 'by the template of the settings; null where there is none')),
    camera: Text(200, 'as the city’s video system names it'),
    range: Text(80, 'RTSP header (RFC 7826): `Range: clock=…`'),
  },
  strict,
);
export type VideoLink = Static<typeof VideoLink>;

/** A still in the room's archive of the view in question. */
export const ViewStill = Type.Object(
  { incident: Type.Integer({ minimum: 1 }), moment: Text(16), at: Time },
  strict,
);

export const TrackAnswer = Type.Object(
  {
    id: { ...Text(64), description: 'id for exports, valid for an hour' },
    request: Type.Object({ ...caseFields, question: TrackQuestion }, strict),
    order: TrackResult.properties.order,
    grade: TrackLogGrant.properties.grade,
    approvers: TrackResult.properties.approvers,
    kept: TrackResult.properties.kept,
    views: Type.Array(
      Type.Object(
        {
          ...TrackResult.properties.views.items.properties,
          still: Nullable(ViewStill),
        },
        strict,
      ),
      { maxItems: 64, description: 'the newest first, each with the newest still stored in the room' },
    ),
    coverage: TrackResult.properties.coverage,
    matches: Count,
    tracks: Type.Array(Type.Object({ ...FoundTrack.properties, video: VideoLink }, strict), {
      maxItems: ROOM_TRACKS_MAX,
    }),
    more: { ...Count, description: 'matches beyond these' },
    stopped: Nullable(Text(700, 'reason why the box sent no further page')),
    left: TrackResult.properties.left,
  },
  { ...strict, $id: 'TrackAnswer' },
);
export type TrackAnswer = Static<typeof TrackAnswer>;

export const TrackStillRequest = Type.Object(caseFields, strict);
export type TrackStillRequest = Static<typeof TrackStillRequest>;

export const TrackStillAnswer = Type.Object(TrackStillResult.properties, strict);
export type TrackStillAnswer = Static<typeof TrackStillAnswer>;
