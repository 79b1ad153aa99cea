/** Interface between a walk test and the technician who stages its scenes. */
import { AgentError } from '../base/errors.ts';

/** Answer before a pass, and after the last one; `repeat` = discard the last pass. */
export type WalkAnswer = 'go' | 'repeat' | 'abort';

/** Result of a pass, or the reason why it cannot begin yet. */
export type WalkEvent =
  | { readonly code: 'seen'; readonly seconds: number }
  | { readonly code: 'missed' | 'blind' | 'still-standing' };

export interface Technician {
  tell(event: WalkEvent): void;
  /**
   * Waits for the start of a pass. With `mayRepeat`, the previous one may be discarded. Rejects if the technician
   * disconnects.
   */
  ready(mayRepeat: boolean): Promise<WalkAnswer>;
  /** Waits for the decision after all passes; `go` saves the result. */
  keep(): Promise<WalkAnswer>;
  /** Called while a pass runs. */
  watching(passedS: number, windowS: number): void;
}

/** Error: the test has ended, and nothing was saved. */
export class WalkTestOver extends AgentError {
  readonly code: 'off' | 'given-up';

  constructor(code: WalkTestOver['code'], reason: string) {
    super('unavailable', `${reason}; nothing was kept`);
    this.code = code;
  }
}
