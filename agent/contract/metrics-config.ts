/** Configuration of the metrics endpoint. */
import { type Static, Type } from '@sinclair/typebox';

export const MetricsConfig = Type.Object(
  {
    port: Type.Integer({
      minimum: 0,
      maximum: 65_535,
      default: 9464,
      description: 'port on 127.0.0.1 where Prometheus finds `/metrics`; 0 = none',
    }),
  },
  { additionalProperties: false, default: {} },
);
export type MetricsConfig = Static<typeof MetricsConfig>;
