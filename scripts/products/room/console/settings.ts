/**
 * Reads the console's settings from one YAML file, and refuses an invalid one with its place and the accepted form.
 *
 * Secrets are in separate files that the settings name. This module never prints one.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { dirname, resolve } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { openToOthers } from '../../../../agent/base/private-file.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { parseYaml } from '../../../../agent/base/yaml-text.ts';
import { ROLES, type Role } from '../contract/roles.ts';
import { OneOf, strict, Text } from '../contract/schema.ts';
import { WEBHOOK_TYPES, type WebhookType } from '../contract/webhook.ts';
import { problemOf } from './fault.ts';
import { type Patrol, PatrolsFile, patrolsIn, patrolsOfWebhook } from './patrol-settings.ts';
import { NO_VIDEO, VideoFile, type VideoSettings, videoOf } from './video.ts';

const LISTEN_DEFAULT = '127.0.0.1:9480';
const LISTEN_FORM = 'address:port, as 127.0.0.1:9480 or [::1]:9480';

/** Maximum length of an account name, as in the tables. */
const NAME_CHARS_MAX = 64;
const NameSchema = Type.String({
  pattern: `^[A-Za-z0-9À-ɏ][A-Za-z0-9À-ɏ ._@-]{0,${NAME_CHARS_MAX - 1}}$`,
  description: `a name of 1 to ${NAME_CHARS_MAX} letters, digits, spaces and . _ @ -`,
});
const File = Type.String({ minLength: 1, maxLength: 4096 });
const OneRole = OneOf(ROLES);

export const SettingsFile = Type.Object(
  {
    listen: Type.Optional(Text(300, LISTEN_FORM)),
    origin: Type.Optional(Text(300)),
    database: Text(1000),
    oidc: Type.Optional(
      Type.Object(
        {
          issuer: Text(1000),
          clientId: Type.String({ minLength: 1, maxLength: 300 }),
          clientSecretFile: Type.Optional(File),
          scope: Type.Optional(Text(300)),
          nameClaim: Type.Optional(Text(100)),
          roleClaim: Text(100),
          /** Maps values of the claim to roles. If several match, the first of these counts. */
          roles: Type.Record(Text(300), OneRole, { minProperties: 1 }),
        },
        strict,
      ),
    ),
    tokens: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: NameSchema,
            sha256: Type.String({
              pattern: '^[0-9a-f]{64}$',
              description: 'the SHA-256 of the token, 64 of 0-9 and a-f: printf %s TOKEN | sha256sum',
            }),
            role: OneRole,
          },
          strict,
        ),
        { maxItems: 100 },
      ),
    ),
    plan: Type.Optional(File),
    webhooks: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: NameSchema,
            url: Text(1000),
            secretFile: File,
            types: Type.Optional(Type.Array(OneOf(WEBHOOK_TYPES), { minItems: 1 })),
          },
          strict,
        ),
        { maxItems: 20 },
      ),
    ),
    patrols: Type.Optional(PatrolsFile),
    signer: Type.Optional(File),
    video: Type.Optional(VideoFile),
    demo: Type.Optional(
      Type.Object(
        { accounts: Type.Array(Type.Object({ name: NameSchema, role: OneRole }, strict), { maxItems: 20 }) },
        strict,
      ),
    ),
  },
  strict,
);
type SettingsFile = Static<typeof SettingsFile>;

export interface OidcSettings {
  readonly issuer: URL;
  readonly clientId: string;
  /** Undefined: a public client, authenticated by PKCE alone. */
  readonly clientSecret: string | undefined;
  readonly scope: string;
  readonly nameClaim: string;
  readonly roleClaim: string;
  readonly roles: Readonly<Record<string, Role>>;
}

export interface Token {
  readonly name: string;
  /** Hex. */
  readonly sha256: string;
  readonly role: Role;
}

interface Webhook {
  readonly name: string;
  readonly url: string;
  readonly secret: string;
  readonly types: readonly WebhookType[];
  /** Patrols whose incidents alone it reports; undefined for all incidents and cameras. */
  readonly patrols: readonly string[] | undefined;
}

export interface Settings {
  readonly listen: { readonly host: string; readonly port: number };
  /** Origin of the public URL; undefined means that of the listening address. */
  readonly origin: string | undefined;
  readonly database: string;
  readonly oidc: OidcSettings | undefined;
  readonly tokens: readonly Token[];
  /** Path of a GeoJSON file. */
  readonly plan: string | undefined;
  readonly webhooks: readonly Webhook[];
  /** Patrols that operators can dispatch; empty if the room lists none. */
  readonly patrols: readonly Patrol[];
  /** Path of the signer's socket. */
  readonly signer: string | undefined;
  /** Settings of the city's video system. */
  readonly video: VideoSettings;
  /** Accounts without a password. */
  readonly accounts: readonly { readonly name: string; readonly role: Role }[] | undefined;
  /** Token in the link that opens these accounts; undefined means that anyone can use them. */
  readonly entryToken: string | undefined;
}

/** Creates the token of a demonstration's link: 256 random bits, valid while the program runs. */
export const newEntryToken = (): string => randomBytes(32).toString('base64url');

export const DEMO_ACCOUNTS = [
  { name: 'operator', role: 'operator' },
  { name: 'operator-2', role: 'operator' },
  { name: 'supervisor', role: 'supervisor' },
  { name: 'auditor', role: 'auditor' },
] as const;

/** Name of the program that acts in a demonstration with the token of its link. */
const DEMO_PROGRAM = 'demo-program';

/** Patrols of a demonstration. */
const DEMO_PATROLS: readonly Patrol[] = ['Patrol north', 'Patrol south', 'Night patrol'].map((name) => ({
  name,
  sites: [],
  webhook: undefined,
}));

const wrong = (place: string, line: string): AgentError => new AgentError('config', `${place}: ${line}`);

/**
 * Reads and validates the settings.
 * @throws {AgentError} `config`, with one line: file, setting and accepted form
 */
export function readSettings(file: string): Settings {
  let content: unknown;
  try {
    content = parseYaml(readFileSync(file, 'utf8'));
  } catch (error) {
    throw wrong(file, `cannot be read (${messageOf(error).slice(0, 200)})`);
  }
  const problem = problemOf(SettingsFile, content);
  if (problem !== undefined) throw wrong(file, problem);
  const settings = content as SettingsFile;
  const from = (path: string): string => resolve(dirname(resolve(file)), path);
  const { demo, tokens = [], plan, webhooks = [], signer } = settings;
  const patrols = patrolsIn(settings.patrols ?? [], webhooks, (line) => wrong(file, line));
  const listen = listenOf(file, settings.listen ?? LISTEN_DEFAULT);
  const origin = settings.origin === undefined ? undefined : originOf(file, settings.origin);
  validateEntry(file, settings, listen.host, origin);
  for (const [index, { name }] of tokens.entries()) {
    const isTwice = tokens.findIndex((other) => other.name === name) !== index;
    if (isTwice) throw wrong(file, `tokens.${index}.name: two tokens are called ${name}`);
  }
  return {
    listen,
    origin,
    tokens,
    accounts: demo?.accounts,
    entryToken: demo === undefined ? undefined : newEntryToken(),
    database: databaseIn(file, settings.database, from),
    oidc: oidcOf(file, settings.oidc, from),
    plan: plan === undefined ? undefined : from(plan),
    webhooks: webhooks.map(({ name, url, secretFile, types = [...WEBHOOK_TYPES] }, index) => {
      const place = `webhooks.${index}`;
      if (!isSafeUrl(url))
        throw wrong(
          file,
          `${place}.url: must be https://… (http:// on this machine only), without a password`,
        );
      const secret = secretIn(file, `${place}.secretFile`, from(secretFile));
      return { name, url, types, secret, patrols: patrolsOfWebhook(name, patrols) };
    }),
    patrols,
    signer: signer === undefined ? undefined : from(signer),
    video: videoOf(file, settings.video),
  };
}

/** Returns settings of a demonstration: only a database and an address. */
export function demoSettings(database: string, listen: string, entryToken = newEntryToken()): Settings {
  const parsed = listenOf('--listen', listen);
  if (!isLoopback(parsed.host)) {
    throw wrong('--listen', 'with --demo anybody with the link may enter: it must be 127.0.0.1 or [::1]');
  }
  return {
    listen: parsed,
    origin: undefined,
    database,
    oidc: undefined,
    // Anyone who has the link can use every account, so a program may act with its token.
    tokens: [{ name: DEMO_PROGRAM, role: 'operator', sha256: sha256Of(entryToken) }],
    plan: undefined,
    webhooks: [],
    patrols: DEMO_PATROLS,
    signer: undefined,
    video: NO_VIDEO,
    accounts: DEMO_ACCOUNTS,
    entryToken,
  };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1');

/** True for a URL with TLS, or on this machine, and without a password. */
export function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const isHidden = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(hostOf(url)));
  return isHidden && url.username === '' && url.password === '';
}

function listenOf(file: string, text: string): Settings['listen'] {
  const [, name = '', port = ''] = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(text) ?? [];
  if (name === '' || Number(port) > 65_535) {
    throw wrong(file, `listen: must be ${LISTEN_FORM}`);
  }
  return { host: name.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

function originOf(file: string, text: string): string {
  if (!isSafeUrl(text) || new URL(text).href !== `${new URL(text).origin}/`) {
    throw wrong(
      file,
      'origin: must be what a browser has in front of the path, as https://console.example (http:// on this machine only)',
    );
  }
  return new URL(text).origin;
}

function validateEntry(
  file: string,
  { oidc, demo }: SettingsFile,
  host: string,
  origin: string | undefined,
): void {
  if (oidc !== undefined && demo !== undefined) {
    throw wrong(file, 'oidc and demo: one way in is enough; leave out demo');
  }
  if (oidc === undefined && demo === undefined)
    throw wrong(file, 'oidc is missing; without it login is impossible');
  const isLocal =
    isLoopback(host) && (origin === undefined || (origin.startsWith('http:') && isSafeUrl(origin)));
  if (demo !== undefined && !isLocal) {
    throw wrong(
      file,
      'demo: accounts without a password are for this machine only: listen and origin must be 127.0.0.1, [::1] or localhost, and http',
    );
  }
  if (origin === undefined && !isLoopback(host)) {
    throw wrong(file, 'origin is missing: the public URL, as https://console.example');
  }
}

function databaseIn(file: string, text: string, from: (path: string) => string): string {
  if (!/^[a-z]+:\/\//.test(text)) return from(text);
  if (!/^postgres(ql)?:/.test(text) || !URL.canParse(text)) {
    throw wrong(file, 'database: must be a file or postgres://user@host/name');
  }
  const { password, searchParams } = new URL(text);
  if (password !== '' || searchParams.has('password')) {
    throw wrong(
      file,
      'database: holds a password; it belongs in the file that PGPASSFILE names, or ~/.pgpass',
    );
  }
  return text;
}

function oidcOf(
  file: string,
  oidc: SettingsFile['oidc'],
  from: (path: string) => string,
): OidcSettings | undefined {
  if (oidc === undefined) return undefined;
  const { issuer, clientId, clientSecretFile, roleClaim, roles } = oidc;
  if (!isSafeUrl(issuer)) {
    throw wrong(file, 'oidc.issuer: must be https://… (http:// on this machine only), without a password');
  }
  return {
    issuer: new URL(issuer),
    clientId,
    roleClaim,
    roles,
    scope: oidc.scope ?? 'openid profile',
    nameClaim: oidc.nameClaim ?? 'preferred_username',
    clientSecret:
      clientSecretFile === undefined
        ? undefined
        : secretIn(file, 'oidc.clientSecretFile', from(clientSecretFile)),
  };
}

function secretIn(file: string, place: string, path: string): string {
  let secret: string;
  try {
    const open = openToOthers(path);
    if (open !== undefined) throw new Error(open.replace('private key', 'secret'));
    secret = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw wrong(file, `${place}: ${messageOf(error).slice(0, 200)}`);
  }
  if (secret === '') throw wrong(file, `${place}: ${path} is empty`);
  return secret;
}
