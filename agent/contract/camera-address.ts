/**
 * Parses `camera.source` and `camera.substream`. It is the only parser of those texts: the order's check, vision, the
 * address filter of vision's unit, page, doctor, log and journal all use its result.
 *
 * INVARIANTS: an RTSP address that two parsers could read differently is refused, and what GStreamer opens is put together
 * again from the parsed parts. Two sources have the same `address` only if they differ in nothing but their login. No fault
 * and no `address` holds a login.
 * LIMITS: a login is known by its place before the host and by the names in `LOGIN_KEY`; under another name it is a part of
 * the address. An unescaped `_name=` within a password in the path begins a key of its own.
 */

/** A camera on the network. */
export interface RtspCamera {
  readonly kind: 'rtsp';
  /** As an order names it: `rtsp://host[:port]/path[?query]`, without user, password and login keys. */
  readonly address: string;
  /** `address` with `***` for the value of a query key that may be a secret; fit for messages and screens. */
  readonly shown: string;
  /** The source itself with `***` for its login and for such values; fit for a copy of the configuration. */
  readonly masked: string;
  /** Lower case; an IPv6 address without its brackets, in the form of RFC 5952. */
  readonly host: string;
  readonly port: number;
  /** Decoded; empty where none is given. */
  readonly user: string;
  readonly password: string;
  /** Path and query, login keys included. Secret. */
  readonly target: string;
}

/** A clip, a device of this machine or the test picture. */
export interface LocalSource {
  readonly kind: 'file' | 'v4l2' | 'libcamera' | 'test';
  readonly address: string;
  readonly shown: string;
  readonly masked: string;
  /** Path of the clip (relative to the working directory where it does not begin with `/`) or device; libcamera's name. */
  readonly path: string;
}

export type CameraSource = RtspCamera | LocalSource;

/** Why a text is not a source, and what would be right; one line without any part of the text that could be secret. */
export interface SourceFault {
  readonly fault: string;
}

export const DEFAULT_RTSP_PORT = 554;
export const SOURCE_CHARS_MAX = 1024;

const SOURCES = 'rtsp://host/path, file:/path/clip.mp4, v4l2:/dev/video0, libcamera: or test:pattern';
const ESCAPES = 'in a user or password write %40 for @, %2F for /, %23 for #, %3F for ?, %25 for %';
const LOGIN_IN_FRONT = 'give the login in front of the host: rtsp://user:password@host/path';
/** Names under which cameras take a login in the path or in the query. */
const LOGIN_KEY =
  /^(?:user(?:name|id)?|usr|login(?:use|pas)?|pass\w{0,16}|psw|pwd|token|access_token|auth|secret)$/i;
/** Query keys whose values say which stream, and open nothing. */
const STREAM_KEY =
  /^(?:audio|camera|ch|channel|chn|fps|h26[45]|id|inst|line|media|profile|proto|real_stream|resolution|stream|subtype|track|trackid|unicast|video|videocodec)$/i;
const HIDDEN = '***';
/** RFC 3986: unreserved and sub-delims, and an escaped byte. */
const LOGIN_TEXT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*$/;
const TARGET_TEXT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:/?]|%[0-9A-Fa-f]{2})*$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
/** A host that ends so is read as a number by some: octal, hexadecimal or shortened (WHATWG URL, "ends in a number"). */
const NUMBER_AT_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/** Parses a source; never throws. */
export function parseCameraSource(text: string): CameraSource | SourceFault {
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

/** The source's address as an order names it; empty where there is none or it cannot be parsed: no order names that. */
export function cameraAddress(source: string | undefined): string {
  const parsed = parseCameraSource(source ?? '');
  return 'fault' in parsed ? '' : parsed.address;
}

/** The source as messages and screens may show it; where it cannot be parsed no more than its scheme. */
export function shownSource(source: string): string {
  const parsed = parseCameraSource(source);
  return 'fault' in parsed ? maskedSource(source) : parsed.shown;
}

/** The source as a copy of the configuration may hold it; where it cannot be parsed no more than its scheme. */
export function maskedSource(source: string): string {
  const parsed = parseCameraSource(source);
  if (!('fault' in parsed)) return parsed.masked;
  const [scheme = ''] = /^(?:[a-z][a-z0-9+.-]{0,15}:\/\/|file:|v4l2:|libcamera:|test:)/i.exec(source) ?? [];
  return `${scheme}${HIDDEN}`;
}

/** Whether an order that names these streams of one camera lets a box look at `address`. */
export function namesCamera(
  order: { readonly camera: string; readonly substream?: string | undefined },
  address: string,
): boolean {
  return address !== '' && (address === order.camera || address === order.substream);
}

/** Whether two sources are streams of one device on the network: the same host and port. */
export function isSameDevice(one: CameraSource, other: CameraSource): boolean {
  return one.kind === 'rtsp' && other.kind === 'rtsp' && one.host === other.host && one.port === other.port;
}

/**
 * Why `second` cannot be the second stream of the camera `main`; undefined where it can. Orders and configurations go by
 * this one rule. `mainName`: the field that holds `main`.
 */
export function secondStreamFault(
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
 * `wanted` with each `***` replaced by the login of `had`; undefined where that is another device, or has no such login.
 */
export function withLoginOf(wanted: string, had: string): string | undefined {
  const [to, from] = [parseCameraSource(wanted), parseCameraSource(had)];
  if ('fault' in to || 'fault' in from || to.kind !== 'rtsp' || from.kind !== 'rtsp') return undefined;
  if (!isSameDevice(to, from)) return undefined;
  const values = new Map(partsOf(from.target).map((part) => [nameOf(part), part.value]));
  const filledParts = partsOf(to.target).map((part) =>
    part.value === HIDDEN ? { ...part, value: values.get(nameOf(part)) ?? HIDDEN } : part,
  );
  const front = loginText(wanted);
  const login = front === HIDDEN ? loginText(had) : front;
  if (front === HIDDEN && login === undefined) return undefined;
  const filled = `rtsp://${login === undefined ? '' : `${login}@`}${hostText(to)}${textOf(filledParts)}`;
  return filled.includes(HIDDEN) ? undefined : filled;
}

function parseRtsp(rest: string): RtspCamera | SourceFault {
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
  const fault = targetFault(target);
  if (fault !== undefined) return { fault };
  const origin = `rtsp://${hostText(place)}`;
  const address = withoutLogins(target);
  return {
    kind: 'rtsp',
    ...place,
    ...login,
    target,
    address: `${origin}${address}`,
    shown: `${origin}${maskedTarget(address)}`,
    masked: `rtsp://${at < 0 ? '' : `${HIDDEN}@`}${hostText(place)}${maskedTarget(target)}`,
  };
}

function loginOf(text: string): { user: string; password: string } | SourceFault {
  const wrong = { fault: `has a user or password that cannot be read; ${ESCAPES}` };
  if (text === '' || !LOGIN_TEXT.test(text)) return wrong;
  const [user = ''] = /^[^:]*/.exec(text) ?? [];
  try {
    const login = {
      user: decodeURIComponent(user),
      password: decodeURIComponent(text.slice(user.length + 1)),
    };
    return /\p{Cc}/u.test(login.user + login.password) ? wrong : login;
  } catch {
    // Escaped bytes that are no UTF-8.
    return wrong;
  }
}

function placeOf(text: string): { host: string; port: number } | SourceFault {
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

function ipv6Place(name: string, port: number): { host: string; port: number } | SourceFault {
  // Only for the short form of RFC 5952: any URL parser gives the same for an address in brackets.
  const url = `ws://${name}/`;
  if (!URL.canParse(url))
    return { fault: 'must write an IPv6 address in brackets, as rtsp://[fd00::20]/path' };
  const host = new URL(url).hostname.slice(1, -1);
  // ::a.b.c.d, ::ffff:a.b.c.d, ::ffff:0:a.b.c.d (RFC 4291, 6145) and 64:ff9b::a.b.c.d (RFC 6052)
  if (/^(?:::(?:ffff:(?:0:)?)?|64:ff9b::)[0-9a-f]{1,4}:[0-9a-f]{1,4}$/.test(host))
    return { fault: 'must write an IPv4 address as such, as 192.168.1.20, and not within an IPv6 address' };
  return { host, port };
}

/** Host and port as in `address`. */
export function hostText({ host, port }: { host: string; port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}${port === DEFAULT_RTSP_PORT ? '' : `:${port}`}`;
}

/** What is opened: the camera's stream at one of its addresses. Secret. */
export function locationAt({ port, target }: RtspCamera, host: string): string {
  return `rtsp://${hostText({ host, port })}${target}`;
}

/** What stands before the @; undefined where there is none. */
function loginText(source: string): string | undefined {
  return /^rtsp:\/\/([^/@]*)@/.exec(source)?.[1];
}

/** A piece of path or query. */
interface Part {
  /** The separator in front of it. */
  readonly before: string;
  /** Empty where the piece is no `key=value`. */
  readonly key: string;
  readonly value: string;
  readonly inQuery: boolean;
}

/** Pieces between `/`, `?`, `&` and `;`, and in the path between `_name=`: cheap cameras take `/user=admin_password=…`. */
function partsOf(target: string): Part[] {
  const [path = ''] = /^[^?]*/.exec(target) ?? [];
  const inPath = path.split(/([/&;]|_(?=[A-Za-z][A-Za-z0-9]*=))/);
  const inQuery = target.slice(path.length).split(/([?&;])/);
  return [...parts(inPath, false), ...parts(inQuery, true)];
}

/** Of a text that was split with its separators kept; it begins with one. */
function parts(pieces: readonly string[], inQuery: boolean): Part[] {
  const found: Part[] = [];
  for (let n = 1; n < pieces.length; n += 2) {
    const [before = '', text = ''] = [pieces[n], pieces[n + 1]];
    const equals = text.indexOf('=');
    const key = equals < 0 ? '' : text.slice(0, equals);
    found.push({ before, key, value: key === '' ? text : text.slice(equals + 1), inQuery });
  }
  return found;
}

function textOf(list: readonly Part[]): string {
  return list.map(({ before, key, value }) => `${before}${key === '' ? value : `${key}=${value}`}`).join('');
}

function isLogin(key: string): boolean {
  return LOGIN_KEY.test(key);
}

/** By which a piece is found in another source of the same camera. */
function nameOf({ key, inQuery }: Part): string {
  return inQuery ? `?${key}` : key;
}

/** Whether the value may open something. */
function isSecret({ key, value, inQuery }: Part): boolean {
  return isLogin(key) || (inQuery && !STREAM_KEY.test(key === '' ? value : key));
}

function maskedTarget(target: string): string {
  return textOf(partsOf(target).map((part) => (isSecret(part) ? { ...part, value: HIDDEN } : part)));
}

/** `target` without login keys. */
function withoutLogins(target: string): string {
  let text = '';
  // Separator of what was taken out: the next piece of the same segment or query has it.
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

function targetFault(target: string): string | undefined {
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
      return `must not hold ${byte} in path or query: a camera may take it for what it stands for; ${LOGIN_IN_FRONT}`;
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

/** A path that is not the shortest form of itself. */
function hasOddSegment(path: string, emptyIsPlain = false): boolean {
  return path
    .split('/')
    .slice(1)
    .some((part) => part === '.' || part === '..' || (part === '' && !emptyIsPlain));
}

function fileSource(text: string): LocalSource | SourceFault {
  const path = text.slice('file:'.length);
  if (!path.startsWith('//'))
    return path === '' ? { fault: 'must name a clip, as file:/path/clip.mp4' } : local('file', path);
  const wrong = { fault: 'is not a path to a clip; use file:/path/clip.mp4' };
  if (!path.startsWith('///') || /[?#]/.test(path)) return wrong;
  try {
    const decoded = decodeURIComponent(path.slice(2));
    return /\p{Cc}/u.test(decoded) ? wrong : local('file', decoded);
  } catch {
    // Escaped bytes that are no UTF-8.
    return wrong;
  }
}

function local(kind: LocalSource['kind'], path: string): LocalSource {
  const address = `${kind}:${path}`;
  return { kind, path, address, shown: address, masked: address };
}
