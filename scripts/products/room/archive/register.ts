/**
 * Reads the register of enrolled boxes from the enrolment's file, at the start and after each change.
 *
 * INVARIANT: an unreadable list has no effect. The last valid one stays active, and the fault is reported once.
 * LIMITS: the file is checked every CHECK_EVERY_MS; its maximum size is BYTES_MAX.
 */
import { readFileSync, statSync } from 'node:fs';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { printable } from '../../../../agent/base/printable.ts';
import { type EnrolledBox, EnrolledBoxes } from '../contract/enrolled.ts';

const list = TypeCompiler.Compile(EnrolledBoxes);

/** Delay in ms until a newly enrolled box is accepted and a revoked one refused. */
const CHECK_EVERY_MS = 2000;

/** 100,000 boxes take 12 MB. */
const BYTES_MAX = 33_554_432;

/** Error with one line that names the file, the problem and the fix. */
export class RegisterError extends Error {}

export class Register {
  readonly #file: string;
  readonly #onNotice: (line: string) => void;
  #boxes: ReadonlyMap<string, EnrolledBox> = new Map();
  /** Identity of the file as last read. A different one means a different list. */
  #version = '';
  #problem: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #onChange: () => void = () => undefined;

  /**
   * Reads the list.
   * @throws {RegisterError}
   */
  constructor(file: string, onNotice: (line: string) => void) {
    this.#file = file;
    this.#onNotice = onNotice;
    this.#version = this.#versionNow();
    this.#boxes = read(file);
  }

  /** Starts to watch the file; calls back after each change of the list. */
  start(onChange: () => void): void {
    this.#onChange = onChange;
    this.#timer ??= setInterval(() => this.refresh(), CHECK_EVERY_MS);
  }

  /** Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** True if a box of this name is enrolled at exactly this site. */
  isEnrolled(site: string, box: string): boolean {
    const entry = this.#boxes.get(box);
    return entry?.state === 'enrolled' && entry.site === site;
  }

  isRevoked(box: string): boolean {
    return this.#boxes.get(box)?.state === 'revoked';
  }

  get revoked(): EnrolledBox[] {
    return [...this.#boxes.values()].filter(({ state }) => state === 'revoked');
  }

  /** Reads the list again if the file has changed. */
  refresh(): void {
    try {
      const version = this.#versionNow();
      if (version === this.#version) return;
      this.#boxes = read(this.#file);
      this.#version = version;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (this.#problem === undefined) {
        this.#onNotice(`${problem}; the list of before counts until it can be read`);
      }
      this.#problem = problem;
      return;
    }
    if (this.#problem !== undefined) this.#onNotice(`--boxes: ${this.#file} is read again`);
    this.#problem = undefined;
    this.#onChange();
  }

  #versionNow(): string {
    try {
      const { mtimeMs, ctimeMs, size, ino } = statSync(this.#file);
      return [mtimeMs, ctimeMs, size, ino].join(' ');
    } catch (error) {
      throw unread(this.#file, error);
    }
  }
}

function read(file: string): Map<string, EnrolledBox> {
  const wrong = (line: string): RegisterError => new RegisterError(`--boxes: ${file}: ${line}`);
  let content: unknown;
  try {
    const text = readFileSync(file, 'utf8');
    if (Buffer.byteLength(text) > BYTES_MAX) throw wrong(`has more than ${BYTES_MAX} bytes`);
    content = JSON.parse(text);
  } catch (error) {
    if (error instanceof RegisterError) throw error;
    throw unread(file, error);
  }
  if (!list.Check(content)) {
    const error = list.Errors(content).First();
    throw wrong(
      `${printable(error?.path || '/', 100)}: ${error?.message ?? 'not a list of boxes'}; name the boxes.json that the enrolment writes`,
    );
  }
  const boxes = new Map<string, EnrolledBox>();
  for (const box of content.boxes) {
    if (boxes.has(box.box)) throw wrong(`the box ${box.box} is listed twice; a box name must be unique`);
    boxes.set(box.box, box);
  }
  return boxes;
}

function unread(file: string, error: unknown): RegisterError {
  if (error instanceof RegisterError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RegisterError(
    `--boxes: ${file}: cannot be read (${printable(reason, 200)}); name the boxes.json that the enrolment writes`,
  );
}
