/**
 * Which elements decode on which board: the first row whose element is installed wins, codec by codec.
 * An element that is there but cannot work (no driver) shows as an error when the pipeline opens.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AgentError, hasCode, messageOf } from '../../base/errors.ts';

export type Codec = 'h264' | 'h265';

export interface Preset {
  readonly board: string;
  readonly h264?: string;
  readonly h265?: string;
  /** What brings the decoder's pictures from the board's own memory to ordinary memory. */
  readonly download?: string;
}

// Element names: gst-plugins-good (v4l2) and gst-plugins-bad (v4l2codecs) documentation; NVIDIA Jetson Linux
// developer guide, "Accelerated GStreamer"; gstreamer-rockchip; gst-libav documentation.
export const PRESETS: readonly Preset[] = [
  { board: 'NVIDIA Jetson', h264: 'nvv4l2decoder', h265: 'nvv4l2decoder', download: 'nvvidconv' },
  { board: 'Rockchip RK3588', h264: 'mppvideodec', h265: 'mppvideodec' },
  { board: 'Raspberry Pi, stateless', h264: 'v4l2slh264dec', h265: 'v4l2slh265dec' },
  { board: 'Raspberry Pi', h264: 'v4l2h264dec', h265: 'v4l2h265dec' },
  { board: 'any (software)', h264: 'avdec_h264', h265: 'avdec_h265' },
];

/** Codecs of older clips that libav decodes in several threads; those of one thread need no setting. */
const OLDER = [{ caps: 'video/mpeg,mpegversion=4', element: 'avdec_mpeg4' }] as const;

export interface Decoders {
  /** Launch text of the decoder, per codec. */
  readonly h264: string;
  readonly h265: string;
  /** Older codecs that can be decoded here: caps and launch text. */
  readonly older: readonly { readonly caps: string; readonly decoder: string }[];
  /** Launch text that follows any decoder; empty where pictures already lie in ordinary memory. */
  readonly download: string;
}

/** Picks the decoders among the `installed` elements. */
export function chooseDecoders(installed: ReadonlySet<string>): Decoders {
  const decoderOf = (codec: Codec): string => {
    for (const preset of PRESETS) {
      const element = preset[codec];
      if (element !== undefined && installed.has(element)) return element;
    }
    throw missingElement(`avdec_${codec}`);
  };
  const download = PRESETS.find((preset) => preset.download !== undefined && installed.has(preset.download));
  return {
    h264: launchText(decoderOf('h264')),
    h265: launchText(decoderOf('h265')),
    older: OLDER.filter(({ element }) => installed.has(element)).map(({ caps, element }) => ({
      caps,
      decoder: launchText(element),
    })),
    download: download?.download === undefined ? '' : `${download.download} ! `,
  };
}

/**
 * With libav, nothing is shown after a loss until the picture is whole again, and pictures are copied out of
 * the decoder: with direct rendering its threads make and free one pool of buffers without a lock
 * (gst-libav 1.26, get_buffer2), and a stream whose width is no multiple of 16 aborted one opening in ten. A thread for
 * each core would decode ahead: on four cores that is 15 MiB more of pictures of 1080p. Two leave room for larger ones.
 */
function launchText(element: string): string {
  return element.startsWith('avdec_')
    ? `${element} output-corrupt=false direct-rendering=false max-threads=2`
    : element;
}

/** Debian package by element, for the message about one that is missing. */
const PACKAGES: Readonly<Record<string, string>> = {
  avdec_h264: 'gstreamer1.0-libav',
  avdec_h265: 'gstreamer1.0-libav',
  switchbin: 'gstreamer1.0-plugins-bad',
  h264parse: 'gstreamer1.0-plugins-bad',
  h265parse: 'gstreamer1.0-plugins-bad',
  libcamerasrc: 'gstreamer1.0-libcamera',
  rtspsrc: 'gstreamer1.0-plugins-good',
  rtph264depay: 'gstreamer1.0-plugins-good',
  rtph265depay: 'gstreamer1.0-plugins-good',
  capssetter: 'gstreamer1.0-plugins-good',
  jpegenc: 'gstreamer1.0-plugins-good',
  v4l2src: 'gstreamer1.0-plugins-good',
};

export function missingElement(element: string): AgentError {
  const name = PACKAGES[element] ?? 'gstreamer1.0-plugins-base';
  return new AgentError('config', `GStreamer element "${element}" is not installed: apt-get install ${name}`);
}

/**
 * Names of all installed GStreamer elements, as `gst-inspect-1.0` lists them (about 40 ms). Throws `config` where it is not
 * installed, `unavailable` where it could not run or did not end well (memory, tasks): a later try may.
 */
export async function installedElements(): Promise<ReadonlySet<string>> {
  let listing: string;
  try {
    ({ stdout: listing } = await promisify(execFile)('gst-inspect-1.0', [], { maxBuffer: 4_194_304 }));
  } catch (error) {
    if (!hasCode(error, 'ENOENT'))
      throw new AgentError('unavailable', `gst-inspect-1.0 failed: ${messageOf(error)}`, error);
    throw new AgentError(
      'config',
      'gst-inspect-1.0 is not installed: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base',
      error,
    );
  }
  // A line is `plugin:  element: Long name`.
  return new Set([...listing.matchAll(/^\S+: {2}([\w-]+): /gm)].map((match) => String(match[1])));
}
