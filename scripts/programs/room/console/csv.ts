/**
 * Tables as text, RFC 4180: UTF-8 with a byte order mark, commas, CRLF. A spreadsheet takes a cell that begins with one of
 * a few characters for a formula and runs it (OWASP, "CSV Injection"), and texts in here come from boxes and people.
 */
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

/** The header, then a line for each row, as they come; what is not among the columns is left out. */
export async function* csvLines<T extends object>(
  columns: readonly (keyof T & string)[],
  rows: AsyncIterable<T>,
): AsyncGenerator<string, void, undefined> {
  yield BYTE_ORDER_MARK + lineOf(columns);
  for await (const row of rows) yield lineOf(columns.map((column) => row[column]));
}

function lineOf(cells: readonly unknown[]): string {
  return stringify([cells.map(cellOf)], { record_delimiter: 'windows' });
}
