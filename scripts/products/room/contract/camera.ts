/** Defines a camera as the room sees it: the latest reports of its box, and what will need attention. */
import { type Static, Type } from '@sinclair/typebox';
import { Count, Name, Nullable, OneOf, strict, Text, Time } from './schema.ts';
import { CONDITIONS } from './terms.ts';

export const Camera = Type.Object(
  {
    site: Name,
    box: Name,
    condition: OneOf(CONDITIONS),
    reasons: Type.Array(Text(40), {
      description: 'kinds of active conditions, and what expires soon',
      maxItems: 64,
    }),
    state: Nullable(Text(16, 'online, stopped or offline, from its status')),
    mode: Nullable(Text(16)),
    lastReport: { ...Time, description: 'time of its last report, by the room’s clock' },
    lastAlert: Nullable(Time),
    blindS: { ...Count, description: 'seconds without sight in the last 24 hours' },
    certificateEnds: Nullable(Time),
    orderEnds: Nullable(Time),
    version: Nullable(Text(64)),
  },
  { ...strict, $id: 'Camera' },
);
export type Camera = Static<typeof Camera>;

/** Maximum number of cameras in a list. */
export const CAMERAS_MAX = 5000;

/** A camera that has left the list because its box was revoked. */
export const RemovedCamera = Type.Object({ site: Name, box: Name }, { ...strict, $id: 'RemovedCamera' });
export type RemovedCamera = Static<typeof RemovedCamera>;

export const Cameras = Type.Object(
  {
    now: Time,
    cameras: Type.Array(Camera, { maxItems: CAMERAS_MAX }),
    more: { ...Count, description: 'further cameras, including the other sites of boxes that name several' },
    strangers: {
      ...Count,
      description: 'boxes that are not enrolled, and have sent something in the last day',
    },
  },
  strict,
);
export type Cameras = Static<typeof Cameras>;
