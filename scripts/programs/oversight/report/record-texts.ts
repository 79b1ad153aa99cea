/** Formats entries about searches and deletions in the box's storage as lines of the report. */
import { numberText, type SiteTime } from '../../../../agent/base/site-time.ts';
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import type { PurgeRecord } from '../../../../agent/contract/search.ts';
import type { TrackQuestion } from '../../../../agent/contract/track-log.ts';
import { counted, short } from './counted.ts';

export function searchText(content: JournalContent, time: SiteTime): string | undefined {
  if (content.type !== 'search' || content.record.record !== 'search') return undefined;
  const { key, reason, query, matches, given } = content.record;
  const subject = [query.kinds?.join(', '), query.zones?.join(', ')].filter(Boolean).join(' in ');
  return `case ${content.record.case}, by the key “${key}”: ${reason} – ${time.span(Date.parse(query.from), Date.parse(query.to))}${subject === '' ? '' : `, ${subject}`}: ${counted(matches, 'event', 'events')}, ${numberText(given)} given out`;
}

export function unsealText(content: JournalContent): string | undefined {
  if (content.type !== 'unseal' || content.record.record !== 'unseal') return undefined;
  const { key, reason, event, sha256 } = content.record;
  const outcome = sha256 === null ? 'there was none' : `handed out sealed, SHA-256 ${short(sha256)}`;
  return `case ${content.record.case}, by the key “${key}”: ${reason} – event ${event}: ${outcome}`;
}

/** Returns the query with its location, and the answer. */
export function tracksText(content: JournalContent, time: SiteTime): string | undefined {
  if (content.type !== 'tracks' || content.record.record !== 'tracks') return undefined;
  const { key, approvedBy, reason, question, matches, given, seen } = content.record;
  const keys = approvedBy === null ? `the key “${key}”` : `the keys “${key}” and “${approvedBy}”`;
  const request = `case ${content.record.case}, by ${keys}: ${reason} –`;
  if (question.answer === 'still') return `${request} a redacted still of the view`;
  const span = time.span(Date.parse(question.from), Date.parse(question.to));
  const share = `${(100 * seen).toFixed(1)} % of it seen`;
  if (question.answer === 'coverage') return `${request} when the box looked, ${span}: ${share}`;
  const answer = question.answer === 'count' ? 'the number told' : `${numberText(given)} told`;
  return `${request} ${span}${askedText(question)}: ${counted(matches, 'track', 'tracks')}, ${answer}, ${share}`;
}

function askedText({ daily, classes, where }: TrackQuestion): string {
  const corners = (points: readonly (readonly [number, number])[]): string =>
    points.map(([x, y]) => `${x.toFixed(3)},${y.toFixed(3)}`).join(' ');
  const place =
    where === undefined
      ? undefined
      : 'line' in where
        ? `passes the line ${corners(where.line)} (${where.direction})`
        : `${where.does} the area ${corners(where.polygon)}${where.atLeastS > 0 ? ` for ${where.atLeastS} s` : ''}`;
  const parts = [daily && `daily ${daily.from} to ${daily.to}`, classes?.join(', '), place];
  return parts
    .filter(Boolean)
    .map((part) => `, ${part}`)
    .join('');
}

export function purgeText(content: JournalContent, time: SiteTime): string | undefined {
  if (content.type === 'erase') {
    return `${counted(content.entries.length, 'entry', 'entries')} of this journal erased${content.what === undefined ? '' : ` (${content.what})`}: ${content.why}`;
  }
  if (content.type !== 'purge' || content.record.record !== 'purge') return undefined;
  const { count, from, to, why, days } = content.record;
  const things = counted(count, ...NAMES[content.record.what]);
  return `${things} of ${time.span(Date.parse(from), Date.parse(to))} deleted: ${why} (kept for ${days} days)`;
}

const NAMES: Readonly<Record<PurgeRecord['what'], readonly [one: string, many: string]>> = {
  events: ['event', 'events'],
  sealed: ['sealed still', 'sealed stills'],
  tracks: ['track', 'tracks'],
};
