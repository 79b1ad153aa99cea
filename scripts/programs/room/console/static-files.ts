/** Serves the browser's program. Its files are read and compressed once; no other file of the disk is reachable. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';

const FILES = {
  'index.html': 'text/html; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
} as const;

/** Path of a screen: `/`, `/cameras`, `/incidents/17`. The interface has its own routes. */
const SCREEN = /^\/(?!api(?:\/|$)|auth(?:\/|$))(?:[a-z][a-z-]*(?:\/[A-Za-z0-9_-]{1,80})?)?$/;

interface File {
  readonly type: string;
  readonly plain: Buffer;
  readonly gzip: Buffer;
  readonly etag: string;
}

export type StaticFiles = Readonly<Record<keyof typeof FILES, File>>;

/**
 * Reads the files.
 * @throws {AgentError} `config` if one is missing
 */
export function readStaticFiles(folder: string): StaticFiles {
  const read = (name: keyof typeof FILES): File => {
    try {
      const plain = readFileSync(join(folder, name));
      const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 22);
      // Weak: plain and compressed forms are equivalent for a browser (RFC 9110, 8.8.3).
      return { type: FILES[name], plain, gzip: gzipSync(plain, { level: 9 }), etag: `W/"${hash}"` };
    } catch (error) {
      throw new AgentError(
        'config',
        `the browser app is missing (${messageOf(error)}): npm run build makes it`,
        error,
      );
    }
  };
  return { 'index.html': read('index.html'), 'app.js': read('app.js'), 'style.css': read('style.css') };
}

/** Registers routes for the files, and the page for every path of a screen. `otherwise` answers all other paths. */
export function serveStatic(
  app: FastifyInstance,
  files: StaticFiles,
  otherwise: (request: FastifyRequest, reply: FastifyReply) => FastifyReply,
): void {
  app.get('/app.js', (request, reply) => send(request, reply, files['app.js']));
  app.get('/style.css', (request, reply) => send(request, reply, files['style.css']));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const isScreen = (request.method === 'GET' || request.method === 'HEAD') && SCREEN.test(path);
    return isScreen ? send(request, reply, files['index.html']) : otherwise(request, reply);
  });
}

function send({ headers }: FastifyRequest, reply: FastifyReply, file: File): FastifyReply {
  // Browsers revalidate each time, and receive the file only if it has changed.
  reply.header('cache-control', 'no-cache').header('etag', file.etag).header('vary', 'accept-encoding');
  if (headers['if-none-match'] === file.etag) return reply.code(304).send();
  const takesGzip = /(^|[\s,])gzip\s*(,|$)/.test(String(headers['accept-encoding'] ?? ''));
  reply.code(200).type(file.type);
  return takesGzip ? reply.header('content-encoding', 'gzip').send(file.gzip) : reply.send(file.plain);
}
