/** Who knows what of the health report. */
import type { AccuracyRecord } from './accuracy/record.ts';
import type { IncidentsReport } from './contract/health.ts';
import { agentCounters, type CountedParts } from './counters.ts';
import type { ClockSync } from './health/clock-sync.ts';
import type { HealthSources } from './health/health.ts';
import type { Delivery } from './mqtt/delivery.ts';
import type { DurableOutbox } from './outbox/outbox.ts';

export interface ReportingParts extends CountedParts {
  readonly flow: CountedParts['flow'] & { readonly counters: IncidentsReport };
  readonly clockSync: ClockSync;
  readonly outbox: DurableOutbox;
  readonly delivery: Delivery | undefined;
  readonly accuracy: AccuracyRecord;
}

export function healthSources(parts: ReportingParts): HealthSources {
  const { restraint, clockSync, visionState: state, flow, outbox, delivery, accuracy } = parts;
  return {
    mode: () => restraint.mode,
    restraint: () => restraint.report(),
    clockSynced: () => clockSync.synced,
    frames: () => state.frames,
    camera: () => state.camera,
    detector: () => state.detector,
    incidents: () => {
      const { standing, episodes, events } = flow.counters;
      return { standing, episodes, events };
    },
    outbox: () => outbox.counters,
    mqtt: () => delivery?.state ?? null,
    accuracy: () => accuracy.report(),
    vision: () => state.process,
    counters: () => agentCounters(parts),
  };
}
