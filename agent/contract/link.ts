/**
 * Messages of the link between vision and agent, and the payloads that it may carry (framing: link-frame.ts). A binary
 * part is always a redacted or a sealed picture.
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
 * Data by which vision recognises the camera's view after a restart. INVARIANT: no picture can be made from it
 * (vision/observe/condition-signature.ts).
 */
export const KnownView = Type.Object(
  {
    signature: Type.Union([Type.String({ maxLength: 1024, pattern: '^[A-Za-z0-9+/=]*$' }), Type.Null()]),
    /** Width of the picture divided by its height. */
    aspect: Type.Number({ exclusiveMinimum: 0 }),
    /** The camera has moved, and no one has confirmed its new view. */
    moved: Type.Boolean(),
  },
  strict,
);
export type KnownView = Static<typeof KnownView>;

/** Settings of vision. They contain no key and no broker address. */
export const VisionSettings = Type.Object(
  {
    /** `live` drops frames when it cannot keep up. `replay` analyses every frame, in lock-step with the agent. */
    mode: Type.Union([Type.Literal('live'), Type.Literal('replay')]),
    camera: Type.Object(
      {
        source: CameraConfig.properties.source,
        /** Analysed frames per second; null for every frame of a recording. */
        fps: Type.Union([Type.Number(), Type.Null()]),
        /** The rate follows the activity in the street, with `fps` as the permitted mean. */
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
    /** IANA name of the site's time zone, for the times shown in pictures. */
    timeZone: Text,
    groundPlane: Type.Optional(GroundPlaneConfig),
    /**
     * Movement tolerances of a stationary vehicle, in sizes of its box. Each value that a rule requires is listed once.
     */
    moveTolerances: Type.Array(Type.Number({ exclusiveMinimum: 0 }), { maxItems: 64, uniqueItems: true }),
    /** The camera's view, as known to the agent from before this run of vision. */
    knownView: Type.Optional(KnownView),
    /** Enables the search for static regions, which rules on dumping and graffiti need. */
    regions: Type.Boolean(),
    /** The detector runs on every frame, including those without motion. */
    everyFrame: Type.Boolean(),
    /**
     * Reports the names of vehicle colours for a recorded clip. Under an authorisation, its own setting applies
     * instead.
     */
    vehicleColours: Type.Optional(Type.Boolean()),
    /** Includes raw detections in each observation. Replay writes them; live does not. */
    detections: Type.Boolean(),
  },
  strict,
);
export type VisionSettings = Static<typeof VisionSettings>;

/**
 * One subject of an event. The list is in the event's order, and drawn figures bear its numbers. A box is moved with
 * its velocity to its position at the time of the still.
 */
export const Focus = Type.Object(
  {
    xyxyNorm: XyxyNorm,
    velocityNormPerS: Type.Tuple([Type.Number(), Type.Number()]),
    /** The object; absent for a part of the place. */
    object: Type.Optional(
      Type.Object({ track: Type.Integer({ minimum: 1 }), group: ObjectGroup, label: ObjectLabel }, strict),
    ),
  },
  strict,
);
export type Focus = Static<typeof Focus>;

/** Requests the still nearest to `atMs`, redacted, and before that the sealed one if `seal` is set. */
export const EvidenceRequest = Type.Object(
  {
    request: Type.Integer({ minimum: 1 }),
    atMs: Ms,
    focus: Type.Array(Focus, { maxItems: 64 }),
    /** Zone or line that the rule watches. */
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
      /** Signed envelope that authorises the analysis, for vision to verify independently; null for a recorded clip. */
      order: Type.Union([Type.String({ maxLength: AUTHORISATION_BYTES_MAX }), Type.Null()]),
    },
    strict,
  ),
  /** All frames through `frame` were processed. Contains the evidence requests that arose from them. */
  Type.Object(
    {
      kind: Type.Literal('ack'),
      frame: Count,
      evidence: Type.Array(EvidenceRequest, { maxItems: 64 }),
    },
    strict,
  ),
  /** A technician has checked the current view and confirmed the zones. */
  Type.Object({ kind: Type.Literal('confirm-view') }, strict),
  /** Requests the newest still, redacted as usual, for the technician who aims the camera. */
  Type.Object({ kind: Type.Literal('preview'), request: Type.Integer({ minimum: 1 }) }, strict),
  /** Number of steps by which to reduce the analysis rate, because the board is too hot. */
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

/** Counters of items that vision drops when a limit is reached; also their names in the health report. */
export const VISION_LIMITS = [
  /** Stills that left the camera's ring buffer early. */
  'stills_cut',
  /** Objects that were not tracked. */
  'tracks_refused',
  'crossings_dropped',
  /** Places of intermittent weak boxes that were not stored. */
  'static_false_positives_dropped',
  /** Detector runs whose place features were too many to store. */
  'grounds_dropped',
  /** Places where a vehicle may have stopped. */
  'standing_places_dropped',
  'static_regions_dropped',
  /** Track positions that were not stored, and from which an associated track would have been found. */
  'associated_track_places_dropped',
  /** Frames whose boxes redaction discarded early. */
  'redaction_frames_dropped',
] as const;
export type VisionLimit = (typeof VISION_LIMITS)[number];
export const NO_LIMITS = Object.fromEntries(VISION_LIMITS.map((name) => [name, 0])) as Readonly<
  Record<VisionLimit, number>
>;

/** Counters since the start of the vision process. */
export const VisionStats = Type.Object(
  {
    /** Decoded frames of all streams. */
    framesRead: Count,
    /** Compressed pictures received and dropped without decoding. */
    packetsWatched: Count,
    /** Null if no second stream can wake the main one on a quiet street. */
    quiet: Type.Union([QuietReport, Type.Null()]),
    framesAnalysed: Count,
    /** Analysed frames without a detector run, because nothing had moved. */
    framesHeld: Count,
    /** Detector runs that included the high-resolution pass, because the picture is grey or dark. */
    looksFine: Count,
    /** Frames skipped because the board was too hot or too slow. */
    framesShed: Count,
    /** Frames wanted by the activity in the street beyond the budget of the configured rate. */
    framesShort: Count,
    framesDropped: Count,
    observationsDropped: Count,
    reconnects: Count,
    /** Reopenings because the picture was frozen. */
    rebuilds: Count,
    detections: Count,
    /** Detections of implausible size for their position: not tracked, but redacted. */
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
  /** First message, sent once. */
  Type.Object({ kind: Type.Literal('hello'), pid: Count }, strict),
  /** The detector is loaded. */
  Type.Object(
    {
      kind: Type.Literal('detector'),
      model: Text,
      sha256: Text,
      provider: Text,
      fallback: Type.Union([Text, Type.Null()]),
      /** Installed ONNX Runtime that runs it: version, path and providers. */
      library: Type.Optional(Text),
    },
    strict,
  ),
  /** The first frame has arrived; sent again after each reconnection. */
  Type.Object(
    {
      kind: Type.Literal('opened'),
      source: SizePx,
      decoder: Text,
      fps: Type.Union([Type.Number(), Type.Null()]),
      /** Length of a clip in ms; null for an endless source. */
      durationMs: Type.Union([Ms, Type.Null()]),
      connected: Connected,
    },
    strict,
  ),
  /** The stream is lost; vision retries automatically. */
  Type.Object({ kind: Type.Literal('lost'), reason: Text, retryInMs: Ms }, strict),
  Type.Object(
    { kind: Type.Literal('frame'), observation: Observation, detections: Type.Array(LinkDetection) },
    strict,
  ),
  /** Reply to an evidence request; the JPEG is the message's binary part. */
  Type.Object({ kind: Type.Literal('snapshot'), ...pictured }, strict),
  Type.Object(
    { kind: Type.Literal('no-snapshot'), request: Type.Integer({ minimum: 1 }), reason: Text },
    strict,
  ),
  /** Reply to a preview request, like `snapshot`. `tookMs`: wall time to make it. */
  Type.Object({ kind: Type.Literal('preview'), ...pictured, tookMs: Ms }, strict),
  Type.Object(
    { kind: Type.Literal('no-preview'), request: Type.Integer({ minimum: 1 }), reason: Text },
    strict,
  ),
  /** Precedes the reply to the same request if there are recipients. The binary part is the age file. */
  Type.Object(
    { kind: Type.Literal('sealed'), request: Type.Integer({ minimum: 1 }), ...SealedNote.properties },
    strict,
  ),
  Type.Object(
    { kind: Type.Literal('not-sealed'), request: Type.Integer({ minimum: 1 }), reason: Text },
    strict,
  ),
  /** Live only: the rate of analysed frames per second from now on. Sent with the first frame and at each change. */
  Type.Object(
    {
      kind: Type.Literal('pace'),
      step: Count,
      fps: Type.Number({ minimum: 0 }),
      reason: Type.Union([Type.Literal('heat'), Type.Literal('load'), Type.Null()]),
    },
    strict,
  ),
  /** View to pass back at the next start. */
  Type.Object({ kind: Type.Literal('view'), view: KnownView }, strict),
  Type.Object({ kind: Type.Literal('stats'), stats: VisionStats }, strict),
  /** Replay only: the clip has ended. */
  Type.Object({ kind: Type.Literal('ended'), stats: VisionStats }, strict),
  /** Vision cannot continue and exits. The message states on one line the action for a person. */
  Type.Object({ kind: Type.Literal('failed'), error: ErrorKindSchema, message: Text }, strict),
]);
export type FromVision = Static<typeof FromVision>;

export type SnapshotHeader = Extract<FromVision, { kind: 'snapshot' }>;
export type PreviewHeader = Extract<FromVision, { kind: 'preview' }>;

export type SealedHeader = Extract<FromVision, { kind: 'sealed' }>;
/** Messages of vision without a binary part. */
export type PlainFromVision = Exclude<FromVision, SnapshotHeader | PreviewHeader | SealedHeader>;

/** Outcome of a preview request. `tookMs`: wall time to make it. */
export type PreviewAnswer =
  | { readonly picture: RedactedJpeg; readonly tookMs: number }
  | { readonly picture: undefined; readonly reason: string };

export function encodeMessage(message: ToVision | PlainFromVision): Buffer {
  return frameUp(message, new Uint8Array(0));
}

/** Encodes a snapshot. The type admits only a redacted picture. */
export function encodeSnapshot(request: number, picture: RedactedJpeg): Buffer {
  const { sha256, widthPx, heightPx, atMs, redaction } = picture;
  const header: SnapshotHeader = { kind: 'snapshot', request, sha256, widthPx, heightPx, atMs, redaction };
  return frameUp(header, picture.bytes);
}

/** Encodes a technician's preview; `tookMs` is the time it took to make. */
export function encodePreview(request: number, picture: RedactedJpeg, tookMs: number): Buffer {
  const { sha256, widthPx, heightPx, atMs, redaction } = picture;
  const about = { request, sha256, widthPx, heightPx, atMs, redaction };
  return frameUp({ kind: 'preview', ...about, tookMs } satisfies PreviewHeader, picture.bytes);
}

/** Decodes either on the agent's side. The caller has validated only the schema so far. */
export function receivedSnapshot(header: SnapshotHeader | PreviewHeader, binary: Uint8Array): RedactedJpeg {
  const { sha256, widthPx, heightPx, atMs, redaction } = header;
  return { bytes: binary, sha256, widthPx, heightPx, atMs, redaction } as RedactedJpeg;
}

/** Encodes a sealed picture. An unredacted picture can be sent only in this form. */
export function encodeSealed(request: number, { bytes, sha256, recipients }: SealedEvidence): Buffer {
  if (!isAgeFile(bytes)) throw new AgentError('bug', 'the sealed still is not an age file');
  const header: SealedHeader = { kind: 'sealed', request, sha256, recipients: [...recipients] };
  return frameUp(header, bytes);
}

/** Decodes the message of `encodeSealed` on the agent's side. */
export function receivedSealed({ sha256, recipients }: SealedHeader, binary: Uint8Array): SealedEvidence {
  return { bytes: binary, sha256, recipients } as unknown as SealedEvidence;
}
