/**
 * Implements login by OpenID Connect: authorization code with PKCE (RFC 7636, RFC 9700), by a certified client library.
 *
 * INVARIANTS:
 * - The console stores nothing during a login. State, nonce and verifier are in a cookie, so only the browser that
 *   began a login can finish it, and an unauthorised client cannot fill memory.
 * - The role is the one that the identity provider reports now. A person without a role of the settings is refused.
 */
import * as client from 'openid-client';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import type { Account } from './handler.ts';
import type { OidcSettings } from './settings.ts';

/** Time limit in s for the provider's answers, because a person waits for the page. */
const ANSWER_WITHIN_S = 10;

/** Maximum length of an account name, in the tables and in the audit log. */
const NAME_CHARS_MAX = 64;

/** Cookie value: state, nonce and verifier, each 256 bits in base64url. */
const FLOW = /^([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** Refusal of a login, with a line for the page and the audit log. */
export class LoginRefused extends Error {
  /** Account name from the identity provider, if known. */
  readonly account: string;

  constructor(line: string, account = '') {
    super(line);
    this.account = account;
  }
}

/** Data for a later check of the role. */
export interface Renewal {
  readonly refreshToken: string;
  /** Subject of the ID token at login. */
  readonly sub: string;
}

export interface Entered {
  readonly account: Account;
  /** Undefined if the provider issues no refresh token. */
  readonly renewal: Renewal | undefined;
}

export class Oidc {
  readonly #settings: OidcSettings;
  #config: Promise<client.Configuration> | undefined;

  constructor(settings: OidcSettings) {
    this.#settings = settings;
  }

  /**
   * Starts a login. Returns the URL for the browser and the value of the login cookie.
   * @throws {AgentError} `unavailable`
   */
  async begin(returnUrl: string): Promise<{ url: URL; flow: string }> {
    const config = await this.#configuration();
    const [state, nonce, verifier] = [
      client.randomState(),
      client.randomNonce(),
      client.randomPKCECodeVerifier(),
    ];
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: returnUrl,
      scope: this.#settings.scope,
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    return { url, flow: `${state}.${nonce}.${verifier}` };
  }

  /**
   * Finishes a login. `came` is the URL with which the browser returned.
   * @throws {LoginRefused}
   * @throws {AgentError} `unavailable`
   */
  async finish(came: URL, flow: string | undefined): Promise<Entered> {
    const [, state, nonce, verifier] = FLOW.exec(flow ?? '') ?? [];
    if (state === undefined || nonce === undefined || verifier === undefined) {
      throw new LoginRefused('this browser has not asked to enter, or too long ago; enter again');
    }
    const config = await this.#configuration();
    try {
      // Checks state, the issuer of the answer (RFC 9207), and of the ID token: signature, iss, aud, exp and nonce.
      const tokens = await client.authorizationCodeGrant(config, came, {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      });
      const claims = await this.#claims(config, tokens, tokens.claims()?.sub ?? '');
      const { refresh_token: refreshToken } = tokens;
      const sub = String(claims['sub']);
      const renewal = refreshToken === undefined ? undefined : { refreshToken, sub };
      return { account: this.#accountOf(claims), renewal };
    } catch (error) {
      throw error instanceof LoginRefused ? error : refusalOf(error);
    }
  }

  /**
   * Queries the current account and role.
   * @throws {LoginRefused} if the account no longer exists or has no role
   * @throws {AgentError} `unavailable`
   */
  async renew({ refreshToken, sub }: Renewal): Promise<{ account: Account; renewal: Renewal }> {
    const config = await this.#configuration();
    try {
      const tokens = await client.refreshTokenGrant(config, refreshToken);
      const claims = await this.#claims(config, tokens, sub);
      if (claims['sub'] !== sub) throw new LoginRefused('the identity provider names another account');
      const next = tokens.refresh_token ?? refreshToken;
      return { account: this.#accountOf(claims), renewal: { refreshToken: next, sub } };
    } catch (error) {
      throw error instanceof LoginRefused ? error : refusalOf(error);
    }
  }

  /**
   * Returns the claims. Many providers put only the subject into the ID token of a code flow, so missing claims come
   * from the userinfo endpoint.
   */
  async #claims(
    config: client.Configuration,
    tokens: Pick<
      client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
      'access_token' | 'claims'
    >,
    sub: string,
  ): Promise<Readonly<Record<string, unknown>>> {
    const claims: { readonly sub: string; readonly [name: string]: unknown } = tokens.claims() ?? { sub };
    const { roleClaim, nameClaim } = this.#settings;
    const isComplete = claims[roleClaim] !== undefined && claims[nameClaim] !== undefined;
    if (isComplete || config.serverMetadata().userinfo_endpoint === undefined) return claims;
    return { ...(await client.fetchUserInfo(config, tokens.access_token, claims.sub)), ...claims };
  }

  #accountOf(claims: Readonly<Record<string, unknown>>): Account {
    const { roleClaim, nameClaim, roles } = this.#settings;
    const [nameValue, sub] = [claims[nameClaim], claims['sub']];
    const text = typeof nameValue === 'string' && nameValue !== '' ? nameValue : String(sub);
    const name = printable(text, NAME_CHARS_MAX).slice(0, NAME_CHARS_MAX);
    // The audit log uses `room` for the program itself.
    if (name === 'room' || text.length > NAME_CHARS_MAX || name !== text) {
      throw new LoginRefused(`the name in ${nameClaim} cannot be that of an account here`, name);
    }
    const claim = claims[roleClaim];
    const values: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
    const [, role] = Object.entries(roles).find(([value]) => values.includes(value)) ?? [];
    if (role === undefined) {
      throw new LoginRefused(`${name} lacks a role in this room; the identity provider assigns it`, name);
    }
    return { name, role, isProgram: false };
  }

  /** Discovers the provider once, and again after an error. */
  #configuration(): Promise<client.Configuration> {
    this.#config ??= this.#discover().catch((error: unknown) => {
      this.#config = undefined;
      throw unavailable(error);
    });
    return this.#config;
  }

  #discover(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret } = this.#settings;
    const proof = clientSecret === undefined ? client.None() : client.ClientSecretBasic(clientSecret);
    return client.discovery(issuer, clientId, {}, proof, {
      timeout: ANSWER_WITHIN_S,
      execute: [
        // Verifies the signature of the ID token too, although it comes directly from the provider over TLS.
        client.enableNonRepudiationChecks,
        // The settings accept http:// only for a provider on this machine.
        ...(issuer.protocol === 'http:' ? [client.allowInsecureRequests] : []),
      ],
    });
  }
}

function unavailable(error: unknown): AgentError {
  const line = `the identity provider does not answer (${printable(messageOf(error))})`;
  return new AgentError('unavailable', line, error);
}

/** Maps an error of the library. An unreachable provider is not a refusal. */
function refusalOf(error: unknown): Error {
  if (error instanceof client.AuthorizationResponseError) {
    return new LoginRefused(`the identity provider says ${printable(error.error)}`);
  }
  if (error instanceof client.ResponseBodyError && error.status < 500) {
    return new LoginRefused(`the identity provider says ${printable(error.error)}`);
  }
  if (error instanceof client.WWWAuthenticateChallengeError && error.status < 500) {
    return new LoginRefused('the identity provider does not know the account any more');
  }
  const isUnavailable = !(error instanceof client.ClientError) || error.code === 'OAUTH_TIMEOUT';
  if (isUnavailable) return unavailable(error);
  return new LoginRefused(`the answer of the identity provider is not right (${printable(error.message)})`);
}
