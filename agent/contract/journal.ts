/** What the journal says of the box: every kind of entry, with what it holds. */
import type { CommandOp } from './command.ts';
import type { FramesReport } from './health.ts';
import type { Mode } from './mode.ts';
import type { RestraintRecord } from './search.ts';
import type { TrackGrade, TrackLogReport } from './track-log.ts';
import type { CHANGE_KINDS } from './update.ts';

/** Of the running program: with every start, and in every heartbeat, so that the newest are found at once. */
export interface Running {
  readonly versions: Readonly<Record<string, string>>;
  /** HMAC-SHA-256 of the configuration as it was read, in JSON, by the journal's key: the password in it cannot be tried. */
  readonly config: string;
  /** SHA-256 of what is drawn: zones, lines and masks. */
  readonly zones: string;
  /** The same of that and of camera and rules. */
  readonly watched: string;
  /** Null while no detector is loaded. */
  readonly model: { readonly name: string; readonly sha256: string } | null;
  readonly clockSynced: boolean;
  /** Records of the archive through this row are in the journal. */
  readonly records: number;
  readonly restraint: RestraintKnown;
  /** A hash of what lies where vision looks for whose orders count and what must be black. */
  readonly folder: string;
}

/** What the journal knows of what restrains the box, as of this entry. */
export interface RestraintKnown {
  /** Fingerprint of the authority's key; null before there was one. */
  readonly authority: string | null;
  /** The suspension that nobody has ended. */
  readonly suspension: {
    readonly id: string;
    readonly since: string;
    readonly reason: string;
    readonly by: string;
  } | null;
  /** The newest counter of each key that has commanded the box, by its fingerprint. */
  readonly commands: Readonly<Record<string, number>>;
  /** The newest `rollout` that is in the journal; null: there is none. */
  readonly rollouts: RolloutsKnown | null;
  /** The newest `connected`; null: there is none. */
  readonly connection: ConnectionKnown | null;
}

/** The camera as the configuration names it, and what vision was connected to; no login. */
export interface ConnectionKnown {
  readonly camera: string;
  readonly to: string;
}

export interface RolloutsKnown {
  readonly n: number;
  readonly noted: string;
}

/** Who wrote the configuration's file last, as far as the disk tells: its owner, and when. */
export interface ChangedBy {
  readonly uid: number;
  readonly user: string | null;
  readonly fileTime: string;
}

type Corners = readonly (readonly [number, number])[];

/** A zone, line or mask that is not where it was. */
export interface RedrawnPlace {
  readonly list: 'zones' | 'lines' | 'masks';
  readonly id: string;
  /** Corners, or the two ends of a line; null: there was none; `unknown`: only its hash is on record. */
  readonly before: Corners | null | 'unknown';
  /** Null: there is none any more. */
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
      /** Where these changed too. */
      readonly zones?: { readonly before: string; readonly after: string };
      /** Null where the agent was not told of a file. */
      readonly by: ChangedBy | null;
    }
  /** What was drawn anew, behind its `config`: where each place lay and lies; in as many entries as it takes. */
  | { readonly type: 'geometry'; readonly places: readonly RedrawnPlace[] }
  /** Another version of the program or of what it runs on, since the start before. */
  | {
      readonly type: 'update';
      readonly before: Running['versions'];
      readonly after: Running['versions'];
    }
  /** How far root is with an order of the room for a release of either kind or a configuration; `n` counts the lines of root's history. */
  | {
      readonly type: 'rollout';
      readonly what: (typeof CHANGE_KINDS)[number];
      readonly n: number;
      /** When root put it down; with `n` it tells a history that was put back. */
      readonly noted: string;
      readonly rollout: string | null;
      readonly phase: string;
      /** Releases `seq-version`; of a configuration its SHA-256. */
      readonly from: string | null;
      readonly to: string | null;
      readonly reason: string | null;
    }
  | { readonly type: 'model'; readonly name: string; readonly sha256: string }
  /** Vision is connected to something else than before; `before` is null where the configuration named another camera. */
  | ({ readonly type: 'connected'; readonly before: string | null } & ConnectionKnown)
  | { readonly type: 'alert'; readonly id: string; readonly sequence: string; readonly sha256: string }
  | { readonly type: RestraintRecord['record']; readonly row: number; readonly record: RestraintRecord }
  | { readonly type: 'clock-step'; readonly stepMs: number }
  /** The box began to look, or stopped, and why; with every start as well. */
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
  /** `id`: of the suspension that ended; `by`: whose keys have signed. */
  | { readonly type: 'resume'; readonly id: string; readonly reason: string; readonly by: readonly string[] }
  | {
      readonly type: 'authorisation';
      readonly order: string;
      readonly sha256: string;
      readonly notBefore: string;
      readonly notAfter: string;
      /** A permit to install: no rule runs under it. Absent where it is none. */
      readonly installation?: true;
      /** A log of tracks may be kept; absent where none may. */
      readonly tracks?: { readonly grade: TrackGrade; readonly days: number };
    }
  /** A signed command was accepted, before it was obeyed. */
  | {
      readonly type: 'command';
      readonly op: CommandOp;
      /** Name that the configuration gives the key, and its fingerprint. */
      readonly key: string;
      readonly keyid: string;
      readonly counter: number;
    }
  /** A command beside the agent begins to look through the camera, and has ended; `framesRead` is null at its beginning. */
  | {
      readonly type: 'look';
      readonly by: string;
      readonly phase: 'begin' | 'end';
      readonly framesRead: number | null;
    }
  /** What lies where the agent cannot write, and vision goes by, has changed: hashes of it. */
  | { readonly type: 'restraint'; readonly before: string; readonly after: string }
  /** A signed command has put the time right by which validity is judged. */
  | { readonly type: 'time-reset'; readonly before: string; readonly after: string; readonly by: string }
  /** A technician has looked at a camera that had moved: the zones hold. `by`: the account that said so, where it is known. */
  | { readonly type: 'view-confirmed'; readonly movedSince: string; readonly by: string | null }
  /** A technician at the box begins to look at redacted pictures; `session`: of his at the page, `order`: its number. */
  | { readonly type: 'preview-started'; readonly session: string; readonly order: string }
  /** `frames`: pictures that were sent to him. */
  | {
      readonly type: 'preview-ended';
      readonly session: string;
      readonly why: string;
      readonly frames: number;
    }
  /** Whose word the box obeys from now on: fingerprints of the authority's keys. */
  | { readonly type: 'authority'; readonly before: string | null; readonly after: string }
  /** Entries that could not be written while the disk refused. */
  | { readonly type: 'missed'; readonly count: number }
  /** The contents of these entries were erased; their hashes stand. */
  | {
      readonly type: 'erase';
      readonly entries: readonly number[];
      readonly why: string;
      /** Their type, where they are all of one. */
      readonly what?: string;
    };

/** As it is written: with the wall time. */
export type JournalContent = { readonly at: string } & JournalEntry;
