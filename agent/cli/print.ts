/** Output of commands. A line stays one line, whatever a box or a broker has put into it. */
import { printableJson, printableLine } from '../base/printable.ts';

const text = (lines: readonly string[]): string => lines.map((line) => `${printableLine(line)}\n`).join('');

/** Prints the result to standard output. */
export function print(...lines: readonly string[]): void {
  process.stdout.write(text(lines));
}

/** Prints a note to standard error. */
export function printNote(...lines: readonly string[]): void {
  process.stderr.write(text(lines));
}

/** Prints the result for programs. */
export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(value, 2)}\n`);
}
