/**
 * Draws the labels of a box, 62 × 29 mm each. One has its name, its address for a phone and its codes. The other has the
 * code by which a phone joins its Wi-Fi.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import PdfDocument from 'pdfkit';
import { encode } from 'uqr';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { hotspotName } from '../../../agent/contract/hotspot.ts';
import { tool } from './tool.ts';

export interface Label {
  readonly site: string;
  readonly box: string;
  /** XXXX-XXXX-XXXX-XXXX */
  readonly setupCode: string;
  /** Undefined if the key is not known here. */
  readonly hotspotKey?: string | undefined;
  /** SHA-256 of the page's certificate, hex. */
  readonly pageFingerprint?: string | undefined;
}

const POINTS_A_MM = 72 / 25.4;
/** A usual size of label printers. */
const [WIDTH_MM, HEIGHT_MM] = [62, 29];
const QR_MM = 27;
const TEXT_MM = 29.5;
const TEXT_WIDTH_MM = 31;
const TOP_MM = 1;
/** Ratio of line height to the size of the letters. DejaVu's own is 1.164, and every line must fit. */
const LINE_HEIGHT = 1.17;
/** Resolution of a label printer; a module of the code then has at least 6 dots. */
const PNG_DPI = 300;
/** Width of the quiet zone (ISO/IEC 18004, 5.3.8). */
const QUIET_MODULES = 4;

const FONT_DIR = '/usr/share/fonts/truetype/dejavu';
const FONTS = {
  plain: 'DejaVuSans.ttf',
  bold: 'DejaVuSans-Bold.ttf',
  mono: 'DejaVuSansMono.ttf',
  code: 'DejaVuSansMono-Bold.ttf',
} as const;

/**
 * Writes label.pdf and its pages as label.png and label-wifi.png into `dir`. They are readable only by their owner,
 * because they hold the codes.
 */
export async function writeLabel(label: Label, dir: string): Promise<string[]> {
  mkdirSync(dir, { recursive: true });
  const pdf = await pdfOf(label);
  const files: [string, Buffer][] = [
    ['label.pdf', pdf],
    ['label.png', await pngOf(pdf, 1)],
  ];
  if (label.hotspotKey !== undefined) files.push(['label-wifi.png', await pngOf(pdf, 2)]);
  return files.map(([name, content]) => {
    const file = join(dir, name);
    writeAtomically(file, content, 0o600);
    return file;
  });
}

/** Makes the picture of a page from the PDF itself, so that screen and printer show the same. */
function pngOf(pdf: Buffer, page: number): Promise<Buffer> {
  const only = ['-f', String(page), '-l', String(page)];
  return tool('pdftoppm', ['-png', '-r', String(PNG_DPI), ...only, '-singlefile', '-'], { input: pdf });
}

/**
 * Returns the text by which a phone joins a WPA network (github.com/zxing/zxing/wiki/Barcode-Contents). A backslash
 * escapes the signs of the format.
 */
export function wifiCode(name: string, passphrase: string): string {
  const escaped = (text: string): string => text.replace(/[\\;,:"]/g, '\\$&');
  return `WIFI:T:WPA;S:${escaped(name)};P:${escaped(passphrase)};;`;
}

/** Returns the hash of a certificate in groups of four, for comparison by a person. @throws AgentError `config` */
export function fingerprintOf(text: string): string {
  const hex = text.replace(/[:\s]/g, '').toUpperCase();
  if (/^[0-9A-F]{64}$/.test(hex)) return hex;
  throw new AgentError('config', `--page-fingerprint takes the SHA-256 of a certificate, 64 hex digits`);
}

async function pdfOf(label: Label): Promise<Buffer> {
  for (const font of Object.values(FONTS)) {
    if (existsSync(join(FONT_DIR, font))) continue;
    throw new AgentError(
      'config',
      `${join(FONT_DIR, font)}: no such font: apt-get install fonts-dejavu-core`,
    );
  }
  const doc = new PdfDocument({
    size: [WIDTH_MM * POINTS_A_MM, HEIGHT_MM * POINTS_A_MM],
    margin: 0,
    info: { Title: `Label of ${label.box}` },
  });
  const pieces: Buffer[] = [];
  doc.on('data', (piece: Buffer) => pieces.push(piece));
  const pdfEnd = new Promise((resolve) => doc.once('end', resolve));
  drawQr(doc, `https://${label.box}.local/#${label.setupCode}`);
  drawText(doc, textOf(label));
  const { box, site, hotspotKey } = label;
  if (hotspotKey !== undefined) {
    const name = hotspotName(box);
    doc.addPage();
    drawQr(doc, wifiCode(name, hotspotKey));
    drawText(doc, [
      ['bold', 10, 'Wi-Fi'],
      ['plain', 8, name],
      ['mono', 6.5, hotspotKey],
      ['plain', 6, site],
    ]);
  }
  doc.end();
  await pdfEnd;
  return Buffer.concat(pieces);
}

type Doc = InstanceType<typeof PdfDocument>;

function drawQr(doc: Doc, text: string): void {
  const { data, size } = encode(text, { ecc: 'M', border: QUIET_MODULES });
  const module = (QR_MM * POINTS_A_MM) / size;
  const edge = ((HEIGHT_MM - QR_MM) / 2) * POINTS_A_MM;
  for (const [y, row] of data.entries()) {
    for (const [x, dark] of row.entries()) {
      if (dark) doc.rect(edge + x * module, edge + y * module, module, module);
    }
  }
  doc.fill('black');
}

/** Font, size in points, and text. */
type Line = readonly [font: keyof typeof FONTS, size: number, text: string];

function textOf({ site, box, setupCode, hotspotKey, pageFingerprint }: Label): Line[] {
  const groups = (pageFingerprint ?? '').match(/.{4}/g) ?? [];
  return [
    ['bold', 10, box],
    ['plain', 6, site],
    ['plain', 6, `https://${box}.local`],
    ['code', 7.6, setupCode],
    ...(hotspotKey === undefined
      ? []
      : ([
          ['plain', 6, `Wi-Fi ${hotspotName(box)}`],
          ['mono', 6.5, hotspotKey],
        ] satisfies Line[])),
    ...(groups.length === 0 ? [] : ([['plain', 4.5, 'SHA-256']] satisfies Line[])),
    ...[0, 4, 8, 12]
      .filter((at) => at < groups.length)
      .map((at): Line => ['mono', 4.5, groups.slice(at, at + 4).join(' ')]),
  ];
}

function drawText(doc: Doc, lines: readonly Line[]): void {
  const width = TEXT_WIDTH_MM * POINTS_A_MM;
  let y = TOP_MM * POINTS_A_MM;
  for (const [font, size, text] of lines) {
    doc.font(join(FONT_DIR, FONTS[font])).fontSize(size);
    // A long name is set smaller, never cut.
    const fitting = Math.min(size, (size * width) / doc.widthOfString(text));
    doc.fontSize(fitting).text(text, TEXT_MM * POINTS_A_MM, y, { lineBreak: false });
    y += size * LINE_HEIGHT;
  }
}
