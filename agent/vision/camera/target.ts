/**
 * Resolves a source to what an opening connects to: one address and port, one file, one device. What is checked here is
 * what GStreamer is given.
 *
 * LIMITS: the node of a device may be replaced between check and opening; only root and udev can do that. An order that
 * names a recorder's `/` allows each stream below it.
 */
import { closeSync, constants, fstatSync, openSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { AgentError, hasCode, messageOf } from '../../base/errors.ts';
import {
  DEFAULT_RTSP_PORT,
  hostText,
  locationAt,
  type RtspCamera,
  shownSource,
} from '../../contract/camera-address.ts';
import type { Given, RtspRequests } from '../native/gstreamer.ts';

/** VIDEO_MAJOR of Linux: devices of V4L2 (devices.txt). */
const V4L2_MAJOR = 81;

/** Secrets are in the properties, and not in the pipeline's text. */
export interface Target extends Given {
  /** Scheme and address or path, for journal and status; no login. */
  readonly connected: string;
  /** To be called when GStreamer has opened it. */
  close?(): void;
}

/** The camera at one of its addresses; GStreamer looks up no name. */
export function rtspTarget(camera: RtspCamera, address: string): Target {
  const { host, port, user, password } = camera;
  const location = locationAt(camera, address);
  return {
    properties: {
      location,
      ...(user === '' ? {} : { 'user-id': user }),
      ...(password === '' ? {} : { 'user-pw': password }),
    },
    requests: requestsOf(camera, [...new Set([address, host])], location),
    connected: `rtsp://${isIPv6(address) ? `[${address}]` : address}:${port}`,
  };
}

/** A name of a track, as trackID=1, stream=0 or video; not `.`, not `..`, nothing escaped and no query. */
const SEGMENT = '[A-Za-z0-9_][A-Za-z0-9_.=-]*';
const TRACK = `${SEGMENT}(?:/${SEGMENT})*/?`;

/** A camera gives the URLs of its tracks with its name or its address, after the query or before it. */
function requestsOf(
  { port, target, address }: RtspCamera,
  hosts: readonly string[],
  location: string,
): RtspRequests {
  const origins = hosts.map((host) => {
    const text = literal(hostText({ host, port }));
    return port === DEFAULT_RTSP_PORT ? `${text}(?::${port})?` : text;
  });
  const plain = address.replace(/^rtsp:\/\/[^/]*/, '');
  const places = [...new Set([target, plain])].flatMap((text) => {
    const [path = ''] = /^[^?]*/.exec(text) ?? [];
    const query = text.slice(path.length);
    return [`${below(path)}${literal(query)}`, ...(query === '' ? [] : [below(text)])];
  });
  const base = location.endsWith('/') ? location : `${location}/`;
  return { urls: `rtsp://(?:${origins.join('|')})(?:${places.join('|')})`, track: TRACK, base };
}

function below(text: string): string {
  const track = `(?:${TRACK})?`;
  return `${literal(text)}${text.endsWith('/') ? track : `(?:/${track})?`}`;
}

function literal(text: string): string {
  return text.replace(/[^A-Za-z0-9]/g, '\\$&');
}

/** The URL of a refused request as a message may show it: it is the camera's text. */
export function shownUrl(debug: string): string {
  return shownSource(debug.slice(debug.lastIndexOf('\n') + 1)).slice(0, 200);
}

/** Opens a clip, which is read by its descriptor: a link that is changed meanwhile leads nowhere else. Throws `config`. */
export function clipTarget(path: string): Target & { close(): void } {
  let fd: number;
  try {
    // Without waiting for somebody to write, should it be a pipe.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, 'ENOENT'))
      throw clipFault(`there is no file ${path}; give the path of a video clip`, error);
    throw clipFault(`${path} cannot be read (${messageOf(error)}); allow this user to read it`, error);
  }
  const stat = fstatSync(fd);
  if (!stat.isFile() || stat.size === 0) {
    closeSync(fd);
    throw clipFault(`${path} is ${stat.isFile() ? 'empty' : 'not a file'}; give the path of a video clip`);
  }
  const location = `/proc/self/fd/${fd}`;
  return {
    properties: { location },
    connected: `file:${readlinkSync(location)}`,
    close: () => closeSync(fd),
  };
}

function clipFault(message: string, cause?: unknown): AgentError {
  return new AgentError('config', `camera.source: ${message.replace(/\s+/g, ' ')}`, cause);
}

/** A device of V4L2 by its real path: udev's names are links. Throws `unavailable` for what is none, or not there. */
export function deviceTarget(path: string): Target {
  let device: string;
  try {
    device = realpathSync(path);
  } catch (error) {
    throw new AgentError('unavailable', `it cannot be found (${messageOf(error)})`, error);
  }
  const stat = statSync(device);
  // dev_t of glibc (makedev(3)), for majors below 4096.
  if (!stat.isCharacterDevice() || ((stat.rdev >> 8) & 0xfff) !== V4L2_MAJOR)
    throw new AgentError(
      'unavailable',
      `${device} is not a camera of V4L2; give /dev/video0 or a link to it`,
    );
  return { properties: { device }, connected: `v4l2:${device}` };
}
