/**
 * Client that sends the same message repeatedly until it is killed: `URL CA CERT KEY TOPIC PAYLOAD QOS PER_S`. A `#` in
 * the payload becomes the message number, as in messages of an outbox. Prints the number of messages handed over, once
 * a second.
 */
import { readFileSync } from 'node:fs';
import mqtt from 'mqtt';

const [url = '', ca = '', cert = '', key = '', topic = '', payload = '', qos = '0', perS = '1000'] =
  process.argv.slice(2);
const EVERY_MS = 5;
const client = await mqtt.connectAsync(url, {
  protocolVersion: 5,
  ca: readFileSync(ca),
  cert: readFileSync(cert),
  key: readFileSync(key),
  reconnectPeriod: 0,
});
const beganMs = performance.now();
let count = 0;
setInterval(() => {
  const due = Math.floor(((performance.now() - beganMs) / 1000) * Number(perS));
  // A broker that does not keep up is not sent more than it takes.
  for (; count < due && client.stream.writableLength < 1_000_000; count += 1) {
    const seq = String(count + 1);
    client.publish(topic, payload.replaceAll('#', seq), {
      qos: qos === '1' ? 1 : 0,
      ...(payload.includes('#') && {
        properties: { userProperties: { lane: 'alert', seq, first: '1', epoch: 'flood' } },
      }),
    });
  }
}, EVERY_MS);
setInterval(() => console.log(count), 1000);
