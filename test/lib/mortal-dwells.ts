/**
 * A flow with a real outbox that observes a street for a time and then dies by SIGKILL: `FILE BOOT MEDIA-MS WALL-MS
 * FOR-S SEEN`.
 *
 * Its clocks begin at the arguments: after a reboot the media time is small again, the wall time never. SEEN is JSON:
 * the parked vehicle, the person who stays, and the vehicle's arrival.
 */
import type { StationaryVehicle } from '../../agent/contract/observation.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import { accepting } from './accepting.ts';
import { allowing, makeFlow } from './kept-notes.ts';
import { makeOutbox } from './outbox.ts';
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
const about = { zone: 'square', purpose: 'public-order', afterS: 20 };
const rules: RuleConfig[] = [
  { id: 'park', kind: 'illegal-parking', ...about, classes: ['car'], moveTolerance: 0.25 },
  { id: 'stay', kind: 'loitering', ...about, classes: ['person'] },
];

const beganMs = Number(mediaMs);
let atMs = beganMs;
const wall = (): number => Number(wallMs) + atMs - beganMs;
const { outbox } = makeOutbox(file, { boot, limitMiB: 16 });
outbox.start();
const sink = accepting(outbox, { add: () => undefined, progress: () => 0 });
const sleep = () => Promise.reject(new Error('unexpected sleep'));
const flow = makeFlow(sink, { nowMs: () => atMs, wallMs: wall, sleep }, { rules }, { boot });
flow.start(outbox);
flow.permit(allowing(rules));

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
