/** Entries of the journal: every kind, with its content. */
import type { CommandOp } from './command.ts';
import type { FramesReport } from './health.ts';
import type { Mode } from './mode.ts';
import type { RestraintRecord } from './search.ts';
import type { TrackGrade, TrackLogReport } from './track-log.ts';
import type { CHANGE_KINDS } from './update.ts';

/**
 * State of the running program. It is part of every start and heartbeat, so that the newest values are found quickly.
 */
export interface Running {
  readonly versions: Readonly<Record<string, string>>;
  /**
   * HMAC-SHA-256 of the configuration as read, in JSON, with the journal's key. The password in it cannot be guessed
   * from this.
   */
  readonly config: string;
  /** SHA-256 of the drawn zones, lines and masks. */
  readonly zones: string;
  /** SHA-256 of these together with camera and rules. */
  readonly watched: string;
  /** Null while no detector is loaded. */
  readonly model: { readonly name: string; readonly sha256: string } | null;
  readonly clockSynced: boolean;
  /** Row up to which the archive's records are in the journal. */
  readonly records: number;
  readonly restraint: RestraintKnown;
  /** Hash of the folder from which vision reads the trusted keys and the mandatory black areas. */
  readonly folder: string;
}

/** State of the box's restraints as of this entry. */
export interface RestraintKnown {
  /** Fingerprint of the authority's key; null before there was one. */
  readonly authority: string | null;
  /** Active suspension. */
  readonly suspension: {
    readonly id: string;
    readonly since: string;
    readonly reason: string;
    readonly by: string;
  } | null;
  /** Newest counter of each key that has commanded the box, by its fingerprint. */
  readonly commands: Readonly<Record<string, number>>;
  /** Newest `rollout` entry in the journal; null if there is none. */
  readonly rollouts: RolloutsKnown | null;
  /** Newest `connected` entry; null if there is none. */
  readonly connection: ConnectionKnown | null;
}

/** Camera that the configuration names, and the connection that vision made; no login. */
export interface ConnectionKnown {
  readonly camera: string;
  readonly to: string;
}

export interface RolloutsKnown {
  readonly n: number;
  readonly noted: string;
}

/** Last writer of the configuration file as recorded on disk: its owner and the modification time. */
export interface ChangedBy {
  readonly uid: number;
  readonly user: string | null;
  readonly fileTime: string;
}

type Corners = readonly (readonly [number, number])[];

/** Zone, line or mask that was moved. */
export interface RedrawnPlace {
  readonly list: 'zones' | 'lines' | 'masks';
  readonly id: string;
  /** Corners, or the two ends of a line. Null if new; `unknown` if only its hash is on record. */
  readonly before: Corners | null | 'unknown';
  /** Null if it was removed. */
  readonly after: Corners | null;
}

export type JournalEntry =
  | ({ readonly type: 'start'; readonly boot: string; readonly timeZone: string } & Running)
  | ({
      readonly type: 'heartbeat';
      readonly boot: string;
      readonly frames: FramesReport;
      readonly tracks: TrackLogReport;
    } & Running)
  | { readonly type: 'stop'; readonly boot: string; readonly frames: FramesReport }
  | {
      readonly type: 'config';
      readonly before: string;
      readonly after: string;
      /** Present if these changed too. */
      readonly zones?: { readonly before: string; readonly after: string };
      /** Null if the agent was not given a file. */
      readonly by: ChangedBy | null;
    }
  /** Changed places, after the `config` entry: previous and new positions, split over as many entries as needed. */
  | { readonly type: 'geometry'; readonly places: readonly RedrawnPlace[] }
  /** Version change of the program or its platform since the previous start. */
  | {
      readonly type: 'update';
      readonly before: Running['versions'];
      readonly after: Running['versions'];
    }
  /**
   * Progress of root with an order of the room for a release of either kind or a configuration. `n` counts the lines of
   * root's history.
   */
  | {
      readonly type: 'rollout';
      readonly what: (typeof CHANGE_KINDS)[number];
      readonly n: number;
      /** Time at which root recorded it. Together with `n`, it reveals a history that was put back. */
      readonly noted: string;
      readonly rollout: string | null;
      readonly phase: string;
      /** `seq-version` of a release, or the SHA-256 of a configuration. */
      readonly from: string | null;
      readonly to: string | null;
      readonly reason: string | null;
    }
  | { readonly type: 'model'; readonly name: string; readonly sha256: string }
  /** Vision is connected to something other than before. `before` is null if the configuration named another camera. */
  | ({ readonly type: 'connected'; readonly before: string | null } & ConnectionKnown)
  | { readonly type: 'alert'; readonly id: string; readonly sequence: string; readonly sha256: string }
  | { readonly type: RestraintRecord['record']; readonly row: number; readonly record: RestraintRecord }
  | { readonly type: 'clock-step'; readonly stepMs: number }
  /** Analysis began or stopped, with the reason; also written with every start. */
  | {
      readonly type: 'mode';
      readonly mode: Mode;
      readonly since: string;
      readonly reason: string | null;
      /** Id of the suspension. */
      readonly suspension: string | null;
      readonly framesRead: number;
      readonly packetsWatched: number;
    }
  | {
      readonly type: 'suspend';
      readonly id: string;
      readonly reason: string;
      readonly by: string;
      readonly framesRead: number;
      readonly packetsWatched: number;
    }
  /** `id`: the ended suspension. `by`: owners of the signing keys. */
  | { readonly type: 'resume'; readonly id: string; readonly reason: string; readonly by: readonly string[] }
  | {
      readonly type: 'authorisation';
      readonly order: string;
      readonly sha256: string;
      readonly notBefore: string;
      readonly notAfter: string;
      /** Installation authorisation, under which no rule runs. Absent otherwise. */
      readonly installation?: true;
      /** A log of tracks may be stored; absent if none may. */
      readonly tracks?: { readonly grade: TrackGrade; readonly days: number };
    }
  /** A signed command was accepted, before its execution. */
  | {
      readonly type: 'command';
      readonly op: CommandOp;
      /** Name of the key in the configuration; `keyid` is its fingerprint. */
      readonly key: string;
      readonly keyid: string;
      readonly counter: number;
    }
  /** A command beside the agent begins or ends camera access. `framesRead` is null at the beginning. */
  | {
      readonly type: 'look';
      readonly by: string;
      readonly phase: 'begin' | 'end';
      readonly framesRead: number | null;
    }
  /** Files that vision obeys and the agent cannot write have changed; `before` and `after` are hashes of them. */
  | { readonly type: 'restraint'; readonly before: string; readonly after: string }
  /** A signed command has corrected the time by which validity is checked. */
  | { readonly type: 'time-reset'; readonly before: string; readonly after: string; readonly by: string }
  /**
   * A technician has checked a camera that had moved and confirmed the zones. `by`: the account that stated so, if
   * known.
   */
  | { readonly type: 'view-confirmed'; readonly movedSince: string; readonly by: string | null }
  /**
   * A technician on the box begins a preview of redacted pictures. `session`: the session on the page. `order`: number
   * of the authorisation.
   */
  | { readonly type: 'preview-started'; readonly session: string; readonly order: string }
  /** `frames`: pictures sent to the technician. */
  | {
      readonly type: 'preview-ended';
      readonly session: string;
      readonly why: string;
      readonly frames: number;
    }
  /**
   * A technician has issued the receipt of the installation. `id`: its event. `picture`: SHA-256 of its redacted still;
   * null if there is none. `order`: number of the authorisation, or empty.
   */
  | {
      readonly type: 'receipt';
      readonly id: string;
      readonly session: string;
      readonly order: string;
      readonly picture: string | null;
    }
  /** Keys that the box obeys from now on: fingerprints of the authority's keys. */
  | { readonly type: 'authority'; readonly before: string | null; readonly after: string }
  /** Entries that could not be written because of a disk error. */
  | { readonly type: 'missed'; readonly count: number }
  /** The contents of these entries were erased; their hashes remain. */
  | {
      readonly type: 'erase';
      readonly entries: readonly number[];
      readonly why: string;
      /** Common type of the entries, if they have one. */
      readonly what?: string;
    };

/** Entry as written, with the wall time. */
export type JournalContent = { readonly at: string } & JournalEntry;
