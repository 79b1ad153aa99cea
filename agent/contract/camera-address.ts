/**
 * Parses `camera.source` and `camera.substream`. It is the only parser of these texts. The check of authorisations,
 * vision, the address filter of vision's unit, the page, doctor, log and journal all use its result.
 *
 * INVARIANTS:
 * - An RTSP address that two parsers could read differently is refused. GStreamer opens an address rebuilt from the
 *   parsed parts.
 * - Two sources have the same `address` only if they differ in nothing but their login.
 * - No fault and no `address` contains a login.
 *
 * LIMITS: a login is recognised by its place before the host and by the names in `LOGIN_KEY`. Under another name it is
 * part of the address. An unescaped `_name=` within a password in the path begins a new key.
 */

/** Camera on the network. */
export interface RtspCamera {
  readonly kind: 'rtsp';
  /** Form used in authorisations: `rtsp://host[:port]/path[?query]`, without user, password and login keys. */
  readonly address: string;
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
  /** Path and query, login keys included. Secret. */
  readonly target: string;
}

/** Clip, device of this machine, or test picture. */
export interface LocalSource {
  readonly kind: 'file' | 'v4l2' | 'libcamera' | 'test';
  readonly address: string;
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
const LOGIN_IN_FRONT = 'give the login in front of the host: rtsp://user:password@host/path';
/** Names under which cameras accept a login in the path or the query. */
const LOGIN_KEY =
  /^(?:user(?:name|id)?|usr|login(?:use|pas)?|pass\w{0,16}|psw|pwd|token|access_token|auth|secret)$/i;
/** Query keys that select a stream; their values are not secret. */
const STREAM_KEY =
  /^(?:audio|camera|ch|channel|chn|fps|h26[45]|id|inst|line|media|profile|proto|real_stream|resolution|stream|subtype|track|trackid|unicast|video|videocodec)$/i;
const HIDDEN = '***';
/** RFC 3986: unreserved characters, sub-delims and escaped bytes. */
const LOGIN_TEXT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*$/;
const TARGET_TEXT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:/?]|%[0-9A-Fa-f]{2})*$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
/** Host ending that some parsers read as a number: octal, hexadecimal or shortened (WHATWG URL, "ends in a number"). */
const NUMBER_AT_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/** Parses a source; never throws. */
export function parseCameraSource(text: string): CameraSource | SourceProblem {
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

/**
 * Returns the source's address as an authorisation names it. Empty if there is no source or it cannot be parsed; no
 * authorisation names an empty address.
 */
export function cameraAddress(source: string | undefined): string {
  const parsed = parseCameraSource(source ?? '');
  return 'fault' in parsed ? '' : parsed.address;
}

/** Returns the source in a form safe for messages and screens. If it cannot be parsed, only its scheme is shown. */
export function shownSource(source: string): string {
  const parsed = parseCameraSource(source);
  return 'fault' in parsed ? maskedSource(source) : parsed.displayAddress;
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

/** Reports whether an authorisation that names these streams of one camera allows analysis of `address`. */
export function namesCamera(
  authorisation: { readonly camera: string; readonly substream?: string | undefined },
  address: string,
): boolean {
  return address !== '' && (address === authorisation.camera || address === authorisation.substream);
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
  return isSameDevice(main, second) && main.address !== second.address
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
  const values = new Map(partsOf(from.target).map((part) => [nameOf(part), part.value]));
  const filledParts = partsOf(to.target).map((part) =>
    part.value === HIDDEN ? { ...part, value: values.get(nameOf(part)) ?? HIDDEN } : part,
  );
  const front = loginText(source);
  const login = front === HIDDEN ? loginText(had) : front;
  if (front === HIDDEN && login === undefined) return undefined;
  const filled = `rtsp://${login === undefined ? '' : `${login}@`}${hostText(to)}${textOf(filledParts)}`;
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
  const address = withoutLogins(target);
  return {
    kind: 'rtsp',
    ...place,
    ...login,
    target,
    address: `${origin}${address}`,
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

/** Piece of a path or query. */
interface Part {
  /** Separator in front of it. */
  readonly before: string;
  /** Empty if the piece is not `key=value`. */
  readonly key: string;
  readonly value: string;
  readonly inQuery: boolean;
}

/** Splits at `/`, `?`, `&` and `;`, and in the path before `_name=`: cheap cameras accept `/user=admin_password=…`. */
function partsOf(target: string): Part[] {
  const [path = ''] = /^[^?]*/.exec(target) ?? [];
  const inPath = path.split(/([/&;]|_(?=[A-Za-z][A-Za-z0-9]*=))/);
  const inQuery = target.slice(path.length).split(/([?&;])/);
  return [...parts(inPath, false), ...parts(inQuery, true)];
}

/** Parses a text that was split with its separators kept. The text begins with a separator. */
function parts(pieces: readonly string[], inQuery: boolean): Part[] {
  const result: Part[] = [];
  for (let n = 1; n < pieces.length; n += 2) {
    const [before = '', text = ''] = [pieces[n], pieces[n + 1]];
    const equals = text.indexOf('=');
    const key = equals < 0 ? '' : text.slice(0, equals);
    result.push({ before, key, value: key === '' ? text : text.slice(equals + 1), inQuery });
  }
  return result;
}

function textOf(list: readonly Part[]): string {
  return list.map(({ before, key, value }) => `${before}${key === '' ? value : `${key}=${value}`}`).join('');
}

function isLogin(key: string): boolean {
  return LOGIN_KEY.test(key);
}

/** Returns the name that identifies a piece in another source of the same camera. */
function nameOf({ key, inQuery }: Part): string {
  return inQuery ? `?${key}` : key;
}

/** Reports whether the value may be a credential. */
function isSecret({ key, value, inQuery }: Part): boolean {
  return isLogin(key) || (inQuery && !STREAM_KEY.test(key === '' ? value : key));
}

function maskedTarget(target: string): string {
  return textOf(partsOf(target).map((part) => (isSecret(part) ? { ...part, value: HIDDEN } : part)));
}

/** Returns `target` without login keys. */
function withoutLogins(target: string): string {
  let text = '';
  // Separator of the removed piece. The next piece of the same segment or query takes it.
  let owed = '';
  for (const part of partsOf(target)) {
    const opens = part.before === '/' || part.before === '?';
    if (opens && owed === '/') text += owed;
    const before = opens || owed === '' ? part.before : owed;
    owed = isLogin(part.key) ? before : '';
    if (owed === '') text += textOf([{ ...part, before }]);
  }
  return owed === '/' ? `${text}/` : text;
}

function targetProblem(target: string): string | undefined {
  if (!TARGET_TEXT.test(target))
    return `must hold letters, digits and -._~!$&'()*+,;=:/ in path and query; write others as %XX`;
  const [path = '', ...queries] = target.split('?');
  if (queries.length > 1) return 'must hold one ? at most';
  if (hasOddSegment(path, true)) return 'must hold no /./ and no /../ in its path';
  for (const byte of target.match(/%[0-9A-F]{2}/g) ?? []) {
    const code = Number.parseInt(byte.slice(1), 16);
    const char = String.fromCharCode(code);
    if (/[A-Za-z0-9\-._~]/.test(char))
      return `must write ${char} as such in path and query, and not as ${byte}`;
    if (code < 0x20 || code === 0x7f || '/\\?#&=;%'.includes(char))
      return `must not hold ${byte} in path or query: a camera may decode it to that character; ${LOGIN_IN_FRONT}`;
  }
  const names = new Set<string>();
  for (const { key, value, inQuery } of partsOf(target)) {
    const name = (key === '' && inQuery ? value : key).toLowerCase();
    if (name === '') continue;
    if (key.includes('%')) return 'must write the names of keys in path and query plainly, without %XX';
    if (isLogin(key) && value.includes('='))
      return `has a login with an = in path or query; ${LOGIN_IN_FRONT}`;
    if (names.has(name)) return 'must give each key of path and query once';
    names.add(name);
  }
  return undefined;
}

/** Reports whether a path is not in its shortest form. */
function hasOddSegment(path: string, emptyIsPlain = false): boolean {
  return path
    .split('/')
    .slice(1)
    .some((part) => part === '.' || part === '..' || (part === '' && !emptyIsPlain));
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
  return { kind, path, address, displayAddress: address, masked: address };
}
