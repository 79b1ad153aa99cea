/** Unit tests of certificate requests: openssl signs exactly the one name and key that were read. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { OpensslAuthority } from '../../scripts/products/room/enrol/authority.ts';
import { readRequest } from '../../scripts/products/room/enrol/request.ts';
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
const makeCsr = (subject: string, key = KEY): Buffer => {
  const args = ['-new', '-key', key, '-utf8', '-subj', subject, '-outform', 'DER', '-multivalue-rdn'];
  return execFileSync('openssl', ['req', ...args]);
};
const read = (csr: Uint8Array) => readRequest(Buffer.from(csr).toString('base64'));

void t.test('a request with anything but one common name is refused', async (t) => {
  t.match(await read(makeCsr('/CN=b-1')), { commonName: 'b-1' });
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
  const refusal = { message: /CN=<box> and no more/ };
  for (const [name, subject] of Object.entries(names)) await t.rejects(read(makeCsr(subject)), refusal, name);
});

void t.test('trailing bytes and a curve without a name are refused', async (t) => {
  const csr = makeCsr('/CN=b-1');
  await t.rejects(read(Buffer.concat([csr, Buffer.from('more')])), { message: /bytes behind it/ });
  await t.rejects(read(Buffer.concat([csr, csr])), { message: /bytes behind it/ }, 'another request');
  const explicit = keyFile('explicit.key', ...CURVE, '-pkeyopt', 'ec_param_enc:explicit');
  await t.rejects(
    read(makeCsr('/CN=b-1', explicit)),
    { message: /the key must be/ },
    'a curve that is written out',
  );
  const other = keyFile('other.key', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1');
  await t.rejects(read(makeCsr('/CN=b-1', other)), { message: /the key must be/ });
  const larger = keyFile('p-384.key', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384');
  t.match(await read(makeCsr('/CN=b-1', larger)), { commonName: 'b-1' }, 'P-384');
});

/** A DER value, or bytes that a lenient parser might accept as one. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
const seq = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const set = (...parts: readonly Uint8Array[]): Buffer => der(0x31, ...parts);
const oid = (hex: string): Buffer => der(6, Buffer.from(hex, 'hex'));
const nameOf = (name: string | Uint8Array, tag = 0x0c): Buffer =>
  seq(oid('550403'), der(tag, Buffer.from(name)));

const OWN = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const SPKI = OWN.publicKey.export({ type: 'spki', format: 'der' });
const ECDSA = seq(oid('2a8648ce3d040302'));
const VERSION = Buffer.from([2, 1, 0]);

interface RequestParts {
  readonly version?: Uint8Array;
  readonly subject?: Uint8Array;
  readonly key?: Uint8Array;
  readonly attributes?: Uint8Array;
  readonly algorithm?: Uint8Array;
  readonly signature?: Uint8Array;
  readonly signer?: KeyObject;
}

/** A request with a valid signature over any content, as only the key's owner can make it. */
function makeRequest({
  version = VERSION,
  subject = seq(set(nameOf('b-1'))),
  key = SPKI,
  attributes = der(0xa0),
  algorithm = ECDSA,
  signature,
  signer = OWN.privateKey,
}: RequestParts): Buffer {
  const info = seq(version, subject, key, attributes);
  const bits = signature ?? sign('sha256', info, signer);
  return seq(info, algorithm, der(3, Buffer.from([0]), bits));
}

/** The same bytes with another outer length. */
function lengthOf(csr: Buffer, ...size: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from([0x30, ...size]), csr.subarray(3)]);
}

const withByte = (bytes: Uint8Array, at: number, to: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = to;
  return copy;
};

void t.test('a malformed request is refused although its signature is valid', async (t) => {
  const valid = makeRequest({});
  t.equal(valid[1], 0x81, 'its length takes one more byte');
  t.match(await read(valid), { commonName: 'b-1' });
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const rsa = (modulusLength: number): Buffer => {
    const { privateKey: signer, publicKey } = generateKeyPairSync('rsa', { modulusLength });
    const algorithm = seq(oid('2a864886f70d01010b'), Buffer.from([5, 0]));
    return makeRequest({ key: publicKey.export({ type: 'spki', format: 'der' }), algorithm, signer });
  };
  const ed25519 = seq(seq(oid('2b6570')), der(3, Buffer.from([0, 1]), Buffer.alloc(31)));
  const x = SPKI.subarray(27, 59);
  const sign2 = 2 + ((SPKI[90] ?? 0) & 1);
  const curve = seq(oid('2a8648ce3d0201'), oid('2a8648ce3d030107'));
  const requestNamed = (name: string | Uint8Array, tag?: number) =>
    makeRequest({ subject: seq(set(nameOf(name, tag))) });
  const forged = Buffer.concat([Buffer.from([1]), Buffer.alloc(63)]);
  const none = Buffer.from('3006020100020100', 'hex');
  const ed = seq(oid('2b6570'));
  const [key, furtherName, invalid, der0] = [
    /the key must be/,
    /and no more/,
    /valid signature/,
    /one PKCS #10 in DER/,
  ];
  const b1 = nameOf('b-1');
  const compressed = seq(curve, der(3, Buffer.from([0, sign2]), x));
  const cases: Readonly<Record<string, readonly [Uint8Array, RegExp]>> = {
    'signed with another key': [makeRequest({ signer: other.privateKey }), invalid],
    'no signature': [makeRequest({ signature: none }), invalid],
    'another algorithm than that of the key': [makeRequest({ algorithm: ed }), invalid],
    'RSA of 1024 bits': [rsa(1024), key],
    'RSA of 2048 bits': [rsa(2048), key],
    'a key for which anybody can sign': [
      makeRequest({ key: ed25519, algorithm: ed, signature: forged }),
      key,
    ],
    'a point in two ways at once': [makeRequest({ key: withByte(SPKI, 26, 4 + sign2) }), key],
    'a compressed point': [makeRequest({ key: compressed }), key],
    'a point off the curve': [makeRequest({ key: withByte(SPKI, 60, (SPKI[60] ?? 0) ^ 1) }), invalid],
    'an indefinite length (BER)': [Buffer.concat([lengthOf(valid, 0x80), Buffer.from([0, 0])]), der0],
    'a length in more bytes than needed (BER)': [lengthOf(valid, 0x82, 0, valid[2] ?? 0), der0],
    'the same name twice in one set': [makeRequest({ subject: seq(set(b1, b1)) }), furtherName],
    'two names in one set': [makeRequest({ subject: seq(set(nameOf('b-2'), b1)) }), furtherName],
    'no name': [makeRequest({ subject: seq() }), furtherName],
    'a zero byte behind the name': [requestNamed('b-1\0'), furtherName],
    'a zero byte in the name': [requestNamed('b-1\0.evil'), furtherName],
    'lines as openssl prints them': [requestNamed('x\nsubject=\n    CN=b-1'), furtherName],
    'a key in the name': [requestNamed('b-1\n-----BEGIN PUBLIC KEY-----\nAAAA'), furtherName],
    'a name that is not text': [requestNamed('b-1', 4), invalid],
    'version 2': [makeRequest({ version: Buffer.from([2, 1, 1]) }), invalid],
    'a version of two bytes': [makeRequest({ version: Buffer.from([2, 2, 0, 0]) }), invalid],
    nothing: [Buffer.alloc(0), /in base64/],
  };
  for (const [name, [csr, message]] of Object.entries(cases)) await t.rejects(read(csr), { message }, name);
});

void t.test('extensions that a request asks for do not reach the certificate', async (t) => {
  OpensslAuthority.make(dir, 'test room');
  const authority = new OpensslAuthority(dir);
  const extension = (id: string, value: Uint8Array): Buffer => seq(oid(id), der(4, value));
  const extensions = seq(
    extension('551d13', seq(Buffer.from([1, 1, 255]))),
    extension('551d11', seq(der(0x82, Buffer.from('console.example')))),
    extension('551d0f', der(3, Buffer.from([1, 6]))),
  );
  const attributes = der(0xa0, seq(oid('2a864886f70d01090e'), set(extensions)));
  const wide = Buffer.from('b-1', 'utf16le').swap16();
  for (const csr of [
    makeRequest({ attributes }),
    makeRequest({ attributes, subject: seq(set(), set(nameOf(wide, 0x1e))) }),
  ]) {
    const { commonName } = await read(csr);
    const { pem } = authority.issue(csr, { use: 'client', commonName, days: 30 }, Date.now());
    const certificate = new X509Certificate(pem);
    t.match(certificate, { subject: 'CN=b-1', ca: false, subjectAltName: undefined });
    t.same(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'], 'a client only');
    t.equal(certificate.raw.indexOf('console.example'), -1);
  }
});
