/** Content of one PUBLISH, and its size on the wire. */
import type { IClientPublishOptions } from 'mqtt';

export interface Message {
  readonly topic: string;
  readonly payload: string | Buffer;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  readonly contentType: string;
  readonly expiryS?: number;
  readonly userProperties?: Readonly<Record<string, string>>;
  readonly correlation?: Uint8Array;
  readonly responseTopic?: string;
}

export function publishOptions(message: Message): IClientPublishOptions {
  const { qos, retain, contentType, expiryS, userProperties, correlation, responseTopic } = message;
  return {
    qos,
    retain,
    properties: {
      contentType,
      ...(expiryS !== undefined && { messageExpiryInterval: expiryS }),
      ...(userProperties && { userProperties: { ...userProperties } }),
      ...(responseTopic !== undefined && { responseTopic }),
      ...(correlation && { correlationData: Buffer.from(correlation) }),
    },
  };
}

/**
 * Returns the size of the complete packet (MQTT 5.0, 3.3) in bytes, which a broker compares with its Maximum Packet
 * Size.
 */
export function packetBytes(message: Message): number {
  const {
    topic,
    payload,
    qos,
    contentType,
    expiryS,
    userProperties = {},
    correlation,
    responseTopic,
  } = message;
  const userEntries = Object.entries(userProperties);
  // A property is one byte for its identifier, and its value. Texts and binary data have a length of two bytes.
  const properties =
    1 +
    fieldBytes(contentType) +
    (expiryS === undefined ? 0 : 1 + 4) +
    (responseTopic === undefined ? 0 : 1 + fieldBytes(responseTopic)) +
    (correlation === undefined ? 0 : 1 + 2 + correlation.length) +
    userEntries.reduce((sum, [name, value]) => sum + 1 + fieldBytes(name) + fieldBytes(value), 0);
  const packetIdBytes = qos === 0 ? 0 : 2;
  const remaining =
    fieldBytes(topic) + packetIdBytes + integerBytes(properties) + properties + Buffer.byteLength(payload);
  return 1 + integerBytes(remaining) + remaining;
}

function fieldBytes(text: string): number {
  return 2 + Buffer.byteLength(text);
}

/** Returns the size of a variable byte integer (MQTT 5.0, 1.5.5). */
function integerBytes(value: number): number {
  if (value < 128) return 1;
  if (value < 16_384) return 2;
  return value < 2_097_152 ? 3 : 4;
}
