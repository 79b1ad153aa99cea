/**
 * Counts messages of boxes that are not enrolled, in the table `stranger`.
 *
 * LIMITS:
 * - ROWS_MAX rows of sites and boxes, the first to arrive. Further ones share one row without a name.
 * - Counts of at most WRITE_EVERY_MS are lost if the program dies.
 */
import { iso, type Sql } from '../database/sql.ts';
import { textOf } from './connection.ts';

/** Maximum number of rows, because a person reads them and a box may invent any number of sites. */
const ROWS_MAX = 1000;

const WRITE_EVERY_MS = 1000;

interface UnknownSender {
  readonly site: string;
  readonly box: string;
  readonly first_at: string;
  last_at: string;
  messages: number;
  bytes: number;
}

const COLUMNS = {
  site: 'text',
  box: 'text',
  first_at: 'time',
  last_at: 'time',
  messages: 'integer',
  bytes: 'integer',
} as const;

export interface UnknownSendersOptions {
  readonly db: Sql;
  readonly now: () => number;
  /** Receives one line for a person. */
  readonly onNotice: (line: string) => void;
}

export class UnknownSenders {
  readonly #options: UnknownSendersOptions;
  readonly #noted = new Map<string, UnknownSender>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #isFailing = false;

  constructor(options: UnknownSendersOptions) {
    this.#options = options;
  }

  note(site: string, box: string, bytes: number): void {
    const at = iso(this.#options.now());
    const key = `${site}/${box}`;
    const isFull = this.#noted.size >= ROWS_MAX && !this.#noted.has(key);
    const sender = isFull ? { site: '', box: '' } : { site, box };
    const name = isFull ? '/' : key;
    const noted = this.#noted.get(name) ?? { ...sender, first_at: at, last_at: at, messages: 0, bytes: 0 };
    noted.last_at = at;
    noted.messages += 1;
    noted.bytes += bytes;
    this.#noted.set(name, noted);
    this.#timer ??= setTimeout(() => this.#write(), WRITE_EVERY_MS);
  }

  /** Writes the pending counts. Idempotent. */
  async stop(): Promise<void> {
    await this.#writing;
    this.#write();
    await this.#writing;
    clearTimeout(this.#timer);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#noted.size === 0 || this.#writing !== undefined) return;
    const rows = [...this.#noted.values()];
    this.#noted.clear();
    this.#writing = this.#put(rows)
      .then(() => {
        this.#isFailing = false;
      })
      .catch((error: unknown) => {
        // A failed write is not repeated: it is only a count, not a message.
        const reason = textOf(error);
        const messages = rows.reduce((sum, row) => sum + row.messages, 0);
        if (!this.#isFailing) {
          this.#options.onNotice(`archive: ${messages} messages of unknown boxes are not counted: ${reason}`);
        }
        this.#isFailing = true;
      })
      .finally(() => {
        this.#writing = undefined;
        if (this.#noted.size > 0) this.#timer ??= setTimeout(() => this.#write(), WRITE_EVERY_MS);
      });
  }

  #put(noted: readonly UnknownSender[]): Promise<void> {
    const { db } = this.#options;
    const { dialect } = db;
    const columns = Object.keys(COLUMNS).join(', ');
    return db.transaction(async (transaction) => {
      const storedKeys = new Set(
        (await transaction.all<{ site: string; box: string }>('SELECT site, box FROM stranger')).map(keyOf),
      );
      const rows = new Map<string, UnknownSender>();
      for (const one of noted) {
        const isNamed = storedKeys.has(keyOf(one)) || storedKeys.size < ROWS_MAX || one.box === '';
        const counted = isNamed ? one : { ...one, site: '', box: '' };
        if (counted.box !== '') storedKeys.add(keyOf(counted));
        const before = rows.get(keyOf(counted));
        rows.set(keyOf(counted), before === undefined ? { ...counted } : sumOf(before, counted));
      }
      const inOrder = [...rows.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
      await transaction.run(
        `INSERT INTO stranger (${columns}) SELECT ${columns} FROM ${dialect.rows('$1', 'new', COLUMNS)} WHERE true
         ON CONFLICT (site, box) DO UPDATE SET last_at = excluded.last_at,
           messages = stranger.messages + excluded.messages, bytes = stranger.bytes + excluded.bytes`,
        [JSON.stringify(inOrder)],
      );
    });
  }
}

const keyOf = ({ site, box }: { readonly site: string; readonly box: string }): string => `${site}/${box}`;

function sumOf(a: UnknownSender, b: UnknownSender): UnknownSender {
  return { ...a, last_at: b.last_at, messages: a.messages + b.messages, bytes: a.bytes + b.bytes };
}
