/**
 * Schemas of journal entries that the report accepts. The journal of a compromised box is also signed, and may contain
 * anything. Additional fields are allowed, since newer programs write them.
 */
import { type TSchema, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import { Mode } from '../../../../agent/contract/mode.ts';
import { UnsealRecord } from '../../../../agent/contract/sealed-evidence.ts';
import { PurgeRecord, SearchRecord } from '../../../../agent/contract/search.ts';
import { TrackLogReport, TrackRecord } from '../../../../agent/contract/track-log.ts';

const Text = Type.String();
const Count = Type.Integer({ minimum: 0 });
const Frames = Type.Object({ read: Count, analysed: Count, dropped: Count, watched: Count });
const Versions = Type.Record(Text, Text);
const Change = Type.Object({ before: Text, after: Text });
const orNull = <T extends TSchema>(type: T) => Type.Union([type, Type.Null()]);
const Corners = Type.Array(Type.Tuple([Type.Number(), Type.Number()]));
const By = Type.Object({ uid: Count, user: orNull(Text), fileTime: Text });

/** Schemas by type. Of an alert, only its existence is reported. */
const FORMS: Readonly<Record<JournalContent['type'], TSchema>> = {
  start: Type.Object({
    boot: Text,
    timeZone: Text,
    versions: Versions,
    config: Text,
    clockSynced: Type.Boolean(),
  }),
  heartbeat: Type.Object({
    boot: Text,
    frames: Frames,
    clockSynced: Type.Boolean(),
    tracks: TrackLogReport,
  }),
  stop: Type.Object({ boot: Text, frames: Frames }),
  config: Type.Object({ before: Text, after: Text, zones: Type.Optional(Change), by: orNull(By) }),
  geometry: Type.Object({
    places: Type.Array(
      Type.Object({
        list: Text,
        id: Text,
        before: Type.Union([Corners, Type.Null(), Text]),
        after: orNull(Corners),
      }),
    ),
  }),
  update: Type.Object({ before: Versions, after: Versions }),
  rollout: Type.Object({
    what: Text,
    n: Count,
    noted: Text,
    phase: Text,
    rollout: orNull(Text),
    from: orNull(Text),
    to: orNull(Text),
    reason: orNull(Text),
  }),
  model: Type.Object({ name: Text, sha256: Text }),
  connected: Type.Object({ camera: Text, to: Text, before: orNull(Text) }),
  alert: Type.Object({}),
  search: Type.Object({ record: SearchRecord }),
  unseal: Type.Object({ record: UnsealRecord }),
  tracks: Type.Object({ record: TrackRecord }),
  purge: Type.Object({ record: PurgeRecord }),
  'clock-step': Type.Object({ stepMs: Type.Number() }),
  mode: Type.Object({
    mode: Mode,
    reason: orNull(Text),
    suspension: orNull(Text),
    framesRead: Count,
    packetsWatched: Count,
  }),
  suspend: Type.Object({ id: Text, reason: Text, by: Text, framesRead: Count, packetsWatched: Count }),
  resume: Type.Object({ id: Text, reason: Text, by: Type.Array(Text) }),
  authorisation: Type.Object({
    order: Text,
    sha256: Text,
    notBefore: Text,
    notAfter: Text,
    installation: Type.Optional(Type.Boolean()),
  }),
  authority: Type.Object({ before: orNull(Text), after: Text }),
  command: Type.Object({ op: Text, key: Text, keyid: Text, counter: Type.Number() }),
  look: Type.Object({
    by: Text,
    phase: Type.Union([Type.Literal('begin'), Type.Literal('end')]),
    framesRead: orNull(Count),
  }),
  restraint: Change,
  'time-reset': Type.Object({ before: Text, after: Text, by: Text }),
  'view-confirmed': Type.Object({ movedSince: Text, by: orNull(Text) }),
  'preview-started': Type.Object({ session: Text, order: Text }),
  'preview-ended': Type.Object({ session: Text, why: Text, frames: Count }),
  receipt: Type.Object({ id: Text, session: Text, order: Text, picture: orNull(Text) }),
  missed: Type.Object({ count: Count }),
  erase: Type.Object({ entries: Type.Array(Count), why: Text, what: Type.Optional(Text) }),
};

const checks = new Map(Object.entries(FORMS).map(([type, form]) => [type, TypeCompiler.Compile(form)]));

/** Turns an invalid entry of a known type into one of an unknown type, which is shown unchanged. */
export function contentOf(value: JournalContent): JournalContent {
  const { at, type, ...rest } = Object(value) as { at?: unknown; type?: unknown };
  const kind = typeof type === 'string' ? type : 'no kind';
  const check = checks.get(kind);
  const fits = check?.Check(value) ?? Object(value) === value;
  if (fits && typeof at === 'string' && typeof type === 'string') return value;
  const header = { at: String(at), type: fits ? kind : `${kind}, not of its form` };
  return { ...header, ...rest } as JournalContent;
}
