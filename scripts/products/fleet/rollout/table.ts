/** Formats columns of text and CSV. */
import { printable } from '../../../../agent/base/printable.ts';
import { counted } from '../../../lib/counted.ts';

/** Aligns rows; the first one holds the column names, and numbers are aligned right. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const printableRows = rows.map((row) => row.map((cell) => printable(cell)));
  const widths = (printableRows[0] ?? []).map((_, i) =>
    Math.max(...printableRows.map((row) => (row[i] ?? '').length)),
  );
  return printableRows.map((row) =>
    row
      .map((cell, i) =>
        /^\d[\d,]*(\.\d+)?$/.test(cell) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}

/** A column: its name, and the cell of an item. */
export type Column<T> = readonly [string, (item: T) => string | number];

/** Aligns a row for each item, below the names of the columns. */
export function tableOf<T>(all: readonly Column<T>[], items: readonly T[]): string[] {
  const rows = items.map((item) => all.map(([, cell]) => String(cell(item))));
  return columns([all.map(([name]) => name), ...rows]);
}

/** Returns a CSV line (RFC 4180). A cell that a spreadsheet would evaluate as a formula is turned into text. */
export function csvLine(cells: readonly (string | number | null)[]): string {
  return cells
    .map((cell) => {
      const text = cell === null ? '' : printable(String(cell), 1000);
      const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
      return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    })
    .join(',');
}

/** Returns an age such as `3 min`. */
export function ago(ms: number | null, nowMs: number): string {
  if (ms === null) return 'never';
  const s = Math.max(0, Math.round((nowMs - ms) / 1000));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`;
}

export const boxCount = (count: number): string => counted(count, 'box', 'boxes');

/** Returns the first names, and the number of the others. */
export function someOf(names: readonly string[], count = 10): string {
  const restCount = names.length - count;
  return names.slice(0, count).join(', ') + (restCount > 0 ? ` and ${restCount} more` : '');
}

/** Returns a line for each reason, with the number and the names of its boxes. */
export function namedByReason(
  leftOut: readonly {
    readonly box: { readonly site: string; readonly box: string };
    readonly reason: string;
  }[],
): string[] {
  const reasons = [...new Set(leftOut.map(({ reason }) => reason))];
  return reasons.map((reason) => {
    const names = leftOut.filter((one) => one.reason === reason).map(({ box }) => `${box.site}/${box.box}`);
    return `${names.length}: ${someOf(names)}: ${reason}`;
  });
}
