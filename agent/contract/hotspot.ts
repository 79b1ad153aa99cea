/** Wi-Fi access point of the box for a technician's phone: its name, its passphrase, and the command that opens it. */
import { type Static, Type } from '@sinclair/typebox';

/**
 * File on the boot partition beside vigie.yaml with only the passphrase, on one line. NetworkManager needs it in clear
 * text.
 */
export const HOTSPOT_KEY_FILE = 'hotspot-key';

/**
 * File in the agent's state folder with the room's command to open it, as signed, so that root can verify it
 * independently.
 */
export const OPEN_HOTSPOT_FILE = 'open-hotspot.dsse.json';

/** Address of the box in its hotspot. */
export const HOTSPOT_ADDRESS = '10.42.0.1';

/** Arguments of the command `open-hotspot`. */
export const OpenHotspotArgs = Type.Object(
  { minutes: Type.Integer({ minimum: 1, maximum: 60 }) },
  { additionalProperties: false },
);

/** Reply to `open-hotspot`: the command was passed to root, whose log reports whether the access point is open. */
export const OpenHotspotResult = Type.Object({ minutes: Type.Integer() }, { additionalProperties: false });
export type OpenHotspotResult = Static<typeof OpenHotspotResult>;

/** Returns the SSID: at most 32 octets (IEEE 802.11), which is also the limit of a box's name. */
export function hotspotName(box: string): string {
  return box;
}
