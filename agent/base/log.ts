/**
 * Structured log on stderr, one JSON object per line (a readable line on a terminal).
 *
 * INVARIANTS: no line contains the login of a URL, a private key, a picture, or a control character of a terminal,
 * whatever a caller passes. Each line is checked as text when it is written, so no field is missed.
 *
 * Levels:
 * - error: a person must act.
 * - warn: recovered, nothing lost.
 * - info: a change of state.
 */
import { pino } from 'pino';
import { jsonOf } from './json.ts';
import type { LogLevel } from './log-level.ts';
import { escapedInJson, withoutControls } from './printable.ts';

export interface Logger {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

export type { LogLevel };

export function makeLogger(name: string, level: LogLevel): Logger {
  const hooks = { streamWrite: process.stderr.isTTY === true ? terminalLine : scrubbed };
  return pino({ name, level, base: { name }, hooks }, pino.destination({ dest: 2, sync: true }));
}

/** Patterns for a line of JSON, where quotes and line ends within text are escaped. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/([a-z][a-z0-9+.-]{1,15}:\/\/)[^\s"/?#\\][^\s"\\]{0,2000}@/gi, '$1***@'],
  [/((?:\b|_)(?:pass\w{0,16}|pwd|token|secret)=)[^&\s"\\]+/gi, '$1***'],
  [
    /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^"]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|(?="|$))/g,
    '(key)',
  ],
  // Body of a private key without its armour: PKCS #8 of ed25519 (RFC 8410), the only kind created here.
  [/MC4CAQAwBQYDK2VwBCIEI[A-Za-z0-9+/]{43}=?/g, '(key)'],
  // Base64 of the first bytes of a JPEG, or of a PNG.
  [/(?:\/9j\/|iVBORw0KGgo)[A-Za-z0-9+/=]{20,}/g, '(picture)'],
];

export function scrubbed(line: string): string {
  const text = SECRETS.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), line);
  return escapedInJson(text);
}

/** Level names on a terminal, by pino's number. */
const LEVELS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info ', 40: 'warn ', 50: 'ERROR' };

/** Formats a log line for a person: local time with its offset, level, name, message, and the fields. */
export function terminalLine(line: string): string {
  const text = scrubbed(line);
  const entry = jsonOf(text);
  if (typeof entry !== 'object' || entry === null) return text;
  const { level, time, name, msg, ...fields } = entry as Record<string, unknown>;
  // A caller's field may have the name of one of pino's.
  if (typeof time !== 'number' || Number.isNaN(new Date(time).getTime())) return text;
  const fieldTexts = Object.entries(fields).map(([key, value]) => {
    return ` ${key}=${typeof value === 'string' && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value)}`;
  });
  const head = `${localTime(time)} ${LEVELS[Number(level)] ?? level} ${name}:`;
  return `${withoutControls(`${head} ${msg}${fieldTexts.join('')}`)}\n`;
}

/** Returns `2026-11-24T15:02:00.250+01:00`, in the time zone of this machine. */
function localTime(ms: number): string {
  const minutes = -new Date(ms).getTimezoneOffset();
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const offset = `${minutes < 0 ? '-' : '+'}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
  return new Date(ms + minutes * 60_000).toISOString().replace('Z', offset);
}

/**
 * Returns a URL without its password and query, safe for logs and messages. An unparsable URL is not shown. Cheap
 * cameras take the login in the path (`/user=admin_password=…`), so the rest of such a path is removed too.
 */
export function withoutSecret(url: string): string {
  try {
    const parsed = new URL(url);
    if (parsed.username !== '') parsed.username = '***';
    if (parsed.password !== '') parsed.password = '***';
    parsed.search = '';
    parsed.pathname = parsed.pathname.replace(/((?:user|pass\w{0,16}|pwd|token)=).*$/i, '$1***');
    return parsed.toString();
  } catch {
    return '(unreadable URL)';
  }
}
