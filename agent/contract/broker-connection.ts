/** Parameters of the box's connection to the room's broker: keep-alive and size limits. */
import { CONFIG_ORDER_BYTES_MAX } from './update.ts';

/** Keep Alive in seconds. A half-open connection is detected after 1.5 times this value. */
export const KEEPALIVE_S = 30;

/** Largest packet to a box, in bytes: a configuration order with its topic and properties. */
export const TO_BOX_PACKET_BYTES_MAX = CONFIG_ORDER_BYTES_MAX + 1024;

/**
 * Largest payload of a message to a box, in bytes, except retained orders. Larger messages are counted and not read.
 */
export const TO_BOX_BYTES_MAX = 65_536;
