/** Tests the receipt on paper: one page that anyone can check later, with the still that was sent to the room. */
import { execFileSync, spawnSync } from 'node:child_process';
import t from 'tap';
import type { AgentView } from '../../agent/contract/page-link.ts';
import { openPaired, type PeerAgent, type Phone, REPLY, VIEW } from '../lib/page.ts';
import { RECEIPT } from './canned.ts';
import { JPEG } from './ways.ts';

const STATUS_TIME = '2026-11-24T14:00:00.000Z';
const missing = ['pdftotext', 'zbarimg'].find((name) => spawnSync(name, ['-h']).error !== undefined);
const skip = missing === undefined ? false : `no ${missing}: poppler-utils or zbar-tools is not installed`;

async function pdfOf(phone: Phone, language = 'en') {
  const { headers, body } = await phone.get(`/api/receipt.pdf?language=${language}`);
  const read = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { input: body, encoding: 'utf8' });
  return {
    headers,
    body,
    text: read('pdftotext', '-layout', '-', '-'),
    images: read('pdfimages', '-list', '-'),
    pages: /Pages: +(\d+)/.exec(read('pdfinfo', '-'))?.[1],
  };
}

/** Reads the code of the receipt as a phone's camera reads it from paper. */
function codeOf(pdf: Buffer): string[] {
  const png = execFileSync('pdftoppm', ['-png', '-r', '150', '-singlefile', '-'], { input: pdf });
  return execFileSync('zbarimg', ['-q', '--raw', 'PNG:-'], { input: png, encoding: 'utf8' })
    .trim()
    .split('\n');
}

void t.test('the receipt is one page that anyone can check later', { skip }, async (t) => {
  const { page, phone } = await openPaired(t);
  const { headers, body, text: english, pages } = await pdfOf(phone);
  t.match(headers, {
    'content-type': 'application/pdf',
    'content-disposition': /vigie-canebiere-017\.pdf/,
  });
  t.equal(pages, '1');
  const code = codeOf(body).slice(1);
  t.strictSame(code.slice(0, 5), [
    'marseille-1/canebiere-017',
    new Date(page.clock.wallMs()).toISOString(),
    'go',
    'order 2026/1234 2027-11-24T00:00:00.000Z',
    `config ${'b'.repeat(64)}`,
  ]);
  t.match(code[5], /^journal 912 3vA9/);
  for (const part of [
    /Installation receipt/,
    /canebiere-017 · marseille-1/,
    /2026\/1234 \(Préfecture/,
    /\nPASS\n/,
    /long-stay +loitering +forecourt +no test/,
    new RegExp('b'.repeat(64)),
    /912 entries, root 3vA9/,
  ])
    t.match(english, part);

  const walk = { time: STATUS_TIME, passes: 10, seen: 9, repeated: 0, recall: 0.9, low: 0.6, high: 0.98 };
  const [rule] = REPLY.installed?.rules ?? [];
  const rules = Array.from({ length: 64 }, (_, at) => ({ ...rule, id: `rule-${at}` }));
  const counts = { alerts: 0, confirmed: 0, falseAlarms: 0, unclear: 0 };
  const accuracy = {
    rules: [{ rule: 'rule-1', ...counts, precision: null, low: null, high: null, walk }],
    verdicts: { taken: 0, repeated: 0, unknown: 0, malformed: 0 },
    unrecorded: 0,
    expired: 0,
    dropped: 0,
  };
  const finding = { name: 'camera', verdict: 'failed', detail: '网 '.repeat(300), fix: null } as const;
  const full: AgentView = {
    ...VIEW,
    mode: 'suspended',
    findings: Array.from({ length: 64 }, () => finding),
    refusedRules: [{ id: 'rule-2', reason: 'x' }],
    status: { ...VIEW.status, report: { ...VIEW.status.report, accuracy } },
  };
  page.agent.answer = () => ({ refused: null, state: full });
  page.helper.answer = () => ({
    ...REPLY,
    installed: { ...REPLY.installed, rules },
    trial: { id: '0'.repeat(16), leftS: 9 },
  });
  page.clock.advance(10_000);
  const french = await pdfOf(phone, 'fr');
  t.equal(french.pages, '1', 'however much there is to say');
  for (const part of [
    /Procès-verbal d’installation/,
    /\nNON CONFORME\n/,
    /Boîtier suspendu:/,
    /9 sur 10 détectés/,
    /non couverte par l’arrêté/,
    /et 48 autres/,
    /Caméra \(à corriger\)/,
    /configuration est en cours de test/,
  ])
    t.match(french.text, part);
});

/** An agent with a receipt, whose still precedes the answer. */
function withReceipt(agent: PeerAgent, view: Partial<AgentView>, still: Buffer | undefined): void {
  agent.answer = ({ request, ask }) => {
    if (ask.op === 'state') return { refused: null, state: { ...VIEW, ...view } };
    if (ask.op !== 'receipt-still') return { refused: null, state: null };
    if (still === undefined) return { refused: { code: 'no-still', reason: 'none' }, state: null };
    agent.say({ kind: 'still', request }, still);
    return { refused: null, state: null };
  };
}

void t.test('the receipt on paper has the still that was sent to the room', { skip }, async (t) => {
  const { page, phone } = await openPaired(t);
  withReceipt(page.agent, { receipt: RECEIPT }, JPEG);
  const jpeg = await phone.get('/api/receipt.jpg');
  t.match(jpeg, { status: 200, headers: { 'content-type': 'image/jpeg' } });
  t.ok(jpeg.body.equals(JPEG));
  t.match(await phone.post('/api/receipt'), { status: 200 });
  const onePage = await pdfOf(phone);
  t.match(onePage, { pages: '1', images: /image +768 +576/ });
  t.match(onePage.text, RECEIPT.still ?? '');

  const finding = { name: 'finding', verdict: 'failed', detail: 'x '.repeat(200), fix: null } as const;
  withReceipt(page.agent, { findings: Array.from({ length: 8 }, () => finding), receipt: RECEIPT }, JPEG);
  t.match((await pdfOf(phone)).images, /image +768 +576/, 'a full receipt keeps its still');

  withReceipt(page.agent, { receipt: { ...RECEIPT, still: null, absent: 'suspended' } }, undefined);
  t.match(await phone.get('/api/receipt.jpg'), { status: 404, json: { error: 'no-still' } });
  const pictureless = await pdfOf(phone);
  t.match(pictureless.text, /no still: suspended/);
  t.notMatch(pictureless.images, /768/);
});
