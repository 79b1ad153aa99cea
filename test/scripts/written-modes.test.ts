/**
 * Tests that each file whose mode is checked is written with a mode that passes. Its writer may have umask 0002, as a
 * user of Debian, or 0077, as on a hardened machine.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openToOthers } from '../../agent/base/private-file.ts';
import { Certificate } from '../../agent/page/server/certificate.ts';
import { readAuthorityKey } from '../../agent/restraint/authorisation.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { keygen } from '../../scripts/lib/keygen.ts';
import { parseManifest, verifyTree } from '../../scripts/lib/manifest.ts';
import { ownAuthorisation } from '../../scripts/lib/own-authorisation.ts';
import { stage } from '../../scripts/products/root/stage.ts';
import { RoomSigner } from '../../scripts/workshop/demo/room-signer.ts';
import { configOf } from '../lib/agent.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { FAST_LEVEL, ReleaseRepository, sampleRelease } from '../lib/release-server.ts';

const UMASKS = [0o002, 0o077];
/** Writes below the folder and checks with the judge of the written files; throws what the judge says. */
type Row = (dir: string, t: Test) => void | Promise<void>;

function assertPrivate(file: string): void {
  const problem = openToOthers(file);
  if (problem !== undefined) throw new Error(problem);
}

const config = configOf({
  site: 'paris',
  box: 'b-1',
  camera: { source: 'test:pattern' },
  mqtt: { url: 'mqtt://localhost' },
});

const ROWS: Readonly<Record<string, Row>> = {
  'the authority of a demo, a soak and a trial of a release': (dir) => {
    const { VIGIE_AUTHORITY_KEY: file = '' } = ownAuthorisation(config, 'test:pattern', dir, 'test');
    readAuthorityKey(file);
  },
  'keygen of authority, keyholders and signers': (dir) => {
    const file = join(dir, 'key');
    keygen(file);
    assertPrivate(file);
    readAuthorityKey(`${file}.pub`);
  },
  'the authority of certificates for a demo': async (dir) => {
    const authority = new CertificateAuthority(join(dir, 'ca'));
    await authority.start();
    for (const pair of await Promise.all([authority.broker(), authority.client('b-1')]))
      assertPrivate(pair.key);
  },
  'the demo’s keys of the room': (dir) => {
    const pair = { cert: 'a', key: 'b' };
    const room = { site: 'demo', timeZone: 'UTC', url: 'mqtts://localhost', ca: 'c', pair };
    const { magistrate } = new RoomSigner({ dir, outDir: dir, ...room });
    for (const file of [magistrate, join(dir, 'desk.pem')]) assertPrivate(file);
  },
  'the certificate of the technician’s page': async (dir) => {
    const options = { stateDir: dir, roomDir: join(dir, 'none'), names: ['localhost'], log: SILENT };
    await new Certificate(options).load();
    assertPrivate(join(dir, 'page.key'));
  },
  'a release that ops or root unpack': async (dir, t) => {
    // Root's program packs and publishes under its own umask; only the unpacking is measured here.
    const umask = process.umask(0o022);
    const tree = await sampleRelease(join(dir, 'made'), {
      seq: 2,
      version: '0.2.0',
      files: { 'dist/a/main.js': 'a', 'bin/run': '#!/bin/sh\n' },
    });
    const repository = new ReleaseRepository(join(scratch(t), 'repository'), FAST_LEVEL);
    const custom = await repository.addRelease(tree, { seq: 2, version: '0.2.0' }, {});
    process.umask(umask);
    mkdirSync(join(dir, 'lib/releases'), { recursive: true });
    const staged = await stage({
      lib: join(dir, 'lib'),
      current: undefined,
      custom,
      manifest: join(tree, 'MANIFEST'),
      delta: undefined,
      full: () => Promise.resolve(join(repository.dir, 'targets', custom.full)),
      signal: new AbortController().signal,
    });
    await verifyTree(staged.dir, parseManifest(readFileSync(join(staged.dir, 'MANIFEST'), 'utf8')));
  },
};

for (const umask of UMASKS)
  for (const [name, row] of Object.entries(ROWS))
    void t.test(`${name}: accepted with umask 0${umask.toString(8).padStart(3, '0')}`, async (t) => {
      const dir = scratch(t);
      const before = process.umask(umask);
      t.teardown(() => process.umask(before));
      await t.resolves(async () => row(dir, t));
    });
