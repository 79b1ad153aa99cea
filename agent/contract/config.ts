/**
 * Configuration of one box: its only schema. `agent/config` reads, checks and describes it. The other folders receive
 * slices of the types below.
 */

import { type Static, Type } from '@sinclair/typebox';
import { SOURCE_CHARS_MAX } from './camera-address.ts';
import { PERMISSIONS } from './command.ts';
import { id, strict } from './config-fields.ts';
import { CPU_BACKEND, DETECTOR_BACKEND_NAMES } from './detector-backend.ts';
import { PointNorm } from './geometry.ts';
import { INFERENCE_ELEMENTS } from './inference-element.ts';
import { MetricsConfig } from './metrics-config.ts';
import { RuleConfig } from './rule-config.ts';

const Polygon = Type.Array(PointNorm, {
  minItems: 3,
  maxItems: 64,
  description: 'corners [x, y], normalised to the source frame (0..1, origin top left)',
});

const AbsolutePath = (description: string) => Type.String({ pattern: '^/', maxLength: 4096, description });

export const ZoneConfig = Type.Object({ id: id('name of the zone'), polygon: Polygon }, strict);
export type ZoneConfig = Static<typeof ZoneConfig>;

export const LineConfig = Type.Object(
  {
    id: id('name of the line'),
    from: { ...PointNorm, title: 'first end [x, y]' },
    to: { ...PointNorm, title: 'other end [x, y]' },
  },
  strict,
);
export type LineConfig = Static<typeof LineConfig>;

export const MaskConfig = Type.Object({ id: id('name of the mask'), polygon: Polygon }, strict);
export type MaskConfig = Static<typeof MaskConfig>;

const InputSide = Type.Integer({ minimum: 32, maximum: 1920, multipleOf: 32 });

/** Address of a second stream; `secondStreamProblem` compares it with `source`. */
export const SubstreamAddress = Type.String({
  // Only parseCameraSource parses the rest.
  pattern: '^[rR][tT][sS][pP]://',
  maxLength: SOURCE_CHARS_MAX,
  description:
    'rtsp://[user:password@]host[:port]/path of a small second stream of the same camera, which only wakes the box on a quiet street',
});

export const CameraConfig = Type.Object(
  {
    source: Type.String({
      // Only parseCameraSource parses the rest.
      pattern: '^([rR][tT][sS][pP]://|file:|v4l2:|libcamera:|test:pattern$)',
      maxLength: SOURCE_CHARS_MAX,
      description:
        'rtsp://[user:password@]host[:port]/path, file:/path/clip.mp4, v4l2:/dev/video0, libcamera: or test:pattern',
    }),
    fps: Type.Number({
      minimum: 0.2,
      maximum: 30,
      default: 5,
      description:
        'analysed frames per second: the usual rate, and the mean that quick things and a still street may cost',
    }),
    substream: Type.Optional(SubstreamAddress),
  },
  strict,
);
export type CameraConfig = Static<typeof CameraConfig>;

const ModelName = Type.String({
  pattern: '^[a-z0-9-]{1,64}$',
  description: 'the name of a model card in models/',
});

export const ElementConfig = Type.Object(
  {
    name: Type.Union(
      Object.keys(INFERENCE_ELEMENTS).map((name) => Type.Literal(name)),
      { description: 'the GStreamer element that runs the model' },
    ),
    model: {
      ...ModelName,
      description:
        'the card, in models/, of the model made for this element; `detector.model` runs while it cannot',
    },
    properties: Type.Array(
      Type.String({ pattern: '^[a-z-]{1,32}=[A-Za-z0-9.]{1,32}$', description: 'property=value' }),
      {
        maxItems: 8,
        default: [],
        description: 'properties to set on the element, in the syntax of gst-launch-1.0',
      },
    ),
  },
  strict,
);
export type ElementConfig = Static<typeof ElementConfig>;

export const DetectorConfig = Type.Object(
  {
    model: { ...ModelName, default: 'nanodet-g-city10' },
    input: Type.Tuple([InputSide, InputSide], {
      default: [416, 256],
      description: 'width and height of the detector input, multiples of 32',
    }),
    backend: Type.Union(
      DETECTOR_BACKEND_NAMES.map((name) => Type.Literal(name)),
      {
        default: CPU_BACKEND,
        description:
          'runtime of the model: `onnxruntime`, inside the program; `gstreamer`, a GStreamer element; `onnxruntime-library`, an ONNX Runtime that is installed on the box',
      },
    ),
    providers: Type.Array(Type.String({ pattern: '^[a-z]{1,16}$', description: '1 to 16 of a-z' }), {
      minItems: 1,
      maxItems: 8,
      default: ['cpu'],
      description:
        'ONNX Runtime execution providers, tried in this order; cpu is always the last resort; `onnxruntime-library` takes tensorrt, cuda, openvino and cpu',
    }),
    element: Type.Optional(ElementConfig),
  },
  strict,
);
export type DetectorConfig = Static<typeof DetectorConfig>;

export const MqttConfig = Type.Object(
  {
    url: Type.String({
      pattern: '^mqtts?://',
      maxLength: 1024,
      description: 'mqtts://host:port of the room (plain mqtt:// to a broker on this machine only)',
    }),
    ca: Type.Optional(
      AbsolutePath('the absolute path of the PEM file of the broker’s certificate authority'),
    ),
    cert: Type.Optional(
      AbsolutePath('the absolute path of the PEM file of the box’s certificate; its CN equals `box`'),
    ),
    key: Type.Optional(
      AbsolutePath('the absolute path of the PEM file of the box’s private key, mode 0640 or narrower'),
    ),
    ack: Type.Union([Type.Literal('archive'), Type.Literal('broker')], {
      default: 'archive',
      description:
        'acknowledgement that removes a row from the outbox: `archive`, the cumulative acknowledgement of an archive in the room (without it, the box keeps all rows and reports this after 60 s); `broker`, the broker’s PUBACK, for a room that runs no archive',
    }),
  },
  strict,
);
export type MqttConfig = Static<typeof MqttConfig>;

export const RetentionConfig = Type.Object(
  {
    eventsDays: Type.Integer({
      minimum: 1,
      maximum: 366,
      default: 30,
      description: 'days of event metadata',
    }),
    snapshotsDays: Type.Integer({
      minimum: 1,
      maximum: 30,
      default: 7,
      description: 'days of redacted snapshots',
    }),
    sealedDays: Type.Integer({
      minimum: 1,
      maximum: 30,
      default: 30,
      description: 'days of sealed evidence',
    }),
    outboxMiB: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 64,
      description:
        'largest size of the outbox on disk, MiB; when it is full, the least important events are deleted first',
    }),
    tracksMiB: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 128,
      description:
        'largest size of the log of tracks on disk, MiB, if an authorisation allows one; when it is full, the oldest tracks are deleted first',
    }),
    archiveMiB: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 64,
      description:
        'largest size of the event archive on disk, MiB; when it is full, the oldest events go first',
    }),
  },
  { ...strict, default: {} },
);
export type RetentionConfig = Static<typeof RetentionConfig>;

export const MarkedPerson = Type.Object(
  {
    feet: { ...PointNorm, title: 'the person’s feet, [x, y]' },
    head: { ...PointNorm, title: 'top of the head, [x, y]' },
  },
  strict,
);

export const GroundPlaneConfig = Type.Object(
  {
    people: Type.Array(MarkedPerson, {
      minItems: 2,
      maxItems: 2,
      description: 'two upright adults on the same flat ground, one near the camera and one far from it',
    }),
    hfovDeg: Type.Optional(
      Type.Number({
        minimum: 10,
        maximum: 170,
        description:
          'horizontal angle of view of the lens, degrees; with it, crowds are reported in people per m²',
      }),
    ),
  },
  strict,
);
export type GroundPlaneConfig = Static<typeof GroundPlaneConfig>;

const bridge = (description: string) => Type.Boolean({ default: false, description });

export const BridgesConfig = Type.Object(
  {
    onvif: bridge('events in the form of ONVIF’s event broker, under `vigie/<site>/<box>/onvif-ej/`'),
    homeAssistant: bridge(
      'MQTT discovery for Home Assistant, with each alert’s redacted still; the broker must let the box write `homeassistant/+/<box>/+/config`',
    ),
  },
  { ...strict, default: {} },
);
export type BridgesConfig = Static<typeof BridgesConfig>;

export const CommandKey = Type.Object(
  {
    name: id('name of the keyholder, for the audit log'),
    publicKey: Type.String({
      // SubjectPublicKeyInfo of ed25519 (RFC 8410): 12 constant bytes, then the key.
      pattern: '^MCowBQYDK2VwAyEA[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$',
      title: 'ed25519 public key',
      description: 'the line between BEGIN and END of an ed25519 public key in PEM form',
    }),
    may: Type.Array(Type.Union(PERMISSIONS.map((op) => Type.Literal(op))), {
      minItems: 1,
      maxItems: 16,
      uniqueItems: true,
      title: 'the commands and orders that it may sign',
    }),
  },
  strict,
);
export type CommandKey = Static<typeof CommandKey>;

/** Key of a person whom an authorisation names. */
export const Keyholder = Type.Object(
  { name: id('name of the keyholder'), publicKey: CommandKey.properties.publicKey },
  strict,
);
export type Keyholder = Static<typeof Keyholder>;

export const CommandsConfig = Type.Object(
  { keys: Type.Array(CommandKey, { maxItems: 16, default: [] }) },
  { ...strict, default: {} },
);

export const Config = Type.Object(
  {
    site: id('name of the site, the first level of every topic'),
    box: id('name of the box, the second level of every topic; equals the certificate’s CN'),
    camera: Type.Optional(CameraConfig),
    detector: Type.Object(DetectorConfig.properties, { ...strict, default: {} }),
    groundPlane: Type.Optional(GroundPlaneConfig),
    zones: Type.Array(ZoneConfig, { maxItems: 64, default: [] }),
    lines: Type.Array(LineConfig, { maxItems: 64, default: [] }),
    masks: Type.Array(MaskConfig, { maxItems: 64, default: [] }),
    rules: Type.Array(RuleConfig, { maxItems: 64, default: [] }),
    alertsPerHour: Type.Integer({
      minimum: 1,
      maximum: 3600,
      default: 60,
      description:
        'alerts of one rule within an hour; more are suppressed, counted and reported as one event',
    }),
    timeZone: Type.String({
      minLength: 1,
      maxLength: 64,
      default: 'Europe/Paris',
      description: 'IANA name of the site’s time zone; schedules and displayed times of day use it',
    }),
    holidays: Type.Array(Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$', description: 'YYYY-MM-DD' }), {
      maxItems: 366,
      default: [],
      description: 'public holidays, for schedules',
    }),
    authorisation: Type.Optional(
      AbsolutePath('the absolute path of the signed authorisation (DSSE); without it, the analysis is off'),
    ),
    installation: Type.Optional(
      AbsolutePath(
        'the absolute path of a signed installation authorisation (DSSE): if no other authorisation is valid, the box analyses video under it, but no rule runs',
      ),
    ),
    authorityKey: Type.Optional(
      AbsolutePath(
        'the absolute path of the authority’s ed25519 public key, PEM, writable by its owner only',
      ),
    ),
    mqtt: Type.Optional(MqttConfig),
    bridges: BridgesConfig,
    retention: RetentionConfig,
    commands: CommandsConfig,
    metrics: MetricsConfig,
  },
  strict,
);
export type Config = Static<typeof Config>;
