/**
 * Defines the room's HTTP interface: paths, inputs, outputs and the permission that each requires.
 *
 * The server registers its routes from this table, the OpenAPI document is generated from it, and the browser imports
 * its types.
 */
import { type Static, Type } from '@sinclair/typebox';
import { ACTION_ROUTES, No } from './action-routes.ts';
import { AuditPage } from './audit.ts';
import { Cameras } from './camera.ts';
import { HandOver, STATISTICS_BY, Statistics } from './figures.ts';
import { Incident, IncidentDetail, NotePage, Queue } from './incident.ts';
import { PATROL_ROUTES } from './patrol.ts';
import { REPORT_ROUTES } from './report-routes.ts';
import type { Route } from './route.ts';
import { AskedTime, Count, Name, Nullable, OneOf, strict, Text, Time } from './schema.ts';
import { Login, Present, Session } from './session.ts';
import { SUPPRESSION_ROUTES } from './suppression-routes.ts';
import { REFUSAL_REASONS, STATES } from './terms.ts';
import { TRACK_ROUTES } from './track-routes.ts';
import { WEBHOOK_ROUTES } from './webhook-routes.ts';

export type { Route } from './route.ts';

/** Problem details (RFC 9457). `incident` is its current state, if another person acted first. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Text(200, 'one line: what is wrong, where, and what is accepted'),
    status: Type.Integer(),
    incident: Type.Optional(Incident),
    reason: Type.Optional(OneOf(REFUSAL_REASONS)),
  },
  { ...strict, $id: 'Problem' },
);
export type Problem = Static<typeof Problem>;

const Case = Text(64, 'number of the case');
const Reason = Text(200);

/** Request for a search in the archives of the boxes. The room's signer signs it. */
export const SearchRequest = Type.Object(
  {
    case: { ...Case, minLength: 1 },
    reason: { ...Reason, minLength: 1 },
    from: AskedTime,
    to: AskedTime,
    kinds: Type.Optional(Type.Array(Text(40), { maxItems: 32 })),
    zones: Type.Optional(Type.Array(Name, { maxItems: 64 })),
    boxes: Type.Optional(Type.Array(Name, { maxItems: 5000 })),
  },
  strict,
);
export type SearchRequest = Static<typeof SearchRequest>;

export const SearchState = Type.Object(
  {
    id: Text(64),
    case: Case,
    reason: Reason,
    isDone: Type.Boolean(),
    askedCount: Count,
    answeredCount: Count,
    missing: Type.Array(Text(80), { description: 'boxes that have not answered, with the reason' }),
    matches: Type.Array(
      Type.Object(
        {
          box: Name,
          event: Text(64),
          time: Time,
          kind: Text(40),
          place: Text(80),
          phase: Text(16),
          incident: Nullable(Count),
          sealed: Type.Boolean(),
        },
        strict,
      ),
      { maxItems: 5000 },
    ),
    more: { ...Count, description: 'matches beyond these' },
    fault: Nullable(Text(500)),
  },
  { ...strict, $id: 'SearchState' },
);
export type SearchState = Static<typeof SearchState>;

export const SealedRequest = Type.Object(
  { case: { ...Case, minLength: 1 }, reason: { ...Reason, minLength: 1 } },
  strict,
);
export type SealedRequest = Static<typeof SealedRequest>;

export const SealedAnswer = Type.Object(
  {
    file: Text(200, 'where the signer has put the sealed file; only the authority’s key opens it'),
    sha256: Text(64),
    recipients: Type.Array(Text(200)),
  },
  strict,
);
export type SealedAnswer = Static<typeof SealedAnswer>;

export const IncidentQuery = Type.Object(
  {
    from: Type.Optional(AskedTime),
    to: Type.Optional(AskedTime),
    site: Type.Optional(Name),
    box: Type.Optional(Name),
    kind: Type.Optional(Text(40)),
    rule: Type.Optional(Name),
    severity: Type.Optional(OneOf(['alert', 'notice', 'system'] as const)),
    state: Type.Optional(OneOf(STATES)),
    verdict: Type.Optional(OneOf(['confirmed', 'false-alarm', 'unclear', 'none'] as const)),
    suppression: Type.Optional(
      Type.Integer({ minimum: 1, description: 'those that arrived during this suppression' }),
    ),
    cursor: Type.Optional(Text(80)),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })),
  },
  strict,
);
export type IncidentQuery = Static<typeof IncidentQuery>;

export const IncidentPage = Type.Object(
  { incidents: Type.Array(Incident, { maxItems: 500 }), next: Nullable(Text(80)) },
  strict,
);
export type IncidentPage = Static<typeof IncidentPage>;

/**
 * Value of the header Idempotency-Key: made up by the caller, a UUID for instance. Visible ASCII, as headers carry it.
 */
export const IdempotencyKey = Type.String({ pattern: '^[\\x21-\\x7e]{1,64}$' });

const Nothing = Type.Object({}, strict);
const Interval = { from: AskedTime, to: AskedTime };

export const ROUTES = {
  login: { method: 'GET', path: '/api/login', summary: 'login methods', action: 'open', gives: Login },
  enter: {
    method: 'POST',
    path: '/api/login',
    summary: 'log in with a demonstration account',
    action: 'open',
    body: Type.Object({ name: Text(64) }, strict),
    gives: Session,
  },
  session: { method: 'GET', path: '/api/session', summary: 'the session of the caller', gives: Session },
  logout: { method: 'POST', path: '/api/logout', summary: 'log out', body: Nothing, gives: Nothing },
  sessions: {
    method: 'GET',
    path: '/api/sessions',
    summary: 'logged-in people',
    action: 'end-sessions',
    gives: Present,
  },
  endSessions: {
    method: 'POST',
    path: '/api/sessions/end',
    summary: 'end all sessions of an account; its streams end at once',
    action: 'end-sessions',
    body: Type.Object({ user: Text(64) }, strict),
    gives: Type.Object({ endedCount: Count }, strict),
  },
  queue: {
    method: 'GET',
    path: '/api/queue',
    summary: 'open alerts',
    action: 'see-incidents',
    gives: Queue,
  },
  stream: {
    method: 'GET',
    path: '/api/stream',
    summary:
      'changes as they come, from Last-Event-ID or `after` on: server-sent events `incidents` and `cameras` (lists of what has changed), `open-count` (the number of open alerts, as `rev` and `count`, after `incidents`), `suppressions` (the list of those that run, when it has changed), `removed` (cameras that have left the list), `reset` (load the queue again), `unavailable` and `available` (the database), `session` (it has ended), `beat` (every 15 s: nothing for longer means that the connection hangs)',
    action: 'see-incidents',
    query: Type.Object({ after: Type.Optional(Type.Integer({ minimum: 0 })) }, strict),
    gives: 'text/event-stream',
  },
  incidents: {
    method: 'GET',
    path: '/api/incidents',
    summary: 'incidents, the newest first',
    action: 'see-incidents',
    query: IncidentQuery,
    gives: IncidentPage,
  },
  incidentsCsv: {
    method: 'GET',
    path: '/api/incidents.csv',
    summary: 'the same as a table, without a limit',
    action: 'export',
    query: IncidentQuery,
    gives: 'text/csv',
  },
  incidentsParquet: {
    method: 'GET',
    path: '/api/incidents.parquet',
    summary: 'the same as a Parquet file; a million at most',
    action: 'export',
    query: IncidentQuery,
    gives: 'application/vnd.apache.parquet',
    refusals: [413],
  },
  incident: {
    method: 'GET',
    path: '/api/incidents/:no',
    summary: 'one incident with all details',
    action: 'see-incidents',
    params: No,
    gives: IncidentDetail,
  },
  notes: {
    method: 'GET',
    path: '/api/incidents/:no/notes',
    summary: 'a page of its notes, the newest first',
    action: 'see-incidents',
    params: No,
    query: Type.Object({ before: Type.Optional(Type.Integer({ minimum: 1 })) }, strict),
    gives: NotePage,
  },
  still: {
    method: 'GET',
    path: '/api/incidents/:no/stills/:moment',
    summary: 'a redacted picture; the access is audited before it is sent',
    action: 'see-still',
    params: Type.Object(
      { ...No.properties, moment: OneOf(['before', 'deposit', 'snapshot'] as const) },
      strict,
    ),
    gives: 'image/jpeg',
  },
  ...ACTION_ROUTES,
  sealed: {
    method: 'POST',
    path: '/api/incidents/:no/sealed',
    summary: 'ask the box for the sealed still, by a signed command',
    action: 'request-sealed',
    params: No,
    body: SealedRequest,
    gives: SealedAnswer,
  },
  cameras: {
    method: 'GET',
    path: '/api/cameras',
    summary: 'every camera',
    action: 'see-cameras',
    gives: Cameras,
  },
  camerasCsv: {
    method: 'GET',
    path: '/api/cameras.csv',
    summary: 'the same as a table',
    action: 'see-cameras',
    gives: 'text/csv',
  },
  plan: {
    method: 'GET',
    path: '/api/plan',
    summary: 'the city’s map as the room supplies it; points with `site` and `box` are cameras',
    action: 'see-cameras',
    gives: 'application/geo+json',
    refusals: [404],
  },
  search: {
    method: 'POST',
    path: '/api/searches',
    summary: 'search in the archives of the boxes, by a signed command',
    action: 'search',
    body: SearchRequest,
    gives: SearchState,
    refusals: [409],
  },
  searchState: {
    method: 'GET',
    path: '/api/searches/:id',
    summary: 'progress and matches of a search',
    action: 'search',
    params: Type.Object({ id: Text(64) }, strict),
    gives: SearchState,
  },
  ...PATROL_ROUTES,
  ...SUPPRESSION_ROUTES,
  ...TRACK_ROUTES,
  ...REPORT_ROUTES,
  ...WEBHOOK_ROUTES,
  figures: {
    method: 'GET',
    path: '/api/figures',
    summary: 'statistics of alerts and verdicts',
    action: 'see-figures',
    query: Type.Object({ ...Interval, by: OneOf(STATISTICS_BY) }, strict),
    gives: Statistics,
  },
  figuresCsv: {
    method: 'GET',
    path: '/api/figures.csv',
    summary: 'the same as a table',
    action: 'export',
    query: Type.Object({ ...Interval, by: OneOf(STATISTICS_BY) }, strict),
    gives: 'text/csv',
  },
  handOver: {
    method: 'GET',
    path: '/api/hand-over',
    summary: 'shift report',
    action: 'hand-over',
    query: Type.Object(Interval, strict),
    gives: HandOver,
  },
  handOverCsv: {
    method: 'GET',
    path: '/api/hand-over.csv',
    summary: 'its open alerts and its dispatches as a table',
    action: 'hand-over',
    query: Type.Object(Interval, strict),
    gives: 'text/csv',
  },
  audit: {
    method: 'GET',
    path: '/api/audit',
    summary: 'audit log entries, the newest first',
    action: 'see-audit',
    query: Type.Object(
      {
        before: Type.Optional(Type.Integer({ minimum: 1 })),
        incident: Type.Optional(Type.Integer({ minimum: 1 })),
        account: Type.Optional(Text(64)),
      },
      strict,
    ),
    gives: AuditPage,
  },
  auditCsv: {
    method: 'GET',
    path: '/api/audit.csv',
    summary: 'the complete audit log as a table',
    action: 'see-audit',
    gives: 'text/csv',
  },
  openapi: {
    method: 'GET',
    path: '/api/openapi.json',
    summary: 'this document',
    action: 'open',
    gives: 'application/json',
  },
} as const satisfies Readonly<Record<string, Route>>;
export type RouteName = keyof typeof ROUTES;
