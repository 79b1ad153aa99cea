/** The box's own Wi-Fi for a technician's phone: its name and passphrase, and how the room opens it. */
import { type Static, Type } from '@sinclair/typebox';

/** On the boot partition beside vigie.yaml: the passphrase alone, one line; NetworkManager needs it in clear. */
export const HOTSPOT_KEY_FILE = 'hotspot-key';

/** In the agent's state folder: the room's command to open it, as signed, for root to judge by itself. */
export const OPEN_HOTSPOT_FILE = 'open-hotspot.dsse.json';

/** What the command `open-hotspot` asks for. */
export const OpenHotspotArgs = Type.Object(
  { minutes: Type.Integer({ minimum: 1, maximum: 60 }) },
  { additionalProperties: false },
);

/** Answer to `open-hotspot`: it was given to root, whose log says whether it is open. */
export const OpenHotspotResult = Type.Object({ minutes: Type.Integer() }, { additionalProperties: false });
export type OpenHotspotResult = Static<typeof OpenHotspotResult>;

/** 32 octets at most (IEEE 802.11, SSID), which is what a box's name may have. */
export function hotspotName(box: string): string {
  return box;
}
