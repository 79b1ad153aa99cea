/**
 * Tests that signed JSON has one reading: a text that two parsers could read differently is refused despite a valid
 * signature.
 */
import { sign } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { envelopeOpener, keyIdOf, parseJson } from '../../agent/orders/dsse.ts';
import { makeSigner } from '../lib/commands.ts';
import { SEED } from '../lib/random.ts';
import { verdictOf } from '../lib/refusals.ts';

t.comment(`seed ${SEED} (VIGIE_TEST_SEED)`);

const TYPE = 'application/vnd.test+json';
const { privateKey } = makeSigner();
const keyid = keyIdOf(privateKey);
const open = envelopeOpener({ payloadType: TYPE, bytesMax: 4096, signatures: 1, keysIn: 'the test' });
const openText = (envelope: string) => open(Buffer.from(envelope), new Map([[keyid, privateKey]]));

const payload = Buffer.from('{"a":1}');
const preAuth = Buffer.concat([Buffer.from(`DSSEv1 ${TYPE.length} ${TYPE} ${payload.length} `), payload]);
const sig = sign(null, preAuth, privateKey).toString('base64');
const base64 = payload.toString('base64');
const envelope = (parts: { head?: string; payload?: string; sig?: string } = {}): string =>
  `${parts.head ?? ''}{"payloadType":"${TYPE}","payload":"${parts.payload ?? base64}","signatures":[{"keyid":"${keyid}","sig":"${parts.sig ?? sig}"}]}`;

const readOf = (text: string): unknown => parseJson(Buffer.from(text), 'it');
const isRefused = (text: string): boolean => verdictOf(() => readOf(text)) === 'malformed';

void t.test('an envelope with a second payload, signature or type is refused', async (t) => {
  t.same(openText(envelope()).payload, payload, 'the envelope itself is opened');
  const other = Buffer.from('{"a":2}').toString('base64');
  for (const head of [
    `{"payload":"${other}",`,
    `{"signatures":[],`,
    `{"payloadType":"text/plain",`,
    `{"pay\\u006coad":"${other}",`,
  ]) {
    t.equal(
      verdictOf(() => openText(head + envelope().slice(1))),
      'malformed',
      head,
    );
  }
});

void t.test('base64 that decodes to the signed bytes but is not canonical is refused', async (t) => {
  const [last = ''] = base64.replace(/=+$/, '').slice(-1);
  const ABC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const loose = ABC[ABC.indexOf(last) | 1] ?? '';
  const forms = {
    'bits beyond the end': base64.replace(/.(=+)$/, `${loose}$1`),
    'no padding': base64.replace(/=+$/, ''),
    'more padding': `${base64}=`,
    'white space': ` ${base64}`,
    'something behind the padding': `${base64}AAAA`,
  };
  for (const [formKind, form] of Object.entries(forms)) {
    t.not(form, base64, `${formKind}: another text`);
    t.equal(
      verdictOf(() => openText(envelope({ payload: form }))),
      'malformed',
      formKind,
    );
  }
  const urlSafe = sig.replaceAll('+', '-').replaceAll('/', '_');
  t.equal(
    verdictOf(() => openText(envelope({ sig: urlSafe === sig ? `${sig.slice(0, -3)}_==` : urlSafe }))),
    'malformed',
    'the alphabet of URLs',
  );
});

void t.test('a byte order mark and invalid UTF-8 are refused', async (t) => {
  t.equal(
    verdictOf(() => openText(envelope({ head: '\ufeff' }))),
    'malformed',
    'before the envelope',
  );
  t.ok(isRefused('\ufeff{"a":1}'), 'before the content');
  const forms = { 'an overlong form': [0xc0, 0xaf], 'a surrogate': [0xed, 0xa0, 0x80], 'a cut one': [0xc3] };
  for (const [formName, bytes] of Object.entries(forms)) {
    const text = Buffer.from([0x22, ...bytes, 0x22]);
    t.equal(
      verdictOf(() => parseJson(text, 'it')),
      'malformed',
      formName,
    );
  }
});

void t.test('a number that readers could read differently is refused', async (t) => {
  const numbers = ['9007199254740993', '9007199254740992', '-9007199254740993', '1e400', '-1e400', '1e300'];
  for (const number of numbers) t.ok(isRefused(`{"a":[${number}]}`), number);
  for (const number of ['9007199254740991', '-9007199254740991', '0.1', '1e3', '0', '-0']) {
    t.equal((readOf(number) as number) + 0, Number(number) + 0, number);
  }
});

void t.test('a name that occurs twice in one object is refused, however it is written', async (t) => {
  const repeated = [
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"b":[{"c":{"a":1,"b":2,"a":3}}]}',
    '{"__proto__":1,"__proto__":2}',
    '{"":1,"":2}',
    '{"a":{"b":1},"a":2}',
    '{ "a" : 1 ,\n "a"\t: 2 }',
    '{"a:":1,"a:":2}',
  ];
  for (const text of repeated) t.ok(isRefused(text), text);
  const unique = [
    '{"a":{"a":{"a":1}},"b":["a","a"]}',
    '{"a":":","b":"{\\"a\\":1,\\"a\\":2}","\\\\":1,"\\"":2}',
    '{"__proto__":1,"constructor":2}',
    '[":",{"a:b":":"}]',
    '"\\\\"',
  ];
  for (const text of unique) t.same(readOf(text), JSON.parse(text), text);
  const deep = 100_000;
  t.ok(Array.isArray(readOf(`${'['.repeat(deep)}${']'.repeat(deep)}`)), 'nesting that ends a stack does not');
});

void t.test('any text of JSON is read unchanged, and refused with a duplicate member', async (t) => {
  const jsonText = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value));
  const isExact = (text: string): boolean =>
    numbersOf(JSON.parse(text)).every((number) => Math.abs(number) <= Number.MAX_SAFE_INTEGER);
  const readAsItIs = fc.property(jsonText.filter(isExact), (text) => JSON.stringify(readOf(text)) === text);
  t.doesNotThrow(() => fc.assert(readAsItIs, { seed: SEED, numRuns: 2000 }));
  const name = fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify(text));
  const repeated = fc.property(name, jsonText, jsonText, fc.nat(3), (member, one, other, depth) => {
    const doubled = `{${member}:${one},"~":0,${member}:${other}}`;
    return isRefused(`${'{"in":['.repeat(depth)}${doubled}${']}'.repeat(depth)}`);
  });
  t.doesNotThrow(() => fc.assert(repeated, { seed: SEED, numRuns: 2000 }));
});

function numbersOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersOf) : [];
}
