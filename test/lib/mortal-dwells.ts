/**
 * A flow with a real outbox that observes a street for a time and then dies by SIGKILL: `FILE BOOT MEDIA-MS WALL-MS
 * FOR-S SEEN`.
 *
 * Its clocks begin at the arguments: after a reboot the media time is small again, the wall time never. SEEN is JSON:
 * the parked vehicle, the person who stays, and the vehicle's arrival.
 */
import type { StationaryVehicle } from '../../agent/contract/observation.ts';
import { AgentFlow } from '../../agent/flow.ts';
import { permitReplay } from '../../agent/restraint/permit.ts';
import { accepting } from './accepting.ts';
import { makeOutbox, SILENT } from './outbox.ts';
import { observation, track } from './street.ts';

const FRAME_MS = 200;

export interface SceneState {
  /** Arrival of a parked vehicle; null without one. */
  readonly arrival: StationaryVehicle['arrival'] | null;
  /** True if a person stays. */
  readonly person: boolean;
}

const [file = '', boot = '', mediaMs = '0', wallMs = '0', forS = '1', sceneText = '{}'] =
  process.argv.slice(2);
const { arrival, person } = JSON.parse(sceneText) as SceneState;
const rules = [
  {
    id: 'park',
    kind: 'illegal-parking',
    zone: 'square',
    purpose: 'public-order',
    afterS: 20,
    classes: ['car'],
    moveTolerance: 0.25,
  } as const,
  {
    id: 'stay',
    kind: 'loitering',
    zone: 'square',
    purpose: 'public-order',
    afterS: 20,
    classes: ['person'],
  } as const,
].map((rule) => ({ ...rule, classes: [...rule.classes] })) as Parameters<typeof permitReplay>[0]['rules'];

const beganMs = Number(mediaMs);
let atMs = beganMs;
const wall = (): number => Number(wallMs) + atMs - beganMs;
const { outbox } = makeOutbox(file, { boot, limitMiB: 16 });
outbox.start();
const flow = new AgentFlow({
  keepSealed: undefined,
  config: { site: 'site', box: 'box', rules, timeZone: 'Europe/Paris', holidays: [], alertsPerHour: 60 },
  sink: accepting(outbox, { add: () => undefined, progress: () => 0 }),
  clock: { nowMs: () => atMs, wallMs: wall, sleep: () => Promise.reject(new Error('unexpected sleep')) },
  log: SILENT,
  boot,
  clockSynced: () => true,
});
flow.start(outbox);
flow.permit({ mode: 'active', reason: null, permit: permitReplay({ rules }), refusals: new Map() });

const zones = [{ zone: 'square', sinceMs: beganMs }];
for (; atMs < beganMs + Number(forS) * 1000; atMs += FRAME_MS) {
  const car = track(7, {
    group: 'vehicle',
    label: 'car',
    score: 0.6,
    firstMs: beganMs,
    lastMs: atMs,
    zones,
    xyxyNorm: [0.6, 0.5, 0.8, 0.7],
  });
  const somebody = track(beganMs + 1, { firstMs: beganMs, lastMs: atMs, zones });
  const stationary: StationaryVehicle[] =
    arrival === null ? [] : [{ place: 1, arrival, moveTolerance: 0.25, presence: 'seen', vehicle: car }];
  const { evidence } = flow.observe(
    observation(atMs, person ? [somebody] : [], { wallMs: wall(), standing: stationary }),
  );
  for (const { request } of evidence) {
    const reason = 'no pictures here';
    flow.evidence({ message: { kind: 'no-snapshot', request, reason }, binary: Buffer.alloc(0) });
  }
  flow.flush();
}
process.kill(process.pid, 'SIGKILL');
