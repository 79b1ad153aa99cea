/** A fleet's repository behind nginx as in the guide, with certificates of a room, and boxes that read it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import type { Test } from 'tap';
import { ReleaseTrust } from '../../scripts/products/root/trust.ts';
import { csrOf, newKey, TestRoom } from './enrolment.ts';
import type { Fleet } from './fleet-keyholders.ts';
import { Nginx } from './nginx.ts';
import { ROOT, scratch } from './paths.ts';

const DAY_MS = 86_400_000;

export interface Served {
  readonly url: string;
  /** A new box, or the box that has this folder. */
  box(name: string): ReleaseTrust;
  pem(name: string): { ca: string; cert: string; key: string };
  revoke(...names: string[]): Promise<void>;
}

export async function served(t: Test, f: Fleet): Promise<Served> {
  const room = new TestRoom(t);
  room.server();
  const serials = new Map<string, string>();
  const pem = (name: string) => {
    const [key, cert] = [join(room.dir, `${name}.key`), join(room.dir, `${name}.crt`)];
    if (!serials.has(name)) {
      const issued = room.authority.issue(
        csrOf(newKey(key), name),
        { use: 'client', commonName: name, days: 30 },
        Date.now(),
      );
      writeFileSync(cert, issued.pem);
      serials.set(name, issued.serial);
    }
    return { ca: join(room.dir, 'ca.crt'), cert, key };
  };
  const crl = (names: readonly string[]): void => {
    const revocations = names.map((name) => ({
      serial: serials.get(name) ?? '',
      notAfterMs: Date.now() + DAY_MS,
      revokedMs: Date.now(),
    }));
    writeFileSync(join(room.dir, 'revoked.pem'), room.authority.crl(revocations, Date.now()));
  };
  crl([]);
  const site = readFileSync(join(ROOT, 'docs/guide/fleet/nginx.conf'), 'utf8');
  const nginx = await Nginx.start(t, scratch(t), site, {
    'root /srv/vigie;': `root ${f.repository.dir};`,
    '/etc/nginx/vigie': room.dir,
  });
  const url = `https://localhost:${nginx.port}/`;
  writeFileSync(join(f.dir, 'first-root.json'), readFileSync(join(f.repository.dir, 'metadata/1.root.json')));
  const box = (name: string): ReleaseTrust =>
    new ReleaseTrust({
      dir: join(f.dir, `box-${name}`),
      rootFile: join(f.dir, 'first-root.json'),
      url,
      tls: pem('box-1'),
      fetchWithinMs: 10_000,
    });
  return {
    url,
    box,
    pem,
    revoke: async (...names) => {
      crl(names);
      await nginx.reload();
    },
  };
}

/** HTTP status; 0 where the connection is refused. */
export function status(
  url: string,
  tls: { ca: string; cert?: string; key?: string },
  method = 'GET',
): Promise<number> {
  const pem = Object.fromEntries(Object.entries(tls).map(([name, file]) => [name, readFileSync(file)]));
  return new Promise((resolve) => {
    const outgoing = request(url, { method, agent: false, ...pem }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    outgoing.on('error', () => resolve(0));
    outgoing.end();
  });
}
