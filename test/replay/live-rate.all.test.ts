/**
 * Tests a motorway at a box's live rates: at the configured rate cars are lost, at the rates chosen from the traffic
 * hardly any. Runs with VIGIE_TEST_RUN=full only.
 */
import t from 'tap';
import { replayClip } from '../../scripts/programs/evaluate/replay-clip.ts';
import { evaluationData } from '../lib/paths.ts';
import { unlessFull } from '../lib/run.ts';

const { file: CLIP, skip } = evaluationData('clips', 'highway-320.avi');
const line = (id: string, y: number) => ({ id, from: [0.02, y], to: [0.98, y] });
const CONFIG = {
  site: 'lab',
  box: 'lab-1',
  camera: { source: 'test:pattern', fps: 5 },
  lines: [line('near', 0.72), line('far', 0.5)],
  rules: ['near', 'far'].map((id) => ({ id, kind: 'line-crossing', line: id, purpose: 'evaluation' })),
};
/** Detector runs that the budget allows: half a minute saved at the start, and the share earned during the clip. */
const DETECTOR_RUNS_MAX = 2 * 30 * 5;

void t.test(
  'live rates report nearly all crossings that every frame shows, within the budget and repeatably',
  { skip: skip || unlessFull },
  async (t) => {
    const run = async (extra: readonly string[]) => {
      const { events, summary, forget } = await replayClip(CLIP, CONFIG, extra);
      forget();
      const starts = events.filter(({ data }) => data.phase === 'start');
      return {
        starts: starts.map(({ time, data }) => `${data.rule.id} ${time}`),
        detectorRuns: summary.frames - summary.framesHeld,
      };
    };
    const every = await run([]);
    const live = await run(['--fps', 'live']);
    t.ok(every.starts.length >= 50, `every frame: ${every.starts.length}`);
    t.ok(live.starts.length >= 0.94 * every.starts.length, `live: ${live.starts.length}`);
    t.ok(live.starts.length <= 1.05 * every.starts.length, 'and none is made up');
    t.ok(live.detectorRuns <= DETECTOR_RUNS_MAX, `${live.detectorRuns} looks`);
    t.same(await run(['--fps', 'live']), live);
  },
);
