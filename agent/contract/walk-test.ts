/** A walk test as whoever leads it meets him who acts its scenes. */
import { AgentError } from '../base/errors.ts';

/** What is answered before a pass, and when all are done; `repeat` = throw the last one away. */
export type WalkAnswer = 'go' | 'repeat' | 'abort';

/** What a pass came to, or why it cannot begin yet. */
export type WalkEvent =
  | { readonly code: 'seen'; readonly seconds: number }
  | { readonly code: 'missed' | 'blind' | 'still-standing' };

export interface Technician {
  tell(event: WalkEvent): void;
  /** Waits for the start of a pass; `again`: the one before may be thrown away. Rejects when he goes away. */
  ready(again: boolean): Promise<WalkAnswer>;
  /** All passes are done: `go` keeps the result. */
  keep(): Promise<WalkAnswer>;
  /** Called while a pass is watched. */
  watching(passedS: number, windowS: number): void;
}

/** The test is over, and nothing was kept. */
export class WalkTestOver extends AgentError {
  readonly code: 'off' | 'given-up';

  constructor(code: WalkTestOver['code'], reason: string) {
    super('unavailable', `${reason}; nothing was kept`);
    this.code = code;
  }
}
