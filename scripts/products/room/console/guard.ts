/** Checks requests before routing: host name, origin and bearer token. Also defines the security headers of answers. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Account } from './handler.ts';
import type { Token } from './settings.ts';

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
} as const;

/** One year, the minimum of https://hstspreload.org */
const HSTS = { 'strict-transport-security': 'max-age=31536000' } as const;

/** Bearer token (RFC 6750): long enough to be random, short enough to be hashed quickly. */
const BEARER = /^Bearer ([A-Za-z0-9._~+/=-]{16,512})$/;

export interface Refusal {
  readonly status: 403 | 421;
  readonly line: string;
}

export class Guard {
  readonly headers: Readonly<Record<string, string>>;
  readonly #origins: () => readonly string[];

  /**
   * `origins` returns the accepted origins, as `https://console.example`. `isSecure` means that all traffic uses TLS.
   */
  constructor(origins: () => readonly string[], isSecure: boolean) {
    this.#origins = origins;
    this.headers = { ...SECURITY_HEADERS, ...(isSecure && HSTS) };
  }

  /** Returns the refusal of a request, if any. Runs before any other processing. */
  check({ headers, method, routeOptions }: FastifyRequest): Refusal | undefined {
    const origins = this.#origins();
    const hosts = origins.map((own) => new URL(own).host);
    // A foreign host name that resolves to this server (DNS rebinding).
    if (!hosts.includes((headers.host ?? '').toLowerCase())) {
      return { status: 421, line: `Host: this is ${hosts.join(' or ')}` };
    }
    const { origin } = headers;
    const site = headers['sec-fetch-site'];
    if (origin !== undefined && !origins.includes(origin)) {
      return { status: 403, line: `Origin: only ${origins.join(' or ')} may ask` };
    }
    // Uses the matched route, not the raw URL: `/%61pi/queue` leads there too.
    if (
      routeOptions.url?.startsWith('/api/') === true &&
      site !== undefined &&
      site !== 'same-origin' &&
      site !== 'none'
    ) {
      return { status: 403, line: 'Sec-Fetch-Site: only pages of the console itself may ask' };
    }
    const isChange = method !== 'GET' && method !== 'HEAD';
    // A browser sends its origin. A program has a token, which a foreign page cannot make a browser send.
    const isKnown = origin !== undefined || site === 'same-origin' || headers.authorization !== undefined;
    if (isChange && !isKnown)
      return { status: 403, line: 'Origin: is missing; a program needs a token (Authorization: Bearer)' };
    return undefined;
  }
}

/** Returns the program that owns the token, `unknown` for an unknown token, or undefined without one. */
export function programOf(
  authorization: string | undefined,
  tokens: readonly Token[],
): Account | 'unknown' | undefined {
  if (authorization === undefined) return undefined;
  const [, token = ''] = BEARER.exec(authorization) ?? [];
  const hash = createHash('sha256').update(token).digest();
  // All tokens are compared, each in constant time.
  const matches = tokens.filter(({ sha256 }) => timingSafeEqual(Buffer.from(sha256, 'hex'), hash));
  const [one] = matches;
  return token === '' || one === undefined ? 'unknown' : { name: one.name, role: one.role, isProgram: true };
}
