/** Request to a root program on this machine: one line over a Unix socket, answered until the connection ends. */
import { createConnection } from 'node:net';

/**
 * Returns the complete reply; empty if the other end closed immediately. Rejects if it is unreachable, late, or sends
 * too much.
 */
export function exchangeLine(
  socketPath: string,
  line: string,
  { withinMs, bytesMax }: { readonly withinMs: number; readonly bytesMax: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    const parts: Buffer[] = [];
    let bytes = 0;
    const timer = setTimeout(() => socket.destroy(new Error('no answer in time')), Math.max(1, withinMs));
    socket.on('connect', () => socket.write(`${line}\n`));
    socket.on('data', (chunk: Buffer) => {
      parts.push(chunk);
      bytes += chunk.length;
      if (bytes > bytesMax) socket.destroy(new Error('too long an answer'));
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(parts).toString('utf8'));
    });
  });
}
