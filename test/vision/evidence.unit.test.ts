/** The queue of pictures: whenever one is asked for, it is made. */
import { setImmediate as turn } from 'node:timers/promises';
import sharp from 'sharp';
import t from 'tap';
import { FromVision, LinkDecoder } from '../../agent/contract/link.ts';
import type { Frame } from '../../agent/contract/picture.ts';
import { Evidence } from '../../agent/vision/redact/evidence.ts';
import { SILENT } from '../lib/outbox.ts';
import { stillFrom } from '../lib/pictures.ts';

const SOURCE = { widthPx: 64, heightPx: 48 };
const raw = { width: 64, height: 48, channels: 3 } as const;
const JPEG = await sharp(Buffer.alloc(64 * 48 * 3, 120), { raw })
  .jpeg()
  .toBuffer();
const FRAME: Frame = {
  index: 1,
  ptsNs: 0n,
  atMs: 1000,
  wallMs: 0,
  source: SOURCE,
  input: { widthPx: 32, heightPx: 32 },
  rgb: new Uint8Array(32 * 32 * 3),
};

/** Asks for the still at 1000 ms, which there is, or for another, which there is not. */
const request = (number: number, atMs: number) => ({ request: number, atMs, focus: [], seal: false });

class Answers {
  readonly evidence: Evidence;
  readonly given: string[] = [];
  /** Called at each answer. */
  onAnswer: (count: number) => void = () => undefined;

  constructor() {
    this.evidence = new Evidence({
      stillNear: (atMs) => (atMs === 1000 ? stillFrom(JPEG, SOURCE) : undefined),
      sealTo: [],
      log: SILENT,
      send: (encoded) => {
        for (const { message } of new LinkDecoder(FromVision).push(encoded)) {
          if ('request' in message) this.given.push(`${message.kind} ${message.request}`);
        }
        this.onAnswer(this.given.length);
        return true;
      },
    });
    this.evidence.remember(FRAME, { looked: true, found: [], tracks: [] }, undefined);
  }
}

async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await undefined;
}

t.test('whenever a picture is asked for while the last one is handed over, it is made', async (t) => {
  for (const [atMs, kind] of [
    [1000, 'snapshot'],
    [2000, 'no-snapshot'],
  ] as const) {
    for (let wait = 0; wait < 16; wait += 1) {
      const answers = new Answers();
      const { evidence, given } = answers;
      const asked = new Promise<void>((resolve) => {
        answers.onAnswer = (count) => {
          if (count > 1) return;
          void microtasks(wait).then(() => {
            evidence.request(request(2, atMs));
            resolve();
          });
        };
      });
      evidence.request(request(1, atMs));
      await asked;
      await evidence.idle();
      t.same(given, [`${kind} 1`, `${kind} 2`], `${wait} microtasks after the answer`);
    }
  }
});

t.test('who waits until nothing is to be done waits for what is asked for meanwhile', async (t) => {
  for (let wait = 0; wait < 16; wait += 1) {
    const answers = new Answers();
    const { evidence, given } = answers;
    let asked = 0;
    const ask = (): void => {
      asked += 1;
      evidence.request(request(asked, 2000));
    };
    answers.onAnswer = (count) => {
      if (count < 3) void microtasks(wait).then(ask);
    };
    ask();
    await evidence.idle();
    // Two microtasks later it is over already, and whoever waits is about to hear of it.
    if (wait < 2) t.equal(given.length, 3, `${wait} microtasks later`);
    await turn();
    await evidence.idle();
    t.same(given, ['no-snapshot 1', 'no-snapshot 2', 'no-snapshot 3']);
  }
});

t.test('a picture that fails holds up no other, and more than 16 are refused with a reason', async (t) => {
  const { evidence, given } = new Answers();
  for (let i = 1; i <= 20; i += 1) evidence.request(request(i, i === 3 ? 2000 : 1000));
  await evidence.idle();
  t.equal(given.length, 20);
  t.same(
    given.filter((answer) => answer.startsWith('no-')),
    [
      // One is being made, 16 wait.
      ...[18, 19, 20].map((n) => `no-snapshot ${n}`),
      'no-snapshot 3',
    ],
  );
});
