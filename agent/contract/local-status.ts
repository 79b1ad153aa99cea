/** Status that the running agent gives to a person on the box: the health report and data that only matters there. */
import { type Static, Type } from '@sinclair/typebox';
import { Connected } from './camera-connection.ts';
import { EventData, VigieEvent } from './event.ts';
import { HealthReport } from './health.ts';
import { ViewReport } from './view-report.ts';

const strict = { additionalProperties: false } as const;

/** Socket in the state directory on which the agent answers its own user and root. */
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
    /** Reason given by a condition of the box. */
    reason: Type.Union([Type.String({ maxLength: 500 }), Type.Null()]),
  },
  strict,
);
export type LocalEvent = Static<typeof LocalEvent>;

export const LocalStatus = Type.Object(
  {
    report: HealthReport,
    /** Vision's connection without login; null while there is no picture. Readable only on the box. */
    connected: Type.Union([Connected, Type.Null()]),
    /** Analysed frames per second, over the last seconds. */
    analysedFps: Type.Number({ minimum: 0 }),
    /** Mean wall time of a detector run in the present vision process; null before the first. */
    inferenceMs: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
    /** Report since this start of the agent. */
    view: ViewReport,
    /** File system of the state directory. */
    disk: Type.Object({ freeMiB: Type.Number({ minimum: 0 }), sizeMiB: Type.Number({ minimum: 0 }) }, strict),
    /** Newest signed checkpoint (number of entries and root hash); null if there is none. */
    journal: Type.Union([
      Type.Object({ entries: Type.Integer({ minimum: 0 }), root: Type.String({ maxLength: 64 }) }, strict),
      Type.Null(),
    ]),
    /** Active events seen since this start of the agent, newest last. */
    standing: Type.Array(LocalEvent, { maxItems: 64 }),
    /** Newest events with phase `start`, newest last. */
    recent: Type.Array(LocalEvent, { maxItems: 16 }),
  },
  strict,
);
export type LocalStatus = Static<typeof LocalStatus>;
