/** What a command prints: a line is one line, whatever a box or a broker has put into it. */
import { printableJson, printableLine } from '../base/printable.ts';

const text = (lines: readonly string[]): string => lines.map((line) => `${printableLine(line)}\n`).join('');

/** The result, on standard output. */
export function print(...lines: readonly string[]): void {
  process.stdout.write(text(lines));
}

/** What is to be known about it, on standard error. */
export function printNote(...lines: readonly string[]): void {
  process.stderr.write(text(lines));
}

/** The result for programs. */
export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(value, 2)}\n`);
}
