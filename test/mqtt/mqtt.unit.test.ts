/**
 * Tests the MQTT client without a broker: lane order, acknowledgements, errors, packet sizes, learnt limits and private keys.
 */

import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { openToOthers } from '../../agent/base/private-file.ts';
import { RepeatedLine } from '../../agent/base/repeated-line.ts';
import { type ConfigOptions, inspectText } from '../../agent/config/load.ts';
import type { OutboxRow } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { parseAck } from '../../agent/mqtt/acks.ts';
import { DeliveryError, deliveryError, deliveryErrorOf } from '../../agent/mqtt/connection-errors.ts';
import { LaneCursor } from '../../agent/mqtt/lane-cursor.ts';
import { LearntLimits } from '../../agent/mqtt/learnt-limits.ts';
import { type Message, packetBytes, publishOptions } from '../../agent/mqtt/publish-packet.ts';
import { Refusals } from '../../agent/mqtt/refusals.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { FULL } from '../lib/run.ts';
import { rectangle } from '../lib/street.ts';
import { writtenBytes } from '../lib/strict-broker.ts';

void t.test('a lane sends each row once a session, live ones first, the backlog in order', async (t) => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('append' as const), n: fc.integer({ min: 1, max: 5 }) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('send' as const), n: fc.integer({ min: 1, max: 8 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('release' as const), n: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('rewind' as const), n: fc.constant(0) }) },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 30 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(step, { maxLength: 80 }),
      (old, aheadMax, steps) => {
        let last = old;
        let first = 1;
        const peek = (after: number): OutboxRow | undefined => {
          const seq = Math.max(after + 1, first);
          return seq > last ? undefined : row(seq);
        };
        const cursor = new LaneCursor();
        cursor.begin({ first, last });
        let sentSeqs = new Set<number>();
        let backlogEnd = old;
        let previousBacklog = 0;
        const send = (): number | undefined => {
          const next = cursor.next(first, aheadMax, peek)?.seq;
          if (next === undefined) return undefined;
          if (sentSeqs.has(next)) throw new Error(`${next} was sent twice`);
          sentSeqs.add(next);
          if (next <= backlogEnd) {
            const liveWaiting = Array.from({ length: last - backlogEnd }, (_, i) => backlogEnd + 1 + i);
            if (liveWaiting.some((seq) => seq >= first && !sentSeqs.has(seq)))
              throw new Error(`${next} before a live row`);
            if (next < previousBacklog) throw new Error('the backlog is out of order');
            if (next - first >= aheadMax)
              throw new Error(`${next} is ${next - first} ahead, ${aheadMax} allowed`);
            previousBacklog = next;
          }
          return next;
        };
        for (const { do: action, n } of steps) {
          if (action === 'append') last += n;
          if (action === 'send') for (let i = 0; i < n; i += 1) send();
          if (action === 'release') first = Math.min(last + 1, first + n);
          if (action === 'rewind') {
            const live = Math.max(backlogEnd, ...sentSeqs);
            cursor.rewind(first);
            backlogEnd = Math.max(backlogEnd, live);
            previousBacklog = 0;
            sentSeqs = new Set();
          }
        }
        // As releases make room, every row is sent in the end.
        for (let guard = 0; first <= last && guard < 1000; guard += 1) {
          while (send() !== undefined);
          for (first; first <= last && sentSeqs.has(first); first += 1);
        }
        if (first <= last) throw new Error(`${first} is never sent`);
      },
    ),
    { numRuns: 500 },
  );
  t.pass('500 lives of a lane');

  function row(seq: number): OutboxRow {
    return {
      kind: 'message',
      seq,
      boot: 'b',
      topic: 'x',
      contentType: 'y',
      body: new Uint8Array(),
      expiryS: null,
    };
  }
});

void t.test('an acknowledgement holds numbers or is refused', async (t) => {
  t.same(parseAck(Buffer.from('{"alert":3,"bulk":0}')), { alert: 3, bulk: 0 });
  t.same(parseAck(Buffer.from('{"bulk":7,"later":"field"}')), { bulk: 7 }, 'unknown members are left out');
  t.same(parseAck(Buffer.from('{}')), {});
  t.same(parseAck(Buffer.from('{"alert":3,"epoch":"1f00ab32"}')), { alert: 3, epoch: '1f00ab32' });
  t.throws(() => parseAck(Buffer.from('{"alert":3,"epoch":7}')), { message: /refused/ });
  const accepted = (payload: Buffer): boolean => {
    try {
      const ack = parseAck(payload);
      const { epoch, ...numbers } = ack;
      if (epoch !== undefined && (epoch.length < 1 || epoch.length > 32)) return false;
      return Object.values(numbers).every((seq) => Number.isSafeInteger(seq) && seq >= 0);
    } catch (error) {
      if (error instanceof AgentError && error.kind === 'corrupt') return true;
      throw error;
    }
  };
  const numRuns = FULL ? 100_000 : 1000;
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(text)),
    fc.record({ alert: fc.anything(), bulk: fc.double() }).map((value) => {
      try {
        return Buffer.from(JSON.stringify(value) ?? '');
      } catch {
        return Buffer.from('[cyclic or bigint]');
      }
    }),
  );
  fc.assert(fc.property(anything, accepted), { numRuns });
  t.pass(`${numRuns} messages: always numbers or a refusal`);
});

void t.test('errors of the network and the broker become one line with a remedy', async (t) => {
  const of = (code: unknown, message = 'raw') =>
    deliveryError(Object.assign(new Error(message), { code }), 'mqtts://user:secret@room.example:8883');
  t.match(of('ECONNREFUSED'), {
    code: 'unreachable',
    kind: 'unavailable',
    message: /nothing listens there; start/,
  });
  t.match(of('CERT_HAS_EXPIRED'), { code: 'certificate', kind: 'denied' });
  t.match(of('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), {
    code: 'certificate',
    message: /no fallback to plaintext/,
  });
  t.match(of('ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED'), { code: 'certificate', message: /has expired/ });
  t.match(of('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), {
    code: 'certificate',
    message: /refuses the box/,
  });
  t.match(of(undefined, 'connack timeout'), { code: 'unreachable', message: /no answer to CONNECT/ });
  t.match(of(undefined, 'two\nlines'), { message: /two lines/ });
  t.match(of(134), { code: 'denied' });
  for (const code of [1, 132]) t.match(of(code), { code: 'protocol', message: /does not speak MQTT 5; use/ });
  t.match(of(250), { code: 'protocol', message: /code 250/ });
  t.match(deliveryErrorOf(142, 'x'), { code: 'identity-conflict' });
  t.match(deliveryError(new AgentError('config', 'mqtt.key: no'), 'mqtt://x'), { code: 'configuration' });
  const mapped = of('ENOTFOUND');
  t.equal(deliveryError(mapped, 'mqtt://other'), mapped, 'mapped once');
  t.ok(mapped instanceof DeliveryError);
  for (const error of [mapped, of('ETIMEDOUT'), of(135)]) {
    t.notMatch(error.message, /secret/, 'no password is shown');
    t.equal(error.message, `${error.reason}; ${error.fix}`);
  }
});

void t.test('every topic of a box lies under its own name', async (t) => {
  const topics = topicsOf('marseille-1', 'canebiere-017');
  const all = [
    topics.status,
    topics.health,
    topics.ack,
    topics.event('alert', 'loitering'),
    topics.snapshot('e-1'),
  ];
  for (const topic of all) t.match(topic, /^vigie\/marseille-1\/canebiere-017\/./);
});

void t.test('a packet is as large as the codec writes it', async (t) => {
  const words = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 200 })
    .filter((text) => !/[#+\0]/.test(text));
  const bytes = fc.integer({ min: 0, max: 20_000 }).map((length) => Buffer.alloc(length, 'é'));
  const message: fc.Arbitrary<Message> = fc.record(
    {
      topic: words,
      payload: fc.oneof(words, bytes, fc.constant(Buffer.alloc(2_097_200))),
      qos: fc.constantFrom(0, 1),
      retain: fc.boolean(),
      contentType: words,
      expiryS: fc.integer({ min: 1, max: 2 ** 31 }),
      userProperties: fc.dictionary(words, words, { minKeys: 1, maxKeys: 6 }),
      correlation: bytes,
      responseTopic: words,
    },
    { requiredKeys: ['topic', 'payload', 'qos', 'retain', 'contentType'] },
  );
  fc.assert(
    fc.property(message, (one) => {
      const { topic, payload } = one;
      const packet = { cmd: 'publish', topic, payload, messageId: 7, dup: false, ...publishOptions(one) };
      const [reckoned, written] = [packetBytes(one), writtenBytes(packet)];
      if (reckoned !== written) throw new Error(`${reckoned} reckoned, ${written} written`);
    }),
    { numRuns: 300 },
  );
  t.pass('300 messages');
});

void t.test('a limit learnt from a broker is valid for an hour', async (t) => {
  const clock = new HandClock();
  const learnt = new LearntLimits(clock);
  t.match(learnt, { packetBytesMax: Number.POSITIVE_INFINITY, retain: true });
  learnt.learn(deliveryErrorOf(139, 'x'), 900);
  learnt.learn(deliveryErrorOf(149, 'x'), 0);
  t.equal(learnt.packetBytesMax, Number.POSITIVE_INFINITY, 'nothing was on its way');
  learnt.learn(deliveryErrorOf(149, 'x'), 60_000);
  learnt.learn(deliveryErrorOf(149, 'x'), 70_000);
  learnt.learn(deliveryErrorOf(154, 'x'), 0);
  t.match(learnt, { packetBytesMax: 59_999, retain: false });
  clock.advance(3_600_000);
  t.match(learnt, { packetBytesMax: Number.POSITIVE_INFINITY, retain: true }, 'and then tried again');
  learnt.learn(deliveryErrorOf(149, 'x'), 80_000);
  t.equal(learnt.packetBytesMax, 79_999);
});

void t.test('the oldest refusal is shown as long as it applies', async (t) => {
  let changes = 0;
  const refusals = new Refusals(() => {
    changes += 1;
  });
  const [a, b] = [deliveryErrorOf(135, 'a'), deliveryErrorOf(151, 'b')];
  refusals.add('alert/1', a);
  refusals.add('status', b);
  refusals.settle('health');
  t.equal(refusals.oldest, a);
  refusals.add('alert/1', a);
  t.equal(refusals.oldest, a, 'refused again');
  refusals.settle('alert/1');
  t.equal(refusals.oldest, b);
  refusals.settle('status');
  t.equal(refusals.oldest, undefined);
  t.equal(changes, 5, 'an unknown refusal changes nothing');
});

void t.test('a repeated line is logged at intervals with the number of the suppressed ones', async (t) => {
  const clock = new HandClock();
  const line = new RepeatedLine(60_000, clock);
  const reportedCounts: number[] = [];
  for (let i = 0; i < 250; i += 1) {
    line.due((leftOut) => reportedCounts.push(leftOut));
    clock.advance(1000);
  }
  t.same(reportedCounts, [0, 59, 59, 59, 59]);
});

const BOX = {
  site: 'marseille-1',
  box: 'canebiere-017',
  camera: { source: 'test:pattern' },
  zones: [
    {
      id: 'lawn',
      polygon: rectangle(0, 0, 1, 1),
    },
  ],
  rules: [{ id: 'stay', kind: 'loitering', zone: 'lawn', purpose: 'safety' }],
};
const inspected = (mqtt: object, env: ConfigOptions['env'], mode: ConfigOptions['mode'] = 'run') =>
  inspectText(JSON.stringify({ ...BOX, mqtt: { url: 'mqtts://room.example:8883', ...mqtt } }), { env, mode });

/** Makes a folder with `ca`, `cert` and `mqtt.key` of this box. */
async function makeCredentials(t: Test): Promise<string> {
  const dir = scratch(t);
  const authority = new CertificateAuthority(join(dir, 'authority'));
  await authority.start();
  const { cert, key } = await authority.client(BOX.box);
  for (const [name, from] of Object.entries({ ca: authority.ca, cert, 'mqtt.key': key })) {
    writeFileSync(join(dir, name), readFileSync(from), { mode: 0o400 });
  }
  return dir;
}

t.test('a key from systemd is the file in its folder', async (t) => {
  const dir = await makeCredentials(t);
  const mqtt = { ca: 'credential:ca', cert: 'credential:cert', key: 'credential:mqtt.key' };
  const { config, problems } = inspected(mqtt, { CREDENTIALS_DIRECTORY: dir });
  t.same(problems, []);
  t.match(config?.mqtt, { ca: join(dir, 'ca'), cert: join(dir, 'cert'), key: join(dir, 'mqtt.key') });
  const byEnvironment = inspected(
    { ca: join(dir, 'ca'), cert: join(dir, 'cert') },
    { CREDENTIALS_DIRECTORY: dir, VIGIE_MQTT_KEY: 'credential:mqtt.key' },
  );
  t.equal(byEnvironment.config?.mqtt?.key, join(dir, 'mqtt.key'));
});

t.test('each problem with a credential is one clear line', async (t) => {
  const dir = await makeCredentials(t);
  const env = { CREDENTIALS_DIRECTORY: dir };
  const pair = { cert: 'credential:cert', ca: 'credential:ca' };
  const cases: [string, ConfigOptions['env'], RegExp][] = [
    ['credential:box.key', env, /^no such file/],
    ['credential:../outbox', env, /is not a credential name/],
    ['credential:', env, /is not a credential name/],
    [
      'credential:mqtt.key',
      {},
      /is given by systemd only: LoadCredential=mqtt\.key:FILE in the service's unit/,
    ],
  ];
  for (const [key, environment, message] of cases) {
    const { config, problems } = inspected({ ...pair, key }, environment);
    t.equal(config, undefined);
    const [problem] = problems.filter(({ path }) => path === 'mqtt.key');
    t.match(problem, { message, line: 1 }, key);
  }
  const outside = inspected({ ...pair, key: 'credential:mqtt.key' }, {}, 'check');
  t.same(outside.problems, [], '`vigie check` outside of the service cannot know, and says nothing');
});

t.test('a private key that others can read is refused', async (t) => {
  const dir = await makeCredentials(t);
  const file = join(dir, 'mqtt.key');
  for (const [mode, fine] of [
    [0o400, true],
    [0o600, true],
    [0o640, true],
    [0o644, false],
    [0o660, false],
    [0o604, false],
  ] as const) {
    chmodSync(file, mode);
    const message = openToOthers(file);
    t.equal(message === undefined, fine, mode.toString(8));
    const { problems } = inspected({ ca: join(dir, 'ca'), cert: join(dir, 'cert'), key: file }, {});
    t.equal(problems.length, fine ? 0 : 1);
    if (!fine)
      t.match(problems[0], { path: 'mqtt.key', message: /open to others \(mode 06\d\d\); chmod 0640 / });
  }
});
