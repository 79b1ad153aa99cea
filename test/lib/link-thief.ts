/**
 * Short program for the inside of a booted box that does what an attacker with vision's link could do as the agent's
 * user. Prints a line of JSON: the messages of vision, and the first picture that it sent.
 */

/** Source of the program. Arguments: the socket and the message `start`, both as vision's link takes them. */
export const LINK_THIEF = `
import { createConnection } from 'node:net';
import { readFileSync } from 'node:fs';
const [socketPath, file] = process.argv.slice(2);
const said = [];
let picture = '', failed = '', asked = false, pending = Buffer.alloc(0);
const done = () => { console.log(JSON.stringify({ said: [...new Set(said)], failed, picture })); process.exit(0); };
const socket = createConnection(socketPath);
const send = (message) => {
  const header = Buffer.from(JSON.stringify(message));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(4 + header.length, 0);
  lengths.writeUInt32BE(header.length, 4);
  socket.write(Buffer.concat([lengths, header]));
};
socket.on('connect', () => send(JSON.parse(readFileSync(file, 'utf8'))));
socket.on('error', (error) => { failed ||= error.message; });
socket.on('close', done);
// As long as a booted box on a busy machine may take for its first picture.
setTimeout(done, 90000);
socket.on('data', (chunk) => {
  pending = Buffer.concat([pending, chunk]);
  while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE(0)) {
    const length = pending.readUInt32BE(0), headerLength = pending.readUInt32BE(4);
    const message = JSON.parse(pending.toString('utf8', 8, 8 + headerLength));
    const binary = pending.subarray(8 + headerLength, 4 + length);
    pending = pending.subarray(4 + length);
    said.push(message.kind);
    if (message.kind === 'failed') failed = message.message;
    if (message.kind === 'frame') {
      const { frame, atMs } = message.observation;
      const evidence = asked ? [] : [{ request: 1, atMs, focus: [], seal: true }];
      asked = true;
      send({ kind: 'ack', frame, evidence });
    }
    if (message.kind === 'snapshot') { picture = binary.toString('base64'); done(); }
  }
});
`;
