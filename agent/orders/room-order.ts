/**
 * Opens the room's signed orders, which hold the desired release or configuration of a box (contract/update.ts). The
 * agent uses it before it writes an order to the request spool for root; root uses it again and trusts no one.
 */
import type { KeyObject } from 'node:crypto';
import type { Static } from '@sinclair/typebox';
import { CommandRefused } from '../contract/command.ts';
import type { CommandKey } from '../contract/config.ts';
import {
  CONFIG_ORDER_BYTES_MAX,
  CONFIG_ORDER_TYPE,
  ConfigOrder,
  UPDATE_ORDER_BYTES_MAX,
  UPDATE_ORDER_TYPE,
  UpdateOrder,
} from '../contract/update.ts';
import { envelopeOpener, envelopeReader, keyIdOf, ofForm, parseJson, publicKeyOf } from './dsse.ts';

const KEYS_IN = 'commands.keys of this box';
const UPDATE = {
  payloadType: UPDATE_ORDER_TYPE,
  bytesMax: UPDATE_ORDER_BYTES_MAX,
  signatures: 1,
  keysIn: KEYS_IN,
};
const CONFIGURE = {
  payloadType: CONFIG_ORDER_TYPE,
  bytesMax: CONFIG_ORDER_BYTES_MAX,
  signatures: 1,
  keysIn: KEYS_IN,
};
const KINDS = {
  update: { schema: UpdateOrder, open: envelopeOpener(UPDATE), read: envelopeReader(UPDATE) },
  configure: { schema: ConfigOrder, open: envelopeOpener(CONFIGURE), read: envelopeReader(CONFIGURE) },
} as const;
export type OrderKind = keyof typeof KINDS;
type OrderOf<K extends OrderKind> = Static<(typeof KINDS)[K]['schema']>;

/** Context of a reader, from the configuration that it trusts. */
export interface OrderReader {
  readonly site: string;
  readonly box: string;
  readonly keys: readonly CommandKey[];
  /** Wall clock of the reader, ms; Infinity if the clock cannot be trusted. */
  wallMs(): number;
}

/**
 * Furthest that a counter may lie ahead of the clock, ms. Counters are times in ms, and a single far-off counter would
 * lock its key out forever.
 */
const COUNTER_AHEAD_MS = 400 * 86_400_000;

export interface OpenedOrder<K extends OrderKind> {
  readonly order: OrderOf<K>;
  /** Key id, and below it the name of the key in the configuration. */
  readonly keyid: string;
  readonly key: string;
  /** All permissions of this key. */
  readonly may: CommandKey['may'];
}

/**
 * Checks form, signature, permission, box, and that the counter is plausible. Throws CommandRefused. The caller checks
 * dates (`orderDates`) and the sequence of counters, because it knows the earlier orders.
 */
export function openOrder<K extends OrderKind>(
  kind: K,
  bytes: Uint8Array,
  { site, box, keys, wallMs }: OrderReader,
): OpenedOrder<K> {
  const { open } = KINDS[kind];
  const publicKeys = new Map<string, KeyObject>();
  const commandKeys = new Map<string, CommandKey>();
  for (const key of keys) {
    const publicKey = publicKeyOf(key.publicKey);
    publicKeys.set(keyIdOf(publicKey), publicKey);
    commandKeys.set(keyIdOf(publicKey), key);
  }
  const { keyids, payload } = open(bytes, publicKeys);
  const order = orderIn(kind, payload);
  const [keyid = ''] = keyids;
  const key = commandKeys.get(keyid);
  if (key?.may.includes(kind) !== true) {
    throw new CommandRefused(
      'not-permitted',
      `the key ${key?.name ?? ''} may not ${kind} (commands.keys, may)`,
    );
  }
  if (order.site !== site || order.box !== box) {
    throw new CommandRefused(
      'wrong-box',
      `it is for ${order.box} at ${order.site}; this is ${box} at ${site}`,
    );
  }
  if (order.counter > wallMs() + COUNTER_AHEAD_MS) {
    const message = `counter ${order.counter}: must be a time in ms, at most ${COUNTER_AHEAD_MS / 86_400_000} days ahead`;
    throw new CommandRefused('malformed', message);
  }
  return { order, keyid, key: key.name, may: key.may };
}

/** Returns the content of an order without verifying its signature, for display only. Throws CommandRefused. */
export function claimedOrder<K extends OrderKind>(kind: K, bytes: Uint8Array): OrderOf<K> {
  return orderIn(kind, KINDS[kind].read(bytes).payload);
}

function orderIn<K extends OrderKind>(kind: K, payload: Uint8Array): OrderOf<K> {
  return ofForm(KINDS[kind].schema, parseJson(payload, 'the order'), 'not an order') as OrderOf<K>;
}

/**
 * Returns the reason why the order is not valid now, or undefined if it is. A date that does not exist is never valid.
 */
export function orderDates(
  { notBefore, notAfter }: Pick<UpdateOrder, 'notBefore' | 'notAfter'>,
  nowMs: number,
): { readonly code: 'not-yet-valid' | 'expired'; readonly reason: string } | undefined {
  const now = new Date(nowMs).toISOString();
  if (!(nowMs <= Date.parse(notAfter)))
    return { code: 'expired', reason: `valid until ${notAfter}; the clock says ${now}` };
  if (!(Date.parse(notBefore) <= nowMs))
    return { code: 'not-yet-valid', reason: `valid from ${notBefore}; the clock says ${now}` };
  return undefined;
}
