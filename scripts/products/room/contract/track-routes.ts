/** Routes for queries of the track log of one box. */
import { Type } from '@sinclair/typebox';
import type { Route } from './route.ts';
import { strict, Text } from './schema.ts';
import { TrackAnswer, TrackRequest, TrackStillAnswer, TrackStillRequest } from './tracks.ts';

const Id = Type.Object({ id: Text(64) }, strict);

export const TRACK_ROUTES = {
  tracks: {
    method: 'POST',
    path: '/api/tracks',
    summary: 'query the track log of one box, by a signed command; the query is audited before it is sent',
    action: 'ask-tracks',
    body: TrackRequest,
    gives: TrackAnswer,
    refusals: [409],
  },
  trackStill: {
    method: 'POST',
    path: '/api/tracks/still',
    summary: 'a current redacted still of a box’s camera to draw on, by a signed command',
    action: 'ask-tracks',
    body: TrackStillRequest,
    gives: TrackStillAnswer,
    refusals: [409],
  },
  tracksCsv: {
    method: 'GET',
    path: '/api/tracks/:id/tracks.csv',
    summary: 'an answer of the last hour as a table, one row per track and per gap; for supervisors',
    action: 'export',
    params: Id,
    gives: 'text/csv',
  },
  tracksMfJson: {
    method: 'GET',
    path: '/api/tracks/:id/tracks.mf.json',
    summary:
      'an answer of the last hour as OGC Moving Features JSON (19-045r3), in picture coordinates; for supervisors',
    action: 'export',
    params: Id,
    gives: 'application/json',
  },
} as const satisfies Readonly<Record<string, Route>>;
