/** The files of the browser's program: read once, compressed once. Nothing else on the disk can be asked for. */
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

/** A screen's path: `/`, `/cameras`, `/incidents/17`. Those of the interface have routes of their own. */
const SCREEN = /^\/(?!api(?:\/|$)|auth(?:\/|$))(?:[a-z][a-z-]*(?:\/[A-Za-z0-9_-]{1,80})?)?$/;

interface File {
  readonly type: string;
  readonly plain: Buffer;
  readonly gzip: Buffer;
  readonly etag: string;
}

export type StaticFiles = Readonly<Record<keyof typeof FILES, File>>;

/** Throws AgentError `config` where one is missing. */
export function readStaticFiles(folder: string): StaticFiles {
  const read = (name: keyof typeof FILES): File => {
    try {
      const plain = readFileSync(join(folder, name));
      const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 22);
      // Weak: the same file compressed is the same to a browser (RFC 9110, 8.8.3).
      return { type: FILES[name], plain, gzip: gzipSync(plain, { level: 9 }), etag: `W/"${hash}"` };
    } catch (error) {
      throw new AgentError(
        'config',
        `the browser's program is not there (${messageOf(error)}): npm run build makes it`,
        error,
      );
    }
  };
  return { 'index.html': read('index.html'), 'app.js': read('app.js'), 'style.css': read('style.css') };
}

/** Routes of the files, and the page for every path that a screen has; `otherwise` answers the rest. */
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
  // Asked for each time, and sent only when it is another one.
  reply.header('cache-control', 'no-cache').header('etag', file.etag).header('vary', 'accept-encoding');
  if (headers['if-none-match'] === file.etag) return reply.code(304).send();
  const takesGzip = /(^|[\s,])gzip\s*(,|$)/.test(String(headers['accept-encoding'] ?? ''));
  reply.code(200).type(file.type);
  return takesGzip ? reply.header('content-encoding', 'gzip').send(file.gzip) : reply.send(file.plain);
}
