/**
 * List of every MQTT message that crosses the box's border. docs/ref/events.schema.json and docs/ref/asyncapi.yaml are
 * generated from it. To add a message, add one entry here and run `npm run docs`.
 */
import { type TSchema, Type } from '@sinclair/typebox';
import { ACK_BYTES_MAX, Ack } from './ack.ts';
import { BRIDGE_MESSAGES } from './bridge.ts';
import { TO_BOX_BYTES_MAX } from './broker-connection.ts';
import { COMMAND_BYTES_MAX, CommandReply, Envelope, envelopeOf, REPLY_EXPIRY_S } from './command.ts';
import { EVENT_CONTENT_TYPE, VigieEvent } from './event.ts';
import { HealthReport, StatusReport } from './health.ts';
import { BODY_BYTES_MAX, GapEvent } from './outbox.ts';
import { SNAPSHOT_BYTES_MAX } from './redacted-jpeg.ts';
import { CONFIG_ORDER_BYTES_MAX, UPDATE_ORDER_BYTES_MAX, UPDATE_REPORT_BYTES_MAX } from './update.ts';
import { VERDICT_BYTES_MAX, Verdict } from './verdict.ts';

export interface MessageContract {
  /** Name in the schema's `$defs` and in AsyncAPI's messages. */
  readonly name: string;
  readonly summary: string;
  /** Topic with `{site}`, `{box}` and further parameters. Each parameter is one level unless `levels` names it. */
  readonly topic: string;
  /** Parameters of the topic that may span several levels. */
  readonly levels?: readonly string[];
  readonly direction: 'from-box' | 'to-box';
  readonly contentType: string;
  /** Undefined for pictures and plain text. */
  readonly schema?: TSchema;
  /** Largest payload in bytes. If undefined, only the broker limits it. */
  readonly bytesMax?: number;
  readonly qos: 0 | 1;
  readonly retained: boolean;
  /** Sent from the outbox, with the user properties `lane`, `seq` and `boot`. */
  readonly numbered: boolean;
  /** Message expiry: the remaining retention of snapshots, or a number of seconds. */
  readonly expires?: 'retention' | number;
  /** An empty payload removes the retained message. */
  readonly removable?: boolean;
}

const JSON_TYPE = 'application/json';
const root = 'vigie/{site}/{box}';
const fromBox = { direction: 'from-box', contentType: JSON_TYPE, retained: false, numbered: false } as const;
const toBox = {
  direction: 'to-box',
  contentType: JSON_TYPE,
  bytesMax: TO_BOX_BYTES_MAX,
  qos: 1,
  retained: false,
  numbered: false,
} as const;

export const MESSAGES: readonly MessageContract[] = [
  {
    ...fromBox,
    name: 'StatusReport',
    summary: 'Whether the box is there; `offline` is its Last Will.',
    topic: `${root}/status`,
    schema: StatusReport,
    qos: 1,
    retained: true,
  },
  {
    ...fromBox,
    name: 'HealthReport',
    summary: 'How the box is, every 30 s.',
    topic: `${root}/health`,
    schema: HealthReport,
    qos: 0,
    retained: true,
  },
  {
    ...fromBox,
    name: 'Mode',
    summary:
      'Whether the box analyses video: a ModeStatement in a DSSE envelope, signed by the key of its journal; sent when it changes and on every connection.',
    topic: `${root}/mode`,
    schema: Envelope,
    qos: 1,
    retained: true,
  },
  {
    ...fromBox,
    name: 'JournalHead',
    summary:
      'The journal’s newest checkpoint (c2sp.org/tlog-checkpoint), when it changed, once a minute at most.',
    topic: `${root}/journal/head`,
    contentType: 'text/plain; charset=utf-8',
    qos: 1,
    retained: true,
  },
  {
    ...fromBox,
    name: 'JournalGrowth',
    summary:
      'The newest checkpoint with the proof that it continues the one that the witness cosigned last (c2sp.org/tlog-witness, body of add-checkpoint).',
    topic: `${root}/journal/consistency`,
    contentType: 'text/plain; charset=utf-8',
    qos: 1,
    retained: true,
  },
  {
    ...toBox,
    name: 'JournalWitnessed',
    summary: 'The newest checkpoint that the witness has cosigned (c2sp.org/tlog-cosignature).',
    topic: `${root}/journal/cosigned`,
    contentType: 'text/plain; charset=utf-8',
    retained: true,
  },
  {
    ...fromBox,
    name: 'VigieEvent',
    summary: 'Something began, goes on or has ended, in the street or in the box itself.',
    topic: `${root}/evt/{severity}/{kind}`,
    contentType: EVENT_CONTENT_TYPE,
    schema: VigieEvent,
    bytesMax: BODY_BYTES_MAX,
    qos: 1,
    numbered: true,
  },
  {
    ...fromBox,
    name: 'GapEvent',
    summary: 'Numbers of a lane that will not come, and why. Their range counts as present.',
    topic: `${root}/evt/system/outbox-gap`,
    contentType: EVENT_CONTENT_TYPE,
    schema: GapEvent,
    bytesMax: BODY_BYTES_MAX,
    qos: 1,
    numbered: true,
  },
  {
    ...fromBox,
    name: 'Snapshot',
    summary:
      'A redacted still. Its name is the event’s id, with `.before` or `.deposit` for earlier moments.',
    topic: `${root}/snap/{picture}`,
    contentType: 'image/jpeg',
    bytesMax: SNAPSHOT_BYTES_MAX,
    qos: 1,
    numbered: true,
    expires: 'retention',
  },
  {
    ...fromBox,
    name: 'Probe',
    summary: '`vigie doctor` tests whether publishing is allowed; no subscriber is needed.',
    topic: `${root}/probe`,
    schema: Type.Object({}, { additionalProperties: false }),
    qos: 1,
  },
  {
    ...toBox,
    name: 'Ack',
    summary: 'The room’s archive has stored everything of a lane through a number. Cumulative.',
    topic: `${root}/ack`,
    schema: Ack,
    bytesMax: ACK_BYTES_MAX,
  },
  {
    ...toBox,
    name: 'Verdict',
    summary: 'Review of an alert by the room’s operators, without names.',
    topic: `${root}/verdict`,
    schema: Verdict,
    bytesMax: VERDICT_BYTES_MAX,
  },
  {
    ...toBox,
    name: 'Command',
    summary: 'A signed command (DSSE) for one box; its answer goes to the response topic.',
    topic: `${root}/cmd`,
    schema: Envelope,
    bytesMax: COMMAND_BYTES_MAX,
  },
  {
    ...toBox,
    name: 'CommandForAll',
    summary: 'A signed command (DSSE) for every box of the site; each answers on its own topic.',
    topic: 'vigie/{site}/all/cmd',
    schema: Envelope,
    bytesMax: COMMAND_BYTES_MAX,
  },
  {
    ...fromBox,
    name: 'CommandReply',
    summary: 'Result of a command, with its correlation data.',
    topic: `${root}/reply/{token}`,
    schema: CommandReply,
    qos: 1,
    expires: REPLY_EXPIRY_S,
  },
  {
    ...toBox,
    name: 'UpdateDesired',
    summary:
      'The release of the agent or of root’s program (`what`) that the room wants on the box: an UpdateOrder in a DSSE envelope, by a key that may `update`; empty once it is withdrawn.',
    topic: `${root}/update/desired`,
    schema: Envelope,
    bytesMax: UPDATE_ORDER_BYTES_MAX,
    retained: true,
  },
  {
    ...toBox,
    name: 'ConfigDesired',
    summary:
      'The configuration that the room wants on the box: a ConfigOrder in a DSSE envelope, by a key that may `configure`.',
    topic: `${root}/config/desired`,
    schema: envelopeOf(CONFIG_ORDER_BYTES_MAX, 1),
    bytesMax: CONFIG_ORDER_BYTES_MAX,
    retained: true,
  },
  {
    ...fromBox,
    name: 'UpdateReported',
    summary:
      'Running releases of the box and its update progress, also of root’s program: an UpdateReport in a DSSE envelope, signed by the key of its journal; sent on every connection, when it changes, and every hour.',
    topic: `${root}/update/reported`,
    schema: Envelope,
    bytesMax: UPDATE_REPORT_BYTES_MAX,
    qos: 1,
    retained: true,
  },
  ...BRIDGE_MESSAGES,
];
