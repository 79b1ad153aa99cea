/**
 * Counts a TAP stream by its assertions (leaves). A subtest or file that failed although none of its assertions did
 * (crash, exit code, wrong plan) is one failure. So is a file that ran nothing.
 */
import { Parser, type Result } from 'tap-parser';

export interface Failure {
  /** Names of file and subtests, then the assertion. */
  readonly name: string;
  /** Diagnostics from TAP; undefined if there are none. */
  readonly diagnostics: unknown;
}

export interface FileResult {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly timeMs: number;
  /** CPU seconds with those of its children; undefined if it was killed. */
  readonly cpuS: number | undefined;
}

export interface TallyEvents {
  onPlan?(files: number): void;
  onFile?(file: FileResult): void;
  onFailure?(failure: Failure): void;
}

interface Level {
  passed: number;
  failed: number;
  skipped: number;
}

const none = (): Level => ({ passed: 0, failed: 0, skipped: 0 });

export class Tally {
  readonly #events: TallyEvents;
  readonly #parser = new Parser();
  readonly #total = none();
  readonly skips: string[] = [];
  readonly failures: Failure[] = [];
  #files = 0;
  #cpuS: number | undefined;

  constructor(events: TallyEvents = {}) {
    this.#events = events;
    this.#parser.on('plan', ({ end }: { end: number }) => events.onPlan?.(end));
    this.#parser.on('bailout', (reason: string) => this.fail(`bail out: ${reason}`));
    this.#follow(this.#parser, [], this.#total);
  }

  get passed(): number {
    return this.#total.passed;
  }

  get failed(): number {
    return this.#total.failed;
  }

  get skipped(): number {
    return this.#total.skipped;
  }

  get files(): number {
    return this.#files;
  }

  write(chunk: Buffer | string): void {
    this.#parser.write(chunk);
  }

  /** Ends the stream; an incomplete or broken one is one failure. */
  end(): void {
    this.#parser.end();
    if (this.#parser.results?.ok === false && this.failed === 0) this.fail('the TAP stream is incomplete');
  }

  pass(): void {
    this.#total.passed += 1;
  }

  /** Adds a failure that no TAP line names. */
  fail(name: string, diagnostics?: unknown, level: Level = this.#total): void {
    level.failed += 1;
    const failure = { name, diagnostics };
    this.failures.push(failure);
    this.#events.onFailure?.(failure);
  }

  #follow(parser: Parser, path: readonly string[], level: Level): void {
    let inside = none();
    parser.on('child', (child: Parser) => {
      inside = none();
      if (path.length === 0) {
        this.#cpuS = undefined;
        // Written by cpu-time.ts.
        child.on('comment', (comment: string) => {
          const [, seconds] = /^# cpu ([\d.]+) s$/m.exec(comment) ?? [];
          if (seconds !== undefined) this.#cpuS = Number(seconds);
        });
      }
      this.#follow(child, [...path, child.name], inside);
    });
    parser.on('assert', (result: Result) => {
      const name = [...path, result.name].join(' > ');
      if (!result.closingTestPoint) return this.#leaf(name, result, level);
      this.#close(name, result, inside);
      if (path.length === 0) this.#file(result, inside);
      level.passed += inside.passed;
      level.failed += inside.failed;
      level.skipped += inside.skipped;
      inside = none();
    });
  }

  #leaf(name: string, result: Result, level: Level): void {
    const excuse = result.skip || result.todo;
    if (excuse) this.#skip(name, excuse, level);
    else if (result.ok) level.passed += 1;
    else if (!this.#isKnownTimeout(result, level)) this.fail(name, result.diag, level);
  }

  /** tap reports a file that hung once more at the end, without its name. */
  #isKnownTimeout({ diag }: Result, level: Level): boolean {
    const expired: unknown = diag?.expired;
    return level === this.#total && this.failures.some(({ name }) => name.startsWith(`${expired} > `));
  }

  /** The line that closes a subtest is only counted if its content does not explain the result. */
  #close(name: string, result: Result, inside: Level): void {
    if (!result.ok && inside.failed === 0) {
      this.fail(name, result.diag, inside);
    } else if (inside.passed + inside.failed + inside.skipped === 0) {
      const excuse = result.skip || result.todo;
      if (excuse && excuse !== 'no tests found') this.#skip(name, excuse, inside);
      else this.fail(`${name}: ran no test`, undefined, inside);
    }
  }

  #skip(name: string, excuse: string | true, level: Level): void {
    level.skipped += 1;
    this.skips.push(excuse === true ? name : `${name}: ${excuse}`);
  }

  #file(result: Result, inside: Level): void {
    this.#files += 1;
    this.#events.onFile?.({ name: result.name, ...inside, timeMs: result.time ?? 0, cpuS: this.#cpuS });
  }
}
