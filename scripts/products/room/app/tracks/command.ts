/**
 * Builds the command line with which a second person approves a query about people, with the exact place that was
 * drawn.
 */
import type { TrackPlace } from '../../../../../agent/contract/track-log.ts';
import type { TrackRequest } from '../../contract/tracks.ts';
import { isLasting } from './drawn-place.ts';

/** Returns the command, quoted for a POSIX shell. */
export function approvalCommand({ box, case: number, reason, question }: TrackRequest): string {
  const { from, to, daily, classes, colours, view, where: place, answer } = question;
  const words = [
    ...['vigie-room', 'tracks', '--room', 'room.yaml', '--sign', 'KEY.pem', '--approve', 'approval.json'],
    ...['--box', box, '--case', number, '--reason', reason, '--from', utc(from), '--to', utc(to)],
    ...(daily === undefined ? [] : ['--daily', `${daily.from}-${daily.to}`]),
    ...(classes === undefined ? [] : ['--class', ...classes]),
    ...(colours === undefined ? [] : ['--colour', ...colours]),
    ...(view === undefined ? [] : ['--view', view]),
    ...(place === undefined ? [] : placeWords(place)),
    ...(answer === 'count' ? ['--count'] : []),
  ];
  return words.map(quoted).join(' ');
}

function placeWords(place: TrackPlace): string[] {
  if ('line' in place) return ['--line', place.line.flat().join(','), '--direction', place.direction];
  const { polygon, does, atLeastS } = place;
  return [
    ...['--area', polygon.map((corner) => corner.join(',')).join(' '), '--does', does],
    ...(isLasting(does) ? ['--at-least', String(atLeastS)] : []),
  ];
}

const utc = (time: string): string => new Date(time).toISOString();

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
