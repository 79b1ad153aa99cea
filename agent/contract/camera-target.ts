/**
 * Splits path and query of an RTSP address into pieces: logins, pins that select a stream, and plain ones.
 * camera-address.ts reads a whole source with it.
 *
 * LIMITS: a login is recognised by the names in `LOGIN_KEY`, a pin by those in `PIN_KEY`. Under another name a value is
 * plain address. An unescaped `_name=` within a password in the path begins a new key.
 */

/** Piece of a path or query. */
interface Part {
  /** Separator in front of it. */
  readonly before: string;
  /** Empty if the piece is not `key=value`. */
  readonly key: string;
  readonly value: string;
  readonly inQuery: boolean;
}

/** Value that selects a stream and may be a credential. */
export interface Pin {
  readonly key: string;
  /** The camera's own text, which is secret; in an authorisation the digest of it. */
  readonly value: string;
}

export const HIDDEN = '***';
const LOGIN_IN_FRONT = 'give the login in front of the host: rtsp://user:password@host/path';
/** Maximum number of pins in an address: each costs a slow digest. */
export const PINS_MAX = 4;

/** Names under which cameras accept user and password. */
const LOGIN_KEY = /^(?:user(?:name|id)?|usr|login(?:use|pas)?|pass(?:wd|wor[dt])?|pw|psw|pwd)$/i;
/**
 * Names under which cameras and recorders accept a key. It may select the stream, so it belongs to the address, unlike
 * user and password. It may be a credential, so an authorisation names it by a digest.
 */
const PIN_KEY =
  /^(?:(?:[a-z]{1,12}[_-]?)?(?:token|secret|ticket|signature|credentials?)|(?:api|access|auth|session)?[_-]?key|auth(?:entication|ori[sz]ation|code)?|sig|jwt|hash|digest|nonce|session(?:[_-]?id)?|sid|pass(?:code|key|phrase))$/i;
/** Query keys that select a stream; their values are not secret. */
const STREAM_KEY =
  /^(?:audio|camera|ch|channel|chn|fps|h26[45]|id|inst|line|media|profile|proto|real_stream|resolution|stream|subtype|track|trackid|unicast|video|videocodec)$/i;
/** RFC 3986: unreserved characters, sub-delims and escaped bytes. */
const TARGET_TEXT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:/?]|%[0-9A-Fa-f]{2})*$/;

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

const isLogin = ({ key }: Part): boolean => LOGIN_KEY.test(key);
const isPin = ({ key }: Part): boolean => PIN_KEY.test(key);

/** Returns the name that identifies a piece in another source of the same camera. */
function nameOf({ key, inQuery }: Part): string {
  return inQuery ? `?${key}` : key;
}

/** Reports whether the value may be a credential. */
function isSecret(part: Part): boolean {
  const { key, value, inQuery } = part;
  return isLogin(part) || isPin(part) || (inQuery && !STREAM_KEY.test(key === '' ? value : key));
}

/** Returns the pins in the order of the text. */
export function pinsOf(target: string): readonly Pin[] {
  return partsOf(target)
    .filter(isPin)
    .map(({ key, value }) => ({ key, value }));
}

/** Returns `target` with `***` for the value of each piece that may be a credential. */
export function maskedTarget(target: string): string {
  return textOf(partsOf(target).map((part) => (isSecret(part) ? { ...part, value: HIDDEN } : part)));
}

/** Returns `target` without its login, with `pinText` for the value of each pin. */
export function withoutLogins(target: string, pinText: (value: string) => string): string {
  let text = '';
  // Separator of the removed piece. The next piece of the same segment or query takes it.
  let owed = '';
  for (const part of partsOf(target)) {
    const opens = part.before === '/' || part.before === '?';
    if (opens && owed === '/') text += owed;
    const before = opens || owed === '' ? part.before : owed;
    owed = isLogin(part) ? before : '';
    const value = isPin(part) ? pinText(part.value) : part.value;
    if (owed === '') text += textOf([{ ...part, before, value }]);
  }
  return owed === '/' ? `${text}/` : text;
}

/** Returns `target` with the values of `had` in place of each `***`, as far as `had` has one of that name. */
export function filledTarget(target: string, had: string): string {
  const values = new Map(partsOf(had).map((part) => [nameOf(part), part.value]));
  return textOf(
    partsOf(target).map((part) =>
      part.value === HIDDEN ? { ...part, value: values.get(nameOf(part)) ?? HIDDEN } : part,
    ),
  );
}

/** Returns why two parsers could read the target differently, with the accepted form; undefined if they cannot. */
export function targetProblem(target: string): string | undefined {
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
  return keyProblem(partsOf(target));
}

function keyProblem(list: readonly Part[]): string | undefined {
  const names = new Set<string>();
  for (const part of list) {
    const { key, value, inQuery } = part;
    const name = (key === '' && inQuery ? value : key).toLowerCase();
    if (name === '') continue;
    if (key.includes('%')) return 'must write the names of keys in path and query plainly, without %XX';
    // A camera that splits elsewhere could find another key in the removed text.
    if (isLogin(part) && value.includes('='))
      return `has a login with an = in path or query; ${LOGIN_IN_FRONT}`;
    if (names.has(name)) return 'must give each key of path and query once';
    names.add(name);
  }
  return list.filter(isPin).length > PINS_MAX
    ? `must hold at most ${PINS_MAX} keys such as token, auth or secret`
    : undefined;
}

/** Reports whether a path is not in its shortest form. */
export function hasOddSegment(path: string, emptyIsPlain = false): boolean {
  return path
    .split('/')
    .slice(1)
    .some((part) => part === '.' || part === '..' || (part === '' && !emptyIsPlain));
}
