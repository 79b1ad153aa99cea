// Stores what boxes send, then acknowledges it.  npm install mqtt
// Usage: node archive.mjs mqtts://HOST:PORT ca.crt archive.room.crt archive.room.key archive.jsonl
import { existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import mqtt from 'mqtt';

const [url, ca, cert, key, file] = process.argv.slice(2);
const ids = new Set(); // of all that is stored
const held = new Map(); // box, epoch, lane → first of a range of numbers that are stored → last of it
const due = new Map(); // box, epoch, lane → acknowledgement

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Joins the ranges from 1 on; returns the number through which all is stored. */
function through(lane, ranges) {
  const mine = held.get(lane) ?? new Map();
  for (const [low, high] of ranges) mine.set(low, Math.max(high, mine.get(low) ?? 0));
  let last = 0;
  for (const [low, high] of [...mine].sort(([a], [b]) => a - b)) {
    if (low > last + 1) break;
    last = Math.max(last, high);
    mine.delete(low);
  }
  held.set(lane, mine.set(0, last));
  return last;
}

/** The name by which a message is known when it comes again, and the first number that it stands for. */
function read(branch, name, { epoch, lane, seq, body }) {
  if (branch !== 'evt') return [name, seq];
  const { id, type, data } = Object(parsed(Buffer.from(body, 'base64').toString()));
  const low = type === 'vigie.outbox-gap.v1' ? data?.from : seq; // numbers that will not come
  if (typeof id === 'string' && Number.isSafeInteger(low)) return [id, low];
  // Kept all the same, or its box keeps all that is behind it.
  return [`unread-${epoch}-${lane}-${seq}`, seq];
}

function take(message, store) {
  const { topic, lane, epoch, seq, first } = message;
  const [, site, box, branch, ...rest] = topic.split('/');
  const [id, low] = read(branch, rest.join('/'), message);
  const known = JSON.stringify([site, box, branch, id]);
  if (!ids.has(known)) store(message); // what comes again is dropped by its id
  ids.add(known);
  const counted = JSON.stringify([site, box, epoch, lane]);
  const number = through(counted, [
    [low, seq],
    [0, first - 1],
  ]);
  due.set(counted, [`vigie/${site}/${box}/ack`, JSON.stringify({ [lane]: number, epoch })]);
}

const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
for (const message of lines.map(parsed)) if (message) take(message, () => undefined);
due.clear();
const fd = openSync(file, 'a', 0o600);
const store = (message) => {
  writeSync(fd, `\n${JSON.stringify(message)}`); // a line that a crash has cut spoils no other
  fsyncSync(fd);
};

const tls = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
const client = mqtt.connect(url, { protocolVersion: 5, keepalive: 30, ...tls });
client.on('error', ({ message }) => console.error(`${url}: ${message}; tried again`));
client.on('connect', () => client.subscribe(['vigie/+/+/evt/#', 'vigie/+/+/snap/#'], { qos: 1 }));
client.on('message', (topic, payload, { properties }) => {
  const { lane, epoch, seq, first } = properties?.userProperties ?? {};
  const numbered = [seq, first].every((text) => /^\d{1,15}$/.test(text));
  if (!['alert', 'bulk'].includes(lane) || typeof epoch !== 'string' || !numbered) return; // from no outbox
  const body = payload.toString('base64');
  take({ topic, lane, epoch, seq: Number(seq), first: Number(first), body }, store);
});
setInterval(() => {
  for (const [topic, ack] of due.values()) {
    client.publish(topic, ack, { qos: 1 }, (error) => {
      if (error) console.error(`an acknowledgement: ${error.message}`);
    });
  }
  due.clear();
}, 200); // a box reads 100 acknowledgements a second
