/** `fleet cert list`: compares the issued certificates with those that the boxes report. */
import { AgentError } from '../../../../agent/base/errors.ts';
import { printableJson } from '../../../../agent/base/printable.ts';
import { withEnrolment } from '../../room/enrol/enrolment.ts';
import type { CertificateRow } from '../../room/enrol/store.ts';
import { withFleet } from '../context.ts';
import { say } from '../output.ts';
import { learnt } from '../rollout/status-commands.ts';
import { columns } from '../rollout/table.ts';
import type { Fleet } from '../settings.ts';
import type { BoxRow } from '../store.ts';

const DAY_MS = 86_400_000;
/** Days before the end that are marked, as in the box's own reminders. */
const MARKS = [1, 7, 30] as const;
/** Tolerance, ms; certificates have whole seconds. */
const SAME_MS = 1000;

export interface ListOptions {
  readonly dir: string;
  readonly ends?: number;
  readonly json?: boolean;
}

interface Line {
  readonly site: string;
  readonly box: string;
  /** End of the newest valid issued certificate, ms; null if there is none. */
  readonly ends: number | null;
  /** End of the certificate that the box last reported, ms. */
  readonly says: number | null;
  readonly note: string;
}

export function list({ dir, ends, json }: ListOptions): Promise<void> {
  return withFleet(dir, async (context) => {
    const folder = enrolmentOf(context.fleet);
    await learnt(context);
    const nowMs = context.clock.wallMs();
    const certificates = withEnrolment(folder, ({ store }) => store.certificates());
    const all = linesOf(certificates, context.store.boxes(), nowMs);
    const selectedLines = all.filter((line) => ends === undefined || firstEnd(line) - nowMs <= ends * DAY_MS);
    if (json === true) {
      const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
      for (const line of selectedLines)
        process.stdout.write(`${printableJson({ ...line, ends: time(line.ends), says: time(line.says) })}\n`);
      return;
    }
    const day = (ms: number | null): string => (ms === null ? '-' : new Date(ms).toISOString().slice(0, 10));
    const rows = selectedLines.map(({ box, site, ends, says, note }) => [
      box,
      site,
      day(ends),
      day(says),
      note,
    ]);
    for (const line of columns([['BOX', 'SITE', 'ENDS', 'THE BOX SAYS', ''], ...rows])) say(line);
  });
}

/** Returns the enrolment folder. Throws AgentError `config` if fleet.yaml names none. */
export function enrolmentOf({ dir, enrolment }: Fleet): string {
  if (enrolment !== undefined) return enrolment;
  throw new AgentError(
    'config',
    `${dir}/fleet.yaml: enrolment is missing; it names the folder of \`scripts/room enrol\``,
  );
}

/** Returns the lines; the next certificate to expire comes first. */
function linesOf(certificates: readonly CertificateRow[], boxes: readonly BoxRow[], nowMs: number): Line[] {
  const rowsByBox = new Map<string, CertificateRow[]>();
  for (const row of certificates) {
    if (row.use === 'client') rowsByBox.set(row.box, [...(rowsByBox.get(row.box) ?? []), row]);
  }
  const knownBoxes = new Set(boxes.map(({ box }) => box));
  const unseen = [...rowsByBox.keys()].filter((box) => !knownBoxes.has(box));
  const lines = [
    ...boxes.map(({ site, box, report, revoked_at: revoked }) => ({ site, box, report, revoked })),
    ...unseen.map((box) => ({ site: '-', box, report: undefined, revoked: null })),
  ].map(({ site, box, report, revoked }): Line => {
    const own = rowsByBox.get(box) ?? [];
    const ends = own.filter((row) => row.revoked_at === null).at(-1)?.not_after ?? null;
    const notAfter = report?.certNotAfter;
    const says = notAfter == null ? null : Date.parse(notAfter);
    const isRevoked = revoked !== null || (own.length > 0 && ends === null);
    const note = noteOf({ isRevoked, ends, says, isSeen: report !== undefined }, nowMs);
    return { site, box, ends, says, note };
  });
  return lines.sort((a, b) => firstEnd(a) - firstEnd(b) || (a.box < b.box ? -1 : 1));
}

type Noted = Pick<Line, 'ends' | 'says'> & { readonly isRevoked: boolean; readonly isSeen: boolean };

function noteOf({ isRevoked, ends, says, isSeen }: Noted, nowMs: number): string {
  if (isRevoked) return 'revoked';
  const notes: string[] = [];
  const leftMs = Math.min(says ?? Number.POSITIVE_INFINITY, ends ?? Number.POSITIVE_INFINITY) - nowMs;
  const mark = MARKS.find((days) => leftMs <= days * DAY_MS);
  if (leftMs <= 0) notes.push('HAS ENDED');
  else if (mark !== undefined) notes.push(`ENDS WITHIN ${mark} ${mark === 1 ? 'DAY' : 'DAYS'}`);
  if (ends === null) notes.push('not from this enrolment');
  else if (!isSeen) notes.push('has not reported');
  else if (says !== null && Math.abs(says - ends) > SAME_MS) notes.push('the box uses another');
  return notes.join('; ');
}

function firstEnd({ ends, says }: Line): number {
  return Math.min(ends ?? Number.POSITIVE_INFINITY, says ?? Number.POSITIVE_INFINITY);
}
