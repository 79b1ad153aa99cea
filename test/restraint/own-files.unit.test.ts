/**
 * Tests that a file is read through the same descriptor as its owner and mode, even if a link is switched in between.
 */
import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { readAuthorityKey } from '../../agent/restraint/authorisation.ts';
import { testKey } from '../lib/authority.ts';
import { scratch } from '../lib/paths.ts';

const READS_MS = 700;

void t.test('a key is never read through a link that is switched to a file of others', async (t) => {
  const dir = scratch(t);
  const [own, foreign] = [testKey(), testKey()];
  const file = (name: string, { publicKey }: typeof own, mode: number): string => {
    const path = join(dir, name);
    writeFileSync(path, publicKey.export({ type: 'spki', format: 'pem' }));
    chmodSync(path, mode);
    return path;
  };
  const [good, bad] = [file('good.pub', own, 0o644), file('bad.pub', foreign, 0o666)];
  const link = join(dir, 'authority.pub');
  symlinkSync(good, link);
  t.ok(readAuthorityKey(link).equals(own.publicKey));
  const turning = new Worker(
    `const { renameSync, symlinkSync } = require('node:fs');
     const { link, places } = require('node:worker_threads').workerData;
     for (let turn = 0; ; turn += 1) { symlinkSync(places[turn % 2], link + '.new'); renameSync(link + '.new', link); }`,
    { eval: true, workerData: { link, places: [bad, good] } },
  );
  const counts = { own: 0, foreign: 0, refused: 0 };
  // A busy machine may not turn the link within that time: then until both files were met.
  const endMs = performance.now() + READS_MS;
  while (performance.now() < endMs || counts.own === 0 || counts.refused === 0) {
    try {
      counts[readAuthorityKey(link).equals(own.publicKey) ? 'own' : 'foreign'] += 1;
    } catch {
      counts.refused += 1;
    }
  }
  await turning.terminate();
  t.comment(JSON.stringify(counts));
  t.ok(counts.own > 0 && counts.refused > 0, 'both files were met');
  t.equal(counts.foreign, 0, 'the key that others may write was never accepted');
});
