/**
 * Structured log on stderr, one JSON object a line (a readable line on a terminal).
 * INVARIANTS: whatever a caller passes, no line holds the login of a URL, a private key, a picture, or a character that
 * a terminal obeys: each line is looked over as text when it is written, where no field can be forgotten.
 * Levels: error = a person must act; warn = recovered, nothing lost; info = a change of state.
 */
import { pino } from 'pino';
import type { LogLevel } from './log-level.ts';
import { escapedInJson } from './printable.ts';

export interface Logger {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

export type { LogLevel };

export function makeLogger(name: string, level: LogLevel): Logger {
  const hooks = { streamWrite: scrubbed };
  return pino({ name, level, base: { name }, hooks }, pino.destination({ dest: 2, sync: true }));
}

/** In a line of JSON: quotes and line ends within text are escaped. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/([a-z][a-z0-9+.-]{1,15}:\/\/)[^\s"/?#\\][^\s"\\]{0,2000}@/gi, '$1***@'],
  [/((?:\b|_)(?:pass\w{0,16}|pwd|token|secret)=)[^&\s"\\]+/gi, '$1***'],
  [
    /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^"]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|(?="|$))/g,
    '(key)',
  ],
  // The body of a private key without its armour: PKCS #8 of ed25519 (RFC 8410), the only kind made here.
  [/MC4CAQAwBQYDK2VwBCIEI[A-Za-z0-9+/]{43}=?/g, '(key)'],
  // Base64 of the first bytes of a JPEG, or of a PNG.
  [/(?:\/9j\/|iVBORw0KGgo)[A-Za-z0-9+/=]{20,}/g, '(picture)'],
];

export function scrubbed(line: string): string {
  const text = SECRETS.reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), line);
  return escapedInJson(text);
}

/**
 * A URL without its password and query, fit for logs and messages. Anything unparsable is not shown.
 * Cheap cameras take the login in the path (`/user=admin_password=…`): what follows it goes too.
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
