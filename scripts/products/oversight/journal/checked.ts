/** Verifies a journal named on the command line, and states the result in a sentence. */
import { readFileSync, statSync } from 'node:fs';
import { SingleBar } from 'cli-progress';
import { numberText } from '../../../../agent/base/site-time.ts';
import { reading } from '../../../../agent/cli/reading.ts';
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import { COSIGNATURE, parseVerifierKey, type Verifier } from '../../../../agent/restraint/journal/note.ts';
import { type JournalFindings, verifyJournal } from '../../../lib/journal/verification.ts';

export interface CheckOptions {
  readonly key: string;
  readonly head?: readonly string[];
  readonly witness?: readonly string[];
}

export interface Checked extends JournalFindings {
  readonly key: Verifier;
  /** The key in a form that people can compare. */
  readonly keyText: string;
}

/** Receives the content of a verified journal, entry by entry. */
export interface EntryReader {
  /** Called in order; undefined means that the entry was erased. */
  add(index: number, content: JournalContent | undefined): void;
}

/** Verifies a journal, and passes each entry that fits its hash to the reader from `makeReader`. */
export function checkedJournal<R extends EntryReader>(
  place: string,
  options: CheckOptions,
  makeReader: () => R,
): { checked: Checked; read: R } {
  const keyText = textOrFile(options.key);
  const key = parseVerifierKey(keyText);
  const heads = (options.head ?? []).map((file) => ({
    file,
    note: reading(file, () => readFileSync(file, 'utf8')),
  }));
  const witnesses = (options.witness ?? []).map((text) => parseVerifierKey(textOrFile(text), COSIGNATURE));
  const bar = new SingleBar({
    format: 'verify {bar} {percentage} %',
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  if (process.stderr.isTTY) bar.start(1, 0);
  let read = makeReader();
  try {
    const findings = reading(place, () =>
      verifyJournal(place, key, {
        heads,
        witnesses,
        onBegin: () => {
          read = makeReader();
        },
        onEntry: (index, content) => read.add(index, content),
        ...(process.stderr.isTTY && {
          onProgress: (doneCount, total) => bar.update(doneCount / Math.max(1, total)),
        }),
      }),
    );
    return { checked: { ...findings, key, keyText }, read };
  } finally {
    bar.stop();
  }
}

/** Returns the verdict in one plain sentence. */
export function verdictOf({ wrong, checkpoint, key, erased }: Checked): string {
  const name = nameOf(key.name);
  if (wrong.length > 0 || checkpoint === undefined) {
    const problemText = wrong.length === 1 ? 'one error was found' : `${wrong.length} errors were found`;
    return `NOT intact: ${problemText} in the journal of ${name}; do not rely on its entries.`;
  }
  const erasedText =
    erased === 0 ? '' : `; the contents of ${numberText(erased)} were erased, and the journal says so`;
  return `Intact: the journal of ${name} has ${numberText(checkpoint.size)} entries, each in its place and as signed${erasedText}.`;
}

/** Returns the evidence for the verdict, one item per line. */
export function groundsOf(
  { checkpoint, keyText, witnessed }: Checked,
  heads: readonly string[] = [],
): string[] {
  return [
    `key: ${keyText}`,
    ...(checkpoint === undefined
      ? []
      : [`tree head: ${checkpoint.size} entries, root ${checkpoint.root.toString('base64')}`]),
    ...heads.map((file) => `compared with: ${file}`),
    ...witnessed.map(
      ({ name, size, atMs }) =>
        `witness: ${name} vouches for the first ${size} entries, on ${new Date(atMs).toISOString()}`,
    ),
  ];
}

/** Returns a name such as `box canebiere-017 at marseille-1`. */
export function nameOf(origin: string): string {
  const [, site, box] = origin.split('/');
  return `box ${box} at ${site}`;
}

function textOrFile(text: string): string {
  // A file without read permission is not the text itself.
  const isFile = reading(text, () => statSync(text, { throwIfNoEntry: false })) !== undefined;
  return isFile ? reading(text, () => readFileSync(text, 'utf8')).trim() : text.trim();
}
