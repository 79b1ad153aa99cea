/**
 * Parses `camera.source` and `camera.substream`, and the same streams as an authorisation names them. It is the only
 * parser of these texts. The check of authorisations, vision, the address filter of vision's unit, the page, doctor,
 * log and journal all use its result.
 *
 * INVARIANTS:
 * - An RTSP address that two parsers could read differently is refused. GStreamer opens an address rebuilt from the
 *   parsed parts.
 * - Two sources are the same stream only if at most user and password differ. A `token` and the like
 *   belong to the stream: an authorisation pins them by a digest (orders/camera-pin.ts).
 * - No fault, no `address` and no authorisation contains a login or a pinned value.
 */
import {
  filledTarget,
  HIDDEN,
  hasOddSegment,
  maskedTarget,
  type Pin,
  pinsOf,
  targetProblem,
  withoutLogins,
} from './camera-target.ts';

/** Camera on the network. */
export interface RtspCamera {
  readonly kind: 'rtsp';
  /** `rtsp://host[:port]/path[?query]` without user and password, and with `***` for each pinned value. */
  readonly address: string;
  /** Values that belong to the stream and may be credentials, in the order of the text. Secret in a configuration. */
  readonly pins: readonly Pin[];
  /** `address` with `***` for the value of each query key that may be a secret. Safe for messages and screens. */
  readonly displayAddress: string;
  /** The source with `***` for its login and for such values. Safe for a copy of the configuration. */
  readonly masked: string;
  /** Lower case. An IPv6 address has no brackets and the form of RFC 5952. */
  readonly host: string;
  readonly port: number;
  /** Decoded; empty if absent. */
  readonly user: string;
  readonly password: string;
  /** Path and query, login and pins included. Secret. */
  readonly target: string;
}

/** Clip, device of this machine, or test picture. */
export interface LocalSource {
  readonly kind: 'file' | 'v4l2' | 'libcamera' | 'test';
  readonly address: string;
  readonly pins: readonly [];
  readonly displayAddress: string;
  readonly masked: string;
  /**
   * Path of the clip (relative to the working directory unless it begins with `/`), path of the device, or libcamera's
   * name.
   */
  readonly path: string;
}

export type CameraSource = RtspCamera | LocalSource;

/**
 * One-line reason why a text is not a source, with the accepted form. It contains no part of the text that could be
 * secret.
 */
export interface SourceProblem {
  readonly fault: string;
}

export const DEFAULT_RTSP_PORT = 554;
export const SOURCE_CHARS_MAX = 1024;

const SOURCES = 'rtsp://host/path, file:/path/clip.mp4, v4l2:/dev/video0, libcamera: or test:pattern';
const ESCAPES = 'in a user or password write %40 for @, %2F for /, %23 for #, %3F for ?, %25 for %';
/** Digest of a pinned value, as an authorisation holds it: scheme, salt and digest (orders/camera-pin.ts). */
const PIN_TEXT = /^scrypt-[0-9a-f]{32}-[0-9a-f]{64}$/;
/** RFC 3986: unreserved characters, sub-delims and escaped bytes. */
const LOGIN_TEXT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
/** Host ending that some parsers read as a number: octal, hexadecimal or shortened (WHATWG URL, "ends in a number"). */
const NUMBER_AT_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/** Parses a source of a configuration; never throws. */
export function parseCameraSource(text: string): CameraSource | SourceProblem {
  const parsed = parseStream(text);
  if ('fault' in parsed) return parsed;
  const digest = parsed.pins.find(({ value }) => PIN_TEXT.test(value));
  return digest === undefined
    ? parsed
    : { fault: `must hold the camera's own value of ${digest.key}, and not an authorisation's digest of it` };
}

/**
 * Parses a stream as an authorisation names it: in the form of `authorisedForm`, with a digest for each pin. Never
 * throws.
 */
export function parseAuthorisedStream(text: string): CameraSource | SourceProblem {
  const parsed = parseStream(text);
  if ('fault' in parsed) return parsed;
  const plain = parsed.pins.find(({ value }) => !PIN_TEXT.test(value));
  if (plain !== undefined)
    return {
      fault: `must hold a digest for ${plain.key}, which may be a credential: \`vigie check\` on the box prints the address with it`,
    };
  const form = authorisedForm(parsed, (value) => value);
  return form === text ? parsed : { fault: `must be written ${form}` };
}

/** Returns the text by which an authorisation names a stream. `pinText` gives the digest of a pinned value. */
export function authorisedForm(stream: CameraSource, pinText: (value: string) => string): string {
  if (stream.kind !== 'rtsp') return stream.address;
  return `rtsp://${hostText(stream)}${withoutLogins(stream.target, pinText)}`;
}

/** Returns path and query without the login, pinned values included. Secret. */
export function targetWithoutLogin({ target }: RtspCamera): string {
  return withoutLogins(target, (value) => value);
}

function parseStream(text: string): CameraSource | SourceProblem {
  if (text.length > SOURCE_CHARS_MAX) return { fault: `must have at most ${SOURCE_CHARS_MAX} characters` };
  if (text.startsWith('rtsp://')) return parseRtsp(text.slice('rtsp://'.length));
  if (/\p{Cc}/u.test(text)) return { fault: 'must hold no control character' };
  if (text.startsWith('file:')) return fileSource(text);
  if (text.startsWith('v4l2:')) {
    const path = text.slice('v4l2:'.length);
    if (/^\/dev\/./.test(path) && !hasOddSegment(path)) return local('v4l2', path);
    return { fault: 'must name a device without . or .. or // in its path, as v4l2:/dev/video0' };
  }
  if (text.startsWith('libcamera:')) return local('libcamera', text.slice('libcamera:'.length));
  if (text === 'test:pattern') return local('test', 'pattern');
  if (/^rtsp:\/\//i.test(text)) return { fault: 'must begin with rtsp:// in lower case' };
  if (/^rtsps:/i.test(text)) return { fault: 'rtsps:// is not supported; use rtsp://host/path' };
  return { fault: `must be ${SOURCES}` };
}

/** Returns the configured stream; undefined if there is none or it cannot be parsed. */
export function configuredStream(source: string | undefined): CameraSource | undefined {
  const parsed = parseCameraSource(source ?? '');
  return 'fault' in parsed ? undefined : parsed;
}

/** Returns the source's address without login and pinned values, for records. Empty if it cannot be parsed. */
export function cameraAddress(source: string | undefined): string {
  return configuredStream(source)?.address ?? '';
}

/** Returns the source in a form safe for messages and screens. If it cannot be parsed, only its scheme is shown. */
export function shownSource(source: string): string {
  const parsed = parseCameraSource(source);
  return 'fault' in parsed ? maskedSource(source) : parsed.displayAddress;
}

/** Returns a stream of an authorisation with `***` for its digests: the `address` of the sources that it may name. */
export function shownAuthorised(text: string): string {
  const parsed = parseAuthorisedStream(text);
  return 'fault' in parsed ? maskedSource(text) : parsed.address;
}

/**
 * Returns the source in a form safe for a copy of the configuration. If it cannot be parsed, only its scheme is shown.
 */
export function maskedSource(source: string): string {
  const parsed = parseCameraSource(source);
  if (!('fault' in parsed)) return parsed.masked;
  const [scheme = ''] = /^(?:[a-z][a-z0-9+.-]{0,15}:\/\/|file:|v4l2:|libcamera:|test:)/i.exec(source) ?? [];
  return `${scheme}${HIDDEN}`;
}

/** Reports whether two sources are the same stream: at most user and password differ. */
export function isSameStream(one: CameraSource | undefined, other: CameraSource | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.address === other.address && one.pins.every(({ value }, n) => value === other.pins[n]?.value);
}

/** Reports whether two sources are streams of one network device: the same host and port. */
export function isSameDevice(one: CameraSource, other: CameraSource): boolean {
  return one.kind === 'rtsp' && other.kind === 'rtsp' && one.host === other.host && one.port === other.port;
}

/**
 * Returns why `second` cannot be the second stream of the camera `main`, or undefined if it can. Authorisations and
 * configurations share this rule. `mainName` is the field that holds `main`.
 */
export function secondStreamProblem(
  main: CameraSource,
  second: CameraSource,
  mainName: string,
): string | undefined {
  if (main.kind !== 'rtsp') return `needs an RTSP stream in ${mainName}; leave it out`;
  return isSameDevice(main, second) && !isSameStream(main, second)
    ? undefined
    : `must be another RTSP stream of the same host and port as ${mainName}`;
}

/**
 * Returns `source` with each `***` replaced by the login of `had`; undefined for another device, or if `had` lacks that
 * login.
 */
export function withLoginOf(source: string, had: string): string | undefined {
  const [to, from] = [parseCameraSource(source), parseCameraSource(had)];
  if ('fault' in to || 'fault' in from || to.kind !== 'rtsp' || from.kind !== 'rtsp') return undefined;
  if (!isSameDevice(to, from)) return undefined;
  const front = loginText(source);
  const login = front === HIDDEN ? loginText(had) : front;
  if (front === HIDDEN && login === undefined) return undefined;
  const filled = `rtsp://${login === undefined ? '' : `${login}@`}${hostText(to)}${filledTarget(to.target, from.target)}`;
  return filled.includes(HIDDEN) ? undefined : filled;
}

function parseRtsp(rest: string): RtspCamera | SourceProblem {
  if (/[^\x21-\x7e]/.test(rest))
    return { fault: 'must hold printable ASCII characters only, and no space; write others as %XX' };
  const [authority = ''] = /^[^/]*/.exec(rest) ?? [];
  const tail = rest.slice(authority.length);
  if (/[\\#]/.test(rest)) return { fault: `must hold no \\ and no #; ${ESCAPES}` };
  if (authority.includes('?') || tail.includes('@') || authority.split('@').length > 2)
    return {
      fault: `must be rtsp://[user:password@]host[:port]/path[?query] with one @ at most, before the host, and a / before any ?; ${ESCAPES}`,
    };
  const at = authority.indexOf('@');
  const login = at < 0 ? { user: '', password: '' } : loginOf(authority.slice(0, at));
  if ('fault' in login) return login;
  const place = placeOf(authority.slice(at + 1));
  if ('fault' in place) return place;
  const target = tail === '' ? '/' : tail.replace(/%[0-9a-f]{2}/gi, (byte) => byte.toUpperCase());
  const problem = targetProblem(target);
  if (problem !== undefined) return { fault: problem };
  const origin = `rtsp://${hostText(place)}`;
  const address = withoutLogins(target, () => HIDDEN);
  return {
    kind: 'rtsp',
    ...place,
    ...login,
    target,
    address: `${origin}${address}`,
    pins: pinsOf(target),
    displayAddress: `${origin}${maskedTarget(address)}`,
    masked: `rtsp://${at < 0 ? '' : `${HIDDEN}@`}${hostText(place)}${maskedTarget(target)}`,
  };
}

function loginOf(text: string): { user: string; password: string } | SourceProblem {
  const problem = { fault: `has a user or password that cannot be read; ${ESCAPES}` };
  if (text === '' || !LOGIN_TEXT.test(text)) return problem;
  const [user = ''] = /^[^:]*/.exec(text) ?? [];
  try {
    const login = {
      user: decodeURIComponent(user),
      password: decodeURIComponent(text.slice(user.length + 1)),
    };
    return /\p{Cc}/u.test(login.user + login.password) ? problem : login;
  } catch {
    // The escaped bytes are not valid UTF-8.
    return problem;
  }
}

function placeOf(text: string): { host: string; port: number } | SourceProblem {
  const [, name = '', portText] = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(.*))?$/.exec(text) ?? [];
  if (name === '')
    return { fault: 'must name a host, as rtsp://192.168.1.20/path or rtsp://camera.lan/path' };
  const port = portText === undefined ? DEFAULT_RTSP_PORT : Number(portText);
  if (portText !== undefined && !(/^[1-9]\d{0,4}$/.test(portText) && port <= 65_535))
    return {
      fault: `must have a port from 1 to 65535 without leading zeros, or none (${DEFAULT_RTSP_PORT})`,
    };
  if (name.startsWith('[')) return ipv6Place(name, port);
  const host = name.toLowerCase();
  if (NUMBER_AT_END.test(host) && !IPV4.test(host))
    return {
      fault: 'must write an IPv4 address as four decimal numbers without leading zeros: 192.168.1.20',
    };
  if (!/^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/.test(host))
    return { fault: 'must name a host without empty parts and without a dot at its end, as camera.lan' };
  return { host, port };
}

function ipv6Place(name: string, port: number): { host: string; port: number } | SourceProblem {
  // Used only for the short form of RFC 5952. All URL parsers agree on an address in brackets.
  const url = `ws://${name}/`;
  if (!URL.canParse(url))
    return { fault: 'must write an IPv6 address in brackets, as rtsp://[fd00::20]/path' };
  const host = new URL(url).hostname.slice(1, -1);
  // ::a.b.c.d, ::ffff:a.b.c.d, ::ffff:0:a.b.c.d (RFC 4291, 6145) and 64:ff9b::a.b.c.d (RFC 6052)
  if (/^(?:::(?:ffff:(?:0:)?)?|64:ff9b::)[0-9a-f]{1,4}:[0-9a-f]{1,4}$/.test(host))
    return { fault: 'must write an IPv4 address as such, as 192.168.1.20, and not within an IPv6 address' };
  return { host, port };
}

/** Returns host and port as in `address`. */
export function hostText({ host, port }: { host: string; port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}${port === DEFAULT_RTSP_PORT ? '' : `:${port}`}`;
}

/** Returns the location to open: the camera's stream at one of its addresses. Secret. */
export function locationAt({ port, target }: RtspCamera, host: string): string {
  return `rtsp://${hostText({ host, port })}${target}`;
}

/** Returns the text before the @, or undefined if there is none. */
function loginText(source: string): string | undefined {
  return /^rtsp:\/\/([^/@]*)@/.exec(source)?.[1];
}

function fileSource(text: string): LocalSource | SourceProblem {
  const path = text.slice('file:'.length);
  if (!path.startsWith('//'))
    return path === '' ? { fault: 'must name a clip, as file:/path/clip.mp4' } : local('file', path);
  const problem = { fault: 'is not a path to a clip; use file:/path/clip.mp4' };
  if (!path.startsWith('///') || /[?#]/.test(path)) return problem;
  try {
    const decoded = decodeURIComponent(path.slice(2));
    return /\p{Cc}/u.test(decoded) ? problem : local('file', decoded);
  } catch {
    // The escaped bytes are not valid UTF-8.
    return problem;
  }
}

function local(kind: LocalSource['kind'], path: string): LocalSource {
  const address = `${kind}:${path}`;
  return { kind, path, address, pins: [], displayAddress: address, masked: address };
}
