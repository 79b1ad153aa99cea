/** What the box says of its log of tracks: in the health report, in the journal's heartbeats and on the public page. */
import type { TrackLogReport } from '../contract/track-log.ts';

const OFF: TrackLogReport = {
  state: 'off',
  grade: null,
  days: null,
  rows: 0,
  oldest: null,
  questions: 0,
  given: 0,
};

export class TrackLogStatus {
  #report = OFF;

  get report(): TrackLogReport {
    return this.#report;
  }

  /** The log as it is now. */
  log(now: Omit<TrackLogReport, 'questions' | 'given'>): void {
    this.#report = { ...this.#report, ...now };
  }

  answered(given: number): void {
    const { questions } = this.#report;
    this.#report = { ...this.#report, questions: questions + 1, given: this.#report.given + given };
  }
}
