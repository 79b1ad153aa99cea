/**
 * Requests about configuration trials in a plain run, where one user owns everything: the agent's own process serves what
 * a unit of root's does in an installed package.
 *
 * LIMITS: CONNECTIONS_MAX at once, others are closed; one line each of CONFIG_REQUEST_BYTES_MAX within REQUEST_WITHIN_MS.
 */
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { CONFIG_REQUEST_BYTES_MAX, type ConfigReply } from '../../../../agent/contract/config-trial.ts';

const CONNECTIONS_MAX = 4;
/** As at the unit's. */
const REQUEST_WITHIN_MS = 5000;

export class ConfigServer {
  readonly #file: string;
  readonly #answer: (line: string) => Promise<ConfigReply>;
  readonly #open = new Set<Socket>();
  #server: Server | undefined;

  /** `file`: the socket, in a folder of which this process is the only user; what lies there is left of an earlier one. */
  constructor(file: string, answer: (line: string) => Promise<ConfigReply>) {
    this.#file = file;
    this.#answer = answer;
  }

  /** Throws AgentError `unavailable`. */
  async start(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
    server.maxConnections = CONNECTIONS_MAX;
    try {
      rmSync(this.#file, { force: true });
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        // Bound at once, for the owner alone from the first moment.
        const before = process.umask(0o177);
        server.listen(this.#file, resolve);
        process.umask(before);
      });
    } catch (error) {
      server.close();
      throw new AgentError('unavailable', `${this.#file} cannot be served: ${messageOf(error)}`, error);
    }
    this.#server = server;
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    this.#open.add(socket);
    let text = '';
    let answered = false;
    const answer = (line: string): void => {
      if (answered) return;
      answered = true;
      clearTimeout(enough);
      this.#answer(line).then(
        (reply) => socket.end(`${JSON.stringify(reply)}\n`),
        (error: unknown) => socket.destroy(error instanceof Error ? error : new Error(String(error))),
      );
    };
    const enough = setTimeout(() => socket.destroy(), REQUEST_WITHIN_MS);
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => {
      if (answered) return;
      text += String(chunk);
      const end = text.indexOf('\n');
      if (end >= 0 && end <= CONFIG_REQUEST_BYTES_MAX) answer(text.slice(0, end));
      else if (text.length > CONFIG_REQUEST_BYTES_MAX) answer('');
    });
    socket.on('end', () => answer(''));
    // Whoever asked has gone: there is nobody to tell.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(enough);
      this.#open.delete(socket);
    });
  }
}
