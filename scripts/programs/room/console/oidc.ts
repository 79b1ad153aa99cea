/**
 * Login by OpenID Connect: authorization code with PKCE (RFC 7636, RFC 9700), by a certified client library.
 *
 * INVARIANTS: nothing is kept here between leaving and coming back: state, nonce and verifier are in a cookie of the
 * browser that left, so that whoever comes back is the one who left, and a stranger fills nothing. The role is what the
 * identity provider says now; who has none of the settings' does not enter.
 */
import * as client from 'openid-client';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import type { Account } from './handler.ts';
import type { OidcSettings } from './settings.ts';

/** A person is waiting for the page; s. */
const ANSWER_WITHIN_S = 10;

/** Of an account, by the table's and the record's schema. */
const NAME_CHARS_MAX = 64;

/** Base64url of 256 bits, three times: state, nonce and verifier. */
const FLOW = /^([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** Why somebody does not enter: a line for the page, and for the record. */
export class LoginRefused extends Error {
  /** As the identity provider calls them, as far as that is known. */
  readonly who: string;

  constructor(line: string, who = '') {
    super(line);
    this.who = who;
  }
}

/** By which the role is asked for again. */
export interface Renewal {
  readonly refreshToken: string;
  /** The subject of the ID token at the login. */
  readonly sub: string;
}

export interface Entered {
  readonly who: Account;
  /** Undefined where the provider gives no refresh token. */
  readonly renewal: Renewal | undefined;
}

export class Oidc {
  readonly #settings: OidcSettings;
  #config: Promise<client.Configuration> | undefined;

  constructor(settings: OidcSettings) {
    this.#settings = settings;
  }

  /** Where the browser goes, and what it must bring back. Throws AgentError `unavailable`. */
  async begin(back: string): Promise<{ url: URL; flow: string }> {
    const config = await this.#configuration();
    const [state, nonce, verifier] = [
      client.randomState(),
      client.randomNonce(),
      client.randomPKCECodeVerifier(),
    ];
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: back,
      scope: this.#settings.scope,
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    return { url, flow: `${state}.${nonce}.${verifier}` };
  }

  /** `came`: the URL with which the browser came back. Throws LoginRefused, or AgentError `unavailable`. */
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
      return { who: this.#accountOf(claims), renewal };
    } catch (error) {
      throw error instanceof LoginRefused ? error : refusalOf(error);
    }
  }

  /** Who that is now. Throws LoginRefused where the account is gone or has no role, or AgentError `unavailable`. */
  async again({ refreshToken, sub }: Renewal): Promise<{ who: Account; renewal: Renewal }> {
    const config = await this.#configuration();
    try {
      const tokens = await client.refreshTokenGrant(config, refreshToken);
      const claims = await this.#claims(config, tokens, sub);
      if (claims['sub'] !== sub) throw new LoginRefused('the identity provider names another account');
      const next = tokens.refresh_token ?? refreshToken;
      return { who: this.#accountOf(claims), renewal: { refreshToken: next, sub } };
    } catch (error) {
      throw error instanceof LoginRefused ? error : refusalOf(error);
    }
  }

  /** Many providers put only the subject into the ID token of a code flow; the rest is asked for. */
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
    const isWhole = claims[roleClaim] !== undefined && claims[nameClaim] !== undefined;
    if (isWhole || config.serverMetadata().userinfo_endpoint === undefined) return claims;
    return { ...(await client.fetchUserInfo(config, tokens.access_token, claims.sub)), ...claims };
  }

  #accountOf(claims: Readonly<Record<string, unknown>>): Account {
    const { roleClaim, nameClaim, roles } = this.#settings;
    const [given, sub] = [claims[nameClaim], claims['sub']];
    const text = typeof given === 'string' && given !== '' ? given : String(sub);
    const name = printable(text, NAME_CHARS_MAX).slice(0, NAME_CHARS_MAX);
    // `room` is what the record calls the program itself.
    if (name === 'room' || text.length > NAME_CHARS_MAX || name !== text) {
      throw new LoginRefused(`the name in ${nameClaim} cannot be that of an account here`, name);
    }
    const claim = claims[roleClaim];
    const values: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
    const [, role] = Object.entries(roles).find(([value]) => values.includes(value)) ?? [];
    if (role === undefined) {
      throw new LoginRefused(`${name} has no role in this room; the identity provider gives it`, name);
    }
    return { name, role, isProgram: false };
  }

  /** Asked for once; after a fault again. */
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
        // The signature of the ID token too, though it comes over TLS from the provider itself.
        client.enableNonRepudiationChecks,
        // The settings take http:// for a provider on this machine only.
        ...(issuer.protocol === 'http:' ? [client.allowInsecureRequests] : []),
      ],
    });
  }
}

function unavailable(error: unknown): AgentError {
  const line = `the identity provider does not answer (${printable(messageOf(error))})`;
  return new AgentError('unavailable', line, error);
}

/** A provider that cannot be reached is no refusal. */
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
  const isAway = !(error instanceof client.ClientError) || error.code === 'OAUTH_TIMEOUT';
  if (isAway) return unavailable(error);
  return new LoginRefused(`the answer of the identity provider is not right (${printable(error.message)})`);
}
