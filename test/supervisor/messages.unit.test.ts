/**
 * Tests the agent's handling of messages from vision: the fault it reports without video, and one request per picture.
 */
import t from 'tap';
import type { FromVision, ToVision } from '../../agent/contract/link.ts';
import { CameraView } from '../../agent/supervisor/camera-view.ts';
import { LoadControl } from '../../agent/supervisor/load.ts';
import { VisionMessages } from '../../agent/supervisor/messages.ts';
import { PreviewRequests } from '../../agent/supervisor/preview-requests.ts';
import { VisionStatus } from '../../agent/supervisor/status.ts';
import { HandClock, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { observation } from '../lib/street.ts';

const NO_BYTES = new Uint8Array();

function receiver(t: Parameters<typeof scratch>[0]) {
  const reports: string[] = [];
  const sentMessages: ToVision[] = [];
  const unusable: string[] = [];
  const clock = new HandClock();
  const send = (message: ToVision): boolean => sentMessages.push(message) > 0;
  const status = new VisionStatus({ detector: { input: [416, 256] } });
  const nothing = (): void => undefined;
  const messages = new VisionMessages({
    log: SILENT,
    status,
    cameraView: new CameraView({
      stateDir: scratch(t),
      snapshotsDays: () => 7,
      clock,
      log: SILENT,
      send,
      enter: nothing,
      trackLog: { viewConfirmed: nothing },
    }),
    load: new LoadControl({
      clock,
      log: SILENT,
      send,
      heatSteps: () => 0,
      fps: 5,
      onShed: nothing,
    } as never),
    previews: new PreviewRequests({ clock, send }),
    trackLog: { observe: nothing },
    flow: {
      observe: () => ({ evidence: [] }),
      evidence: nothing,
      condition: (kind, active, cause) =>
        reports.push(`${kind} ${active ? String(cause['reason']) : 'over'}`),
      visionReturns: nothing,
      blind: false,
    },
    view: { evaluating: () => ({ stop: nothing }), recordRequests: nothing, answered: nothing },
    accuracy: { sees: nothing },
    journal: { detectorLoaded: nothing },
    connection: { opened: nothing },
    send,
    onUnusable: ({ message }) => unusable.push(message),
  });
  const hear = (message: FromVision): void => messages.receive({ message, binary: NO_BYTES });
  const frame = (atMs: number): void =>
    hear({ kind: 'frame', observation: observation(atMs, []) } as FromVision);
  const failed = (error: string, message: string): void =>
    hear({ kind: 'failed', error, message } as FromVision);
  return { reports, sentMessages, unusable, frame, failed };
}

t.test('a fault of vision itself is not a lost stream, and ends with the next frame', async (t) => {
  const { reports, unusable, frame, failed } = receiver(t);
  frame(1000);
  t.same(reports.splice(0), ['vision-failed over'], 'one of an earlier life of the agent is over, too');
  frame(1200);
  t.same(reports.splice(0), []);
  for (const [error, kind] of [
    ['bug', 'vision-failed'],
    ['exhausted', 'vision-failed'],
    ['denied', 'vision-failed'],
    ['unavailable', 'stream-lost'],
    ['config', 'stream-lost'],
    ['corrupt', 'detector-down'],
  ] as const) {
    failed(error, 'why');
    t.same(reports.splice(0), [`${kind} why`], error);
    frame(2000);
    t.same(reports.splice(0), kind === 'vision-failed' ? ['vision-failed over'] : [], `${error}: a frame`);
  }
  t.same(unusable, []);
});

t.test('a camera that never worked needs a person', async (t) => {
  const { reports, unusable, failed } = receiver(t);
  failed('config', 'no such camera');
  t.same([reports, unusable], [[], ['no such camera']]);
});

t.test('each frame is acknowledged once, and no other message is', async (t) => {
  const { sentMessages, frame, failed } = receiver(t);
  frame(1000);
  failed('bug', 'why');
  frame(1200);
  t.same(
    sentMessages.map(({ kind }) => kind),
    ['ack', 'ack'],
  );
});
