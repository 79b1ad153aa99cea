/**
 * The link between vision and agent: messages, and what may be put on it (framing: link-frame.ts). What is binary is a
 * redacted or a sealed picture.
 */
import { type Static, Type } from '@sinclair/typebox';
import { AgentError } from '../base/errors.ts';
import { frameUp } from '../base/link-frame.ts';
import { AUTHORISATION_BYTES_MAX } from './authorisation.ts';
import { Connected } from './camera-connection.ts';
import {
  CameraConfig,
  DetectorConfig,
  GroundPlaneConfig,
  LineConfig,
  MaskConfig,
  ZoneConfig,
} from './config.ts';
import { SizePx, XyxyNorm } from './geometry.ts';
import { QuietReport } from './health.ts';
import { GroupSchema, LabelSchema, ObjectGroup, ObjectLabel } from './label.ts';
import { LatencyCounts } from './latency.ts';
import { Observation } from './observation.ts';
import { type RedactedJpeg, Redaction } from './redacted-jpeg.ts';
import { isAgeFile, type SealedEvidence, SealedNote } from './sealed-evidence.ts';

export { LINK_MESSAGE_BYTES_MAX, LinkDecoder, type Received } from '../base/link-frame.ts';

const strict = { additionalProperties: false } as const;
const Text = Type.String({ maxLength: 1000 });
const Ms = Type.Number({ minimum: 0 });
const Count = Type.Integer({ minimum: 0 });
const { id: ZoneId } = ZoneConfig.properties;
const { id: LineId } = LineConfig.properties;

/**
 * By what vision knows the camera's view again after a restart. INVARIANT: no picture can be made from it
 * (vision/observe/condition-signature.ts).
 */
export const KnownView = Type.Object(
  {
    signature: Type.Union([Type.String({ maxLength: 1024, pattern: '^[A-Za-z0-9+/=]*$' }), Type.Null()]),
    /** Width of the picture to its height. */
    aspect: Type.Number({ exclusiveMinimum: 0 }),
    /** The camera has moved, and nobody has confirmed its new view. */
    moved: Type.Boolean(),
  },
  strict,
);
export type KnownView = Static<typeof KnownView>;

/** What vision needs to know; it holds no key and no broker address. */
export const VisionSettings = Type.Object(
  {
    /** `live` drops what it cannot keep up with; `replay` analyses every frame, in lock-step with the agent. */
    mode: Type.Union([Type.Literal('live'), Type.Literal('replay')]),
    camera: Type.Object(
      {
        source: CameraConfig.properties.source,
        /** Analysed frames a second; null for every frame of a recording. */
        fps: Type.Union([Type.Number(), Type.Null()]),
        /** More or fewer than `fps` by what the street asks for, with `fps` as the mean that it may cost. */
        follows: Type.Optional(Type.Boolean()),
        substream: CameraConfig.properties.substream,
      },
      strict,
    ),
    detector: DetectorConfig,
    modelDir: Text,
    zones: Type.Array(ZoneConfig),
    lines: Type.Array(LineConfig),
    masks: Type.Array(MaskConfig),
    /** IANA name: the times that pictures bear are the site's. */
    timeZone: Text,
    groundPlane: Type.Optional(GroundPlaneConfig),
    /** How far a standing vehicle may move, in sizes of its box: each that a rule asks for, once. */
    moveTolerances: Type.Array(Type.Number({ exclusiveMinimum: 0 }), { maxItems: 64, uniqueItems: true }),
    /** The camera's view as the agent knows it from before this life of vision. */
    knownView: Type.Optional(KnownView),
    /** Static regions are looked for (rules on dumping and graffiti need them). */
    regions: Type.Boolean(),
    /** The detector looks at every frame, also where nothing has moved. */
    everyFrame: Type.Boolean(),
    /** Names of vehicles' colours are told of a recorded clip. Under an order, what the order says counts instead. */
    vehicleColours: Type.Optional(Type.Boolean()),
    /** Raw detections travel with each observation (replay writes them; live does not). */
    detections: Type.Boolean(),
  },
  strict,
);
export type VisionSettings = Static<typeof VisionSettings>;

/**
 * What an event is about, in the event's order: figures bear the number. A box moves with its velocity to where it was
 * when the still was taken.
 */
export const Focus = Type.Object(
  {
    xyxyNorm: XyxyNorm,
    velocityNormPerS: Type.Tuple([Type.Number(), Type.Number()]),
    /** What it is; absent for a part of the place. */
    object: Type.Optional(
      Type.Object({ track: Type.Integer({ minimum: 1 }), group: ObjectGroup, label: ObjectLabel }, strict),
    ),
  },
  strict,
);
export type Focus = Static<typeof Focus>;

/** Asks for the still nearest to `atMs`, redacted, and before that, if so wanted, sealed. */
export const EvidenceRequest = Type.Object(
  {
    request: Type.Integer({ minimum: 1 }),
    atMs: Ms,
    focus: Type.Array(Focus, { maxItems: 64 }),
    /** The zone or the line that the rule watches. */
    zone: Type.Optional(ZoneId),
    line: Type.Optional(LineId),
    seal: Type.Boolean(),
  },
  strict,
);
export type EvidenceRequest = Static<typeof EvidenceRequest>;

export const ToVision = Type.Union([
  Type.Object(
    {
      kind: Type.Literal('start'),
      settings: VisionSettings,
      /** The signed envelope under which it may look, for vision to open itself; null for a recorded clip. */
      order: Type.Union([Type.String({ maxLength: AUTHORISATION_BYTES_MAX }), Type.Null()]),
    },
    strict,
  ),
  /** All frames through `frame` were taken in; requests that arose from them. */
  Type.Object(
    {
      kind: Type.Literal('ack'),
      frame: Count,
      evidence: Type.Array(EvidenceRequest, { maxItems: 64 }),
    },
    strict,
  ),
  /** A technician has looked at the view that the camera has now: the zones hold in it. */
  Type.Object({ kind: Type.Literal('confirm-view') }, strict),
  /** Asks for the newest still, redacted as any, for the technician who aims the camera. */
  Type.Object({ kind: Type.Literal('preview'), request: Type.Integer({ minimum: 1 }) }, strict),
  /** The board is hot: the analysed rate is to go down by so many steps. */
  Type.Object({ kind: Type.Literal('heat'), steps: Type.Integer({ minimum: 0, maximum: 16 }) }, strict),
  Type.Object({ kind: Type.Literal('stop') }, strict),
]);
export type ToVision = Static<typeof ToVision>;

const LinkDetection = Type.Object(
  {
    xyxyNorm: XyxyNorm,
    score: Type.Number({ minimum: 0, maximum: 1 }),
    label: LabelSchema,
    group: GroupSchema,
  },
  strict,
);

const ErrorKindSchema = Type.Union(
  (['config', 'unavailable', 'exhausted', 'corrupt', 'denied', 'bug'] as const).map((kind) =>
    Type.Literal(kind),
  ),
);

/** What vision leaves out where a limit is reached, by its counter in the health report. */
export const VISION_LIMITS = [
  /** Stills that left the camera's ring before their time. */
  'stills_cut',
  /** Objects that were not followed. */
  'tracks_refused',
  'crossings_dropped',
  /** Places where weak boxes come and go that are not remembered. */
  'furniture_dropped',
  /** Looks whose features of places were too many to be kept. */
  'grounds_dropped',
  /** Places at which a vehicle may have come to stand. */
  'standing_places_dropped',
  'static_regions_dropped',
  /** Places of tracks that are not remembered, by which a carrier would have been found. */
  'carrier_places_dropped',
  /** Frames whose boxes redaction has forgotten before their time. */
  'redaction_frames_dropped',
] as const;
export type VisionLimit = (typeof VISION_LIMITS)[number];
export const NO_LIMITS = Object.fromEntries(VISION_LIMITS.map((name) => [name, 0])) as Readonly<
  Record<VisionLimit, number>
>;

/** Counters since the start of the vision process. */
export const VisionStats = Type.Object(
  {
    /** Decoded, of all streams. */
    framesRead: Count,
    /** Compressed pictures that were received and dropped without being decoded. */
    packetsWatched: Count,
    /** Null where no second stream may wake on a quiet street. */
    quiet: Type.Union([QuietReport, Type.Null()]),
    framesAnalysed: Count,
    /** Of them, those that the detector did not look at because nothing had moved. */
    framesHeld: Count,
    /** Looks of the detector at the larger picture too, because the picture is grey or dark. */
    looksFine: Count,
    /** Frames left out since the board was hot or too slow. */
    framesShed: Count,
    /** Frames that the street asked for beyond what the configured rate pays for. */
    framesShort: Count,
    framesDropped: Count,
    observationsDropped: Count,
    reconnects: Count,
    /** Openings because the picture was frozen. */
    rebuilds: Count,
    detections: Count,
    /** Detections too large or too small for where they stand: not tracked, redacted all the same. */
    impossible: Count,
    limits: Type.Object(
      Object.fromEntries(VISION_LIMITS.map((name) => [name, Count])) as Record<VisionLimit, typeof Count>,
      strict,
    ),
    stages: Type.Record(
      Type.String(),
      Type.Object({ cpuMs: Type.Number(), wallMs: Type.Number(), latency: LatencyCounts }, strict),
    ),
    cpuMs: Type.Number(),
    wallMs: Type.Number(),
    rssMiB: Type.Number(),
    rssPeakMiB: Type.Number(),
    /** Open file descriptors. */
    fds: Count,
  },
  strict,
);
export type VisionStats = Static<typeof VisionStats>;

const pictured = {
  request: Type.Integer({ minimum: 1 }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  widthPx: Type.Integer({ minimum: 1 }),
  heightPx: Type.Integer({ minimum: 1 }),
  atMs: Ms,
  redaction: Redaction,
};

export const FromVision = Type.Union([
  /** Sent once, before anything else. */
  Type.Object({ kind: Type.Literal('hello'), pid: Count }, strict),
  /** The detector is loaded. */
  Type.Object(
    {
      kind: Type.Literal('detector'),
      model: Text,
      sha256: Text,
      provider: Text,
      fallback: Type.Union([Text, Type.Null()]),
    },
    strict,
  ),
  /** The first frame has come through (again after each reconnection). */
  Type.Object(
    {
      kind: Type.Literal('opened'),
      source: SizePx,
      decoder: Text,
      fps: Type.Union([Type.Number(), Type.Null()]),
      /** Length of a clip, ms; null for what has no end. */
      durationMs: Type.Union([Ms, Type.Null()]),
      connected: Connected,
    },
    strict,
  ),
  /** The stream is away; vision retries by itself. */
  Type.Object({ kind: Type.Literal('lost'), reason: Text, retryInMs: Ms }, strict),
  Type.Object(
    { kind: Type.Literal('frame'), observation: Observation, detections: Type.Array(LinkDetection) },
    strict,
  ),
  /** Answer to an evidence request; the JPEG is the message's binary part. */
  Type.Object({ kind: Type.Literal('snapshot'), ...pictured }, strict),
  Type.Object(
    { kind: Type.Literal('no-snapshot'), request: Type.Integer({ minimum: 1 }), reason: Text },
    strict,
  ),
  /** Answer to the request for a preview, as `snapshot`; `tookMs`: wall time of making it. */
  Type.Object({ kind: Type.Literal('preview'), ...pictured, tookMs: Ms }, strict),
  Type.Object(
    { kind: Type.Literal('no-preview'), request: Type.Integer({ minimum: 1 }), reason: Text },
    strict,
  ),
  /** Comes before the answer to the same request, where there is somebody to seal to; the age file is the binary part. */
  Type.Object(
    { kind: Type.Literal('sealed'), request: Type.Integer({ minimum: 1 }), ...SealedNote.properties },
    strict,
  ),
  Type.Object(
    { kind: Type.Literal('not-sealed'), request: Type.Integer({ minimum: 1 }), reason: Text },
    strict,
  ),
  /** Live: how many frames a second are analysed from now on; sent with the first frame and at each change. */
  Type.Object(
    {
      kind: Type.Literal('pace'),
      step: Count,
      fps: Type.Number({ minimum: 0 }),
      reason: Type.Union([Type.Literal('heat'), Type.Literal('load'), Type.Null()]),
    },
    strict,
  ),
  /** To be given back at the next start. */
  Type.Object({ kind: Type.Literal('view'), view: KnownView }, strict),
  Type.Object({ kind: Type.Literal('stats'), stats: VisionStats }, strict),
  /** Replay only: the clip is over. */
  Type.Object({ kind: Type.Literal('ended'), stats: VisionStats }, strict),
  /** Vision cannot go on and exits; the one line says what a person must do. */
  Type.Object({ kind: Type.Literal('failed'), error: ErrorKindSchema, message: Text }, strict),
]);
export type FromVision = Static<typeof FromVision>;

export type SnapshotHeader = Extract<FromVision, { kind: 'snapshot' }>;
export type PreviewHeader = Extract<FromVision, { kind: 'preview' }>;

export type SealedHeader = Extract<FromVision, { kind: 'sealed' }>;
/** What vision says without a picture. */
export type PlainFromVision = Exclude<FromVision, SnapshotHeader | PreviewHeader | SealedHeader>;

/** What came of the request for a preview; `tookMs`: wall time of making it. */
export type PreviewAnswer =
  | { readonly picture: RedactedJpeg; readonly tookMs: number }
  | { readonly picture: undefined; readonly reason: string };

export function encodeMessage(message: ToVision | PlainFromVision): Buffer {
  return frameUp(message, new Uint8Array(0));
}

/** Only a redacted picture can be put on the link. */
export function encodeSnapshot(request: number, picture: RedactedJpeg): Buffer {
  const { sha256, widthPx, heightPx, atMs, redaction } = picture;
  const header: SnapshotHeader = { kind: 'snapshot', request, sha256, widthPx, heightPx, atMs, redaction };
  return frameUp(header, picture.bytes);
}

/** The same for a technician's preview, which took so long to make. */
export function encodePreview(request: number, picture: RedactedJpeg, tookMs: number): Buffer {
  const { sha256, widthPx, heightPx, atMs, redaction } = picture;
  const about = { request, sha256, widthPx, heightPx, atMs, redaction };
  return frameUp({ kind: 'preview', ...about, tookMs } satisfies PreviewHeader, picture.bytes);
}

/** The agent's end of both; the caller has checked nothing yet but the schema. */
export function receivedSnapshot(header: SnapshotHeader | PreviewHeader, binary: Uint8Array): RedactedJpeg {
  const { sha256, widthPx, heightPx, atMs, redaction } = header;
  return { bytes: binary, sha256, widthPx, heightPx, atMs, redaction } as RedactedJpeg;
}

/** Of an unredacted picture only its sealed form can be put on the link. */
export function encodeSealed(request: number, { bytes, sha256, recipients }: SealedEvidence): Buffer {
  if (!isAgeFile(bytes)) throw new AgentError('bug', 'what is called sealed is no age file');
  const header: SealedHeader = { kind: 'sealed', request, sha256, recipients: [...recipients] };
  return frameUp(header, bytes);
}

/** The agent's end of `encodeSealed`. */
export function receivedSealed({ sha256, recipients }: SealedHeader, binary: Uint8Array): SealedEvidence {
  return { bytes: binary, sha256, recipients } as unknown as SealedEvidence;
}
