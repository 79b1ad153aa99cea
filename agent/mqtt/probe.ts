/**
 * Tests the broker once, for `doctor` without a running agent.
 * It connects as the box. A broker identifies a box only by its certificate, so a running agent would lose its
 * connection.
 */
import { systemClock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import { withoutSecret } from '../base/log.ts';
import type { MqttConfig } from '../contract/config.ts';
import { topicsOf } from '../contract/topics.ts';
import { DeliveryError, deliveryError } from './connection-errors.ts';
import { type Credentials, readCredentials } from './credentials.ts';
import type { Message } from './publish-packet.ts';
import { openSession, type Session } from './session.ts';

/** Period before the expiry of the certificate in which to warn, in ms: time to send a technician. */
const RENEW_BEFORE_MS = 30 * 86_400_000;

/** The largest message of a box has 256 KiB, plus topic and properties: docs/guide/broker.md. */
const PACKET_BYTES = 300_000;

export type BrokerProbe =
  | { readonly ok: true; readonly detail: string }
  | { readonly ok: false; readonly reason: string; readonly fix: string };

/**
 * Connects with the box's certificate, subscribes to its own topic and publishes to it. Never throws for external
 * faults; each has a reason and a fix, each on one line.
 */
export async function probeBroker(
  config: MqttConfig,
  { site, box }: { readonly site: string; readonly box: string },
  timeoutMs: number,
): Promise<BrokerProbe> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  try {
    const credentials = readCredentials(config);
    const wrong = checkCertificate(credentials, box);
    if (wrong !== undefined) return { ok: false, ...wrong };
    const beganMs = systemClock.nowMs();
    const session = await openSession(
      {
        config,
        credentials,
        clientId: box,
        keepaliveS: 30,
        connectTimeoutMs: timeoutMs,
        clock: systemClock,
        onMessage: () => undefined,
      },
      deadline.signal,
    );
    try {
      const topics = topicsOf(site, box);
      await Promise.race([use(session, topics), failWhenClosed(session)]);
      const tookMs = Math.round(systemClock.nowMs() - beganMs);
      const answered = `${withoutSecret(config.url)} answered in ${tookMs} ms`;
      return { ok: true, detail: [answered, validity(credentials), ...shortcomings(session)].join('; ') };
    } finally {
      await session.end(1000);
    }
  } catch (error) {
    if (deadline.signal.aborted) {
      const reason = `broker ${withoutSecret(config.url)}: no answer within ${timeoutMs / 1000} s`;
      return { ok: false, reason, fix: 'check host, port and firewall, and that it is an MQTT 5 broker' };
    }
    if (error instanceof AgentError && !(error instanceof DeliveryError)) {
      const [reason, fix] = error.message.split('; ');
      return { ok: false, reason: reason ?? error.message, fix: fix ?? 'correct it in the configuration' };
    }
    const { reason, fix } = deliveryError(error, config.url);
    return { ok: false, reason, fix };
  } finally {
    clearTimeout(timer);
  }
}

async function use(session: Session, topics: ReturnType<typeof topicsOf>): Promise<void> {
  await session.subscribe(topics.ack);
  await new Promise<void>((resolve, reject) => {
    const message: Message = {
      topic: topics.probe,
      payload: '{}',
      qos: 1,
      retain: false,
      contentType: 'application/json',
    };
    session.publish(message, (refusal) => (refusal === undefined ? resolve() : reject(refusal)));
  });
}

async function failWhenClosed(session: Session): Promise<never> {
  throw await session.closed;
}

function checkCertificate(
  credentials: Credentials,
  box: string,
): { reason: string; fix: string } | undefined {
  const { certificate } = credentials;
  if (certificate === undefined) return undefined;
  const name = /(?:^|\n)CN=([^\n]*)/.exec(certificate.subject)?.[1];
  if (name !== box) {
    const reason = `mqtt.cert: its CN is ${name ?? 'missing'}, the box is ${box}`;
    return { reason, fix: 'use the certificate made for this box, or correct `box`' };
  }
  if (Date.parse(certificate.validTo) < Date.now()) {
    const reason = `mqtt.cert: the certificate expired on ${certificate.validTo}`;
    return { reason, fix: 'renew it, or set the clock of the box' };
  }
  return undefined;
}

/** Returns the limitations of a working broker. */
function shortcomings({ packetBytesMax, retain }: Session): string[] {
  return [
    ...(packetBytesMax < PACKET_BYTES
      ? [
          `it takes messages of at most ${packetBytesMax} bytes: larger pictures will be left out (allow ${PACKET_BYTES})`,
        ]
      : []),
    ...(retain
      ? []
      : ['it keeps no retained messages: clients that connect later do not receive the state of the box']),
  ];
}

function validity({ certificate }: Credentials): string {
  if (certificate === undefined) return 'no certificate is used';
  const soon = Date.parse(certificate.validTo) - Date.now() < RENEW_BEFORE_MS;
  return `certificate valid until ${certificate.validTo}${soon ? ' (renew it soon)' : ''}`;
}
