/**
 * A repository of releases with keys made for a test, and an HTTPS server (mTLS, loopback) for it that can be made to
 * misbehave.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { dirname, join } from 'node:path';
import {
  Key,
  Metadata,
  MetaFile,
  Root,
  Signature,
  Snapshot,
  TargetFile,
  Targets,
  Timestamp,
} from '@tufjs/models';
import {
  deltaTarget,
  fullTarget,
  manifestTarget,
  type ReleaseTarget,
  type ReleaseVersion,
  releaseName,
} from '../../agent/contract/release.ts';
import { CertificateAuthority, type KeyPair } from '../../scripts/lib/certificates.ts';
import { changedPaths, manifestText, parseManifest, scanTree } from '../../scripts/lib/manifest.ts';
import { type PackOptions, packFiles } from '../../scripts/lib/release-archive.ts';

export interface SigningKey {
  readonly key: Key;
  readonly privateKey: KeyObject;
}

export function signingKey(): SigningKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const hex = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
  const keyID = createHash('sha256').update(hex).digest('hex');
  return {
    privateKey,
    key: new Key({ keyID, keyType: 'ed25519', scheme: 'ed25519', keyVal: { public: hex } }),
  };
}

export interface RootOptions {
  readonly version: number;
  readonly roots: readonly SigningKey[];
  readonly targets: readonly SigningKey[];
  readonly signers: readonly SigningKey[];
  readonly days?: number;
  /** Changes the content before it is signed. */
  readonly change?: (root: RootJson) => void;
}

export interface RootJson {
  readonly keys: Record<string, { keyval: { public: string } }>;
  readonly roles: Record<'root' | 'targets' | 'snapshot' | 'timestamp', { keyids: string[] }>;
}

export interface PublishOptions {
  /** Keys that sign the targets. */
  readonly signers?: readonly SigningKey[];
  readonly timestampDays?: number;
  readonly snapshotDays?: number;
  readonly targetsDays?: number;
  /** Replaces the time that the days would give. */
  readonly timestampExpires?: string;
  /** Changes the list before it is signed. */
  readonly changeTargets?: (list: Targets) => void;
}

export interface SampleRelease extends Partial<ReleaseTarget> {
  readonly seq: number;
  readonly version: string;
  /** Content by path below the release. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
}

// A release has folders of 0755 and files of 0644, also where an ordinary user has umask 0002.
process.umask(0o022);

const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** Makes the folder of a release as on a box, with VERSION and MANIFEST. */
export async function sampleRelease(dir: string, release: SampleRelease): Promise<string> {
  const {
    what: kind = 'release',
    seq,
    version,
    files = {},
    arch = ARCH,
    stateWrites = 1,
    stateReads = [1, 1],
  } = release;
  const tree = join(dir, releaseName(seq, version));
  const versionFile: ReleaseVersion = { what: kind, seq, version, arch, stateWrites, stateReads };
  mkdirSync(tree, { recursive: true });
  for (const [path, content] of Object.entries({ ...files, VERSION: `${JSON.stringify(versionFile)}\n` })) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), content);
    if (path.startsWith('bin/')) chmodSync(join(tree, path), 0o755);
  }
  return await withManifest(tree);
}

/** Writes the MANIFEST of a tree. */
export async function withManifest(tree: string): Promise<string> {
  writeFileSync(join(tree, 'MANIFEST'), manifestText(await scanTree(tree)));
  return tree;
}

/** Level of zstd for archives whose size does not matter. */
export const FAST_LEVEL = 1;

/**
 * Folders metadata/ and targets/ of a repository. It has three root keys and three targets keys, two of which must
 * sign, and one online key.
 */
export class ReleaseRepository {
  readonly dir: string;
  readonly roots = [signingKey(), signingKey(), signingKey()] as const;
  readonly targets = [signingKey(), signingKey(), signingKey()] as const;
  readonly online = signingKey();
  versions = { targets: 0, snapshot: 0, timestamp: 0 };
  readonly #targetFiles = new Map<string, TargetFile>();
  readonly #level: number | undefined;

  /** `level` is zstd's; without one archives are packed as for delivery, which takes a second for a megabyte. */
  constructor(dir: string, level?: number) {
    this.dir = dir;
    this.#level = level;
    for (const folder of ['metadata', 'targets']) mkdirSync(join(dir, folder), { recursive: true });
    const [one, two] = this.roots;
    this.writeRoot({ version: 1, roots: this.roots, targets: this.targets, signers: [one, two] });
  }

  /** Initial root of a box. */
  get rootFile(): string {
    return join(this.dir, 'metadata/1.root.json');
  }

  writeRoot({ version, roots, targets, signers, days = 365, change }: RootOptions): void {
    const keyids = (of: readonly SigningKey[]): string[] => of.map(({ key }) => key.keyID);
    const content = {
      _type: 'root',
      version,
      spec_version: '1.0.31',
      expires: inDays(days),
      consistent_snapshot: false,
      keys: Object.fromEntries(
        [...roots, ...targets, this.online].map(({ key }) => [key.keyID, key.toJSON()]),
      ),
      roles: {
        root: { keyids: keyids(roots), threshold: 2 },
        targets: { keyids: keyids(targets), threshold: 2 },
        snapshot: { keyids: keyids([this.online]), threshold: 1 },
        timestamp: { keyids: keyids([this.online]), threshold: 1 },
      },
    };
    change?.(content as unknown as RootJson);
    const bytes = signed(new Metadata(Root.fromJSON(content)), signers);
    this.write(`${version}.root.json`, bytes);
    this.write('root.json', bytes);
  }

  /** Writes a metadata file as it will be served. */
  write(name: string, bytes: Uint8Array): void {
    writeFileSync(join(this.dir, 'metadata', name), bytes);
  }

  read(name: string): Buffer {
    return readFileSync(join(this.dir, 'metadata', name));
  }

  /** Adds a file to the targets that the next `publish` signs. */
  addFile(name: string, content: Buffer, custom?: object): void {
    writeFileSync(join(this.dir, 'targets', name), content);
    const hashes = { sha256: createHash('sha256').update(content).digest('hex') };
    const unrecognizedFields = custom === undefined ? {} : { custom: { ...custom } };
    this.#targetFiles.set(
      name,
      new TargetFile({ path: name, length: content.length, hashes, unrecognizedFields }),
    );
  }

  /** Adds manifest, archive, deltas and differences of the manifest of a tree; `over` changes its signed data. */
  async addRelease(
    tree: string,
    { what: kind = 'release', seq, version, arch = ARCH, files: _, ...over }: SampleRelease,
    from: Readonly<Record<number, string>> = {},
  ): Promise<ReleaseTarget> {
    const id = { what: kind, seq, version, arch };
    const text = readFileSync(join(tree, 'MANIFEST'), 'utf8');
    const entries = parseManifest(text);
    const files = entries.filter(({ type }) => type === 'file');
    const add = async (
      name: string,
      paths: readonly string[],
      options: PackOptions = {},
    ): Promise<string> => {
      const level = this.#level === undefined ? {} : { level: this.#level };
      await packFiles(tree, paths, join(this.dir, 'targets', name), { ...options, ...level });
      this.addFile(name, readFileSync(join(this.dir, 'targets', name)));
      return name;
    };
    const deltas: Record<string, string> = {};
    for (const [seqBefore, before] of Object.entries(from)) {
      const oldEntries = parseManifest(readFileSync(join(before, 'MANIFEST'), 'utf8'));
      const write = new Set(changedPaths(oldEntries, entries).write);
      const paths = files.filter(({ path }) => write.has(path)).map(({ path }) => path);
      const dictionary = join(before, 'MANIFEST');
      deltas[seqBefore] = await add(deltaTarget(Number(seqBefore), id), ['MANIFEST', ...paths], {
        dictionary,
      });
    }
    const paths = files.map(({ path }) => path);
    const custom: ReleaseTarget = {
      ...id,
      boards: ['pc', 'generic'],
      node: ['20.17.0', '23.0.0'],
      seqMin: 1,
      stateWrites: 1,
      stateReads: [1, 1],
      full: over.full ?? (await add(fullTarget(id), paths)),
      deltas,
      installedBytes: files.reduce((sum, { size = 0 }) => sum + size, 0),
      ...over,
    };
    this.addFile(manifestTarget(id), Buffer.from(text), custom);
    return custom;
  }

  /** Signs all targets again, one version up. */
  publish({
    signers,
    timestampDays = 1,
    snapshotDays = 7,
    targetsDays = 90,
    timestampExpires = inDays(timestampDays),
    changeTargets,
  }: PublishOptions = {}): void {
    const { targets, snapshot, timestamp } = this.versions;
    this.versions = { targets: targets + 1, snapshot: snapshot + 1, timestamp: timestamp + 1 };
    const common = (version: number, days: number) => ({
      version,
      specVersion: '1.0.31',
      expires: inDays(days),
    });
    const list = new Targets(common(this.versions.targets, targetsDays));
    for (const target of this.#targetFiles.values()) list.addTarget(target);
    changeTargets?.(list);
    const targetsBytes = signed(new Metadata(list), signers ?? this.targets.slice(0, 2));
    const meta = { 'targets.json': metaOf(this.versions.targets, targetsBytes) };
    const shot = new Snapshot({ ...common(this.versions.snapshot, snapshotDays), meta });
    const shotBytes = signed(new Metadata(shot), [this.online]);
    const snapshotMeta = metaOf(this.versions.snapshot, shotBytes);
    const stamp = new Timestamp({
      ...common(this.versions.timestamp, timestampDays),
      expires: timestampExpires,
      snapshotMeta,
    });
    this.write('targets.json', targetsBytes);
    this.write('snapshot.json', shotBytes);
    this.write('timestamp.json', signed(new Metadata(stamp), [this.online]));
  }
}

/** Fault that the server plays instead of serving a file. */
export type Fault =
  /** Breaks the connection after this number of bytes of the body. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Nothing more comes after so many bytes. */
  | { readonly kind: 'stall'; readonly after: number }
  /** 1 KiB each time. */
  | { readonly kind: 'slow'; readonly everyMs: number }
  /** Ends as if it were whole after so many bytes. */
  | { readonly kind: 'short'; readonly length: number }
  /** Goes on for ever. */
  | { readonly kind: 'endless' }
  | { readonly kind: 'swap'; readonly content: Buffer }
  /** Says 206 and sends what was not asked for. */
  | { readonly kind: 'wrong-range' }
  /** Sends all of it, whatever was asked for. */
  | { readonly kind: 'no-range' }
  | { readonly kind: 'redirect'; readonly to: string }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'encoded' };

export interface ServedRequest {
  /** Path below the server's URL. */
  readonly path: string;
  readonly range: string | undefined;
}

export class TestReleaseServer {
  readonly url: string;
  /** TLS files for a box. */
  readonly tls: (KeyPair & { readonly ca: string }) | undefined;
  readonly requests: ServedRequest[] = [];
  /** Faults by path below the URL. */
  readonly faults = new Map<string, Fault>();
  /** Bytes of bodies that were sent. */
  sentBytes = 0;
  readonly #close: () => Promise<void>;

  /**
   * Starts the server. With `scratch` for its certificates it speaks TLS and requires a certificate of its authority.
   */
  static async start(repository: string, scratch?: string): Promise<TestReleaseServer> {
    const authority = scratch === undefined ? undefined : new CertificateAuthority(join(scratch, 'pki'));
    await authority?.start();
    const own = await authority?.broker();
    const box = await authority?.client('box-1');
    const serverRef: { server?: TestReleaseServer } = {};
    const answer = (q: IncomingMessage, a: ServerResponse): void =>
      serverRef.server?.answer(repository, q, a);
    const pem = (file: string): Buffer => readFileSync(file);
    const http =
      authority === undefined || own === undefined
        ? createServer(answer)
        : createTlsServer(
            {
              cert: pem(own.cert),
              key: pem(own.key),
              ca: pem(authority.ca),
              requestCert: true,
              rejectUnauthorized: true,
            },
            answer,
          );
    const sockets = new Set<Socket>();
    http.on('connection', (socket: Socket) => sockets.add(socket));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    const tls = box && authority ? { ...box, ca: authority.ca } : undefined;
    serverRef.server = new TestReleaseServer(`http${tls ? 's' : ''}://127.0.0.1:${port}/fleet/`, tls, () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => http.close(() => resolve()));
    });
    return serverRef.server;
  }

  private constructor(url: string, tls: TestReleaseServer['tls'], close: () => Promise<void>) {
    this.url = url;
    this.tls = tls;
    this.#close = close;
  }

  stop(): Promise<void> {
    return this.#close();
  }

  answer(repository: string, request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent((request.url ?? '').replace(/^\/fleet\//, ''));
    const { range } = request.headers;
    this.requests.push({ path, range });
    const fault = this.faults.get(path);
    const file = join(repository, path);
    if (fault?.kind === 'status' || statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
      response.writeHead(fault?.kind === 'status' ? fault.status : 404).end('no');
      return;
    }
    const content = fault?.kind === 'swap' ? fault.content : readFileSync(file);
    this.#send(response, content, fault?.kind === 'no-range' ? undefined : range, fault);
  }

  #send(
    response: ServerResponse,
    content: Buffer,
    range: string | undefined,
    fault: Fault | undefined,
  ): void {
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const start = fault?.kind === 'wrong-range' ? from + 1 : from;
    const body = content.subarray(start);
    const length = fault?.kind === 'short' ? fault.length : body.length;
    if (fault?.kind === 'redirect') {
      response.writeHead(302, { location: fault.to }).end();
      return;
    }
    response.writeHead(range === undefined ? 200 : 206, {
      ...(range && { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` }),
      ...(fault?.kind !== 'endless' && { 'content-length': length }),
      ...(fault?.kind === 'encoded' && { 'content-encoding': 'gzip' }),
    });
    if (fault?.kind === 'slow') {
      let at = 0;
      const timer = setInterval(() => {
        this.#write(response, body.subarray(at, at + 1024));
        at += 1024;
        if (at >= body.length) response.end();
      }, fault.everyMs);
      response.on('close', () => clearInterval(timer));
    } else if (fault?.kind === 'endless') {
      const timer = setInterval(() => this.#write(response, Buffer.alloc(65_536, 'x')), 1);
      response.on('close', () => clearInterval(timer));
    } else if (fault?.kind === 'cut' || fault?.kind === 'stall') {
      this.#write(response, body.subarray(0, fault.after));
      // Ends the connection once these bytes are sent.
      if (fault.kind === 'cut') response.socket?.end();
    } else {
      this.#write(response, body.subarray(0, length));
      response.end();
    }
  }

  #write(response: ServerResponse, bytes: Buffer): void {
    this.sentBytes += bytes.length;
    response.write(bytes);
  }
}

function metaOf(version: number, bytes: Buffer): MetaFile {
  const hashes = { sha256: createHash('sha256').update(bytes).digest('hex') };
  return new MetaFile({ version, length: bytes.length, hashes });
}

function signed(
  metadata: Metadata<Root> | Metadata<Targets> | Metadata<Snapshot> | Metadata<Timestamp>,
  by: readonly SigningKey[],
): Buffer {
  for (const { key, privateKey } of by)
    metadata.sign(
      (bytes) => new Signature({ keyID: key.keyID, sig: sign(null, bytes, privateKey).toString('hex') }),
    );
  return Buffer.from(JSON.stringify(metadata.toJSON()));
}

function inDays(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString().replace(/\.\d+Z$/, 'Z');
}
