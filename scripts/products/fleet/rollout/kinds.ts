/** Defines the differences between the kinds of a rollout: names, orders, and the box's report of each. */

import {
  CHANGE_KINDS,
  type ChangePhase,
  CONFIG_ORDER_TYPE,
  type ConfigOrder,
  UPDATE_ORDER_TYPE,
  type UpdateOrder,
  type UpdateReport,
} from '../../../../agent/contract/update.ts';
import type { OrderKind } from '../../../../agent/orders/room-order.ts';

export const ROLLOUT_KINDS = CHANGE_KINDS;
export type RolloutKind = (typeof ROLLOUT_KINDS)[number];

/** Names of the kinds for people. */
export const KIND_NAMES = {
  release: 'release',
  configuration: 'configuration',
  root: 'root’s program',
} as const satisfies Record<RolloutKind, string>;

/**
 * Kind of order for each kind of rollout. Releases of the agent and of vigie-root share a topic and its counters, so a
 * box's newest order of either replaces the one before.
 */
export const ORDER_KIND_OF = {
  release: 'update',
  configuration: 'configure',
  root: 'update',
} as const satisfies Record<RolloutKind, OrderKind>;

/** DSSE payload type of each kind of order. */
export const ORDER_TYPES = {
  update: UPDATE_ORDER_TYPE,
  configure: CONFIG_ORDER_TYPE,
} as const satisfies Record<OrderKind, string>;

export const ORDER_KINDS = Object.keys(ORDER_TYPES) as readonly OrderKind[];

/** Content of an order besides box, time and rollout. */
export type OrderFields =
  | Pick<UpdateOrder, 'what' | 'seq' | 'version'>
  | Pick<ConfigOrder, 'revision' | 'sha256' | 'yaml'>;

export function fieldsOf(order: UpdateOrder | ConfigOrder): OrderFields {
  if ('yaml' in order) return { revision: order.revision, sha256: order.sha256, yaml: order.yaml };
  return { what: order.what, seq: order.seq, version: order.version };
}

/** Returns the kind of rollout for an order with these fields. */
export function kindOf(fields: OrderFields): RolloutKind {
  return 'what' in fields ? fields.what : 'configuration';
}

/** Returns a text for people about the request of an order. */
export function fieldsText(fields: OrderFields): string {
  return 'seq' in fields ? `${fields.seq}-${fields.version}` : `revision ${fields.revision}`;
}

/** A change of one kind, from a box's report. */
export interface ReportedChange {
  readonly phase: ChangePhase;
  readonly rollout: string | null;
  readonly reason: string | null;
  /** Beginning of the phase; empty if the report does not contain it. */
  readonly phaseStart: string;
  /** Fields for the target, or else for what runs. The text of a configuration is never in a report. */
  readonly fields: OrderFields;
  /** Reports whether the box runs what these fields request. */
  runs(fields: OrderFields): boolean;
}

type Updater = NonNullable<UpdateReport['updater']>;

/** Extracts a change of each kind from a report; undefined if the box has no updater. */
export const CHANGE_IN: Readonly<Record<RolloutKind, (report: UpdateReport) => ReportedChange | undefined>> =
  {
    release: ({ updater }) => releaseChange('release', updater, updater),
    root: ({ updater }) => releaseChange('root', updater, updater?.root ?? null),
    configuration: ({ config: { phase, rollout, reason, revision, sha256 } }) => ({
      phase,
      rollout,
      reason,
      phaseStart: '',
      fields: { revision, sha256: sha256 ?? '', yaml: '' },
      runs: (fields) => 'sha256' in fields && fields.sha256 === sha256,
    }),
  };

function releaseChange(
  kind: 'release' | 'root',
  updater: Updater | null,
  status: Pick<Updater, 'phase' | 'rollout' | 'reason' | 'since' | 'target' | 'release'> | null,
): ReportedChange | undefined {
  if (updater === null || status === null) return undefined;
  const { phase, rollout, reason, since: phaseStart, target, release } = status;
  const { seq, version } = target ?? release ?? { seq: 0, version: '0.0.0' };
  return {
    phase,
    rollout,
    reason,
    phaseStart,
    fields: { what: kind, seq, version },
    runs: (fields) => 'seq' in fields && fields.what === kind && fields.seq === release?.seq,
  };
}

/**
 * Extracts the counter of the newest order of a kind that the agent has stored for root, and why it refused a newer
 * one.
 */
export const ORDER_IN: Readonly<
  Record<
    OrderKind,
    (report: UpdateReport) => { readonly counter: number | null; readonly refusal: string | null }
  >
> = {
  update: ({ order: counter, refused: refusal }) => ({ counter, refusal }),
  configure: ({ config: { order: counter, refused: refusal } }) => ({ counter, refusal }),
};

/** Phases in which no order is being carried out. */
export const AT_REST: readonly ChangePhase[] = ['idle', 'confirmed', 'rolled-back', 'failed'];

/**
 * Returns the rollout of a box's newest order of a kind. A report does not link order and change, so this is the change
 * that is under way, or else the latest one.
 */
export function rolloutIn(
  report: UpdateReport,
  orderKind: OrderKind,
): { readonly kind: RolloutKind; readonly rollout: string | null } {
  const kinds = ROLLOUT_KINDS.filter((kind) => ORDER_KIND_OF[kind] === orderKind);
  const changes = kinds.map((kind) => {
    const { rollout = null, phase = 'idle', phaseStart = '' } = CHANGE_IN[kind](report) ?? {};
    return { kind, rollout, isOpen: Number(!AT_REST.includes(phase)), sinceMs: Date.parse(phaseStart) };
  });
  const [newest] = changes.sort((a, b) => b.isOpen - a.isOpen || b.sinceMs - a.sinceMs);
  const { kind = 'release', rollout = null } = newest ?? {};
  return { kind, rollout };
}
