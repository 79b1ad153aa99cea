/** Formats in which the answer of a log of tracks is handed on; the command line and the room write the same. */
import type {
  FoundTrack,
  TrackGrade,
  TrackQuestion,
  TrackResult,
} from '../../../../../agent/contract/track-log.ts';

export interface TrackAnswerParts {
  readonly box: string;
  readonly case: string;
  readonly question: TrackQuestion;
  readonly order: string;
  readonly grade: TrackGrade;
  readonly coverage: TrackResult['coverage'];
  readonly matches: number;
  /** Matches that are not among `tracks`. */
  readonly more: number;
  readonly tracks: readonly FoundTrack[];
}

export const EXPORT_FORMATS = ['json', 'csv', 'mf-json'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
