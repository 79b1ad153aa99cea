/** A camera as the room sees it: what its box said last, and what will need a person. */
import { type Static, Type } from '@sinclair/typebox';
import { Count, Name, Nullable, OneOf, strict, Text, Time } from './schema.ts';
import { CONDITIONS } from './terms.ts';

export const Camera = Type.Object(
  {
    site: Name,
    box: Name,
    condition: OneOf(CONDITIONS),
    reasons: Type.Array(Text(40), {
      description: 'kinds of conditions that stand, and what ends soon',
      maxItems: 64,
    }),
    state: Nullable(Text(16, 'online, stopped or offline, as its status says')),
    mode: Nullable(Text(16)),
    heard: { ...Time, description: 'its last report, by the room’s clock' },
    lastAlert: Nullable(Time),
    blindS: { ...Count, description: 'seconds without sight in the last 24 hours' },
    certificateEnds: Nullable(Time),
    orderEnds: Nullable(Time),
    version: Nullable(Text(64)),
  },
  { ...strict, $id: 'Camera' },
);
export type Camera = Static<typeof Camera>;

export const Cameras = Type.Object({ now: Time, cameras: Type.Array(Camera, { maxItems: 5000 }) }, strict);
export type Cameras = Static<typeof Cameras>;
