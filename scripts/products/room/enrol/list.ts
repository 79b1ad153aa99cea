/** Formats the output of `list`: unused tokens, waiting boxes, all certificates with their dates, and warnings. */
import { X509Certificate } from 'node:crypto';
import { printable } from '../../../../agent/base/printable.ts';
import type { CertificateRow, EnrolStore } from './store.ts';

const USE_NAMES = { client: 'certificate', server: 'page', host: 'server', program: 'program' } as const;

/**
 * Ratio of the lifetime after which a missing renewal is reported. Boxes renew after two thirds of it; one that has not
 * renewed by five sixths will not do so automatically.
 */
const LATE_RATIO = 5 / 6;

export function listLines(store: EnrolStore, nowMs: number): string[] {
  const open = store.tokens().filter(({ serial, expires_at }) => serial === null && expires_at > nowMs);
  const pending = store.waiting.rows();
  const sites = new Map(store.boxes().map(({ box, site }) => [box, site]));
  const current = store.certificates().filter((row) => row.revoked_at === null && row.not_after > nowMs);
  const certifiedBoxes = new Set(current.map(({ box }) => box));
  return [
    ...open.map(({ site, box, expires_at }) => `token        ${site}/${box}  until ${time(expires_at)}`),
    ...pending.map(({ box, key, address, first, decision }) => {
      const warning = certifiedBoxes.has(box)
        ? '  WARNING: a box of this name has a certificate already'
        : '';
      const state = decision ?? 'waits';
      return `${state.padEnd(12)} ${box}  key ${key.slice(0, 16)}  from ${printable(address, 45)} since ${time(first)}${warning}`;
    }),
    ...store
      .certificates()
      .map((row) => certificateLine(row, sites.get(row.box), store.certificates(), nowMs)),
  ];
}

function certificateLine(
  row: CertificateRow,
  site: string | undefined,
  all: readonly CertificateRow[],
  nowMs: number,
): string {
  const { box, use, serial, not_before, not_after, revoked_at, issued_at } = row;
  const newer = all.some(
    (one) => one.box === box && one.use === use && one.issued_at > issued_at && one.revoked_at === null,
  );
  const isOfBox = use === 'client' || use === 'server';
  const name = isOfBox && site !== undefined ? `${site}/${box}` : box;
  // Fingerprint of a page's certificate as browsers show it, for a technician who calls from the site.
  const identity =
    use === 'server' ? `SHA-256 ${new X509Certificate(row.pem).fingerprint256}` : `serial ${serial}`;
  const line = `${USE_NAMES[use].padEnd(12)} ${name}  ${time(not_before)} to ${time(not_after)}  ${identity}`;
  if (revoked_at !== null) return `${line}  revoked ${time(revoked_at)}`;
  if (newer) return `${line}  renewed`;
  if (not_after < nowMs) return `${line}  WARNING: has ended`;
  const late = nowMs > not_before + (not_after - not_before) * LATE_RATIO;
  return late ? `${line}  WARNING: ends soon and is not renewed` : line;
}

function time(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}
