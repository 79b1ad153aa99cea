/**
 * Writes tables as CSV (RFC 4180): UTF-8 with a byte order mark, commas, CRLF.
 *
 * A spreadsheet runs a cell as a formula if it begins with certain characters (OWASP, "CSV Injection"). The texts come
 * from boxes and people, so such cells are escaped.
 */
import { setImmediate } from 'node:timers/promises';
import { stringify } from 'csv-stringify/sync';

/** Lets spreadsheets recognise UTF-8 instead of a legacy encoding. */
const BYTE_ORDER_MARK = '\ufeff';

/** Characters that start a formula, including full-width forms, which Japanese spreadsheets treat alike. */
const FORMULA = '=+\\-@＝＋－＠';

/**
 * Possible start of a cell that begins with a formula character, also inside a text. In countries with a decimal comma
 * a spreadsheet splits at `;`, ignores quotes, and starts a cell after each.
 */
const CELL_START = new RegExp(`(?<=^|[;\\t\\r\\n])(?=[\\s\\p{Cf}"]*[${FORMULA}]|[\\t\\r])`, 'gu');

/**
 * Formats one cell so that no text is taken for a formula. Null becomes an empty cell; lists and objects become JSON.
 */
export function cellOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.replace(CELL_START, "'");
}

/** Lines produced in one go (a few milliseconds) before yielding to other tasks of this process. */
const LINES = 100;

/** Yields the header, then the rows in parts of LINES. Members that are not among the columns are omitted. */
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
