/** A walk test as whoever leads it meets him who acts its scenes: at a terminal, by the clock, on the technician's page. */
import { AgentError } from '../base/errors.ts';

/** What is answered before a pass, and when all are done; `repeat` = throw the last one away. */
export type WalkAnswer = 'go' | 'repeat' | 'abort';

export interface WalkPass {
  /** From 1. */
  readonly number: number;
  readonly passes: number;
  /** What is to be done in the street: "stay in zone x …", without a full stop. */
  readonly act: string;
}

/** What a pass came to, or why it cannot begin yet; `clear`: what ends the scene, where it does not end by itself. */
export type WalkEvent = { readonly clear: string | undefined } & (
  | { readonly code: 'seen'; readonly seconds: number }
  | { readonly code: 'missed'; readonly windowS: number }
  | { readonly code: 'blind' }
  | { readonly code: 'still-standing' }
);

/** The technician, or a timer in his place. */
export interface Technician {
  tell(event: WalkEvent): void;
  /** Waits for the start of a pass; `again`: the one before may be thrown away. Rejects when he goes away. */
  ready(pass: WalkPass, again: boolean): Promise<WalkAnswer>;
  /** All passes are done: `go` keeps the result. */
  keep(): Promise<WalkAnswer>;
  /** Called while a pass is watched. */
  watching(passedS: number, windowS: number): void;
  watched(): void;
}

/** The test is over, and nothing was kept. */
export class WalkTestOver extends AgentError {
  readonly code: 'off' | 'blind' | 'still-standing' | 'given-up';

  constructor(code: WalkTestOver['code'], reason: string) {
    super('unavailable', `${reason}; nothing was kept`);
    this.code = code;
  }
}
