/** What vision is connected to: told by it with each opening, kept in the journal and shown at the box. */
import { type Static, Type } from '@sinclair/typebox';

/** Characters of an address or path; what is longer is cut. */
export const CONNECTED_MAX = 500;

/** Scheme, address and port of a camera, or real path of a device or clip; no login: `rtsp://10.0.0.7:554`, `v4l2:/dev/video0`. */
export const Connected = Type.String({ maxLength: CONNECTED_MAX });
export type Connected = Static<typeof Connected>;
