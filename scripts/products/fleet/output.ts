/** Prints output and warnings of the fleet's programs. */
import { printableLine } from '../../../agent/base/printable.ts';

export const say = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`);
export const warn = (line: string): void => void process.stderr.write(`fleet: ${printableLine(line)}\n`);
