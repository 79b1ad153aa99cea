/** What the running agent tells a person at the box: the health report, and what only matters there. */
import { type Static, Type } from '@sinclair/typebox';
import { Connected } from './camera-connection.ts';
import { EventData, VigieEvent } from './event.ts';
import { HealthReport } from './health.ts';
import { ViewReport } from './view-report.ts';

const strict = { additionalProperties: false } as const;

/** In the state directory: where the agent answers its own user and root. */
export const LOCAL_SOCKET = 'agent.sock';
export const STATUS_PATH = '/status';
export const METRICS_PATH = '/metrics';

export const LocalEvent = Type.Object(
  {
    time: VigieEvent.properties.time,
    kind: EventData.properties.rule.properties.kind,
    severity: EventData.properties.severity,
    phase: EventData.properties.phase,
    /** zone/<id>, line/<id> or camera. */
    subject: VigieEvent.properties.subject,
    /** Why, of a condition of the box. */
    reason: Type.Union([Type.String({ maxLength: 500 }), Type.Null()]),
  },
  strict,
);
export type LocalEvent = Static<typeof LocalEvent>;

export const LocalStatus = Type.Object(
  {
    report: HealthReport,
    /** What vision is connected to, without login; null while there is no picture. Nobody but who is on the box reads it. */
    connected: Type.Union([Connected, Type.Null()]),
    /** Frames analysed per second, over the last seconds. */
    analysedFps: Type.Number({ minimum: 0 }),
    /** Of this start of the agent. */
    view: ViewReport,
    /** Of the file system of the state directory. */
    disk: Type.Object({ freeMiB: Type.Number({ minimum: 0 }), sizeMiB: Type.Number({ minimum: 0 }) }, strict),
    /** Newest signed checkpoint: entries and root hash; null while there is none. */
    journal: Type.Union([
      Type.Object({ entries: Type.Integer({ minimum: 0 }), root: Type.String({ maxLength: 64 }) }, strict),
      Type.Null(),
    ]),
    /** What began and has not ended, as far as this start of the agent has seen it, the newest last. */
    standing: Type.Array(LocalEvent, { maxItems: 64 }),
    /** The newest events that began something, the newest last. */
    recent: Type.Array(LocalEvent, { maxItems: 16 }),
  },
  strict,
);
export type LocalStatus = Static<typeof LocalStatus>;
