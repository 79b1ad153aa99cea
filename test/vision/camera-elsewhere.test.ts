/**
 * Proves that a camera cannot redirect the box, by a redirect or by its stream description. Every request
 * stays below the configured address, no picture comes, and the reason is reported.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { testCamera } from '../lib/camera.ts';
import { type Rewriting, RewritingCamera } from '../lib/rewriting-camera.ts';
import { RtspServer, rtspMissing } from '../lib/rtsp-server.ts';
import { ALL, unlessAll } from '../lib/run.ts';

const WAIT_MS = 8000;

interface StreamOutcome {
  readonly frames: number;
  readonly reasons: readonly string[];
}

/** Takes frames until the first one, or until the stream is reported lost; with `returns` regardless of losses. */
async function firstFrame(t: Test, source: string, returns = false): Promise<StreamOutcome> {
  const reasons: string[] = [];
  const over = new AbortController();
  const camera = testCamera(t, {
    source,
    mode: 'live',
    onLost: ({ reason }) => {
      reasons.push(reason);
      if (!returns) over.abort();
    },
  });
  await camera.start();
  let frames = 0;
  const taking = camera.next().then((frame) => {
    if (frame !== null) frames += 1;
    over.abort();
  });
  await systemClock.sleep(returns ? 20_000 : WAIT_MS, over.signal);
  await camera.stop();
  await taking;
  return { frames, reasons };
}

void t.test('a camera cannot redirect the box', { skip: rtspMissing() }, async (t) => {
  const real = await RtspServer.start();
  t.teardown(() => real.kill());
  const camera = await RewritingCamera.start(t, real.port);
  const other = await RewritingCamera.start(t, real.port);
  const own = `rtsp://127.0.0.1:${camera.port}`;
  const otherUrl = `rtsp://127.0.0.1:${other.port}`;
  const firstFrameWith = async (rewriting: Rewriting, path = '/ch1'): Promise<StreamOutcome> => {
    camera.requests.length = 0;
    other.requests.length = 0;
    camera.rewrite(rewriting);
    return firstFrame(t, `${own}${path}`);
  };
  const base = (url: string): Rewriting => ({
    head: (text) => text.replace(/^Content-Base: .*$/m, `Content-Base: ${url}`),
  });
  const control = (url: string): Rewriting => ({
    ...base(`${own}/ch1/`),
    sdp: (text) => text.replace('a=control:stream=0', `a=control:${url}`),
  });

  const harmless: [string, Rewriting, string?][] = [
    ['as it is', base(`${own}/ch1/`)],
    ['a base without its slash', base(`${own}/ch1`)],
    ['no base', { head: (text) => text.replace(/^Content-Base: .*\r\n/m, '') }],
    ['its own track by its whole address', control(`${own}/ch1/trackID=1`)],
    ['a query', base(`${own}/ch?channel=1&subtype=0/`), '/ch?channel=1&subtype=0'],
    [
      'a query after the track',
      { ...control(`${own}/ch/stream=0?channel=1`), ...base(`${own}/ch/?channel=1`) },
      '/ch?channel=1',
    ],
  ];
  for (const [name, rewriting, path] of ALL ? harmless : harmless.slice(0, 1)) {
    const { frames, reasons } = await firstFrameWith(rewriting, path);
    t.same([frames, reasons], [1, []], `${name}: a picture`);
    const urls = camera.requests.map((line) => line.split(' ')[1] ?? '');
    t.ok(
      urls.every((url) => url.startsWith(`${own}/ch`)),
      urls.join(' '),
    );
  }

  const redirect = (to: string, method = 'DESCRIBE'): Rewriting => ({
    answer: (verb) => (verb === method ? `RTSP/1.0 302 Moved\r\nLocation: ${to}\r\n\r\n` : undefined),
  });
  /** The first of each kind comes first: a redirect, a base, a track. */
  const redirections: [string, Rewriting][] = [
    ['a redirect to another host', redirect(`${otherUrl}/ch1`)],
    ['a base of another host', base(`${otherUrl}/ch1/`)],
    ['a track of another host', control(`${otherUrl}/ch1/stream=0`)],
    ['a redirect to another channel', redirect(`${own}/ch2`)],
    ['a redirect at the first request', redirect(`${otherUrl}/ch1`, 'OPTIONS')],
    ['a redirect when all is set up', { ...base(`${own}/ch1/`), ...redirect(`${otherUrl}/ch1`, 'PLAY') }],
    ['a base of another channel', base(`${own}/ch2/`)],
    ['a base with a login', base(`rtsp://u:p@127.0.0.1:${camera.port}/ch1/`)],
    ['a base that only begins as the address', base(`${own}/ch12/`)],
    ['a track of another channel', control(`${own}/ch2/stream=0`)],
    ['a track above', control('../ch2')],
    ['a track above, by its whole address', control(`${own}/ch1/../ch2`)],
    ['a track above, escaped', control(`${own}/ch1/%2e%2e/ch2`)],
    ['a track from the root', control('/ch2/stream=0')],
    ['a track with a query', control(`${own}/ch1/stream=0?channel=2`)],
    [
      'a session of another host',
      {
        ...base(`${own}/ch1/`),
        sdp: (text) => text.replace(/^a=control:\S+/m, `a=control:${otherUrl}/ch1`),
      },
    ],
  ];
  for (const [name, rewriting] of ALL ? redirections : redirections.slice(0, 3)) {
    const { frames, reasons } = await firstFrameWith(rewriting);
    t.equal(frames, 0, `${name}: no picture`);
    t.match(reasons[0], /leads elsewhere, to rtsp:\/\/[^@]*; /, `${name}: ${reasons[0]}`);
    t.same(other.requests, [], `${name}: the other is asked nothing`);
    const urls = camera.requests.map((line) => line.split(' ')[1] ?? '');
    t.ok(
      urls.every((url) => url === `${own}/ch1` || /\/ch1\/[a-z=0-9]*$/.test(url)),
      `${name}: ${urls.join(' ')}`,
    );
  }

  await t.test(
    'the configured address is requested again after a redirect',
    { skip: unlessAll },
    async (t) => {
      camera.rewrite(redirect(`${otherUrl}/ch1`));
      setTimeout(() => camera.rewrite(base(`${own}/ch1/`)), 1000);
      t.equal((await firstFrame(t, `${own}/ch1`, true)).frames, 1);
    },
  );

  await t.test('a clock of another host is never asked for the time', { skip: unlessAll }, async (t) => {
    const clock = createSocket('udp4').bind(0, '127.0.0.1');
    t.teardown(() => clock.close());
    await once(clock, 'listening');
    let packets = 0;
    clock.on('message', () => {
      packets += 1;
    });
    const at = `127.0.0.1:${clock.address().port}`;
    const { frames } = await firstFrameWith({
      ...base(`${own}/ch1/`),
      sdp: (text) => text.replace(/^a=/m, `a=x-gst-clock:GstNetTimeProvider GstSystemClock ${at} 0\r\na=`),
    });
    t.same([frames, packets], [1, 0], 'a picture, and no request for the time');
  });

  await t.test('a multicast stream opens no port and gives no frames', { skip: unlessAll }, async (t) => {
    const port = await freeUdpPort();
    const bound: boolean[] = [];
    const { frames, reasons } = await firstFrameWith({
      ...base(`${own}/ch1/`),
      head: (text, method) => {
        const newHead = text.replace(/^Content-Base: .*$/m, `Content-Base: ${own}/ch1/`);
        if (method !== 'SETUP') return newHead;
        setTimeout(() => bound.push(udpPorts().includes(port)), 300);
        return newHead.replace(
          /^Transport: .*$/m,
          `Transport: RTP/AVP;multicast;destination=239.1.2.3;port=${port}-${port + 1};ttl=1`,
        );
      },
    });
    await systemClock.sleep(400);
    t.same(bound, [false], 'no port is opened for it');
    t.equal(frames, 0);
    t.ok(reasons.length > 0, String(reasons[0]));
  });
});

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port & ~1;
}

/** Open UDP ports of this machine (proc_net(5): port in hexadecimal after the local address). */
function udpPorts(): number[] {
  return readFileSync('/proc/net/udp', 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => Number.parseInt(/:([0-9A-F]{4}) /.exec(line)?.[1] ?? '0', 16));
}
