/**
 * Tests the messages between agent and vision: encoding, refusal of corrupt messages, and the limits on their content.
 */
import fc from 'fast-check';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import {
  encodeMessage,
  FromVision,
  LINK_MESSAGE_BYTES_MAX,
  LinkDecoder,
  type PlainFromVision,
  ToVision,
} from '../../agent/contract/link.ts';
import type { FoundPlace, ObservedTrack } from '../../agent/contract/observation.ts';
import { ALL, FULL } from '../lib/run.ts';
import { observation, track } from '../lib/street.ts';

const RUNS = FULL ? 100_000 : ALL ? 3_000 : 500;

t.test('messages come out as they went in, however the stream is cut', async (t) => {
  const messages: PlainFromVision[] = [
    { kind: 'hello', pid: 7 },
    { kind: 'frame', observation: observation(400, [track(3)]), detections: [] },
    { kind: 'lost', reason: 'connection refused', retryInMs: 1000 },
  ];
  const stream = Buffer.concat(messages.map(encodeMessage));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 }), (sizes) => {
      const decoder = new LinkDecoder(FromVision);
      const out: unknown[] = [];
      let at = 0;
      for (let i = 0; at < stream.length; i++) {
        const size = sizes[i % sizes.length] as number;
        out.push(...decoder.push(stream.subarray(at, at + size)).map(({ message }) => message));
        at += size;
      }
      return JSON.stringify(out) === JSON.stringify(messages);
    }),
  );
  t.pass('all cuts');
});

t.test('an invalid message is refused as corrupt, without another error', async (t) => {
  const good = encodeMessage({ kind: 'ack', frame: 3, evidence: [] });
  const refusals = { bytes: 0, flips: 0 };
  const attempt = (bytes: Uint8Array): boolean => {
    try {
      new LinkDecoder(ToVision).push(Buffer.from(bytes));
      return true;
    } catch (error) {
      if (error instanceof AgentError && error.kind === 'corrupt') return false;
      throw error;
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 200 }), (bytes) => {
      if (!attempt(bytes)) refusals.bytes += 1;
    }),
    { numRuns: RUNS },
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: good.length * 8 - 1 }), (bit) => {
      const bytes = Buffer.from(good);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      if (!attempt(bytes)) refusals.flips += 1;
    }),
    { numRuns: RUNS },
  );
  t.ok(refusals.bytes > RUNS * 0.9, `${refusals.bytes} of ${RUNS} random messages refused`);
  t.ok(refusals.flips > RUNS * 0.5, `${refusals.flips} of ${RUNS} bit flips refused`);
});

t.test('messages beyond the limits or with unknown content are refused', async (t) => {
  const decode = (bytes: Buffer) => new LinkDecoder(ToVision).push(bytes);
  const long = Buffer.alloc(8);
  long.writeUInt32BE(LINK_MESSAGE_BYTES_MAX + 1);
  t.throws(() => decode(long), /link message refused \(length/, 'too long');
  const lying = Buffer.from([0, 0, 0, 4, 0, 0, 0, 9]);
  t.throws(() => decode(lying), /header length 9/, 'header longer than the message');
  const unknown = encodeMessage({ kind: 'fetch', url: 'x' } as never);
  t.throws(() => decode(unknown), /link message refused/, 'unknown kind');
  const extra = encodeMessage({ kind: 'stop', also: 1 } as never);
  t.throws(() => decode(extra), /link message refused/, 'unknown key');
});

/** Reports whether the agent accepts a frame with such a track. */
function isTaken(about: Partial<ObservedTrack>): boolean {
  const frame = observation(400, [track(3, about)]);
  try {
    const bytes = encodeMessage({ kind: 'frame', observation: frame, detections: [] });
    return new LinkDecoder(FromVision).push(bytes).length === 1;
  } catch (error) {
    if (error instanceof AgentError && error.kind === 'corrupt') return false;
    throw error;
  }
}

t.test('a track carries at most eight places from before it was confirmed', async (t) => {
  const places = (count: number): FoundPlace[] =>
    Array.from({ length: count }, (_, i) => ({ atMs: i, xyxyNorm: [0.1, 0.1, 0.2, 0.3] }));
  t.same(
    [1, 8, 9, 0].map((count) => isTaken({ before: places(count) })),
    [true, true, false, false],
  );
  t.notOk(
    isTaken({ before: [{ ...places(1)[0], hist: [1, 2, 3] } as never] }),
    'and no message is sent beside them',
  );
});

t.test('a track carries at most two colour names out of the closed list', async (t) => {
  t.ok(isTaken({ colours: ['yellow'] }) && isTaken({ colours: ['yellow', 'green'] }));
  const lists = [[], ['pink'], [''], ['yellow', 'yellow'], ['yellow', 'green', 'white'], [0.3], [[0.1, 0.9]]];
  const invalid: unknown[] = [...lists, 'yellow', { yellow: 0.9 }];
  for (const colours of invalid) t.notOk(isTaken({ colours } as never), JSON.stringify(colours));
});
