/** Who acts the scenes of a walk test, as the program meets him: at a terminal, or by the clock. */
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { SingleBar } from 'cli-progress';
import type { Clock } from '../../base/clock.ts';
import { AgentError } from '../../base/errors.ts';
import type { Technician, WalkAnswer, WalkEvent, WalkPass } from '../../contract/walk-test.ts';

const ANSWERS: Readonly<Record<string, WalkAnswer>> = { '': 'go', r: 'repeat', a: 'abort' };

/** Somebody who reads and types. What he types unasked, while a pass is watched, is not taken for an answer. */
export class TypingTechnician implements Technician {
  readonly #output: Writable;
  readonly #signal: AbortSignal;
  readonly #lines: Interface;
  readonly #bar: WatchBar;
  #waiting: ((line: string | undefined) => void) | undefined;
  #gone = false;

  constructor(input: Readable, output: Writable, signal: AbortSignal) {
    this.#output = output;
    this.#signal = signal;
    this.#bar = new WatchBar(output);
    // Not as a terminal: the line editing and Ctrl-C of the system's own are all that is needed.
    this.#lines = createInterface({ input, terminal: false });
    this.#lines.on('line', (line) => this.#answer(line));
    this.#lines.on('close', () => {
      this.#gone = true;
      this.#answer(undefined);
    });
    signal.addEventListener('abort', () => this.#answer(undefined), { once: true });
  }

  tell(event: WalkEvent): void {
    this.#output.write(`  ${eventText(event, ' Or start all the same.')}\n`);
  }

  ready(pass: WalkPass, again: boolean): Promise<WalkAnswer> {
    const repeat = again ? ', r = repeat the pass before' : '';
    return this.#ask(`${passText(pass)}.\n  [Enter = start${repeat}, a = give up] `, again);
  }

  keep(): Promise<WalkAnswer> {
    return this.#ask(
      'All passes are done.\n  [Enter = keep the result, r = repeat the last pass, a = give up] ',
      true,
    );
  }

  watching(passedS: number, windowS: number): void {
    this.#bar.show(passedS, windowS);
  }

  watched(): void {
    this.#bar.hide();
  }

  close(): void {
    this.#lines.close();
  }

  async #ask(question: string, again: boolean): Promise<WalkAnswer> {
    for (;;) {
      // First, so that an answer that comes at once is not taken for one that was typed unasked.
      const typed = this.#line();
      this.#output.write(question);
      const line = await typed;
      if (line === undefined) return 'abort';
      const answer = ANSWERS[line.trim().toLowerCase()];
      if (answer !== undefined && (again || answer !== 'repeat')) return answer;
    }
  }

  #line(): Promise<string | undefined> {
    if (this.#gone || this.#signal.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  #answer(line: string | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(line);
  }
}

/** Passes start by themselves, the first at once, each `everyS` after the one before. */
export class PunctualTechnician implements Technician {
  readonly #output: Writable;
  readonly #everyMs: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #bar: WatchBar;
  #startedMs = Number.NEGATIVE_INFINITY;

  constructor(output: Writable, everyS: number, clock: Clock, signal: AbortSignal) {
    this.#output = output;
    this.#everyMs = everyS * 1000;
    this.#clock = clock;
    this.#signal = signal;
    this.#bar = new WatchBar(output);
  }

  tell(event: WalkEvent): void {
    this.#output.write(`  ${eventText(event, '')}\n`);
  }

  async ready(pass: WalkPass): Promise<WalkAnswer> {
    const waitMs = this.#startedMs + this.#everyMs - this.#clock.nowMs();
    if (waitMs > 0) await this.#clock.sleep(waitMs, this.#signal);
    if (this.#signal.aborted) return 'abort';
    this.#startedMs = this.#clock.nowMs();
    this.#output.write(`${passText(pass)}: now.\n`);
    return 'go';
  }

  keep(): Promise<WalkAnswer> {
    return Promise.resolve(this.#signal.aborted ? 'abort' : 'go');
  }

  watching(passedS: number, windowS: number): void {
    this.#bar.show(passedS, windowS);
  }

  watched(): void {
    this.#bar.hide();
  }
}

function passText({ number, passes, act }: WalkPass): string {
  return `Pass ${number} of ${passes}: ${act}`;
}

/** `orElse`: what somebody may do instead of clearing the scene. */
function eventText(event: WalkEvent, orElse: string): string {
  const { clear } = event;
  const next = clear === undefined ? '' : ` Now ${clear}.`;
  switch (event.code) {
    case 'seen':
      return `seen after ${event.seconds.toFixed(1)} s.${next}`;
    case 'missed':
      return `missed: no alert within ${event.windowS} s.${next}`;
    case 'blind':
      return `does not count: the box had no picture, or was started anew.${next}`;
    case 'still-standing':
      return `The box still sees the last scene: ${clear ?? 'clear the scene'}.${orElse}`;
  }
}

/** How much of a pass's time has gone; on a terminal only. */
class WatchBar {
  readonly #bar: SingleBar | undefined;
  #shown = false;

  constructor(output: Writable) {
    if (!('isTTY' in output) || output.isTTY !== true) return;
    this.#bar = new SingleBar({
      format: '  watching {bar} {leftS} s left',
      stream: output as NodeJS.WriteStream,
      hideCursor: true,
      clearOnComplete: true,
    });
  }

  show(passedS: number, windowS: number): void {
    const payload = { leftS: Math.max(0, Math.ceil(windowS - passedS)) };
    if (this.#shown) this.#bar?.update(passedS, payload);
    else this.#bar?.start(windowS, passedS, payload);
    this.#shown = true;
  }

  hide(): void {
    if (this.#shown) this.#bar?.stop();
    this.#shown = false;
  }
}

/** A script cannot act scenes: it must say that somebody does, and when. */
export function assertTerminal(input: { readonly isTTY?: boolean }): void {
  if (input.isTTY === true) return;
  throw new AgentError(
    'config',
    'walktest: standard input is no terminal, so nobody can start the passes; with --every S they start by themselves',
  );
}
