/** Formats entries about searches and deletions in the box's storage as lines of the report. */
import { numberText, type SiteTime } from '../../../../agent/base/site-time.ts';
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import type { PurgeRecord } from '../../../../agent/contract/search.ts';
import type { TrackQuestion } from '../../../../agent/contract/track-log.ts';
import { counted, short } from './counted.ts';

export function searchText(content: JournalContent, time: SiteTime): string | undefined {
  if (content.type !== 'search' || content.record.record !== 'search') return undefined;
  const { key, reason, query, matches, given: givenCount } = content.record;
  const subject = [query.kinds?.join(', '), query.zones?.join(', ')].filter(Boolean).join(' in ');
  return `case ${content.record.case}, by the key “${key}”: ${reason} – ${time.span(Date.parse(query.from), Date.parse(query.to))}${subject === '' ? '' : `, ${subject}`}: ${counted(matches, 'event', 'events')}, ${numberText(givenCount)} given out`;
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
  const { key, approvedBy, reason, question, matches, given: givenCount, seen: seenRatio } = content.record;
  const keys = approvedBy === null ? `the key “${key}”` : `the keys “${key}” and “${approvedBy}”`;
  const request = `case ${content.record.case}, by ${keys}: ${reason} –`;
  if (question.answer === 'still') return `${request} a redacted still of the view`;
  const span = time.span(Date.parse(question.from), Date.parse(question.to));
  const seenText = `${(100 * seenRatio).toFixed(1)} % of it seen`;
  if (question.answer === 'coverage') return `${request} when the box used its camera, ${span}: ${seenText}`;
  const answer =
    question.answer === 'count' ? 'only the number returned' : `${numberText(givenCount)} returned`;
  return `${request} ${span}${askedText(question)}: ${counted(matches, 'track', 'tracks')}, ${answer}, ${seenText}`;
}

function askedText({ daily, classes, where: target }: TrackQuestion): string {
  const corners = (points: readonly (readonly [number, number])[]): string =>
    points.map(([x, y]) => `${x.toFixed(3)},${y.toFixed(3)}`).join(' ');
  const place =
    target === undefined
      ? undefined
      : 'line' in target
        ? `passes the line ${corners(target.line)} (${target.direction})`
        : `${target.does} the area ${corners(target.polygon)}${target.atLeastS > 0 ? ` for ${target.atLeastS} s` : ''}`;
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
  const { count, from, to, why: reason, days } = content.record;
  const things = counted(count, ...NAMES[content.record.what]);
  return `${things} of ${time.span(Date.parse(from), Date.parse(to))} deleted: ${reason} (kept for ${days} days)`;
}

const NAMES: Readonly<Record<PurgeRecord['what'], readonly [one: string, many: string]>> = {
  events: ['event', 'events'],
  sealed: ['sealed still', 'sealed stills'],
  tracks: ['track', 'tracks'],
};
