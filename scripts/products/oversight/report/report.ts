/**
 * `vigie-oversight report`: reports a box's activity in an interval from a verified journal, in plain words and as a
 * page.
 */
import { createHash } from 'node:crypto';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { systemClock } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { programVersion } from '../../../../agent/base/package-root.ts';
import { SiteTime } from '../../../../agent/base/site-time.ts';
import { print, printJson } from '../../../../agent/cli/print.ts';
import {
  type Checked,
  type CheckOptions,
  checkedJournal,
  groundsOf,
  nameOf,
  verdictOf,
} from '../journal/checked.ts';
import { type AtEnd, type Timeline, TimelineWriter } from '../timeline/timeline.ts';
import { type Account, accountOf } from './account.ts';
import { pageOf } from './page.ts';
import { pictureOf } from './picture.ts';

export interface ReportOptions extends CheckOptions {
  readonly from?: string;
  readonly to?: string;
  readonly timeZone?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** Time zone if no entry with the site's time zone is readable. */
const OTHERWISE = 'UTC';
const WRONG_SHOWN = 20;

/** Returns the exit code. */
export function report(place: string, options: ReportOptions): number {
  const { checked, read: writer } = checkedJournal(place, options, () => new TimelineWriter());
  const time = new SiteTime(options.timeZone ?? writer.timeZone ?? OTHERWISE);
  const { firstMs = 0, lastMs = 0 } = writer;
  const fromMs = options.from === undefined ? firstMs : time.parse('--from', options.from);
  // Includes the last entry, and the state that follows from it.
  const toMs = options.to === undefined ? Math.max(lastMs, fromMs) + 1 : time.parse('--to', options.to);
  if (fromMs >= toMs)
    throw new AgentError('config', `--to: ${time.text(toMs)} is not after ${time.text(fromMs)}`);
  const timeline = writer.tell(fromMs, toMs);
  const atEnd = writer.atEnd();
  const account = accountOf(timeline, atEnd, time);
  if (options.out !== undefined) write(options.out, page(place, checked, timeline, account, time, options));
  if (options.json) printJson(asJson(checked, timeline, atEnd, account));
  else print(...plain(checked, account, time, options));
  return checked.wrong.length > 0 ? 1 : 0;
}

function plain(checked: Checked, account: Account, time: SiteTime, options: ReportOptions): string[] {
  const { wrong } = checked;
  return [
    ...wrong.slice(0, WRONG_SHOWN).map((line) => `wrong: ${line}`),
    verdictOf(checked),
    '',
    ...account.alarms,
    ...account.summary,
    ...account.sections.flatMap(({ title, lines, omittedCount }) =>
      lines.length === 0
        ? []
        : [
            '',
            title,
            ...lines.map(({ timeText, text }) => `  ${timeText === '' ? '' : `${timeText}  `}${text}`),
            ...(omittedCount > 0 ? [`  … and ${omittedCount} more, which --json has`] : []),
          ],
    ),
    '',
    `Times are those of ${time.zone}.`,
    ...groundsOf(checked, options.head),
    ...(options.out === undefined ? [] : [`page: ${options.out}`]),
  ];
}

function asJson(
  checked: Checked,
  timeline: Timeline,
  atEnd: AtEnd | undefined,
  { totals, alerts }: Account,
): object {
  const at = (ms: number): string => new Date(ms).toISOString();
  return {
    inOrder: checked.wrong.length === 0,
    origin: checked.key.name,
    from: at(timeline.fromMs),
    to: at(timeline.toMs),
    timeZone: timeline.timeZone ?? null,
    frames: timeline.frames,
    framesAtEdges: timeline.framesAtEdges,
    framesWhileOff: timeline.framesWhileOff,
    uncounted: timeline.uncounted.map(({ fromMs, toMs, ...rest }) => ({
      from: at(fromMs),
      to: at(toMs),
      ...rest,
    })),
    missingResumes: timeline.missingResumes.map(({ suspension, sinceMs, atMs }) => ({
      suspension,
      since: at(sinceMs),
      at: at(atMs),
    })),
    atEnd: atEnd && { state: atEnd.state, since: at(atEnd.sinceMs), last: at(atEnd.lastMs) },
    alerts,
    totalsMs: totals,
    periods: timeline.periods.map(({ fromMs, toMs, ...rest }) => ({
      from: at(fromMs),
      to: at(toMs),
      ...rest,
    })),
    erased: Object.fromEntries(timeline.erased),
    entries: timeline.entries.map(({ content }) => content),
    wrong: checked.wrong,
  };
}

function page(
  place: string,
  checked: Checked,
  timeline: Timeline,
  account: Account,
  time: SiteTime,
  options: ReportOptions,
): string {
  const { wrong, key, keyText } = checked;
  const raw = key.key.export({ type: 'spki', format: 'der' });
  const fingerprint = createHash('sha256')
    .update(raw)
    .digest('hex')
    .replace(/(.{8})(?=.)/g, '$1 ');
  const heads = (options.head ?? []).map((file) => ` --head ${file}`).join('');
  return pageOf({
    title: `What ${nameOf(key.name)} did, ${time.span(timeline.fromMs, timeline.toMs)}`,
    inOrder: wrong.length === 0,
    verdict: verdictOf(checked),
    wrong: wrong.slice(0, WRONG_SHOWN),
    account,
    picture: pictureOf(timeline, time, account.totals),
    grounds: [...groundsOf(checked, options.head), `fingerprint of the key (SHA-256): ${fingerprint}`],
    howTo: `vigie-oversight verify ${place} --key '${keyText}'${heads}`,
    zone: time.zone,
    madeText: `Made by vigie-oversight ${programVersion()} on ${time.text(systemClock.wallMs())} (${time.zone}).`,
  });
}

function write(file: string, html: string): void {
  try {
    writeAtomically(file, html);
  } catch (error) {
    throw new AgentError('config', `--out: ${file} cannot be written: ${messageOf(error)}`, error);
  }
}
