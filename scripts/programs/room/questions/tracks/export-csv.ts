/**
 * The answer of a log of tracks as CSV (RFC 4180): UTF-8 with a byte order mark, commas, CRLF; one row a track, and one
 * a gap at its place in time.
 *
 * INVARIANTS: every cell is a number, a time or a word of a closed list: none can be a formula of a spreadsheet.
 */
import type { TrackAnswerParts } from './export.ts';
import { type TimelineRow, timelineOf } from './timeline.ts';

/** By it spreadsheets know UTF-8. */
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
    const { from, to, why } = row.gap;
    return ['gap', box, from, from, to, ...Array.from({ length: 13 }, () => ''), why];
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
