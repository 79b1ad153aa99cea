/** Tests that the camera's address is recorded in the journal and on the box only. */
import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import { SiteTime } from '../../agent/base/site-time.ts';
import { statusText } from '../../agent/cli/status/screen.ts';
import { isConnectedAs } from '../../agent/contract/camera-connection.ts';
import { CameraReport } from '../../agent/contract/health.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import type { FromVision } from '../../agent/contract/link.ts';
import { Latencies } from '../../agent/local/latencies.ts';
import { metricsPage } from '../../agent/local/metrics.ts';
import { CameraConnection } from '../../agent/supervisor/connection.ts';
import { VisionStatus } from '../../agent/supervisor/status.ts';
import { changeText } from '../../scripts/programs/oversight/report/account.ts';
import { configOf } from '../lib/agent.ts';
import { contentsIn, makeRecorder } from '../lib/journal.ts';
import { STATUS } from '../lib/local-status.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

const BY_NAME = 'rtsp://admin:hunter2@camera.lan/main';

t.test(
  'each new address is in the journal, and a change under the same configuration is counted',
  async (t) => {
    const stateDir = scratch(t);
    const changesInRun = (source: string, ...openings: string[]): number | undefined => {
      const config = configOf({ site: 'a', box: 'b', camera: { source } }, 'replay');
      const journal = makeRecorder(stateDir, config);
      journal.start();
      const connection = new CameraConnection({ camera: { source }, journal });
      for (const to of openings) connection.opened(to);
      return connection.counters['camera_connection_changes'] as number;
    };
    const [one, other] = ['rtsp://10.0.0.7:554', 'rtsp://10.0.0.8:554'];
    t.equal(changesInRun(BY_NAME, one, one), 0, 'the first does not count as a change');
    t.equal(changesInRun(BY_NAME, one), 0, 'a restart');
    t.equal(
      changesInRun(BY_NAME, other, other, one),
      2,
      'another camera behind the name, found at a start, and back',
    );
    t.equal(changesInRun('rtsp://camera-2.lan/main', other), 0, 'another camera by the configuration');
    const entries = contentsIn(stateDir).filter(({ type }) => type === 'connected');
    const camera = 'rtsp://camera.lan/main';
    t.match(entries, [
      { camera, to: one, before: null },
      { camera, to: other, before: one },
      { camera, to: one, before: other },
      { camera: 'rtsp://camera-2.lan/main', to: other, before: null },
    ]);
    t.equal(entries.length, 4);
    t.notMatch(JSON.stringify(entries), /hunter2|admin/);
    const time = new SiteTime('UTC');
    t.equal(
      changeText(entries[1] as JournalContent, time),
      `connected to ${other}, before to ${one}, with the same camera in the configuration`,
    );
  },
);

t.test('the room learns whether the camera is as ordered, and not its address', async (t) => {
  const status = new VisionStatus({ detector: { input: [416, 256] }, camera: { source: BY_NAME, fps: 5 } });
  const openedMessage = (connected: string): FromVision => ({
    kind: 'opened',
    source: { widthPx: 640, heightPx: 480 },
    decoder: 'x',
    fps: 5,
    durationMs: null,
    connected,
  });
  status.receive(openedMessage('rtsp://10.0.0.7:554'));
  t.match(status, { connected: 'rtsp://10.0.0.7:554', camera: { asOrdered: true } });
  t.ok(Value.Check(CameraReport, status.camera), 'fits the published schema');
  t.notMatch(JSON.stringify(status.camera), /10\.0\.0\.7/);
  status.receive(openedMessage('rtsp://10.0.0.7:8554'));
  t.equal(status.camera.asOrdered, false, 'another port');
  status.receive({ kind: 'lost', reason: 'gone', retryInMs: 1000 });
  t.match(status, { connected: null, camera: { asOrdered: null } });

  const page = metricsPage({
    status: STATUS,
    counters: {},
    stages: {},
    puback: new Latencies(new HandClock()).puback,
  });
  t.notMatch(page.body, /10\.0\.0\.7/, 'nor readers of the metrics');
  t.match(
    statusText(STATUS, [], { width: 80, colours: false }),
    /^camera: connected to rtsp:\/\/10\.0\.0\.7:554$/m,
  );
});

t.test('a camera is as ordered by its address and port, or by its device', async (t) => {
  for (const [source, connected, expected] of [
    ['rtsp://10.0.0.7/main', 'rtsp://10.0.0.7:554', true],
    ['rtsp://10.0.0.7/main', 'rtsp://10.0.0.8:554', false],
    ['rtsp://[fd00::7]/main', 'rtsp://[fd00::7]:554', true],
    ['rtsp://[fd00::7]/main', 'rtsp://[fd00::8]:554', false],
    ['rtsp://camera.lan:8554/main', 'rtsp://10.0.0.8:8554', true],
    ['rtsp://camera.lan/main', 'v4l2:/dev/video0', false],
    ['v4l2:/dev/video0', 'v4l2:/dev/video0', true],
    ['v4l2:/dev/video0', 'v4l2:/dev/video2', false],
    ['v4l2:/dev/v4l/by-id/usb-Camera-index0', 'v4l2:/dev/video2', true],
    ['file:clip.mp4', 'file:/srv/clip.mp4', true],
    ['file:clip.mp4', 'v4l2:/dev/video0', false],
    ['libcamera:', 'libcamera:', true],
    ['', 'test:pattern', false],
  ] as const)
    t.equal(isConnectedAs(source, connected), expected, `${source}: ${connected}`);
});
