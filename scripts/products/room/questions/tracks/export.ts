/** Defines the export formats of track log answers, shared by command line and room. */
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
  /** Number of matches that are not in `tracks`. */
  readonly more: number;
  readonly tracks: readonly FoundTrack[];
}

export const EXPORT_FORMATS = ['json', 'csv', 'mf-json'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
