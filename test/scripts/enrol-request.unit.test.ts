/** A request to sign: its one name and its key are what openssl signs later, and nothing is around them. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readRequest } from '../../scripts/programs/room/enrol/request.ts';
import { scratch } from '../lib/paths.ts';

const dir = scratch(t);

function keyFile(name: string, ...options: string[]): string {
  const file = join(dir, name);
  writeFileSync(
    file,
    execFileSync('openssl', ['genpkey', ...options], { stdio: ['ignore', 'pipe', 'ignore'] }),
  );
  return file;
}

const CURVE = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const KEY = keyFile('named.key', ...CURVE);
const request = (subject: string, key = KEY, ...more: string[]): Buffer =>
  execFileSync('openssl', [
    'req',
    '-new',
    '-key',
    key,
    '-utf8',
    '-subj',
    subject,
    '-outform',
    'DER',
    ...more,
  ]);
const read = (csr: Uint8Array) => readRequest(Buffer.from(csr).toString('base64'));

void t.test('one common name and no more', async (t) => {
  t.match(await read(request('/CN=b-1')), { commonName: 'b-1' });
  const names = {
    'two of them': '/CN=b-1/CN=b-2',
    'two in one part': '/CN=b-1+CN=b-2',
    'another attribute': '/O=x/CN=b-1',
    'another in the same part': '/O=x+CN=b-1',
    'a line end': '/CN=b-1\nCN=b-2',
    'letters that look alike': '/CN=b-\u0661',
    'a wide hyphen': '/CN=b\u20111',
    'a letter of another script': '/CN=\u0430-1',
    'white space': '/CN=b-1 ',
    'a slash': '/CN=b\\/1',
    'a wildcard of topics': '/CN=#',
    'a plus': '/CN=\\+',
    capitals: '/CN=B-1',
    nothing: '/',
  };
  for (const [what, subject] of Object.entries(names)) {
    await t.rejects(
      read(request(subject, KEY, '-multivalue-rdn')),
      { message: /CN=<box> and no more/ },
      what,
    );
  }
});

void t.test('a name with a zero byte, and in another kind of text', async (t) => {
  const plain = request('/CN=b-1');
  const bent = (change: (csr: Buffer, at: number) => void): Buffer => {
    const csr = Buffer.from(plain);
    change(csr, csr.indexOf('b-1'));
    return csr;
  };
  // The signature is no longer good, which is what keeps such a name out whoever reads it.
  await t.rejects(read(bent((csr, at) => csr.writeUInt8(0, at + 1))), { message: /whose signature is good/ });
  await t.rejects(
    read(bent((csr, at) => csr.writeUInt8(0x1e, at - 2))),
    { message: /whose signature is good/ },
    'as BMPString',
  );
});

void t.test('nothing lies behind it, and the curve has its name', async (t) => {
  const csr = request('/CN=b-1');
  await t.rejects(read(Buffer.concat([csr, Buffer.from('more')])), { message: /bytes behind it/ });
  await t.rejects(read(Buffer.concat([csr, csr])), { message: /bytes behind it/ }, 'another request');
  const explicit = keyFile('explicit.key', ...CURVE, '-pkeyopt', 'ec_param_enc:explicit');
  await t.rejects(
    read(request('/CN=b-1', explicit)),
    { message: /the key must be/ },
    'a curve that is written out',
  );
  const other = keyFile('other.key', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1');
  await t.rejects(read(request('/CN=b-1', other)), { message: /the key must be/ });
  for (const [what, options] of [
    ['P-384', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['Ed25519', ['-algorithm', 'ed25519']],
  ] as const)
    t.match(await read(request('/CN=b-1', keyFile(what, ...options))), { commonName: 'b-1' }, what);
});
