/** Tests what a technician takes along: the receipt on the phone and on paper, and the cues of a walk test. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { AgentView, FromPage, ReceiptView } from '../../agent/contract/page-link.ts';
import { browserMissing } from '../lib/browser.ts';
import { openPage, type PeerAgent, VIEW } from '../lib/page.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type Look, openBrowser } from './phone.ts';
import { openApp, type Parts } from './ways.ts';

/** A redacted still of 768 × 576. */
const JPEG = readFileSync(join(ROOT, 'docs/alert.jpg'));
const RECEIPT: ReceiptView = {
  id: 'b1-7',
  time: '2026-11-24T14:03:00.000Z',
  passed: true,
  still: createHash('sha256').update(JPEG).digest('hex'),
  absent: null,
  delivered: false,
};
/** Records the cues that the phone gets. Chromium has no speaker and no motor here. */
const RECORDER = `
  globalThis.cues = [];
  navigator.vibrate = (pattern) => { cues.push('vibrate ' + pattern); return true; };
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...when) { cues.push('tone ' + this.frequency.value); start.apply(this, when); };
  Object.defineProperty(navigator, 'wakeLock', { value: { request: async () => {
    cues.push('lock');
    const lock = new EventTarget();
    lock.release = async () => { cues.push('release'); lock.dispatchEvent(new Event('release')); };
    return lock;
  } } });`;

t.test('the receipt and the cues work on a phone', { skip: browserMissing() }, async (t) => {
  const browser = await openBrowser(join(scratch(t), 'profile'));
  t.teardown(() => browser.close());
  const parts: Parts = { browser, jpeg: JPEG };
  for (const look of [
    ['fr', 'light'],
    ['en', 'dark'],
  ] as const)
    await t.test(`a receipt is issued and shown, ${look.join(', ')}`, (t) => issued(t, parts, look));
  await t.test('a pass begins after a countdown and ends with a cue', (t) => cues(t, parts));
});

const TEXTS = {
  fr: {
    waits: /prépare l’image/,
    sent: /Vous pouvez partir/,
    delivered: /Le CSU l’a reçu/,
    no: /Sans image : la/,
  },
  en: {
    waits: /making the still/,
    sent: /You may leave/,
    delivered: /control room has it/,
    no: /Without a still: la/,
  },
} as const;

async function issued(t: Test, parts: Parts, look: Look): Promise<void> {
  const { box, phone } = await openApp(t, parts, { look });
  const texts = TEXTS[look[0]];
  box.brokerFails = false;
  const problems: string[] = [];
  const check = async (name: string): Promise<void> => void problems.push(...(await phone.check(name)));
  const untilText = (text: RegExp): Promise<void> =>
    phone.untilTrue(String(text), `${text}.test(document.querySelector('main').textContent)`);
  await phone.go('receipt');
  t.equal(await phone.page.$('#issued img'), null);
  await phone.tap('#issue');
  await untilText(texts.waits);
  t.ok(box.requests.includes('POST /api/receipt {}'));
  box.receiptWaits = false;
  box.receipt = RECEIPT;
  await phone.untilTrue('the still', 'document.querySelector("#issued img")?.naturalWidth === 768');
  await untilText(texts.sent);
  await check('20-issued');
  await phone.page.setViewport({ width: 740, height: 360, hasTouch: true, isMobile: true });
  await check('21-issued-landscape');
  box.receipt = { ...RECEIPT, delivered: true };
  await untilText(texts.delivered);
  box.receipt = { ...RECEIPT, still: null, absent: 'la' };
  await untilText(texts.no);
  t.equal(await phone.page.$('#issued img'), null, 'no picture of an earlier receipt');
  await check('22-issued-without');
  t.same(problems, []);
  t.same(phone.pageErrors, []);
}

async function cues(t: Test, parts: Parts): Promise<void> {
  const { box, phone } = await openApp(t, parts);
  await phone.page.evaluateOnNewDocument(RECORDER);
  await phone.reload();
  const newCues = async (): Promise<string[]> => (await phone.page.evaluate('cues.splice(0)')) as string[];
  const phase = (name: string): Promise<void> =>
    phone.untilTrue(name, `document.querySelector('#walk[data-phase=${name}]') !== null`);
  const answers = (): string[] => box.requests.filter((line) => line.includes('/walk/answer'));
  const countBefore = box.stateRequestCount;
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const stateRequests = box.stateRequestCount - countBefore;
  t.ok(stateRequests >= 1 && stateRequests <= 3, `${stateRequests} requests for the state in 2.5 s`);
  await phone.go('walk');
  await phone.type('input[type=number]', '2');
  await phone.tap('#walk-start');
  await phone.untilTrue('a countdown', 'document.querySelector("#countdown") !== null');
  t.match(await phone.text('.countdown'), /^(10|9|8|7)$/);
  t.same(await phone.check('23-countdown'), []);
  t.strictSame(answers(), [], 'the pass has not begun');
  await phone.tap('#countdown-stop');
  await phone.untilTrue('stopped', 'document.querySelector("#countdown") === null');
  await phone.page.select('[name=walk-delay]', '0');
  await phone.tap('#walk-go');
  await phase('watching');
  t.equal(answers().length, 1);
  t.strictSame(
    await newCues(),
    ['lock', 'vibrate 100', 'tone 660'],
    'the screen stays on, and a pass begins',
  );
  box.passed('seen');
  await phase('ready');
  t.strictSame(await newCues(), ['vibrate 150,80,150', 'tone 880', 'tone 1320']);
  await phone.tap('#walk-go');
  await phase('watching');
  await newCues();
  box.passed('missed');
  await phase('done');
  t.strictSame(await newCues(), ['vibrate 800', 'tone 220', 'release']);
  await phone.reload();
  await phone.go('walk');
  await phase('done');
  t.strictSame(await newCues(), [], 'a reload repeats no cue');
  t.same(phone.pageErrors, []);
}

const noPoppler =
  spawnSync('pdfimages', ['-v']).error === undefined ? false : 'poppler-utils is not installed';

/** An agent with a receipt, whose still precedes the answer. */
function withReceipt(agent: PeerAgent, view: AgentView, still: Buffer | undefined): void {
  agent.answer = ({ request, ask }: FromPage) => {
    if (ask.op === 'state') return { refused: null, state: view };
    if (ask.op !== 'receipt-still') return { refused: null, state: null };
    if (still === undefined) return { refused: { code: 'no-still', reason: 'none' }, state: null };
    agent.say({ kind: 'still', request }, still);
    return { refused: null, state: null };
  };
}

void t.test(
  'the receipt on paper has the still that was sent to the room',
  { skip: noPoppler },
  async (t) => {
    const page = await openPage(t);
    const phone = page.phone();
    await phone.pair();
    const pdf = async (): Promise<{ text: string; images: string; pages: string }> => {
      const { body, status } = await phone.get('/api/receipt.pdf?language=en');
      t.equal(status, 200);
      const read = (program: string, ...args: string[]): string =>
        execFileSync(program, [...args], { input: body, encoding: 'utf8' });
      return {
        text: read('pdftotext', '-layout', '-', '-'),
        images: read('pdfimages', '-list', '-'),
        pages: /Pages: +(\d+)/.exec(read('pdfinfo', '-'))?.[1] ?? '',
      };
    };
    withReceipt(page.agent, { ...VIEW, receipt: RECEIPT }, JPEG);
    const jpeg = await phone.get('/api/receipt.jpg');
    t.match(jpeg, { status: 200, headers: { 'content-type': 'image/jpeg' } });
    t.ok(jpeg.body.equals(JPEG));
    t.match(await phone.post('/api/receipt'), { status: 200 });
    const onePage = await pdf();
    t.match(onePage.images, /image +768 +576/);
    t.match(onePage.text, RECEIPT.still ?? '');
    t.equal(onePage.pages, '1');

    const findings = Array.from({ length: 8 }, (_, at) => ({
      name: `finding-${at}`,
      verdict: 'failed' as const,
      detail: 'x '.repeat(200),
      fix: null,
    }));
    withReceipt(page.agent, { ...VIEW, findings, receipt: RECEIPT }, JPEG);
    const full = await pdf();
    t.match(full.images, /image +768 +576/, 'a full receipt keeps its still');

    withReceipt(
      page.agent,
      { ...VIEW, receipt: { ...RECEIPT, still: null, absent: 'suspended' } },
      undefined,
    );
    t.match(await phone.get('/api/receipt.jpg'), { status: 404, json: { error: 'no-still' } });
    const pictureless = await pdf();
    t.match(pictureless.text, /no still: suspended/);
    t.notMatch(pictureless.images, /768/);
  },
);
