/**
 * Tests the camera's stored view: kept over restarts, and confirmed by a person. Tests also that the camera's address is
 * recorded in the journal and on the box only.
 */
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { SiteTime } from '../../agent/base/site-time.ts';
import { statusText } from '../../agent/cli/status/screen.ts';
import { isConnectedAs } from '../../agent/contract/camera-connection.ts';
import { CAMERA_FILES } from '../../agent/contract/camera-record.ts';
import type { CameraCondition } from '../../agent/contract/condition.ts';
import { CameraReport } from '../../agent/contract/health.ts';
import type { JournalContent, JournalEntry } from '../../agent/contract/journal.ts';
import type { EvidenceRequest, FromVision, KnownView, ToVision } from '../../agent/contract/link.ts';
import { Latencies } from '../../agent/local/latencies.ts';
import { metricsPage } from '../../agent/local/metrics.ts';
import { CameraView } from '../../agent/supervisor/camera-view.ts';
import { CameraConnection } from '../../agent/supervisor/connection.ts';
import { VisionStatus } from '../../agent/supervisor/status.ts';
import { changeText } from '../../scripts/products/oversight/report/account.ts';
import { configOf } from '../lib/agent.ts';
import { contentsIn, makeRecorder } from '../lib/journal.ts';
import { STATUS } from '../lib/local-status.ts';
import { HandClock, REDACTION, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { vigie } from '../lib/program.ts';
import { observation } from '../lib/street.ts';

const VIEW: KnownView = { signature: Buffer.alloc(384, 7).toString('base64'), aspect: 1.5, moved: false };

/** A camera view with a clock of its own; collects its messages to vision. */
class Box {
  readonly sentMessages: ToVision[] = [];
  readonly requests: EvidenceRequest[] = [];
  readonly entries: JournalEntry[] = [];
  readonly view: CameraView;
  readonly dir: string;
  nowMs = 0;

  constructor(dir: string) {
    this.dir = dir;
    const clock = {
      nowMs: () => this.nowMs,
      wallMs: () => 1_790_000_000_000 + this.nowMs,
      sleep: () => Promise.resolve(),
    };
    this.view = new CameraView({
      stateDir: dir,
      clock,
      log: SILENT,
      snapshotsDays: () => 30,
      send: (m) => this.sentMessages.push(m) > 0,
      enter: (entry) => this.entries.push(entry),
      trackLog: { viewConfirmed: () => undefined },
    });
    this.view.start();
  }

  say(message: FromVision, binary = new Uint8Array(0)): boolean {
    return this.view.answer({ message, binary });
  }

  see(seconds: number, camera: CameraCondition[] = []): void {
    for (const endMs = this.nowMs + seconds * 1000; this.nowMs < endMs; this.nowMs += 1000) {
      this.requests.push(...this.view.observe(observation(this.nowMs, [], { camera })));
    }
  }

  /** Answers the requested pictures; returns their number. */
  answer(text: string): number {
    const requests = this.requests.splice(0);
    for (const { request, atMs } of requests) {
      const size = { sha256: '0'.repeat(64), widthPx: 1, heightPx: 1 };
      const header = { request, ...size, atMs, redaction: REDACTION };
      if (!this.say({ kind: 'snapshot', ...header }, Buffer.from(text)))
        throw new Error('taken for another’s');
    }
    return requests.length;
  }

  file(name: keyof typeof CAMERA_FILES): string {
    return join(this.dir, CAMERA_FILES[name]);
  }

  content(name: keyof typeof CAMERA_FILES): string | undefined {
    return existsSync(this.file(name)) ? readFileSync(this.file(name), 'utf8') : undefined;
  }
}

function movedBox(t: Test): Box {
  const box = new Box(scratch(t));
  box.view.learn(VIEW);
  box.see(2);
  t.equal(box.answer('as it was'), 1, 'a picture of the view is asked for');
  box.see(70);
  box.see(2, ['moved']);
  t.equal(box.answer('as it is'), 1, 'and one of the new view');
  return box;
}

t.test(
  'a moved camera keeps redacted stills of before and after, and stays moved over a restart until it is confirmed',
  async (t) => {
    const box = movedBox(t);
    t.equal(box.content('before'), 'as it was');
    t.equal(box.content('after'), 'as it is');
    t.same(box.view.settings, { knownView: { ...VIEW, moved: true } });
    const restarted = new Box(box.dir);
    t.same(restarted.view.settings, { knownView: { ...VIEW, moved: true } }, 'known after a restart');
    restarted.see(1, ['moved']);
    const movedSince = JSON.parse(restarted.content('record') ?? '').movedSince;
    const confirming = vigie(t, 'camera', 'confirm', '--yes', '--state', box.dir);
    const timer = setInterval(() => restarted.view.tick(), 50);
    t.teardown(() => clearInterval(timer));
    t.equal(await confirming.exit, 0);
    clearInterval(timer);
    t.match(
      confirming.out,
      new RegExp(`detected at ${movedSince}[^]*before.*camera-before.jpg[^]*after.*camera-after.jpg`),
    );
    t.match(confirming.out, 'Confirmed: the rules go on.');
    t.match(restarted.sentMessages, [{ kind: 'confirm-view' }]);
    const by = process.env['SUDO_USER'] ?? process.env['USER'] ?? null;
    t.same(restarted.entries, [{ type: 'view-confirmed', movedSince, by }], 'the journal names the person');
    t.same(restarted.view.settings, {}, 'the new view is learnt from nothing');
    t.same(new Box(box.dir).view.settings, {}, 'after another restart too');
    t.notOk(existsSync(box.file('confirmed')));
    t.match(restarted.view.counters, { camera_confirmed: 1, camera_files_failed: 0 });
  },
);

t.test('a confirmation given while the agent is stopped is applied when it starts', async (t) => {
  const box = movedBox(t);
  const confirming = vigie(t, 'camera', 'confirm', '--yes', '--state', box.dir);
  t.equal(await confirming.exit, 0);
  t.match(confirming.out, 'Confirmed: the rules go on when the agent runs.');
  const restarted = new Box(box.dir);
  restarted.view.tick();
  t.same(restarted.view.settings, {});
});

t.test('a confirmation of an earlier move is ignored', async (t) => {
  const box = movedBox(t);
  writeFileSync(box.file('confirmed'), '2020-01-01T00:00:00.000Z');
  box.view.tick();
  t.match(box.view.settings, { knownView: { moved: true } });
  t.notOk(existsSync(box.file('confirmed')), 'and is removed');
  t.same(box.entries, []);
});

t.test('a technician at the page confirms without a file', async (t) => {
  const box = movedBox(t);
  const { movedSince } = JSON.parse(box.content('record') ?? '') as { movedSince: string };
  t.equal(box.view.confirm('page 0123456789abcdef'), undefined);
  t.same(box.entries, [{ type: 'view-confirmed', movedSince, by: 'page 0123456789abcdef' }]);
  t.match(box.sentMessages, [{ kind: 'confirm-view' }]);
  t.same(new Box(box.dir).view.settings, {}, 'also after a restart');
  t.match(box.view.confirm('page 0123456789abcdef'), /has not moved, or was confirmed already/);
});

t.test('both stills are removed when snapshots expire', async (t) => {
  const box = movedBox(t);
  const wallMs = 1_790_000_000_000 + box.nowMs;
  for (const [name, days] of [
    ['before', 31],
    ['after', 29],
  ] as const) {
    const writtenS = wallMs / 1000 - days * 86_400;
    utimesSync(box.file(name), writtenS, writtenS);
  }
  box.view.tick();
  t.same([box.content('before'), box.content('after')], [undefined, 'as it is']);
  box.nowMs += 2 * 86_400_000;
  box.view.tick();
  t.equal(box.content('after'), undefined);
  t.match(box.view.counters, { camera_pictures_expired: 2, camera_files_failed: 0 });
});

t.test('a picture taken within a minute of a condition does not count as before', async (t) => {
  const box = new Box(scratch(t));
  box.see(2);
  box.answer('perhaps turned already');
  box.see(40);
  box.see(70, ['moved']);
  t.equal(box.content('before'), undefined);
  box.see(70);
  t.equal(JSON.parse(box.content('record') ?? '').movedSince, null, 'the old view is back: no longer moved');
});

t.test('a damaged record is moved aside', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, CAMERA_FILES.record), '{"signature": 5}');
  t.same(new Box(dir).view.settings, {});
  t.same(readdirSync(dir), [`${CAMERA_FILES.record}.damaged`]);
});

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
