/** Explains errors of MQTT.js, TLS and the network to a person; the only module that interprets them. */
import { AgentError, type ErrorKind, messageOf } from '../base/errors.ts';
import { withoutSecret } from '../base/log.ts';
import { NETWORK_PROBLEMS } from '../base/network-error.ts';
import type { DeliveryFaultCode } from '../contract/health.ts';

/** Fault of the delivery; `message` is reason and fix on one line. */
export class DeliveryError extends AgentError {
  readonly code: DeliveryFaultCode;
  readonly reason: string;
  readonly fix: string;
  /** Reason code sent by the broker (MQTT 5.0, 2.4); undefined if it sent none. */
  readonly reasonCode: number | undefined;

  constructor(
    code: DeliveryFaultCode,
    reason: string,
    fix: string,
    from?: { cause?: unknown; reasonCode?: number | undefined },
  ) {
    super(KINDS[code], `${reason}; ${fix}`, from?.cause);
    this.code = code;
    this.reason = reason;
    this.fix = fix;
    this.reasonCode = from?.reasonCode;
  }
}

const KINDS: Record<DeliveryFaultCode, ErrorKind> = {
  unreachable: 'unavailable',
  certificate: 'denied',
  denied: 'denied',
  'identity-conflict': 'denied',
  protocol: 'unavailable',
  configuration: 'config',
};

type Explanation = readonly [DeliveryFaultCode, string, string];

const MTLS_FIX =
  'check that the certificate is valid, signed by the authority the broker trusts, and not revoked (mqtt.cert, mqtt.key); the broker’s log names the reason';
const BROKER_CERT_FIX = 'check mqtt.ca and the broker’s certificate; there is no fallback to plaintext';

const NOT_MQTT_5: Explanation = [
  'protocol',
  'the broker does not speak MQTT 5',
  'use a broker with MQTT 5 (Mosquitto 2)',
];

const NO_QOS_1: Explanation = [
  'protocol',
  'the broker offers no QoS 1: nothing can be delivered to it',
  'allow QoS 1 at the broker, or name another in mqtt.url',
];

/** The largest message of a box has 256 KiB, plus topic and properties. */
const LARGER_FIX = 'allow messages of 300000 bytes at the broker (Mosquitto: max_packet_size 300000)';

/** MQTT 5 reason codes of CONNACK, DISCONNECT and PUBACK (MQTT 5.0, 2.4). */
const REASON_CODES: Readonly<Record<number, Explanation>> = {
  // Code used by a broker of MQTT 3.1.1 (3.1.1, 3.2.2.3).
  1: NOT_MQTT_5,
  132: NOT_MQTT_5,
  133: ['denied', 'the broker refuses the client identifier', 'allow it in the broker’s configuration'],
  134: [
    'denied',
    'the broker refuses user name or password',
    'correct them in mqtt.url, or use a certificate',
  ],
  135: [
    'denied',
    'the broker does not authorise the box',
    'check the certificate’s CN and the ACL (readwrite vigie/+/<box>/#)',
  ],
  136: ['unreachable', 'the broker is not available', 'see the broker’s log'],
  137: ['unreachable', 'the broker is busy', 'see the broker’s connection limits'],
  138: ['denied', 'the broker has banned the box', 'lift the ban at the broker'],
  139: ['unreachable', 'the broker is shutting down', 'start it again'],
  141: ['unreachable', 'the broker heard nothing for too long', 'check the link'],
  142: [
    'identity-conflict',
    'another client connects under the name of this box',
    'find the second box with the same certificate or name; each needs its own',
  ],
  147: [
    'protocol',
    'the broker says that too many messages were in flight',
    'report it: the window is to be smaller',
  ],
  149: ['protocol', 'a message is too large for the broker', LARGER_FIX],
  151: ['denied', 'the broker’s quota is used up', 'raise the quota at the broker'],
  152: ['denied', 'the connection was ended by an administrator', 'ask the administrator of the broker'],
  153: ['protocol', 'the broker refuses the payload format', 'report it'],
  154: [
    'protocol',
    'the broker keeps no retained messages',
    'the box continues without them; allow retained messages at the broker, or only connected clients know its state',
  ],
  155: NO_QOS_1,
  159: ['unreachable', 'the broker limits the rate of connections', 'nothing: the box tries again later'],
};

/** Codes of Node's net, dns and tls. */
const SYSTEM_CODES: Readonly<Record<string, Explanation>> = {
  ECONNREFUSED: ['unreachable', NETWORK_PROBLEMS.ECONNREFUSED, 'start the broker, or correct mqtt.url'],
  ENOTFOUND: ['unreachable', NETWORK_PROBLEMS.ENOTFOUND, 'correct the host in mqtt.url, or fix the DNS'],
  EAI_AGAIN: ['unreachable', NETWORK_PROBLEMS.EAI_AGAIN, 'check the network and its DNS'],
  EHOSTUNREACH: ['unreachable', NETWORK_PROBLEMS.EHOSTUNREACH, 'check the network'],
  ENETUNREACH: ['unreachable', NETWORK_PROBLEMS.ENETUNREACH, 'check cable and address of the box'],
  ETIMEDOUT: ['unreachable', NETWORK_PROBLEMS.ETIMEDOUT, 'check the network and the firewall'],
  CERT_HAS_EXPIRED: [
    'certificate',
    'the broker’s certificate has expired',
    'renew it (or set the box’s clock)',
  ],
  CERT_NOT_YET_VALID: ['certificate', 'the broker’s certificate is not valid yet', 'set the box’s clock'],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'certificate',
    'the broker’s certificate is for another host name',
    'use the name in the certificate as the host in mqtt.url',
  ],
  ERR_SSL_WRONG_VERSION_NUMBER: [
    'protocol',
    'the port does not speak TLS',
    'correct the port in mqtt.url (8883?)',
  ],
  ERR_SSL_PACKET_LENGTH_TOO_LONG: [
    'protocol',
    'the port does not speak TLS',
    'correct the port in mqtt.url (8883?)',
  ],
};

const UNTRUSTED = /SELF_SIGNED|UNABLE_TO|CERT_UNTRUSTED|CERT_SIGNATURE|INVALID_CA|CERT_CHAIN|CERT_REJECTED/;
const EXPIRED_ALERT = /^ERR_SSL_.*ALERT_CERTIFICATE_EXPIRED$/;
const REFUSING_ALERT =
  /^ERR_SSL_.*ALERT_(BAD_CERTIFICATE|CERTIFICATE_|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|HANDSHAKE_FAILURE|DECRYPT_ERROR)/;

/** Replacements of the box's keys by options of the room's programs, which run on a machine that is not a box. */
const ROOM_WORDS: readonly (readonly [RegExp, string])[] = [
  [/mqtt\.url/g, '--broker'],
  [/mqtt\.(ca|cert|key)\b/g, '--$1'],
  [/the box’s/g, 'this machine’s'],
  [/(?:the|this) box\b/g, 'this program'],
  [/second box/g, 'second program'],
  [/readwrite vigie\/\+\/<box>\/#/g, 'docs/guide/broker.md'],
];

/** Returns the text of deliveryError in one line, for a program of the room that was given the broker by `--broker`. */
export function roomBrokerProblem(error: unknown, url: string): string {
  const { message } = deliveryError(error, url);
  return ROOM_WORDS.reduce((text, [box, room]) => text.replace(box, room), message);
}

/** Converts any error. With TLS configured, a bare reset may be a certificate refused in TLS 1.3. */
export function deliveryError(error: unknown, url: string): DeliveryError {
  if (error instanceof DeliveryError) return error;
  const context = withoutSecret(url);
  if (error instanceof AgentError) {
    const fix = 'the box buffers until it is corrected';
    return new DeliveryError('configuration', error.message, fix, { cause: error });
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const [deliveryCode, problem, fix] = explain(code, url.startsWith('mqtts:'), messageOf(error));
  const reasonCode = typeof code === 'number' ? code : undefined;
  return new DeliveryError(deliveryCode, `broker ${context}: ${problem}`, fix, { cause: error, reasonCode });
}

/** Converts a reason code sent by the broker. */
export function deliveryErrorOf(reasonCode: number, context: string): DeliveryError {
  const [deliveryCode, problem, fix] = explain(reasonCode, false, `reason code ${reasonCode}`);
  return new DeliveryError(deliveryCode, `${context}: ${problem}`, fix, { reasonCode });
}

/** Returns the error for an unsent message: the broker accepts none beyond `bytesMax`. */
export function tooLargeError(context: string, bytes: number, bytesMax: number): DeliveryError {
  const reason = `${context}: ${bytes} bytes, the broker takes at most ${bytesMax} bytes`;
  return new DeliveryError('protocol', reason, LARGER_FIX);
}

function explain(code: unknown, tls: boolean, text: string): Explanation {
  if (typeof code === 'number') {
    return REASON_CODES[code] ?? ['protocol', `${text} (code ${code})`, 'see the broker’s log'];
  }
  if (typeof code === 'string') {
    const explanation = SYSTEM_CODES[code];
    if (explanation !== undefined) return explanation;
    if (EXPIRED_ALERT.test(code)) {
      return [
        'certificate',
        'the broker says that the box’s certificate has expired',
        'renew it (mqtt.cert)',
      ];
    }
    if (REFUSING_ALERT.test(code)) {
      return ['certificate', `the broker refuses the box’s certificate (${code})`, MTLS_FIX];
    }
    if (UNTRUSTED.test(code)) {
      return ['certificate', `the broker’s certificate is not trusted (${code})`, BROKER_CERT_FIX];
    }
    if (/^(ECONNRESET|EPIPE)$/.test(code)) return closed(tls);
  }
  if (/connack timeout/.test(text)) {
    return [
      'unreachable',
      'no answer to CONNECT in time',
      'check that it is an MQTT 5 broker and not overloaded',
    ];
  }
  return ['unreachable', text, 'check the network and the broker’s log'];
}

function closed(tls: boolean): Explanation {
  return tls
    ? [
        'unreachable',
        'the connection was closed',
        'if it never opens, the port may not speak TLS (8883?) or the broker may refuse the certificate: see its log',
      ]
    : ['unreachable', 'the connection was closed', 'see the broker’s log'];
}

/** Returns the error for a connection that the broker closed without a reason. */
export function closedError(url: string): DeliveryError {
  const [deliveryCode, problem, fix] = closed(url.startsWith('mqtts:'));
  return new DeliveryError(deliveryCode, `broker ${withoutSecret(url)}: ${problem}`, fix);
}
