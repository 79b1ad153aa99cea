/** Runs plain GStreamer for the first half of the floor, and makes the clips and frames of the benchmark. */
import { statSync } from 'node:fs';
import { AgentError } from '../../../agent/base/errors.ts';
import { type Cost, costOf } from './measure.ts';

/** Width and height of the detector's input. */
export type Input = readonly [number, number];

/** The agent's own decoding and letterboxing: it scales first, since converting fewer pixels costs less. */
function letterbox([width, height]: Input): string[] {
  const caps = `video/x-raw,format=RGB,width=${width},height=${height},pixel-aspect-ratio=1/1`;
  return ['decodebin', '!', 'videoscale', 'add-borders=true', '!', 'videoconvert', '!', caps];
}

/** Decodes and letterboxes `clip`, and discards the result. */
export function bareCapture(clip: string, input: Input): Promise<Cost> {
  return launch(clip, [...letterbox(input), '!', 'fakesink']);
}

/** Returns the frame rate that the clip declares, as frames by seconds. */
export async function framesPerSecond(clip: string): Promise<number> {
  const { stdout } = await costOf(['gst-discoverer-1.0', '-v', clip], () => undefined);
  const [, frames, seconds] = /Frame rate: (\d+)\/(\d+)/.exec(stdout) ?? [];
  const rate = Number(frames) / Number(seconds);
  if (!(rate > 0)) throw new AgentError('config', `${clip}: claims no frame rate`);
  return rate;
}

/** Records the letterboxed frames of `clip` into `file`, raw RGB; returns their number. */
export async function record(clip: string, input: Input, file: string): Promise<number> {
  await launch(clip, [...letterbox(input), '!', 'filesink', `location=${file}`]);
  return statSync(file).size / (input[0] * input[1] * 3);
}

/** Concatenates clips, each of one stream of the same kind, into `file` without re-encoding. */
export async function concatenate([first = '', ...rest]: readonly string[], file: string): Promise<void> {
  const otherSources = rest.map((clip) => [
    'filesrc',
    `location=${clip}`,
    '!',
    'parsebin',
    '!',
    'queue',
    '!',
    'c.',
  ]);
  // Each clip gets a queue: concat lets a source wait, but parsebin must not wait before everything is linked.
  const joined = [
    'parsebin',
    '!',
    'queue',
    '!',
    'concat',
    'name=c',
    '!',
    'matroskamux',
    '!',
    'filesink',
    `location=${file}`,
  ];
  await launch(first, [...joined, ...otherSources.flat()]);
}

/** Copies the first `frames` pictures of `clip`, which has one stream, into `file` without re-encoding. */
export async function cutClip(clip: string, frames: number, file: string): Promise<void> {
  // eos-after counts the buffer at which the stream ends, which is not passed on.
  const first = ['parsebin', '!', 'identity', `eos-after=${frames + 1}`];
  await launch(clip, [...first, '!', 'matroskamux', '!', 'filesink', `location=${file}`]);
}

/** Stream of a camera: 1920 × 1080, 25 frames a second, a key frame every two seconds. */
const CAMERA = [
  'video/x-raw,format=I420,width=1920,height=1080,framerate=25/1,pixel-aspect-ratio=1/1',
  ...['!', 'x264enc', 'speed-preset=superfast', 'tune=zerolatency', 'bitrate=4000', 'key-int-max=50'],
  ...['!', 'h264parse', '!', 'matroskamux', '!', 'filesink'],
];
/** Long enough to be repeated, short enough to be made quickly. */
const QUIET_S = 10;

/** Encodes `clip` as a camera would send it; returns its seconds. */
export async function busyFilm(clip: string, file: string): Promise<number> {
  const scaled = [
    'decodebin',
    '!',
    'videoscale',
    'add-borders=true',
    '!',
    'videoconvert',
    '!',
    'videorate',
    '!',
  ];
  await launch(clip, [...scaled, ...CAMERA, `location=${file}`]);
  return await durationS(file);
}

/**
 * Makes a still street at night: the first picture of `clip` under a sensor's noise of about 5 levels. Returns its
 * seconds.
 */
export async function quietFilm(clip: string, file: string): Promise<number> {
  const frames = String(25 * QUIET_S);
  const street = ['decodebin', '!', 'videoscale', 'add-borders=true', '!', 'videoconvert', '!'];
  const noise = [
    'videotestsrc',
    'pattern=snow',
    `num-buffers=${frames}`,
    '!',
    'video/x-raw,width=1920,height=1080,framerate=25/1',
  ];
  await launch(clip, [
    ...street,
    ...[
      'imagefreeze',
      `num-buffers=${frames}`,
      '!',
      'video/x-raw,width=1920,height=1080,framerate=25/1',
      '!',
      'mix.',
    ],
    ...[...noise, '!', 'mix.'],
    ...['compositor', 'name=mix', 'sink_1::alpha=0.03', '!', 'videoconvert', '!'],
    ...CAMERA,
    `location=${file}`,
  ]);
  return await durationS(file);
}

/** Makes the second stream of a camera that sends `film`: 640 × 360, 10 frames a second. */
export async function secondStream(film: string, file: string): Promise<void> {
  await launch(film, [
    ...['decodebin', '!', 'videoscale', '!', 'videorate', '!'],
    ...['video/x-raw,width=640,height=360,framerate=10/1', '!'],
    ...['x264enc', 'speed-preset=superfast', 'tune=zerolatency', 'bitrate=512', 'key-int-max=20', '!'],
    ...['h264parse', '!', 'matroskamux', '!', 'filesink', `location=${file}`],
  ]);
}

export async function durationS(file: string): Promise<number> {
  const { stdout } = await costOf(['gst-discoverer-1.0', file], () => undefined);
  const [, h, m, s] = /Duration: (\d+):(\d+):([\d.]+)/.exec(stdout) ?? [];
  return Number(h) * 3600 + Number(m) * 60 + Number(s);
}

function launch(clip: string, words: readonly string[]): Promise<Cost> {
  return costOf(['gst-launch-1.0', '-q', 'filesrc', `location=${clip}`, '!', ...words], (line) =>
    line.startsWith('gst-launch-1.0') ? 'gstreamer' : undefined,
  );
}
