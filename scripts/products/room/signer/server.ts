/**
 * Serves the signer's requests by HTTP on a Unix socket.
 *
 * INVARIANTS:
 * - A request is validated against the contract before it is processed.
 * - A client that disconnects ends its search.
 * - The group of the socket determines who may connect.
 * LIMITS: CONNECTIONS_MAX connections; SIGNER_BODY_BYTES_MAX of a request, which must arrive within REQUEST_MS.
 */
import { once } from 'node:events';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, hasCode, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { schemaProblem } from '../../../../agent/contract/time.ts';
import {
  SIGNER_BODY_BYTES_MAX,
  SignerSealed,
  SignerSearch,
  SignerTrackStill,
  SignerTracks,
} from '../contract/signer.ts';
import { Refusal, refusalOf } from './refusal.ts';
import type { SignerRequests } from './requests.ts';
import type { TrackRequests } from './track-requests.ts';

/** Enough for searches and sealed stills of a few people, and a health check. */
const CONNECTIONS_MAX = 32;
/** Short, because the console is on this machine. */
const REQUEST_MS = 10_000;
const PATHS: readonly string[] = ['/search', '/sealed', '/tracks', '/track-still'];
/** Owner and group only. */
const SOCKET_MODE = 0o660;

export class SignerServer {
  readonly #requests: SignerRequests;
  readonly #tracks: TrackRequests;
  readonly #log: (line: string) => void;
  readonly #server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      void this.#answer(request, response);
    },
  );

  constructor(requests: SignerRequests, tracks: TrackRequests, log: (line: string) => void) {
    this.#requests = requests;
    this.#tracks = tracks;
    this.#log = log;
  }

  /**
   * Starts to listen.
   * @throws {AgentError} `config` if it cannot listen
   */
  async start(socket: string): Promise<void> {
    this.#server.maxConnections = CONNECTIONS_MAX;
    try {
      await removeDead(socket);
      // Also protects the socket between bind and chmod.
      const before = process.umask(0o777 & ~SOCKET_MODE);
      try {
        this.#server.listen(socket);
        await once(this.#server, 'listening');
      } finally {
        process.umask(before);
      }
      chmodSync(socket, SOCKET_MODE);
    } catch (error) {
      if (error instanceof AgentError) throw error;
      const right = 'its folder must be there and be this user’s to write in';
      throw new AgentError('config', `--socket ${socket}: ${messageOf(error)}; ${right}`, error);
    }
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { method, url = '' } = request;
      if (method !== 'POST' || !PATHS.includes(url)) {
        throw new Refusal(404, `only POST ${PATHS.join(', ')}`);
      }
      const body = jsonOf((await bodyOf(request)).toString());
      if (url === '/search') await this.#search(checked(SignerSearch, body), response);
      else json(response, 200, await this.#one(url, body, closing(response)));
    } catch (error) {
      const { status, message } = refusalOf(error);
      const isMistake = !(error instanceof Refusal || error instanceof AgentError);
      if (isMistake) this.#log(`a mistake of the program: ${messageOf(error)}`);
      if (response.headersSent) response.destroy();
      else json(response, status, { line: isMistake ? 'the signer has failed; its log says why' : message });
    }
  }

  /** Handles a request whose answer is one object. */
  #one(url: string, body: unknown, signal: AbortSignal): Promise<object> {
    if (url === '/sealed') return this.#requests.sealed(checked(SignerSealed, body));
    if (url === '/tracks') return this.#tracks.tracks(checked(SignerTracks, body), signal);
    return this.#tracks.still(checked(SignerTrackStill, body), signal);
  }

  async #search(request: SignerSearch, response: ServerResponse): Promise<void> {
    const signal = closing(response);
    const searching = this.#requests.search(
      request,
      (line) => response.write(`${JSON.stringify(line)}\n`),
      signal,
    );
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    response.flushHeaders();
    await searching;
    response.end();
  }
}

/** Returns a signal that aborts when the client disconnects. */
function closing(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.on('close', () => controller.abort());
  return controller.signal;
}

/** Removes the socket of a previous run, unless another signer answers on it. */
async function removeDead(socket: string): Promise<void> {
  try {
    if (!lstatSync(socket).isSocket()) {
      throw new AgentError('config', `--socket ${socket}: a file of that name exists; remove it`);
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  const client = connect(socket);
  const answers = await new Promise<boolean>((resolve) => {
    client.once('connect', () => resolve(true)).once('error', () => resolve(false));
  });
  client.destroy();
  if (answers)
    throw new AgentError('config', `--socket ${socket}: another signer answers there; end it first`);
  rmSync(socket, { force: true });
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > SIGNER_BODY_BYTES_MAX) {
      throw new Refusal(413, `a request has at most ${SIGNER_BODY_BYTES_MAX} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function checked<T extends TSchema>(schema: T, body: unknown): Static<T> {
  if (Value.Check(schema, body)) return body;
  const error = Value.Errors(schema, body).First();
  const reason = error === undefined ? 'not of the form of a request' : schemaProblem(error);
  throw new Refusal(400, `${error?.path || '/'}: ${reason}`);
}

function json(response: ServerResponse, status: number, content: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(content));
}
