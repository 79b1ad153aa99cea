/**
 * Defines the requests from the console to the signer, over HTTP on its Unix socket.
 *
 * `POST /search` answers with lines of JSON as boxes reply; the last line has `done`. `POST /sealed`, `POST /tracks`
 * and `POST /track-still` answer with one object. A refusal is {line} with a status of 400 to 503.
 */
import { type Static, Type } from '@sinclair/typebox';
import { FoundTrack, TrackQuestion, TrackResult } from '../../../../agent/contract/track-log.ts';
import { SealedAnswer, SealedRequest, SearchRequest, SearchState } from './api.ts';
import { Count, Name, Nullable, strict, Text, Time } from './schema.ts';
import { ROOM_TRACKS_MAX, TrackRequest, TrackStillAnswer, TrackStillRequest } from './tracks.ts';

/** Maximum number of concurrent searches for all people together; each person may run one. */
export const SEARCHES_MAX = 4;
/** Maximum number of matches of a search, as in the schema of its state. */
export const MATCHES_MAX = 5000;
/** Maximum size of a request in bytes: 5,000 box names and the other fields. */
export const SIGNER_BODY_BYTES_MAX = 262_144;

/** Name of the requesting account. The signer uses it for its rate limit and its log; boxes do not receive it. */
const AccountName = Type.String({ minLength: 1, maxLength: 64 });

export const SignerSearch = Type.Object(
  {
    account: AccountName,
    request: Type.Object({ ...SearchRequest.properties, from: Time, to: Time }, strict),
  },
  strict,
);
export type SignerSearch = Static<typeof SignerSearch>;

const MatchSchema = Type.Composite(
  [
    Type.Omit(SearchState.properties.matches.items, ['incident']),
    Type.Object({ episode: Text(64, 'episode by which its incident is looked up') }),
  ],
  strict,
);
export type SignerMatch = Static<typeof MatchSchema>;

export const SignerProgress = Type.Object(
  {
    site: Name,
    askedCount: Count,
    answeredCount: Count,
    missing: Type.Array(Text(80), { maxItems: 10_000 }),
    matches: Type.Array(MatchSchema, {
      maxItems: MATCHES_MAX,
      description: 'matches since the previous line',
    }),
    more: Count,
    isDone: Type.Boolean(),
    fault: Nullable(Text(500)),
  },
  strict,
);
export type SignerProgress = Static<typeof SignerProgress>;

export const SignerSealed = Type.Object(
  {
    account: AccountName,
    site: Name,
    box: Name,
    event: Type.String({ pattern: '^[a-z0-9-]{1,64}$' }),
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'as the event names it' })),
    request: SealedRequest,
  },
  strict,
);
export type SignerSealed = Static<typeof SignerSealed>;

export const SignerFile = Type.Omit(SealedAnswer, ['recipients'], strict);
export type SignerFile = Static<typeof SignerFile>;

/** Bytes of tracks as JSON after which the signer fetches no further page. The console stores a few such answers. */
export const TRACKS_BYTES_MAX = 4_194_304;

export const SignerTracks = Type.Object(
  {
    account: AccountName,
    request: Type.Object({ ...TrackRequest.properties, question: TrackQuestion }, strict),
  },
  strict,
);
export type SignerTracks = Static<typeof SignerTracks>;

const { order, grade, approvers, kept, views, coverage, left } = TrackResult.properties;
export const SignerTracksAnswer = Type.Object(
  {
    site: Name,
    order,
    grade,
    approvers,
    kept,
    views,
    coverage,
    left,
    matches: Count,
    tracks: Type.Array(FoundTrack, { maxItems: ROOM_TRACKS_MAX }),
    more: { ...Count, description: 'matches beyond these' },
    stopped: Nullable(Text(700, 'reason why the box sent no further page')),
  },
  strict,
);
export type SignerTracksAnswer = Static<typeof SignerTracksAnswer>;

export const SignerTrackStill = Type.Object({ account: AccountName, request: TrackStillRequest }, strict);
export type SignerTrackStill = Static<typeof SignerTrackStill>;

export const SignerTrackStillAnswer = Type.Object({ site: Name, still: TrackStillAnswer }, strict);
export type SignerTrackStillAnswer = Static<typeof SignerTrackStillAnswer>;

export const SignerRefusal = Type.Object({ line: Text(700) }, strict);
