/**
 * Protocol between the technician's page and the agent over `page.sock` (framing: page-frames.ts). The page is a
 * process of another user without any state: it requests, and the agent decides. Pictures on this link are always
 * redacted.
 */
import { type Static, Type } from '@sinclair/typebox';
import { AuthorisedRule } from './authorisation.ts';
import { Config, MaskConfig } from './config.ts';
import { PointNorm, XyxyNorm } from './geometry.ts';
import { ObjectGroup, ObjectLabel } from './label.ts';
import { LocalStatus } from './local-status.ts';
import { Mode } from './mode.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Text = Type.String({ maxLength: 1000 });
const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Count = Type.Integer({ minimum: 0 });
/** Id of a technician's session on the page, for the journal. It contains no name and no secret. */
const Session = Type.String({ pattern: '^[0-9a-f]{16}$' });

/** Socket in the state folder of a plain run. For the service, VIGIE_PAGE_SOCKET names it. */
export const PAGE_SOCKET = 'page.sock';
export const PREVIEW_LONG_SIDE_PX_MAX = 960;
export const PREVIEW_BYTES_MAX = 150_000;
export const PREVIEW_FPS_MAX = 2;
/** Maximum duration of a preview, after which it ends automatically, and maximum preview time per day; both in s. */
export const PREVIEW_S_MAX = 600;
export const PREVIEW_S_A_DAY_MAX = 3600;
export const PREVIEW_VIEWERS_MAX = 2;

/** Reason for a missing picture. */
export const NO_PICTURE = [
  'suspended',
  'unauthorised',
  'detector-down',
  'camera-away',
  'masks-not-applied',
  'time-is-up',
  'day-is-up',
  'too-many-viewers',
  'not-started',
  'redaction',
] as const;
export type NoPicture = (typeof NO_PICTURE)[number];
const NoPictureSchema = Type.Union(NO_PICTURE.map((code) => Type.Literal(code)));

/** Permissions of the valid authorisation; null if there is none. */
export const AuthorisationView = Type.Object(
  {
    order: Type.String({ maxLength: 100 }),
    authority: Type.String({ maxLength: 200 }),
    camera: Type.String({ maxLength: 1024 }),
    /** Second stream of the camera that the authorisation names as well. */
    substream: Type.Optional(Type.String({ maxLength: 1024 })),
    notAfter: Time,
    /** Installation authorisation: it allows analysis while the box is installed, and no rule. */
    installation: Type.Boolean(),
    rules: Type.Array(AuthorisedRule, { maxItems: 64 }),
    /** Prescribed position of each place. */
    outlines: Type.Array(Type.Object({ id: Id, polygon: Type.Array(PointNorm) }, strict), { maxItems: 128 }),
    /** Black in any configuration. */
    masks: Type.Array(MaskConfig, { maxItems: 64 }),
  },
  strict,
);
export type AuthorisationView = Static<typeof AuthorisationView>;

/** State of a running walk test. */
export const WalkView = Type.Object(
  {
    rule: Id,
    passes: Type.Integer({ minimum: 1, maximum: 20 }),
    /**
     * `ready`: a pass waits for its start. `watching`: a pass runs. `done`: the result waits to be saved or discarded.
     * `over`: finished.
     */
    phase: Type.Union(
      (['ready', 'watching', 'done', 'kept', 'over'] as const).map((phase) => Type.Literal(phase)),
    ),
    /** Outcome of each pass that counts. */
    outcomes: Type.Array(Type.Union([Type.Literal('seen'), Type.Literal('missed')]), { maxItems: 20 }),
    /** Time in the running pass. */
    passedS: Type.Number({ minimum: 0 }),
    windowS: Type.Number({ minimum: 0 }),
    /** Result of the last pass, or the reason why the test is over. */
    last: Type.Union([
      Type.Null(),
      Type.Object(
        {
          code: Type.Union(
            (['seen', 'missed', 'blind', 'still-standing', 'off', 'given-up', 'no-agent'] as const).map(
              (code) => Type.Literal(code),
            ),
          ),
          seconds: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
        },
        strict,
      ),
    ]),
  },
  strict,
);
export type WalkView = Static<typeof WalkView>;

/** Newest receipt of the installation. */
export const ReceiptView = Type.Object(
  {
    /** Id of its event. */
    id: Type.String({ maxLength: 64 }),
    time: Time,
    passed: Type.Boolean(),
    /** SHA-256 of its redacted still; null if there is none, with the reason in `absent`. */
    still: Type.Union([Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Null()]),
    absent: Type.Union([Text, Type.Null()]),
    /** The control room has received it. */
    delivered: Type.Boolean(),
  },
  strict,
);
export type ReceiptView = Static<typeof ReceiptView>;

export const Verdict = Type.Union([Type.Literal('ok'), Type.Literal('failed'), Type.Literal('unknown')]);
/** One line of the final check, in the requested language. */
export const PageFinding = Type.Object(
  {
    name: Type.String({ maxLength: 64 }),
    verdict: Verdict,
    detail: Text,
    fix: Type.Union([Text, Type.Null()]),
  },
  strict,
);
export type PageFinding = Static<typeof PageFinding>;

export const AgentView = Type.Object(
  {
    site: Id,
    box: Id,
    version: Text,
    mode: Mode,
    reason: Type.Union([Text, Type.Null()]),
    order: Type.Union([AuthorisationView, Type.Null()]),
    /** Rules of the running configuration that the authorisation does not cover, with the reason. */
    refusedRules: Type.Array(Type.Object({ id: Id, reason: Text }, strict), { maxItems: 64 }),
    /** Input size of the detector in px, used by the height gauge. */
    detectorInputPx: Type.Tuple([Count, Count]),
    timeZone: Text,
    /** Running places, by which a page sees whether its trial is applied. */
    running: Type.Object(
      { zones: Config.properties.zones, lines: Config.properties.lines, masks: Config.properties.masks },
      strict,
    ),
    /** SHA-256 of the running configuration file; a phone receives a mark instead (page/server/config-mark.ts). */
    configSha256: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
    preview: Type.Object(
      { running: Type.Boolean(), leftS: Count, leftTodayS: Count, viewers: Count },
      strict,
    ),
    walk: Type.Union([WalkView, Type.Null()]),
    /** Null before the first one since the start of the agent. */
    receipt: Type.Union([ReceiptView, Type.Null()]),
    /** A receipt waits for its still. */
    receiptWaits: Type.Boolean(),
    findings: Type.Array(PageFinding, { maxItems: 64 }),
    status: LocalStatus,
  },
  strict,
);
export type AgentView = Static<typeof AgentView>;

const Language = Type.Union([Type.Literal('fr'), Type.Literal('en')]);

export const PageAsk = Type.Union([
  Type.Object({ op: Type.Literal('state'), language: Language }, strict),
  /** `viewer`: chosen by the page, one per watching phone. */
  Type.Object({ op: Type.Literal('preview-start'), viewer: Count }, strict),
  Type.Object({ op: Type.Literal('preview-stop'), viewer: Count }, strict),
  Type.Object(
    { op: Type.Literal('walk-start'), rule: Id, passes: Type.Integer({ minimum: 1, maximum: 20 }) },
    strict,
  ),
  Type.Object(
    {
      op: Type.Literal('walk-answer'),
      answer: Type.Union([Type.Literal('go'), Type.Literal('repeat'), Type.Literal('abort')]),
    },
    strict,
  ),
  /** Confirms that a camera that had moved shows the right view. */
  Type.Object({ op: Type.Literal('confirm-view') }, strict),
  /** Issues the receipt of the installation, and sends it to the room. */
  Type.Object({ op: Type.Literal('receipt') }, strict),
  /** Requests the still of the newest receipt; a message `still` precedes the answer. */
  Type.Object({ op: Type.Literal('receipt-still') }, strict),
]);
export type PageAsk = Static<typeof PageAsk>;

export const FromPage = Type.Object(
  { kind: Type.Literal('ask'), request: Type.Integer({ minimum: 1 }), session: Session, ask: PageAsk },
  strict,
);
export type FromPage = Static<typeof FromPage>;

const SeenTrack = Type.Object(
  {
    track: Type.Integer({ minimum: 1 }),
    group: ObjectGroup,
    label: ObjectLabel,
    xyxyNorm: XyxyNorm,
  },
  strict,
);
export type SeenTrack = Static<typeof SeenTrack>;

export const ToPage = Type.Union([
  /** `refused` is a one-line reason why nothing was done, with `code` if there is one for it. */
  Type.Object(
    {
      kind: Type.Literal('answer'),
      request: Type.Integer({ minimum: 1 }),
      refused: Type.Union([Type.Null(), Type.Object({ code: Text, reason: Text }, strict)]),
      state: Type.Union([AgentView, Type.Null()]),
    },
    strict,
  ),
  /** Still of the newest receipt; the JPEG is the binary part. */
  Type.Object({ kind: Type.Literal('still'), request: Type.Integer({ minimum: 1 }) }, strict),
  /** Sent to all viewers; the JPEG is the binary part. */
  Type.Object(
    {
      kind: Type.Literal('picture'),
      widthPx: Count,
      heightPx: Count,
      atMs: Type.Number({ minimum: 0 }),
      tracks: Type.Array(SeenTrack, { maxItems: 256 }),
    },
    strict,
  ),
  /** A client locked out for wrong codes may retry, by command of the room. */
  Type.Object({ kind: Type.Literal('unlock-pairing') }, strict),
  /** The shown picture must be removed. `viewer`: only for this one. */
  Type.Object(
    {
      kind: Type.Literal('no-picture'),
      why: NoPictureSchema,
      reason: Text,
      viewer: Type.Union([Count, Type.Null()]),
    },
    strict,
  ),
]);
export type ToPage = Static<typeof ToPage>;

export type PagePicture = Extract<ToPage, { kind: 'picture' }>;
