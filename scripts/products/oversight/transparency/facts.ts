/** Facts on the public page and the sign of a box; none comes from a picture. */
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import type { TrackLogGrant } from '../../../../agent/contract/track-log.ts';
import type { State } from '../timeline/timeline.ts';

/** Counts of one calendar month in the site's time zone, from the journal. */
export interface MonthCounts {
  /** Month in the form 2026-11. */
  readonly month: string;
  /** Beginning of the counted part. */
  readonly from: Date;
  readonly frames: number;
  /** True if more frames may have been read: a run was cut off, or has not written its count yet. */
  readonly framesAtLeast: boolean;
  readonly alerts: number;
  readonly searches: number;
  /** Number of sealed stills that were handed out. */
  readonly unsealings: number;
  /** Number of queries answered from the track log. */
  readonly trackQuestions: number;
  /** Ratios of the month, or of its past part, 0..1. */
  readonly ratios: Readonly<Record<State, number>>;
}

/** A rule of the configuration, with the authorisation's text about it; null if it may not run. */
export interface PublicRule {
  readonly kind: string;
  /** Zone or line. */
  readonly place: string;
  readonly grant: Pick<Authorisation['rules'][number], 'purpose' | 'legalBasis' | 'shadow'> | null;
}

export interface PublicFacts {
  readonly site: string;
  readonly box: string;
  readonly timeZone: string;
  readonly version: string;
  /** Contact address for people's rights, as the authority gives it. */
  readonly contact: string;
  /** Future address of the page. */
  readonly url: string;
  readonly madeAt: Date;
  /** State without its reason, which was written for the room and not for the public. */
  readonly mode: { readonly mode: State; readonly sinceTime: Date };
  /** Recorded cases in which analysis resumed without a resume signed by two keys. */
  readonly missingResumes: readonly Date[];
  /** The valid authorisation; null if there is none. */
  readonly authorisation: Pick<
    Authorisation,
    'order' | 'authority' | 'notBefore' | 'notAfter' | 'installation'
  > | null;
  readonly rules: readonly PublicRule[];
  readonly masks: number;
  /** Public keys (age) to which stills are sealed; empty if none are sealed. */
  readonly sealedTo: readonly string[];
  readonly retention: {
    readonly eventsDays: number;
    readonly snapshotsDays: number;
    /** 0 if nothing is sealed. */
    readonly sealedDays: number;
  };
  /** The track log that the authorisation allows; null if none. */
  readonly tracks: Pick<TrackLogGrant, 'purpose' | 'legalBasis' | 'grade' | 'days'> | null;
  readonly months: readonly MonthCounts[];
  /** The journal as verified for this page. */
  readonly journal: {
    readonly verifierKey: string;
    readonly size: number;
    readonly rootHash: string;
    /** Time of the first entry. */
    readonly from: Date | null;
    readonly inOrder: boolean;
  };
}
