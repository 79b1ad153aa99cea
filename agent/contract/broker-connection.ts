/** The box's connection to the room's broker: what its CONNECT says, and how large a message to it may be. */
import { CONFIG_ORDER_BYTES_MAX } from './update.ts';

/** Keep Alive, s: a half-open link is seen after 1.5 times this. */
export const KEEPALIVE_S = 30;

/** Largest packet to a box, bytes: an order with a configuration in it, with its topic and properties. */
export const TO_BOX_PACKET_BYTES_MAX = CONFIG_ORDER_BYTES_MAX + 1024;

/** Largest payload of a message to a box that is not a retained order, bytes; a larger one is left unread and counted. */
export const TO_BOX_BYTES_MAX = 65_536;
