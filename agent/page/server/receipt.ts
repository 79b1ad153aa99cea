/**
 * Creates the technician's receipt: one A4 page on the box's identity, authorisation and state, with the values by
 * which anyone can check it later.
 *
 * LIMITS: one page, and a second one for a still that does not fit. Rows beyond ROWS_MAX and text beyond its field are
 * cut, and marked so. The fonts of PDF cover the letters of western Europe; others are shown as `?`.
 */
import PDFDocument from 'pdfkit';
import { encode } from 'uqr';
import type { ConfigReply } from '../../contract/config-trial.ts';
import { findingName } from '../../contract/finding-names.ts';
import type { AgentView } from '../../contract/page-link.ts';
import { type Language, RECEIPT_TEXTS, type ReceiptTexts } from './receipt-texts.ts';

const MARGIN_PT = 50;
const WIDTH_PT = 495;
const QR_PT = 120;
const LABEL_PT = 120;
const BOTTOM_PT = 20;
/** Height in which a still is worth looking at, and the most it takes. */
const [STILL_PT_MIN, STILL_PT_MAX] = [150, 300];
const ROWS_MAX = 16;
const FINDINGS_MAX = 8;
const COLUMNS_PT = [120, 130, 115, 130] as const;

export interface ReceiptInput {
  readonly agent: AgentView;
  readonly config: ConfigReply;
  /** Redacted still of the newest receipt that was sent to the room; undefined if there is none. */
  readonly still: Uint8Array | undefined;
  readonly language: Language;
  readonly nowMs: number;
}

export function receipt(input: ReceiptInput): Promise<Buffer> {
  const { agent, language, nowMs } = input;
  const texts = RECEIPT_TEXTS[language];
  const doc = new PDFDocument({
    size: 'A4',
    margins: { top: MARGIN_PT, left: MARGIN_PT, right: MARGIN_PT, bottom: BOTTOM_PT },
    lang: language,
    info: { Title: `${texts.title} ${agent.box}`, CreationDate: new Date(nowMs) },
  });
  const parts: Buffer[] = [];
  const pdf = new Promise<Buffer>((resolve, reject) => {
    doc.on('data', (part: Buffer) => parts.push(part));
    doc.on('end', () => resolve(Buffer.concat(parts)));
    doc.on('error', reject);
  });
  drawHead(doc, input, texts);
  drawVerdict(doc, input, texts);
  drawRules(doc, input, texts);
  drawProof(doc, input, texts);
  drawStill(doc, input, texts);
  drawCode(doc, codeText(input));
  doc.end();
  return pdf;
}

/**
 * True if the technician may leave the box: nothing has failed, and it runs under an authorisation that is not just for
 * the installation.
 */
function isGo({ agent, config }: ReceiptInput): boolean {
  const failed = agent.findings.some(({ verdict }) => verdict === 'failed');
  return !failed && agent.mode === 'active' && agent.order?.installation === false && config.trial === null;
}

function drawHead(
  doc: PDFKit.PDFDocument,
  { agent, config, nowMs }: ReceiptInput,
  texts: ReceiptTexts,
): void {
  const { order: authorisation, box, site } = agent;
  doc.font('Helvetica-Bold').fontSize(20).text(latin(texts.title), MARGIN_PT, MARGIN_PT);
  doc.moveDown(0.6);
  const narrow = WIDTH_PT - QR_PT - 20;
  field(doc, texts.box, `${box} · ${site} · vigie ${agent.version}`, narrow);
  field(doc, texts.issuedAt, timeText(nowMs, agent.timeZone), narrow);
  if (authorisation === null) field(doc, texts.authorisation, texts.noAuthorisation, narrow);
  else {
    const untilText = `${texts.validUntil} ${timeText(Date.parse(authorisation.notAfter), agent.timeZone)}`;
    const installationNote = authorisation.installation ? `; ${texts.installation}` : '';
    field(
      doc,
      texts.authorisation,
      `${authorisation.order} (${authorisation.authority}), ${untilText}${installationNote}`,
      narrow,
    );
  }
  field(doc, texts.camera, config.installed?.cameraAddress ?? texts.notKnown, narrow);
  doc.y = Math.max(doc.y, MARGIN_PT + QR_PT + 16);
}

function drawVerdict(doc: PDFKit.PDFDocument, input: ReceiptInput, texts: ReceiptTexts): void {
  const { agent, config, language } = input;
  heading(doc, texts.verdict);
  doc
    .font('Helvetica-Bold')
    .fontSize(16)
    .text(isGo(input) ? texts.go : texts.noGo, MARGIN_PT);
  if (config.trial !== null) line(doc, texts.trial);
  if (agent.mode !== 'active') line(doc, `${findingName(agent.mode, language)}: ${agent.reason ?? ''}`);
  const open = agent.findings.filter(({ verdict }) => verdict !== 'ok');
  for (const { name, verdict, detail } of open.slice(0, FINDINGS_MAX)) {
    line(
      doc,
      `${findingName(name, language)} (${verdict === 'failed' ? texts.failed : texts.unknown}): ${detail}`,
    );
  }
  if (open.length > FINDINGS_MAX) line(doc, texts.moreItems(open.length - FINDINGS_MAX));
}

function drawRules(doc: PDFKit.PDFDocument, { agent, config }: ReceiptInput, texts: ReceiptTexts): void {
  const { zones = [], lines = [], masks = [], rules = [] } = config.installed ?? {};
  heading(doc, texts.rules);
  const names = (of: readonly { id: string }[]): string =>
    of.length === 0 ? texts.none : of.map(({ id }) => id).join(', ');
  field(doc, texts.zones, names(zones));
  field(doc, texts.lines, names(lines));
  field(doc, texts.masks, String(masks.length));
  row(doc, texts.heads, 'Helvetica-Bold');
  for (const rule of rules.slice(0, ROWS_MAX)) {
    const walk = agent.status.report.accuracy?.rules.find((each) => each.rule === rule.id)?.walk ?? null;
    const uncovered = agent.refusedRules.some(({ id }) => id === rule.id);
    const result = walk === null ? texts.notWalked : texts.seenPasses(walk.seen, walk.passes);
    row(doc, [rule.id, rule.kind, whereOf(rule), uncovered ? texts.notCovered : result], 'Helvetica');
  }
  if (rules.length === 0) line(doc, texts.none);
  if (rules.length > ROWS_MAX) line(doc, texts.moreItems(rules.length - ROWS_MAX));
}

function whereOf(rule: object): string {
  const place: unknown = Reflect.get(rule, 'zone') ?? Reflect.get(rule, 'line');
  return typeof place === 'string' ? place : '-';
}

function drawProof(doc: PDFKit.PDFDocument, { agent, config }: ReceiptInput, texts: ReceiptTexts): void {
  doc.moveDown(0.5);
  const { journal } = agent.status;
  field(doc, texts.configuration, config.shownSha256 ?? texts.notKnown);
  const head = journal === null ? texts.notKnown : `${texts.entries(journal.entries)} ${journal.root}`;
  field(doc, texts.journal, head);
  doc.moveDown(0.5);
  doc.font('Helvetica').fontSize(8).text(latin(texts.code), MARGIN_PT);
}

/** Draws the still below everything else. It moves to a second page if too little of the first one is left. */
function drawStill(doc: PDFKit.PDFDocument, { agent, still }: ReceiptInput, texts: ReceiptTexts): void {
  const { receipt: issued } = agent;
  if (issued === null) return;
  doc.moveDown(0.6);
  field(doc, texts.sentToRoom, `${timeText(Date.parse(issued.time), agent.timeZone)}, ${issued.id}`);
  field(doc, texts.still, issued.still ?? `${texts.noStill}: ${issued.absent ?? ''}`);
  if (still === undefined) return;
  doc.moveDown(0.5);
  const leftPt = (): number => doc.page.height - BOTTOM_PT - doc.y;
  if (leftPt() < STILL_PT_MIN) doc.addPage();
  const fit: [number, number] = [WIDTH_PT, Math.min(STILL_PT_MAX, leftPt())];
  doc.image(Buffer.from(still), MARGIN_PT, doc.y, { fit });
}

/** Returns the machine-readable text: the same in every language, one line for each item. */
function codeText(input: ReceiptInput): string {
  const { agent, config, nowMs } = input;
  const { journal } = agent.status;
  return [
    'vigie receipt 1',
    `${agent.site}/${agent.box}`,
    new Date(nowMs).toISOString(),
    isGo(input) ? 'go' : 'no-go',
    `order ${agent.order === null ? '-' : `${latin(agent.order.order)} ${agent.order.notAfter}`}`,
    `config ${config.shownSha256 ?? '-'}`,
    `journal ${journal === null ? '-' : `${journal.entries} ${journal.root}`}`,
  ].join('\n');
}

function drawCode(doc: PDFKit.PDFDocument, text: string): void {
  const { data, size } = encode(text, { ecc: 'L', border: 2 });
  const cellPt = QR_PT / size;
  const [leftPt, topPt] = [MARGIN_PT + WIDTH_PT - QR_PT, MARGIN_PT];
  for (const [y, cells] of data.entries())
    for (const [x, dark] of cells.entries())
      if (dark) doc.rect(leftPt + x * cellPt, topPt + y * cellPt, cellPt, cellPt);
  doc.fill('black');
}

function heading(doc: PDFKit.PDFDocument, text: string): void {
  doc.moveDown(0.6);
  doc.font('Helvetica-Bold').fontSize(12).text(latin(text), MARGIN_PT);
  doc.moveDown(0.2);
}

/** Draws a field of at most two lines. */
function field(doc: PDFKit.PDFDocument, label: string, value: string, widthPt = WIDTH_PT): void {
  const { y } = doc;
  doc.font('Helvetica').fontSize(9);
  doc.text(latin(label), MARGIN_PT, y, { width: LABEL_PT });
  const options = { width: widthPt - LABEL_PT, height: 24, ellipsis: true };
  doc.text(latin(value), MARGIN_PT + LABEL_PT, y, options);
  doc.y += 2;
}

function line(doc: PDFKit.PDFDocument, text: string): void {
  doc
    .font('Helvetica')
    .fontSize(9)
    .text(latin(text), MARGIN_PT, doc.y, { width: WIDTH_PT, height: 24, ellipsis: true });
}

function row(doc: PDFKit.PDFDocument, cells: readonly [string, string, string, string], font: string): void {
  const { y } = doc;
  let x = MARGIN_PT;
  doc.font(font).fontSize(9);
  for (const [index, cell] of cells.entries()) {
    const width = COLUMNS_PT[index] ?? 100;
    doc.text(latin(cell), x, y, { width: width - 6, height: 11, ellipsis: true, lineBreak: true });
    x += width;
  }
  doc.y = y + 13;
}

/** Reduces text to one line in the characters of every PDF reader's fonts (Windows-1252). */
function latin(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[^\x20-\x7e\xa0-\xff‘’“”–—…€œŒ]/g, '?');
}

function timeText(ms: number, timeZone: string): string {
  const iso = new Date(ms).toISOString().slice(0, 16);
  try {
    const local = new Intl.DateTimeFormat('sv-SE', {
      dateStyle: 'short',
      timeStyle: 'short',
      timeZone,
    }).format(ms);
    return `${local} ${timeZone} (${iso}Z)`;
  } catch (error) {
    // This machine does not know the time zone.
    if (error instanceof RangeError) return `${iso}Z`;
    throw error;
  }
}
