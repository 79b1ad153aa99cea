/**
 * Exports the answer of a track log as CSV (RFC 4180): UTF-8 with a byte order mark, commas, CRLF. Each track is a row,
 * and each gap is a row at its place in time.
 *
 * INVARIANTS: every cell is a number, a time or a word of a fixed list, so none can be a spreadsheet formula.
 */
import type { TrackAnswerParts } from './export.ts';
import { type TimelineRow, timelineOf } from './timeline.ts';

/** Lets spreadsheets recognise UTF-8. */
const BYTE_ORDER_MARK = '\ufeff';

const COLUMNS = [
  ...['row', 'box', 'at', 'from', 'to', 'track', 'class', 'colour', 'colour2', 'durationS', 'stoppedS'],
  ...['seen', 'cut', 'score', 'firstX', 'firstY', 'lastX', 'lastY', 'why'],
] as const;

export function csvOf({ box, tracks, coverage }: TrackAnswerParts): string {
  const rows = timelineOf(tracks, coverage.gaps).map((row) => cellsOf(box, row));
  return BYTE_ORDER_MARK + [COLUMNS, ...rows].map((cells) => `${cells.join(',')}\r\n`).join('');
}

function cellsOf(box: string, row: TimelineRow): readonly (string | number | boolean)[] {
  if (row.kind === 'gap') {
    const { from, to, why: reason } = row.gap;
    return ['gap', box, from, from, to, ...Array.from({ length: 13 }, () => ''), reason];
  }
  const { track } = row;
  const [colour = '', colour2 = ''] = track.colours;
  const [first, last] = [track.path.at(0), track.path.at(-1)];
  return [
    ...['track', box, track.at, track.from, track.to, track.track, track.class, colour, colour2],
    ...[track.durationS, track.stoppedS, track.seen, track.cut, track.score],
    ...[first?.[1] ?? '', first?.[2] ?? '', last?.[1] ?? '', last?.[2] ?? '', ''],
  ];
}
