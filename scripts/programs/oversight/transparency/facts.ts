/** What the public page and the sign say of a box; nothing in it comes from a picture. */
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import type { TrackLogGrant } from '../../../../agent/contract/track-log.ts';
import type { State } from '../story/story.ts';

/** One calendar month of the site's time zone, counted from the journal. */
export interface MonthCounts {
  /** 2026-11 */
  readonly month: string;
  /** Where what is counted of it begins. */
  readonly from: Date;
  readonly frames: number;
  /** Further frames may have been read: a run was cut off, or has not written its count yet. */
  readonly framesAtLeast: boolean;
  readonly alerts: number;
  readonly searches: number;
  /** Sealed stills that were handed out. */
  readonly unsealings: number;
  /** Questions that the log of tracks has answered. */
  readonly trackQuestions: number;
  /** Shares of the month, or of what of it is over, 0..1. */
  readonly shares: Readonly<Record<State, number>>;
}

/** A rule as the configuration has it, with what the authorisation says of it; null: it may not run. */
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
  /** Whom to ask about one's rights: an address, as the authority gives it. */
  readonly contact: string;
  /** Where the page will stand. */
  readonly url: string;
  readonly madeAt: Date;
  /** Without its reason, which somebody typed for the room, not for the street. */
  readonly mode: { readonly mode: State; readonly since: Date };
  /** When the program looked again without a resume, signed by two keys, on record. */
  readonly missingResumes: readonly Date[];
  /** Null: none that is valid. */
  readonly authorisation: Pick<
    Authorisation,
    'order' | 'authority' | 'notBefore' | 'notAfter' | 'installation'
  > | null;
  readonly rules: readonly PublicRule[];
  readonly masks: number;
  /** Public keys of age to which stills are sealed; none: nothing is. */
  readonly sealedTo: readonly string[];
  readonly retention: {
    readonly eventsDays: number;
    readonly snapshotsDays: number;
    /** 0: nothing is sealed. */
    readonly sealedDays: number;
  };
  /** The log of tracks that the order allows; null: none. */
  readonly tracks: Pick<TrackLogGrant, 'purpose' | 'legalBasis' | 'grade' | 'days'> | null;
  /** Tracks on the disk by the journal's newest heartbeat; undefined where it has none. */
  readonly trackRows: number | undefined;
  readonly months: readonly MonthCounts[];
  /** The journal as it was checked for this page. */
  readonly journal: {
    readonly verifierKey: string;
    readonly size: number;
    readonly rootHash: string;
    /** Since when there are entries. */
    readonly from: Date | null;
    readonly inOrder: boolean;
  };
}
