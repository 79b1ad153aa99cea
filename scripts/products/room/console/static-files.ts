/** Serves the browser's program. Its files are read and compressed once; no other file of the disk is reachable. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';

const JAVASCRIPT = 'text/javascript; charset=utf-8';
const CSS = 'text/css; charset=utf-8';
const FILES = { 'app.js': JAVASCRIPT, 'style.css': CSS, 'views.css': CSS } as const;
/** Folder of code that the app loads later, and the names there. They contain a hash of the content. */
const CHUNKS_DIR = 'chunks';
const CHUNK = /^[a-z][a-z-]{0,40}-[A-Z0-9]{8}\.js$/;

/** Cache of a file whose name changes with its content. Browsers revalidate the files each time. */
const UNCHANGING = 'max-age=31536000, immutable';

/** Path of a screen: `/`, `/cameras`, `/incidents/17`. The interface has its own routes. */
const SCREEN = /^\/(?!api(?:\/|$)|auth(?:\/|$))(?:[a-z][a-z-]*(?:\/[A-Za-z0-9_-]{1,80})?)?$/;

interface File {
  readonly type: string;
  /** Value of Cache-Control. */
  readonly cache: string;
  readonly plain: Buffer;
  readonly gzip: Buffer;
  readonly etag: string;
}

export interface StaticFiles {
  readonly page: File;
  /** Every other file by its path, such as `/app.js`. */
  readonly files: ReadonlyMap<string, File>;
}

/**
 * Reads the files.
 * @throws {AgentError} `config` if one is missing
 */
export function readStaticFiles(folder: string): StaticFiles {
  const read = (name: string, type: string, cache = 'no-cache'): File => {
    const plain = readFileSync(join(folder, name));
    const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 22);
    // Weak: plain and compressed forms are equivalent for a browser (RFC 9110, 8.8.3).
    return { type, cache, plain, gzip: gzipSync(plain, { level: 9 }), etag: `W/"${hash}"` };
  };
  try {
    const files = new Map<string, File>();
    for (const [name, type] of Object.entries(FILES)) files.set(`/${name}`, read(name, type));
    for (const name of readdirSync(join(folder, CHUNKS_DIR)))
      if (CHUNK.test(name))
        files.set(`/${CHUNKS_DIR}/${name}`, read(join(CHUNKS_DIR, name), JAVASCRIPT, UNCHANGING));
    return { page: read('index.html', 'text/html; charset=utf-8'), files };
  } catch (error) {
    throw new AgentError(
      'config',
      `the browser app is missing (${messageOf(error)}): npm run build makes it`,
      error,
    );
  }
}

/** Registers routes for the files, and the page for every path of a screen. `otherwise` answers all other paths. */
export function serveStatic(
  app: FastifyInstance,
  { page, files }: StaticFiles,
  otherwise: (request: FastifyRequest, reply: FastifyReply) => FastifyReply,
): void {
  for (const [path, file] of files) app.get(path, (request, reply) => send(request, reply, file));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const isScreen = (request.method === 'GET' || request.method === 'HEAD') && SCREEN.test(path);
    return isScreen ? send(request, reply, page) : otherwise(request, reply);
  });
}

function send({ headers }: FastifyRequest, reply: FastifyReply, file: File): FastifyReply {
  reply.header('cache-control', file.cache).header('etag', file.etag).header('vary', 'accept-encoding');
  if (headers['if-none-match'] === file.etag) return reply.code(304).send();
  const takesGzip = /(^|[\s,])gzip\s*(,|$)/.test(String(headers['accept-encoding'] ?? ''));
  reply.code(200).type(file.type);
  return takesGzip ? reply.header('content-encoding', 'gzip').send(file.gzip) : reply.send(file.plain);
}
