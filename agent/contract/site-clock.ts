/** State of the box's clock in events and health reports. */
import { type Static, Type } from '@sinclair/typebox';

export const SiteClock = Type.Object(
  {
    synced: Type.Boolean({
      description: 'the clock is synchronised; otherwise the box’s times may be wrong',
    }),
    timeZone: Type.String({
      pattern: '^[A-Za-z0-9_+/-]{1,64}$',
      description: 'of the site, IANA: displayed times of day use it',
    }),
  },
  { additionalProperties: false },
);
export type SiteClock = Static<typeof SiteClock>;
