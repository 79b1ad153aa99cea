/** Defines the routes of the operators' actions: on one incident, on many, and their undo. */
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { VERDICTS } from '../../../../agent/contract/verdict.ts';
import { PatrolName } from './patrol.ts';
import type { Action } from './roles.ts';
import type { Route } from './route.ts';
import { Count, OneOf, strict, Text } from './schema.ts';
import { BULK_MAX, NOTE_CHARS_MAX } from './terms.ts';
import { ActedIncident, BulkAnswer, UndoAnswer, UndoRequest } from './undo.ts';

/** Path parameter of routes of one incident. */
export const No = Type.Object({ no: Type.Integer({ minimum: 1 }) }, strict);

const SeenRevision = { revision: { ...Count, description: 'revision of the incident that the person saw' } };
const Nothing = Type.Object({}, strict);

const VerdictFields = {
  verdict: OneOf(VERDICTS),
  withoutLooking: Type.Optional(
    Type.Boolean({
      description:
        'accepts incidents whose current picture this account has not opened; the audit log marks them `unseen`',
    }),
  ),
};

const SeenIncidents = Type.Array(Type.Object({ no: Type.Integer({ minimum: 1 }), ...SeenRevision }, strict), {
  minItems: 1,
  maxItems: BULK_MAX,
});

/** One verdict for many incidents. */
export const BulkVerdict = Type.Object({ incidents: SeenIncidents, ...VerdictFields }, strict);
export type BulkVerdict = Static<typeof BulkVerdict>;

/** Route of an action on an incident. `params` and `body` keep their static types for the handler. */
interface ActionRoute<B extends TSchema> extends Route {
  readonly params: typeof No;
  readonly body: B;
  readonly gives: typeof ActedIncident;
}

const actionRoute = <B extends TSchema>(
  name: string,
  action: Action,
  summary: string,
  body: B,
  more: { readonly idempotent?: true } = {},
): ActionRoute<B> => ({
  method: 'POST',
  path: `/api/incidents/:no/${name}`,
  summary,
  action,
  params: No,
  body,
  gives: ActedIncident,
  ...more,
});

export const ACTION_ROUTES = {
  claim: actionRoute('claim', 'claim', 'take an incident, or hold it two minutes more', Nothing),
  release: actionRoute('release', 'claim', 'unclaim it', Nothing),
  dispatch: actionRoute(
    'dispatch',
    'dispatch',
    'dispatch a patrol of the list, or one that is not named',
    Type.Object({ ...SeenRevision, patrol: Type.Optional(PatrolName) }, strict),
    { idempotent: true },
  ),
  judge: actionRoute(
    'verdict',
    'judge',
    'say whether it was what the rule is for; closes it. The account must have opened the current picture, if there is one',
    Type.Object({ ...SeenRevision, ...VerdictFields }, strict),
  ),
  note: actionRoute(
    'note',
    'note',
    'add a note',
    Type.Object({ text: { ...Text(NOTE_CHARS_MAX), minLength: 1 } }, strict),
    { idempotent: true },
  ),
  reassign: actionRoute(
    'reassign',
    'reassign',
    'reassign it',
    Type.Object({ ...SeenRevision, to: Text(64) }, strict),
  ),
  reopen: actionRoute(
    'reopen',
    'reopen',
    'a new entry for what was closed',
    Type.Object(SeenRevision, strict),
    { idempotent: true },
  ),
  verdicts: {
    method: 'POST',
    path: '/api/verdicts',
    summary: 'one verdict for many incidents; each is done or refused separately',
    action: 'judge',
    body: BulkVerdict,
    gives: BulkAnswer,
  },
  reopenings: {
    method: 'POST',
    path: '/api/reopenings',
    summary: 'new entries for many closed incidents; each is done or refused separately',
    action: 'reopen',
    body: Type.Object({ incidents: SeenIncidents }, strict),
    gives: BulkAnswer,
  },
  undo: {
    method: 'POST',
    path: '/api/undo',
    summary:
      'take back own actions of the last seconds, by their audit numbers; 409 if it is too late or another person has acted since',
    action: 'undo',
    body: UndoRequest,
    gives: UndoAnswer,
    refusals: [409],
  },
} as const satisfies Readonly<Record<string, Route>>;
