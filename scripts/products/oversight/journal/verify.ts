/** `vigie-oversight verify`: verifies that a journal is intact, independent of its box. */

import { print, printJson } from '../../../../agent/cli/print.ts';
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import { contentOf } from '../timeline/content.ts';
import { Suspensions } from '../timeline/suspensions.ts';
import { type CheckOptions, checkedJournal, type EntryReader, groundsOf, verdictOf } from './checked.ts';

export interface VerifyOptions extends CheckOptions {
  readonly json?: boolean;
}

/** Maximum number of printed lines; more do not help. */
const LINES_MAX = 50;

/** Collects entries of an intact journal that should not occur. */
class Warnings implements EntryReader {
  readonly #suspensions = new Suspensions();

  add(_index: number, content: JournalContent | undefined): void {
    if (content !== undefined) this.#suspensions.add(contentOf(content));
  }

  get lines(): string[] {
    return this.#suspensions.missing.map(
      ({ suspension, sinceMs, atMs }) =>
        `${new Date(atMs).toISOString()}: went on without a signed resume: no entry says that two keys have ended the suspension ${suspension} of ${new Date(sinceMs).toISOString()}`,
    );
  }
}

/** Returns the exit code. */
export function verify(place: string, options: VerifyOptions): number {
  const { checked, read } = checkedJournal(place, options, () => new Warnings());
  const { wrong, checkpoint, erased, trailingLines, witnessed } = checked;
  if (options.json) {
    const report = {
      inOrder: wrong.length === 0,
      sentence: verdictOf(checked),
      origin: checked.key.name,
      entries: checkpoint?.size ?? null,
      root: checkpoint?.root.toString('base64') ?? null,
      erased,
      beyond: trailingLines,
      witnesses: witnessed.map(({ name, size, atMs }) => ({ name, size, at: new Date(atMs).toISOString() })),
      wrong,
      warnings: read.lines,
    };
    printJson(report);
    return wrong.length > 0 ? 1 : 0;
  }
  const lines = wrong.slice(0, LINES_MAX).map((line) => `wrong: ${line}`);
  if (wrong.length > LINES_MAX) lines.push(`… and ${wrong.length - LINES_MAX} more`);
  if (trailingLines > 0) {
    lines.push(
      `note: ${trailingLines} lines after the signed end are ignored; a power cut while writing leaves one`,
    );
  }
  lines.push(...read.lines.slice(0, LINES_MAX).map((line) => `warning: ${line}`));
  lines.push(...groundsOf(checked, options.head), verdictOf(checked));
  print(...lines);
  return wrong.length > 0 ? 1 : 0;
}
