/** Defines the undo of actions: the part of every action's answer that allows it, its request and its answer. */
import { type Static, Type } from '@sinclair/typebox';
import { Incident } from './incident.ts';
import { Nullable, OneOf, strict, Text, Time } from './schema.ts';
import { BULK_MAX, REFUSAL_REASONS } from './terms.ts';

/** Actions that can be taken back, by their names in the audit log. */
export const UNDOABLE = [
  ...(['claim', 'release', 'dispatch', 'judge', 'note', 'reassign', 'reopen'] as const),
  ...(['patrol-answer', 'suppress', 'unsuppress'] as const),
] as const;
export type Undoable = (typeof UNDOABLE)[number];

const AuditNo = Type.Integer({ minimum: 1 });

/** Audit numbers of the actions just done, and the time until which their account can undo them. */
export const Undo = Type.Object(
  {
    acts: Type.Array(AuditNo, {
      maxItems: BULK_MAX,
      description: 'numbers in the audit log; empty if the call changed nothing',
    }),
    until: { ...Time, description: 'by the room’s clock; later the action is final' },
  },
  { ...strict, $id: 'Undo' },
);
export type Undo = Static<typeof Undo>;

/** Incident after an action. */
export const ActedIncident = Type.Object(
  { ...Incident.properties, undo: Undo },
  { ...strict, $id: 'ActedIncident' },
);
export type ActedIncident = Static<typeof ActedIncident>;

export const UndoRequest = Type.Object(
  { acts: Type.Array(AuditNo, { minItems: 1, maxItems: BULK_MAX }) },
  strict,
);
export type UndoRequest = Static<typeof UndoRequest>;

const Refusal = {
  problem: Nullable(Text(200, 'reason in one line, if it was not done')),
  reason: Nullable(OneOf(REFUSAL_REASONS)),
};

/** Result of each action, in the order of the request. If none could be undone, the call is refused with 409. */
export const UndoAnswer = Type.Object(
  {
    results: Type.Array(
      Type.Object(
        {
          act: AuditNo,
          incident: Nullable({
            ...Incident,
            description: 'current state; null if the action had no incident',
          }),
          ...Refusal,
        },
        strict,
      ),
      { maxItems: BULK_MAX },
    ),
  },
  { ...strict, $id: 'UndoAnswer' },
);
export type UndoAnswer = Static<typeof UndoAnswer>;

/** Result of a bulk action for each incident, in the order of the request. */
export const BulkAnswer = Type.Object(
  {
    results: Type.Array(
      Type.Object(
        {
          no: Type.Integer({ minimum: 1 }),
          incident: Nullable({
            ...Incident,
            description: 'current state, or the new entry; null if there is no such incident',
          }),
          ...Refusal,
        },
        strict,
      ),
      { maxItems: BULK_MAX },
    ),
    undo: Undo,
  },
  { ...strict, $id: 'BulkAnswer' },
);
export type BulkAnswer = Static<typeof BulkAnswer>;
