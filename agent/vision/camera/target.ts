/**
 * Resolves a source to the target of an opening: one address and port, one file, one device. GStreamer is given exactly
 * the target that was checked here.
 *
 * LIMITS: the node of a device may be replaced between check and opening; only root and udev can do that. An
 * authorisation that names a recorder's `/` allows each stream below it.
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
  targetWithoutLogin,
} from '../../contract/camera-address.ts';
import type { RtspRequests, SourceSettings } from '../native/gstreamer.ts';

/** VIDEO_MAJOR of Linux: V4L2 devices (devices.txt). */
const V4L2_MAJOR = 81;

/** Target of an opening. Secrets are in the properties, not in the pipeline's text. */
export interface Target extends SourceSettings {
  /** Scheme and address or path, for journal and status; no login. */
  readonly connected: string;
  /** Releases the target; to be called when GStreamer has opened it. */
  close?(): void;
}

/** Returns the target for one address of the camera; GStreamer resolves no names. */
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

/** Track name, such as trackID=1, stream=0 or video; no `.`, `..`, escapes or query. */
const SEGMENT = '[A-Za-z0-9_][A-Za-z0-9_.=-]*';
const TRACK = `${SEGMENT}(?:/${SEGMENT})*/?`;

/**
 * Returns the URLs that may be requested. Cameras give track URLs by name or address, with the track before or after
 * the query.
 */
function requestsOf(camera: RtspCamera, hosts: readonly string[], location: string): RtspRequests {
  const { port, target } = camera;
  const origins = hosts.map((host) => {
    const text = literal(hostText({ host, port }));
    return port === DEFAULT_RTSP_PORT ? `${text}(?::${port})?` : text;
  });
  const plain = targetWithoutLogin(camera);
  const places = [...new Set([target, plain])].flatMap((text) => {
    const [path = ''] = /^[^?]*/.exec(text) ?? [];
    const query = text.slice(path.length);
    return [`${pathPattern(path)}${literal(query)}`, ...(query === '' ? [] : [pathPattern(text)])];
  });
  const base = location.endsWith('/') ? location : `${location}/`;
  return { urls: `rtsp://(?:${origins.join('|')})(?:${places.join('|')})`, track: TRACK, base };
}

function pathPattern(text: string): string {
  const track = `(?:${TRACK})?`;
  return `${literal(text)}${text.endsWith('/') ? track : `(?:/${track})?`}`;
}

function literal(text: string): string {
  return text.replace(/[^A-Za-z0-9]/g, '\\$&');
}

/** Returns the URL of a refused request in a form fit for a message, because the text is the camera's. */
export function shownUrl(debug: string): string {
  return shownSource(debug.slice(debug.lastIndexOf('\n') + 1)).slice(0, 200);
}

/**
 * Opens a clip, which is read by its descriptor, so that a link changed meanwhile has no effect.
 *
 * @throws `config` if the clip cannot be read.
 */
export function clipTarget(path: string): Target & { close(): void } {
  let fd: number;
  try {
    // Does not wait for a writer if the path is a pipe.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, 'ENOENT'))
      throw clipError(`file not found: ${path}; give the path of a video clip`, error);
    throw clipError(`${path} cannot be read (${messageOf(error)}); allow this user to read it`, error);
  }
  const stat = fstatSync(fd);
  if (!stat.isFile() || stat.size === 0) {
    closeSync(fd);
    throw clipError(`${path} is ${stat.isFile() ? 'empty' : 'not a file'}; give the path of a video clip`);
  }
  const location = `/proc/self/fd/${fd}`;
  return {
    properties: { location },
    connected: `file:${readlinkSync(location)}`,
    close: () => closeSync(fd),
  };
}

function clipError(message: string, cause?: unknown): AgentError {
  return new AgentError('config', `camera.source: ${message.replace(/\s+/g, ' ')}`, cause);
}

/**
 * Returns a V4L2 device by its real path, because udev's names are links.
 *
 * @throws `unavailable` if the device is missing or is not a V4L2 device.
 */
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
