/**
 * Tables as text, RFC 4180: UTF-8 with a byte order mark, commas, CRLF. A spreadsheet takes a cell that begins with one of
 * a few characters for a formula and runs it (OWASP, "CSV Injection"), and texts in here come from boxes and people.
 */
import { setImmediate } from 'node:timers/promises';
import { stringify } from 'csv-stringify/sync';

/** By it spreadsheets know UTF-8 from what their country had before. */
const BYTE_ORDER_MARK = '\ufeff';

/** Also the full-width forms, which spreadsheets of Japan take for the same. */
const FORMULA = '=+\\-@＝＋－＠';

/**
 * A place where a cell may begin, and what begins one there. Within a text too: a spreadsheet of a country that writes
 * 1,5 reads `;` as the separator, knows no quotes then, and begins another cell behind each.
 */
const BEGINS = new RegExp(`(?<=^|[;\\t\\r\\n])(?=[\\s\\p{Cf}"]*[${FORMULA}]|[\\t\\r])`, 'gu');

/**
 * The text of one cell: a number is one, and no text is taken for a formula. Null is an empty cell, a list or an object
 * is JSON.
 */
export function cellOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.replace(BEGINS, "'");
}

/** Lines that are made in one go, a few milliseconds; between two parts others of this process have their turn. */
const LINES = 100;

/** The header, then a line for each row, in parts of LINES; what is not among the columns is left out. */
export async function* csvLines<T extends object>(
  columns: readonly (keyof T & string)[],
  rows: AsyncIterable<T>,
): AsyncGenerator<string, void, undefined> {
  yield BYTE_ORDER_MARK + linesOf([columns]);
  let lines: unknown[][] = [];
  for await (const row of rows) {
    lines.push(columns.map((column) => row[column]));
    if (lines.length < LINES) continue;
    yield linesOf(lines);
    lines = [];
    await setImmediate();
  }
  if (lines.length > 0) yield linesOf(lines);
}

function linesOf(lines: readonly (readonly unknown[])[]): string {
  return stringify(
    lines.map((cells) => cells.map(cellOf)),
    { record_delimiter: 'windows' },
  );
}
