/**
 * A TUF repository as plain JSON, so that a test can serve what no library would write, and a loopback server for it.
 * Signs with its own canonical JSON and uses none of the code under test.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export const ROLES = ['root', 'timestamp', 'snapshot', 'targets'] as const;
export type RoleName = (typeof ROLES)[number];

export interface TufKey {
  readonly id: string;
  readonly content: { keytype: string; scheme: string; keyval: { public: string } };
  readonly privateKey: KeyObject;
}

export interface Envelope {
  signatures: { keyid: string; sig: string }[];
  signed: Signed;
}

/** Signed content; fields of the roles as in the specification. */
export interface Signed {
  _type: string;
  spec_version: string;
  version: number;
  expires: string;
  [field: string]: unknown;
}

export interface Meta {
  version: number;
  length?: number;
  hashes?: Record<string, string>;
}

/** Differences of a metadata file from the usual one. */
export interface Over {
  /** Days until it expires; negative if it has expired. */
  readonly days?: number;
  readonly version?: number;
  readonly signers?: readonly TufKey[];
  /** Changes the content before it is signed. */
  readonly change?: (signed: Signed) => void;
  /** Changes the file after it is signed. */
  readonly after?: (envelope: Envelope) => void;
  /** Bytes that are served instead. */
  readonly raw?: (bytes: Buffer) => Buffer;
  /** Changes its entry in the file above it. */
  readonly meta?: (meta: Meta) => void;
}

const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** OLPC canonical JSON: sorted names, no white space, only quote and backslash escaped. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${fields.map(([name, field]) => `${canonical(name)}:${canonical(field)}`).join(',')}}`;
  }
  return typeof value === 'string' ? `"${value.replace(/[\\"]/g, '\\$&')}"` : String(value);
}

function keyOf(keytype: string, scheme: string, text: string, privateKey: KeyObject): TufKey {
  const content = { keytype, scheme, keyval: { public: text } };
  return { id: sha256(canonical(content)), content, privateKey };
}

export function ed25519Key(form: 'hex' | 'pem' = 'hex'): TufKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const hex = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
  const text = form === 'hex' ? hex : publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return keyOf('ed25519', 'ed25519', text, privateKey);
}

export function ecdsaKey(): TufKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return keyOf('ecdsa', 'ecdsa-sha2-nistp256', pem, privateKey);
}

export function rsaKey(): TufKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return keyOf('rsa', 'rsassa-pss-sha256', pem, privateKey);
}

/** Signature with this key over these bytes, in hex. */
function signature({ content, privateKey }: TufKey, bytes: Buffer): string {
  if (content.keytype === 'ed25519') return sign(null, bytes, privateKey).toString('hex');
  // RSASSA-PSS with a salt as long as the digest.
  const padding = content.keytype === 'rsa' ? { padding: 6, saltLength: 32 } : {};
  return sign('sha256', bytes, { key: privateKey, ...padding }).toString('hex');
}

export function envelope(signed: Signed, signers: readonly TufKey[]): Envelope {
  const bytes = Buffer.from(canonical(signed));
  return { signatures: signers.map((key) => ({ keyid: key.id, sig: signature(key, bytes) })), signed };
}

const inDays = (days: number): string =>
  new Date(Date.now() + days * 86_400_000).toISOString().replace(/\.\d+Z$/, 'Z');

/**
 * Root, timestamp, snapshot and targets of version 1. Each has one key; root and targets have two, both of which must
 * sign.
 */
export class TufRepository {
  /** Files below metadata/ of the server; a number is an HTTP status. */
  readonly files = new Map<string, Buffer | number>();
  /** Content of targets by name. */
  readonly targets = new Map<string, Buffer>();
  /** Fields of targets.json by name; made from `targets` where it is empty. */
  readonly targetFields = new Map<string, object>();
  readonly keys: Record<RoleName, TufKey[]> = {
    root: [ed25519Key(), ed25519Key()],
    timestamp: [ed25519Key()],
    snapshot: [ed25519Key()],
    targets: [ed25519Key(), ed25519Key()],
  };
  readonly thresholds: Record<RoleName, number> = { root: 2, timestamp: 1, snapshot: 1, targets: 2 };
  readonly versions: Record<RoleName, number> = { root: 0, timestamp: 0, snapshot: 0, targets: 0 };
  isConsistent = true;

  /** The next root; `former` keys sign too. */
  root(over: Over = {}, previousKeys: readonly TufKey[] = []): Buffer {
    const keys = ROLES.flatMap((role) => this.keys[role]).map(({ id, content }) => [id, content]);
    const role = (name: RoleName) => ({
      keyids: this.keys[name].map(({ id }) => id),
      threshold: this.thresholds[name],
    });
    const fields = {
      consistent_snapshot: this.isConsistent,
      keys: Object.fromEntries(keys) as object,
      roles: Object.fromEntries(ROLES.map((name) => [name, role(name)])) as object,
    };
    // A file under the next number, whatever version it names.
    const name = `${this.versions.root + 1}.root.json`;
    const signers = [...new Set([...this.keys.root, ...previousKeys])];
    const bytes = this.#file('root', fields, { signers, ...over });
    this.versions.root = over.version ?? this.versions.root;
    this.files.set(name, bytes);
    return bytes;
  }

  /** The next root with other keys of these roles. */
  rotate(...roles: readonly RoleName[]): Buffer {
    const previousKeys = this.keys.root;
    for (const role of roles) this.keys[role] = this.keys[role].map(() => ed25519Key());
    return this.root({}, previousKeys);
  }

  /** Targets, snapshot and timestamp, each one version up. */
  publish(over: { targets?: Over; snapshot?: Over; timestamp?: Over } = {}): void {
    const entries = [...this.targets].map(([name, content]) => [
      name,
      { length: content.length, hashes: { sha256: sha256(content) }, ...this.targetFields.get(name) },
    ]);
    const targets = this.#file('targets', { targets: Object.fromEntries(entries) as object }, over.targets);
    const targetsMeta = this.#meta('targets', targets, over.targets);
    const snapshot = this.#file('snapshot', { meta: { 'targets.json': targetsMeta } }, over.snapshot);
    const shot = { 'snapshot.json': this.#meta('snapshot', snapshot, over.snapshot) };
    const timestamp = this.#file('timestamp', { meta: shot }, over.timestamp);
    this.files.set(this.#name('targets'), over.targets?.raw?.(targets) ?? targets);
    this.files.set(this.#name('snapshot'), over.snapshot?.raw?.(snapshot) ?? snapshot);
    this.files.set('timestamp.json', over.timestamp?.raw?.(timestamp) ?? timestamp);
  }

  #name(role: 'snapshot' | 'targets'): string {
    return this.isConsistent ? `${this.versions[role]}.${role}.json` : `${role}.json`;
  }

  #meta(role: RoleName, bytes: Buffer, over: Over = {}): Meta {
    const meta: Meta = {
      version: this.versions[role],
      length: bytes.length,
      hashes: { sha256: sha256(bytes) },
    };
    over.meta?.(meta);
    return meta;
  }

  #file(role: RoleName, fields: object, over: Over = {}): Buffer {
    const { days = 30, signers = this.keys[role], change, after } = over;
    this.versions[role] = over.version ?? this.versions[role] + 1;
    const signed: Signed = {
      _type: role,
      spec_version: '1.0.31',
      version: this.versions[role],
      expires: inDays(days),
      ...fields,
    };
    change?.(signed);
    const file = envelope(signed, signers);
    after?.(file);
    return Buffer.from(JSON.stringify(file));
  }
}

export class TufServer {
  readonly url: string;
  /** Requested paths below the address, in order. */
  readonly requests: string[] = [];
  repository: TufRepository | undefined;
  readonly #server: Server;

  static async start(): Promise<TufServer> {
    const serverRef: { server?: TufServer } = {};
    const http = createServer((request, response) => {
      const content = serverRef.server?.find(request.url ?? '') ?? 404;
      if (typeof content === 'number') response.writeHead(content).end();
      else response.end(content);
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    serverRef.server = new TufServer(http);
    return serverRef.server;
  }

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  find(path: string): Buffer | number | undefined {
    this.requests.push(path.replace('/metadata/', ''));
    const [, folder = '', name = ''] = /^\/(metadata|targets)\/([^/]+)$/.exec(path) ?? [];
    const { files, targets } = this.repository ?? {};
    return folder === 'targets' ? targets?.get(decodeURIComponent(name)) : files?.get(name);
  }

  stop(): void {
    this.#server.close();
  }
}
