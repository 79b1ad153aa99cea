/** State of the log of tracks for the health report, the journal's heartbeats and the public page. */
import type { TrackLogReport } from '../contract/track-log.ts';

const OFF: TrackLogReport = {
  state: 'off',
  grade: null,
  days: null,
  oldest: null,
  questions: 0,
  given: 0,
};

export class TrackLogStatus {
  #report = OFF;

  get report(): TrackLogReport {
    return this.#report;
  }

  /** Takes the present state of the log. */
  log(now: Omit<TrackLogReport, 'questions' | 'given'>): void {
    this.#report = { ...this.#report, ...now };
  }

  answered(givenCount: number): void {
    const { questions } = this.#report;
    this.#report = { ...this.#report, questions: questions + 1, given: this.#report.given + givenCount };
  }
}
