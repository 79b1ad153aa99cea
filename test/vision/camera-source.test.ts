/** Proves that an address means the same to all of its parsers, and that a clip or device behind a link is the checked one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { parseCameraSource } from '../../agent/contract/camera-address.ts';
import { CONNECTED_MAX } from '../../agent/contract/camera-connection.ts';
import { sourceOf } from '../../agent/vision/camera/source.ts';
import { deviceTarget, type Target } from '../../agent/vision/camera/target.ts';
import { testCamera } from '../lib/camera.ts';
import { camerasDrawn } from '../lib/camera-sources.ts';
import { scratch } from '../lib/paths.ts';
import { SEED } from '../lib/random.ts';

/**
 * Reads a JSON list of locations; prints for each where GStreamer's rtspsrc would connect to, and what it would
 * request.
 */
const GSTREAMER = `
import gi, json, sys
gi.require_version('GstRtsp', '1.0')
from gi.repository import GstRtsp
rows = []
for text in json.load(sys.stdin):
    result, url = GstRtsp.rtsp_url_parse(text)
    rows.append([url.host, url.get_port()[1], url.user, url.get_request_uri()] if result == 0 else None)
json.dump(rows, sys.stdout)
`;

void t.test('three parsers agree on random sources', async (t) => {
  const cameras = fc.sample(camerasDrawn(), { numRuns: 3000, seed: SEED });
  const locations = await Promise.all(
    cameras.map(async ({ source }) => {
      const { properties } = await sourceOf(source, async (host) => [host]).locate();
      return String(properties['location']);
    }),
  );
  const { stdout, status, stderr } = spawnSync('/usr/bin/python3', ['-c', GSTREAMER], {
    input: JSON.stringify(locations),
    encoding: 'utf8',
    maxBuffer: 64 * 1_048_576,
  });
  t.equal(status, 0, stderr);
  const rows = JSON.parse(stdout) as ([string, number, string | null, string] | null)[];
  const mismatches = cameras.flatMap(({ source, host, port, user, password }, n) => {
    const own = parseCameraSource(source);
    if ('fault' in own || own.kind !== 'rtsp') return [`${source}: refused`];
    const [gstHost, gstPort, gstUser, uri] = rows[n] ?? [];
    const url = new URL(source);
    const readings = {
      own: [own.host, own.port, own.user, own.password],
      expected: [host, port, user, password],
      whatwg: [
        url.hostname.replace(/^\[|\]$/g, ''),
        url.port === '' ? 554 : Number(url.port),
        decodeURIComponent(url.username),
        decodeURIComponent(url.password),
      ],
    };
    const texts = new Set(Object.values(readings).map((value) => JSON.stringify(value)));
    const same =
      gstHost === own.host && gstPort === own.port && gstUser === null && uri?.endsWith(own.target) === true;
    return texts.size === 1 && same ? [] : [JSON.stringify({ source, readings, gstreamer: rows[n] })];
  });
  t.same(mismatches.slice(0, 3), [], `3,000 sources, seed ${SEED}`);
});

const nowhere = (): Promise<readonly string[]> => Promise.reject(new Error('no network'));
/** Makes a second of a test picture, into the file that is appended. */
const TEST_CLIP =
  'videotestsrc num-buffers=10 ! video/x-raw,width=320,height=240,framerate=10/1 ! x264enc ! mp4mux ! filesink';

/** Repoints the link atomically. */
function relink(to: string, link: string): void {
  symlinkSync(to, `${link}.new`);
  renameSync(`${link}.new`, link);
}

t.test('a link that changes after the check still opens the checked clip', async (t) => {
  const dir = scratch(t);
  const [clip, other, link] = [join(dir, 'clip'), join(dir, 'other'), join(dir, 'link')];
  writeFileSync(clip, 'checked');
  writeFileSync(other, 'not checked');
  relink(clip, link);
  const target = await sourceOf(`file:${link}`, nowhere).locate();
  relink(other, link);
  t.equal(readFileSync(String(target.properties['location']), 'utf8'), 'checked', 'the checked file is read');
  t.equal(target.connected, `file:${clip}`, 'and its real path is reported');
  target.close?.();
});

t.test('a path longer than the link takes is reported truncated', async (t) => {
  const dir = join(scratch(t), ...Array.from({ length: 3 }, () => 'd'.repeat(200)));
  mkdirSync(dir, { recursive: true });
  const clip = join(dir, 'clip.mp4');
  execFileSync('gst-launch-1.0', ['-q', ...TEST_CLIP.split(' '), `location=${clip}`]);
  const connected: string[] = [];
  const camera = testCamera(t, {
    source: `file:${clip}`,
    fps: 10,
    mode: 'live',
    onOpened: (info) => connected.push(info.connected),
  });
  await camera.start();
  t.ok(await camera.next());
  t.same(connected, [`file:${clip}`.slice(0, CONNECTED_MAX)]);
});

t.test('a clip that becomes a device during playback ends the stream', async (t) => {
  const dir = scratch(t);
  const [clip, link] = [join(dir, 'clip.mp4'), join(dir, 'link.mp4')];
  execFileSync('gst-launch-1.0', ['-q', ...TEST_CLIP.split(' '), `location=${clip}`]);
  relink(clip, link);
  const losses: string[] = [];
  const connected: string[] = [];
  const camera = testCamera(t, {
    source: `file:${link}`,
    fps: 10,
    mode: 'live',
    onOpened: (info) => connected.push(info.connected),
    onLost: ({ reason }) => {
      losses.push(reason);
      void camera.stop();
    },
  });
  await camera.start();
  t.ok(await camera.next());
  t.same(connected, [`file:${clip}`]);
  // Reading this device never ends.
  relink('/dev/zero', link);
  let frames = 0;
  for (let frame = await camera.next(); frame !== null; frame = await camera.next()) frames += 1;
  t.match(losses[0], /link\.mp4 is not a file; give the path of a video clip/);
  t.ok(frames <= 10, `${frames} more frames, all of the clip`);
});

/** Calls the function itself: a source names a device in /dev only. */
const v4l2 = async (path: string): Promise<Target> => deviceTarget(path);

const skip = process.geteuid?.() === 0 ? false : 'only root can make a device';
t.test('a V4L2 camera is accepted as a device, by its real path', { skip }, async (t) => {
  const dir = scratch(t);
  const [camera, byId] = [join(dir, 'video0'), join(dir, 'usb-Camera-index0')];
  execFileSync('mknod', [camera, 'c', '81', '250']);
  relink(camera, byId);
  t.match(
    await v4l2(byId),
    { properties: { device: camera }, connected: `v4l2:${camera}` },
    'udev’s names stay',
  );
});

t.test('any other file is refused as a device', async (t) => {
  const dir = scratch(t);
  const byId = join(dir, 'usb-Camera-index0');
  copyFileSync('/etc/hostname', join(dir, 'file'));
  for (const path of ['/dev/zero', join(dir, 'file'), dir]) {
    relink(path, byId);
    await t.rejects(
      v4l2(byId),
      { kind: 'unavailable', message: /is not a camera of V4L2; give \/dev\/video0/ },
      path,
    );
  }
  relink(join(dir, 'gone'), byId);
  await t.rejects(v4l2(byId), { kind: 'unavailable', message: /cannot be found/ });
});
