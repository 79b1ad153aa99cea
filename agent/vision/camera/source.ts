/** Interprets `camera.source`, checks whether it can ever work, and explains faults to people. */
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import { parseCameraSource, type RtspCamera } from '../../contract/camera-address.ts';
import type { PipelineError } from '../native/gstreamer.ts';
import { CODECS, gateText } from './key-frame-mode.ts';
import type { Codec, Decoders } from './presets.ts';
import { clipTarget, deviceTarget, rtspTarget, shownUrl, type Target } from './target.ts';

/** Picture size for sources that can deliver any: the largest still that leaves the box is 1280 px wide. */
const FREE_SIZE = 'width=1280,height=720,framerate=25/1';
/** Timeout of a probe, in ms. A camera in the same network answers a connection within milliseconds. */
const PROBE_TIMEOUT_MS = 1500;
/**
 * Time after which rtspsrc abandons a silent server, in ms. It is above FIRST_FRAME_MS in camera.ts, which decides. A
 * server that wakes up within it answers at once.
 */
const RTSP_TIMEOUT_MS = 40_000;
/**
 * Depth of the jitter buffer, in ms. Over TCP, packets arrive in sequence and pass at once, so it only bounds memory.
 */
const RTSP_LATENCY_MS = 500;

/** The addon's message for a request that it refused; the URL is the last line of its debug text. */
const LED_ELSEWHERE = 'led elsewhere';

export interface Source {
  /** Name for messages and logs; holds no secret. */
  readonly label: string;
  /** True for a recording: its end is not a failure, and it can be replayed. */
  readonly recording: boolean;
  /** Elements that this source needs beside the common ones and the decoders. */
  readonly elements: readonly string[];
  /**
   * Returns the launch text from the source to raw video in ordinary memory. `gated` prepares it for key-frame-mode.ts,
   * if possible.
   */
  text(decoders: Decoders, gated: boolean): string;
  /**
   * Finds the target of the next opening, again for each one.
   *
   * @throws if there is no target.
   */
  locate(): Promise<Target>;
  /** Launch text of the decoder by path of the element `codec`, if the source has one. */
  decoders?(decoders: Decoders): readonly (string | undefined)[];
  /** Returns the frame rate that the source claims in the caps of its element `stream`; 0 if it claims none. */
  claimedFps?(caps: unknown): number;
  /** @throws `config` for a source that can never work. */
  check(): void;
  /** Checks at little cost whether the source answers; used to detect the return of a camera. */
  probe?(): Promise<boolean>;
  /** Explains a fault to a person, in one line. */
  explain(error: PipelineError): string;
}

/** Returns the addresses of a host, at least one; rejects if there are none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/**
 * Creates the reader of the source `text`.
 *
 * @throws `config` for a text that is not a source.
 */
export function sourceOf(text: string, resolveHost: Resolve): Source {
  const source = parseCameraSource(text);
  if ('fault' in source) throw config(source.fault);
  if (source.kind === 'rtsp') return rtspSource(source, resolveHost);
  if (source.kind === 'file') return fileSource(resolve(source.path));
  if (source.kind === 'v4l2') return v4l2Source(source.path);
  if (source.kind === 'libcamera') return libcameraSource(source.path);
  return testSource();
}

function config(message: string): AgentError {
  return new AgentError('config', `camera.source: ${message.replace(/\s+/g, ' ')}`);
}

function rtspSource(camera: RtspCamera, resolveHost: Resolve): Source {
  const { displayAddress: visibleUrl, host, port } = camera;
  const place = `${host}:${port}`;
  let openings = 0;
  // All connections of an opening use the same address. Several addresses are used in turn.
  const nextAddress = async (): Promise<string> => {
    const addresses = await resolveHost(host);
    return addresses[openings++ % addresses.length] ?? host;
  };
  return {
    label: visibleUrl,
    recording: false,
    elements: ['rtspsrc', 'switchbin', 'rtph264depay', 'h264parse', 'rtph265depay', 'h265parse'],
    // `:` instead of `!` links again at each opening. The switch creates only the path of the camera's codec.
    text: ({ h264, h265, download }, gated) =>
      `rtspsrc name=source protocols=tcp latency=${RTSP_LATENCY_MS} drop-on-latency=true ` +
      `tcp-timeout=${RTSP_TIMEOUT_MS * 1000} : capsfilter caps=application/x-rtp,media=video ! ` +
      'typefind name=stream ! ' +
      switchText(
        CODECS.map((codec) => {
          const decoder = { h264, h265 }[codec];
          const gate = gated ? gateText(codec, decoder) : '';
          return {
            caps: `application/x-rtp,encoding-name=${codec.toUpperCase()}`,
            before: `rtp${codec}depay ! ${intoDecoder(codec, decoder)}${gate}`,
            decoder,
          };
        }),
      ) +
      ` ! ${download}video/x-raw`,
    decoders: (decoders) => CODECS.map((codec) => decoders[codec]),
    // The rate from SDP (RFC 8866, 6.13); libav claims 25 if it has no rate.
    claimedFps: (caps) => Number(/\ba-framerate=\(string\)"?(\d+(?:\.\d+)?)/.exec(String(caps))?.[1] ?? 0),
    locate: async () => rtspTarget(camera, await nextAddress()),
    check: () => undefined,
    probe: async () => {
      const [address = host] = await resolveHost(host).catch(() => []);
      return answers(address, port);
    },
    explain: (error) => explainRtsp(error, place, visibleUrl),
  };
}

function explainRtsp({ message, debug }: PipelineError, place: string, visibleUrl: string): string {
  const errorText = `${message} ${debug}`;
  if (message === LED_ELSEWHERE)
    return `${place} leads elsewhere, to ${shownUrl(debug)}; only ${visibleUrl} and paths below it are requested`;
  if (/\(401\)|Unauthorized/i.test(errorText)) return `${place} refuses the user or password`;
  if (/\(404\)|Not found/i.test(errorText))
    return `${place} has no stream at ${visibleUrl.replace(/^rtsp:\/\/[^/]*/, '')}`;
  if (/\(5\d\d\)/.test(errorText)) return `${place} cannot serve the stream now (${message})`;
  if (/not-negotiated|not-linked|no streams|No supported stream/i.test(errorText)) {
    return `${place} sends no H.264 or H.265 video that can be decoded`;
  }
  if (/connect|resource/i.test(errorText)) return `${place} does not answer`;
  return `${place}: ${message}`;
}

/** Resolves to true if a TCP connection to the host succeeds. */
function answers(host: string, port: number): Promise<boolean> {
  return new Promise((report) => {
    const socket = connect({ host, port, timeout: PROBE_TIMEOUT_MS });
    const finish = (up: boolean): void => {
      socket.destroy();
      report(up);
    };
    socket.once('connect', () => finish(true));
    socket.once('timeout', () => finish(false));
    socket.once('error', () => finish(false));
  });
}

/**
 * Returns the launch text from the depayloader to the decoder.
 *
 * libav takes the bytes directly. GStreamer's parsers (1.26) trust damaged parameter sets: they then refuse the stream,
 * or withhold every later intact picture from the decoder. The decoders of boards need the parsers.
 */
function intoDecoder(codec: Codec, decoder: string): string {
  return decoder.startsWith('avdec_')
    ? `capsfilter caps=video/x-${codec},stream-format=byte-stream,alignment=au ! `
    : `${codec}parse ! `;
}

interface CodecPath {
  readonly caps: string;
  /** Launch text in front of the decoder. */
  readonly before: string;
  /** Launch text of the decoder; undefined for pictures that are already decoded. */
  readonly decoder: string | undefined;
}

/** Returns the launch text that routes the stream to the decoder of its codec. */
function switchText(paths: readonly CodecPath[]): string {
  const texts = paths.map(
    ({ caps, before, decoder = 'identity' }, n) =>
      `path${n}::caps="${caps}" path${n}::element="${before}${decoder}"`,
  );
  return `switchbin name=codec num-paths=${paths.length} ${texts.join(' ')}`;
}

/** Returns the paths of clip codecs whose decoder needs settings (presets.ts). The last path takes decoded pictures. */
function clipPaths({ h264, h265, older }: Decoders): readonly CodecPath[] {
  return [
    { caps: 'video/x-h264', before: 'h264parse ! ', decoder: h264 },
    { caps: 'video/x-h265', before: 'h265parse ! ', decoder: h265 },
    ...older.map(({ caps, decoder }) => ({ caps, before: '', decoder })),
    { caps: 'video/x-raw(ANY)', before: '', decoder: undefined },
  ];
}

function fileSource(path: string): Source {
  return {
    label: `file:${path}`,
    recording: true,
    elements: ['filesrc', 'decodebin', 'switchbin', 'h264parse', 'h265parse'],
    // decodebin exposes the codecs that have their own path and decodes all others itself. It decodes only video. `:`
    // links again at each opening.
    text: (decoders) => {
      const paths = clipPaths(decoders);
      const caps = `caps="${paths.map((path) => path.caps).join(';')}"`;
      return (
        `filesrc name=source ! decodebin ${caps} expose-all-streams=false : capsfilter ${caps} ! ` +
        `${switchText(paths)} ! ${decoders.download}video/x-raw`
      );
    },
    decoders: (decoders) => clipPaths(decoders).map(({ decoder }) => decoder),
    locate: () => Promise.resolve(clipTarget(path)),
    check: () => clipTarget(path).close(),
    explain: (error) => explainClip(error, path),
  };
}

function explainClip({ message, debug }: PipelineError, path: string): string {
  if (!existsSync(path)) return `file not found: ${path}; give the path of a video clip`;
  const missing = /Missing (?:decoder|element|demuxer)[^\n(]*/i.exec(debug)?.[0].trim();
  const cause = missing ?? message.replace(/\.$/, '');
  return `${path}: not a video that can be decoded here (${cause}); give an AVI, MP4 or MKV clip`;
}

function v4l2Source(device: string): Source {
  return {
    label: `v4l2:${device}`,
    recording: false,
    elements: ['v4l2src', 'decodebin'],
    text: ({ download }) =>
      `v4l2src name=source ! decodebin : capsfilter caps=video/x-raw(ANY) ! ${download}video/x-raw`,
    locate: () => Promise.resolve(deviceTarget(device)),
    check: () => undefined,
    probe: () => Promise.resolve(existsSync(device)),
    explain: ({ message }) =>
      existsSync(device)
        ? `${device}: ${message}`
        : `there is no device ${device}; is the camera plugged in?`,
  };
}

function libcameraSource(name: string): Source {
  return {
    label: `libcamera:${name}`,
    recording: false,
    elements: ['libcamerasrc'],
    text: () => `libcamerasrc name=source ! video/x-raw,${FREE_SIZE} ! videoconvert ! video/x-raw`,
    locate: () =>
      Promise.resolve({
        properties: name === '' ? {} : { 'camera-name': name },
        connected: `libcamera:${name}`,
      }),
    check: () => undefined,
    explain: ({ message }) => `libcamera: ${message}`,
  };
}

function testSource(): Source {
  return {
    label: 'test:pattern',
    recording: false,
    elements: ['videotestsrc'],
    text: () => `videotestsrc name=source is-live=true pattern=ball ! video/x-raw,format=I420,${FREE_SIZE}`,
    locate: () => Promise.resolve({ properties: {}, connected: 'test:pattern' }),
    check: () => undefined,
    explain: ({ message }) => `test:pattern: ${message}`,
  };
}
