/**
 * Selects the decoder elements of the board: for each codec, the first row with an installed element. An installed
 * element that cannot work (no driver) causes an error when the pipeline opens.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AgentError, hasCode, messageOf } from '../../base/errors.ts';

export type Codec = 'h264' | 'h265';

export interface Preset {
  readonly board: string;
  readonly h264?: string;
  readonly h265?: string;
  /** Element that copies the decoder's pictures from the board's own memory to ordinary memory. */
  readonly download?: string;
}

// Sources of the element names: the documentation of gst-plugins-good (v4l2), gst-plugins-bad (v4l2codecs),
// gstreamer-rockchip and gst-libav, and "Accelerated GStreamer" in NVIDIA's Jetson Linux developer guide.
export const PRESETS: readonly Preset[] = [
  { board: 'NVIDIA Jetson', h264: 'nvv4l2decoder', h265: 'nvv4l2decoder', download: 'nvvidconv' },
  { board: 'Rockchip RK3588', h264: 'mppvideodec', h265: 'mppvideodec' },
  { board: 'Raspberry Pi, stateless', h264: 'v4l2slh264dec', h265: 'v4l2slh265dec' },
  { board: 'Raspberry Pi', h264: 'v4l2h264dec', h265: 'v4l2h265dec' },
  { board: 'any (software)', h264: 'avdec_h264', h265: 'avdec_h265' },
];

/** Codecs of older clips that libav decodes in several threads; single-threaded ones need no setting. */
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

/** Selects decoders among the `installed` elements. */
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
 * Returns the launch text of a decoder, with settings for libav.
 *
 * - After a loss, no picture is output until one is intact.
 * - Pictures are copied out of the decoder. With direct rendering its threads create and free one buffer pool without a
 *   lock (gst-libav 1.26, get_buffer2). A stream whose width was not a multiple of 16 then aborted one opening in ten.
 * - One thread per core would decode ahead: on four cores, 15 MiB more of 1080p pictures. Two threads leave room for
 *   larger pictures.
 */
function launchText(element: string): string {
  return element.startsWith('avdec_')
    ? `${element} output-corrupt=false direct-rendering=false max-threads=2`
    : element;
}

/** Debian package by element, for the message about a missing one. */
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
 * Returns the names of all installed GStreamer elements, as listed by `gst-inspect-1.0` (about 40 ms).
 *
 * @throws `config` if it is not installed. `unavailable` if it could not run or failed (memory, tasks); a retry may
 * succeed.
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
