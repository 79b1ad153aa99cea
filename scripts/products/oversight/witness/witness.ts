/**
 * Stores the newest head of each box, and cosigns only heads that continue it (c2sp.org/tlog-witness,
 * c2sp.org/tlog-cosignature).
 *
 * INVARIANTS:
 * - A head is durable before it is handed out.
 * - Two heads of a box that do not continue one another are never both cosigned.
 *
 * LIMITS: stores the first CONFLICTS_MAX conflicting heads of each box as evidence. Both heads are signed by the box,
 * so anyone can verify the violation. Later ones are reported and not stored.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { flush } from '../../../../agent/base/atomic-file.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { isConsistent } from '../../../../agent/restraint/journal/consistency.ts';
import { JournalFiles } from '../../../../agent/restraint/journal/files.ts';
import { makeJournalKey, readJournalKey } from '../../../../agent/restraint/journal/key.ts';
import { CHECKPOINT, writeIn } from '../../../../agent/restraint/journal/layout.ts';
import {
  type Checkpoint,
  COSIGNATURE,
  openCheckpoint,
  parseVerifierKey,
  type Verifier,
  verifierKey,
} from '../../../../agent/restraint/journal/note.ts';
import { parseProvenHead } from '../../../../agent/restraint/journal/proven-head.ts';
import { sha256 } from '../../../../agent/restraint/journal/tree.ts';
import { cosign, cosignedAtMs } from '../../../lib/journal/cosignature.ts';
import { linesOfFile, readExportHead } from '../../../lib/journal/read-export.ts';
import { verifyJournal } from '../../../lib/journal/verification.ts';

const KEY_FILE = 'witness.key';
const HEAD_FILE = 'head';
const CONFLICTS_MAX = 20;

export type Assessment =
  | { readonly is: 'cosigned'; readonly note: string; readonly size: number; readonly more: number }
  /** No new head; `note` is the stored one. */
  | { readonly is: 'known'; readonly note: string; readonly size: number }
  /** The proof does not begin at the stored head: the box needs `note` (empty if none is stored). */
  | { readonly is: 'elsewhere'; readonly note: string; readonly size: number }
  | { readonly is: 'alarm'; readonly message: string };

type StoredHead = Checkpoint & { readonly note: string; readonly atMs: number };

export interface WitnessOptions {
  /** Folder of the witness; made if missing. */
  readonly dir: string;
  readonly name: string;
  /** Verifier keys of the boxes, one per line; lines that begin with # are ignored. */
  readonly keys: string;
  wallMs(): number;
}

export class Witness {
  readonly #options: WitnessOptions;
  readonly #key: ReturnType<typeof readJournalKey>;
  readonly #boxes: ReadonlyMap<string, Verifier>;
  readonly #self: Verifier;
  /** Public key with which others verify the cosignatures. */
  readonly vkey: string;

  /** Throws AgentError `config` for an invalid key. */
  constructor(options: WitnessOptions) {
    const { dir, name, keys } = options;
    this.#options = options;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const file = join(dir, KEY_FILE);
    this.#key = existsSync(file) ? readJournalKey(file) : makeJournalKey(file);
    this.vkey = verifierKey(name, this.#key, COSIGNATURE);
    this.#self = parseVerifierKey(this.vkey, COSIGNATURE);
    const lines = keys.split('\n').map((line) => line.trim());
    const verifiers = lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => parseVerifierKey(line));
    this.#boxes = new Map(verifiers.map((verifier) => [verifier.name, verifier]));
    if (this.#boxes.size < verifiers.length)
      throw new AgentError('config', 'a box has two keys; one is right');
  }

  /** Judges a box's head with its proof. Throws AgentError only for this machine's own errors. */
  assess(origin: string, text: string): Assessment {
    return this.#assess(origin, text, (verifier, stored) => {
      const { from, proof, note } = parseProvenHead(text);
      const head = openCheckpoint(note, verifier);
      const differs = stored && this.#difference(head, stored);
      if (differs !== undefined) throw new AgentError('denied', differs);
      if (stored?.size === head.size) return { is: 'known', note: stored.note, size: stored.size };
      if (from !== (stored?.size ?? 0))
        return { is: 'elsewhere', note: stored?.note ?? '', size: stored?.size ?? 0 };
      if (stored !== undefined && !isConsistent(stored, head, proof)) {
        const time = new Date(stored.atMs).toISOString();
        const message = `forked: its ${head.size} entries do not continue the ${stored.size} that were cosigned on ${time}`;
        throw new AgentError('denied', message);
      }
      return this.#cosign(origin, note, head, stored);
    });
  }

  /** Checks a complete journal, or its export, against the stored head. */
  journal(place: string): { origin: string; assessment: Assessment } {
    const first = statSync(place).isDirectory()
      ? new JournalFiles(place).checkpoint
      : readExportHead(place, linesOfFile(place).next().value?.line).checkpoint;
    if (first === undefined)
      throw new AgentError(
        'config',
        `${place} does not contain a journal: the file ${CHECKPOINT} is missing`,
      );
    const origin = first.split('\n')[0] ?? '';
    const assessment = this.#assess(origin, first, (verifier, stored) => {
      const heads = stored === undefined ? [] : [{ file: 'the stored head', note: stored.note }];
      const { wrong, checkpoint } = verifyJournal(place, verifier, { heads });
      if (wrong.length > 0 || checkpoint === undefined)
        throw new AgentError('denied', wrong.slice(0, 5).join('; '));
      if (stored?.size === checkpoint.size) return { is: 'known', note: stored.note, size: stored.size };
      return this.#cosign(origin, checkpoint.note, checkpoint, stored);
    });
    return { origin, assessment };
  }

  #assess(
    origin: string,
    evidence: string,
    assess: (verifier: Verifier, stored: StoredHead | undefined) => Assessment,
  ): Assessment {
    const verifier = this.#boxes.get(origin);
    if (verifier === undefined)
      return { is: 'alarm', message: '--keys has no key of this box; its journal is not cosigned' };
    const stored = this.#storedHead(origin, verifier);
    try {
      return assess(verifier, stored);
    } catch (error) {
      if (!(error instanceof AgentError) || (error.kind !== 'denied' && error.kind !== 'corrupt'))
        throw error;
      const evidenceText = this.#keepEvidence(origin, evidence);
      return { is: 'alarm', message: `${error.message}; ${evidenceText}` };
    }
  }

  /** Returns why `head` does not continue `stored`, as far as sizes and roots show. */
  #difference(head: Checkpoint, stored: StoredHead): string | undefined {
    const cosigned = `${stored.size} entries were cosigned on ${new Date(stored.atMs).toISOString()}`;
    if (head.size < stored.size) return `rolled back: it has ${head.size} entries, ${cosigned}`;
    if (head.size > stored.size || head.root.equals(stored.root)) return undefined;
    return `forked: its ${head.size} entries differ from the cosigned ones; ${cosigned}`;
  }

  #cosign(origin: string, note: string, head: Checkpoint, stored: StoredHead | undefined): Assessment {
    const cosigned = cosign(note, this.#self, this.#key, this.#options.wallMs());
    writeIn(this.#options.dir, join(folderOf(origin), HEAD_FILE), cosigned);
    return { is: 'cosigned', note: cosigned, size: head.size, more: head.size - (stored?.size ?? 0) };
  }

  #storedHead(origin: string, verifier: Verifier): StoredHead | undefined {
    const file = join(this.#options.dir, folderOf(origin), HEAD_FILE);
    if (!existsSync(file)) return undefined;
    const note = readFileSync(file, 'utf8');
    try {
      const atMs = cosignedAtMs(note, this.#self);
      if (atMs === undefined) throw new AgentError('corrupt', 'it is not cosigned with the present key');
      return { ...openCheckpoint(note, verifier), note, atMs };
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      throw new AgentError(
        'config',
        `${file} cannot be used: ${error.message}; was the key of the box or the witness changed?`,
      );
    }
  }

  #keepEvidence(origin: string, text: string): string {
    const folder = folderOf(origin);
    const path = join(folder, `conflict-${sha256(Buffer.from(text)).toString('hex').slice(0, 12)}`);
    const dir = join(this.#options.dir, folder);
    const conflicts = existsSync(dir) ? readdirSync(dir).filter((name) => name.startsWith('conflict-')) : [];
    const full = conflicts.length >= CONFLICTS_MAX && !existsSync(join(this.#options.dir, path));
    if (full) return `${conflicts.length} such heads are already stored`;
    writeIn(this.#options.dir, path, text);
    flush(dir);
    return `stored as ${join(this.#options.dir, path)}`;
  }
}

/** Returns a safe folder name. Origins are names of boxes with known keys, but are not trusted as paths. */
function folderOf(origin: string): string {
  return join('boxes', ...origin.split('/').map((part) => encodeURIComponent(part).replaceAll('.', '%2E')));
}
