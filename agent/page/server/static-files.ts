/**
 * Static files of the app on the phone: three files, read and compressed once, and no other path.
 *
 * INVARIANT: a file is chosen from a list of paths, and its name never comes from the request.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { AgentError, messageOf } from '../../base/errors.ts';

const FILES: readonly (readonly [path: string, file: string, type: string])[] = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/app.js', 'app.js', 'text/javascript; charset=utf-8'],
  ['/style.css', 'style.css', 'text/css; charset=utf-8'],
];

export interface StaticFile {
  readonly type: string;
  readonly gzip: Buffer;
  readonly plain: Buffer;
  readonly etag: string;
}

/** Returns the files by path. Throws `config` if a file is missing. */
export function readStaticFiles(dir: string): ReadonlyMap<string, StaticFile> {
  return new Map(
    FILES.map(([path, name, type]) => {
      const file = join(dir, name);
      let plain: Buffer;
      try {
        plain = readFileSync(file);
      } catch (error) {
        const fix = 'install the package again; in a checkout: npm run build';
        throw new AgentError('config', `${file} cannot be read (${messageOf(error)}); ${fix}`, error);
      }
      const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`;
      return [path, { type, plain, gzip: gzipSync(plain, { level: 9 }), etag }];
    }),
  );
}
