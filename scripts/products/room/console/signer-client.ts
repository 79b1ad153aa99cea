/** Calls the signer over its socket, and maps its refusals to those of a call. */
import { type IncomingMessage, request } from 'node:http';
import type { Static, TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Value } from '@sinclair/typebox/value';
import { hasCode } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import {
  SignerFile,
  SignerProgress,
  SignerRefusal,
  type SignerSealed,
  type SignerSearch,
  type SignerTrackStill,
  SignerTrackStillAnswer,
  type SignerTracks,
  SignerTracksAnswer,
  TRACKS_BYTES_MAX,
} from '../contract/signer.ts';
import { CallError } from './handler.ts';

/**
 * Maximum length in characters of a short answer, of a still in Base64, and of tracks. The last allows for one page
 * beyond the limit and the other members.
 */
const ANSWER_CHARS_MAX = 65_536;
const STILL_CHARS_MAX = 1_048_576;
const TRACKS_CHARS_MAX = TRACKS_BYTES_MAX + 1_048_576;
/** A line with 5,000 events and as many missing boxes has about 2 million characters. */
const LINE_CHARS_MAX = 8_388_608;
/** Compiled, because an answer may hold several hundred thousand numbers. */
const tracksCheck = TypeCompiler.Compile(SignerTracksAnswer);

const STATUSES = [400, 409, 413, 429] as const;

export class SignerClient {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /**
   * Starts a search. Resolves once the signer has accepted it, with the lines as they arrive.
   * @throws {CallError}
   */
  async search(body: SignerSearch): Promise<AsyncIterable<SignerProgress>> {
    return this.#lines(await this.#ask('/search', body));
  }

  /**
   * Requests a sealed still.
   * @throws {CallError} 409 if the box refuses, 503 if the box or the signer does not answer
   */
  async sealed(body: SignerSealed): Promise<SignerFile> {
    return formed(SignerFile, await textOf(await this.#ask('/sealed', body)));
  }

  /**
   * Requests tracks.
   * @throws {CallError} as `sealed`
   */
  async tracks(body: SignerTracks): Promise<SignerTracksAnswer> {
    const content = jsonOf(await textOf(await this.#ask('/tracks', body), TRACKS_CHARS_MAX));
    if (tracksCheck.Check(content)) return content;
    throw otherForm();
  }

  /**
   * Requests a still to draw on.
   * @throws {CallError} as `sealed`
   */
  async trackStill(body: SignerTrackStill): Promise<SignerTrackStillAnswer> {
    return formed(
      SignerTrackStillAnswer,
      await textOf(await this.#ask('/track-still', body), STILL_CHARS_MAX),
    );
  }

  async #ask(path: string, body: object): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { 'Content-Type': 'application/json' };
      const asking = request(
        { socketPath: this.#socket, method: 'POST', path, headers, agent: false },
        resolve,
      );
      asking.once('error', (error: NodeJS.ErrnoException) =>
        reject(this.#unavailableError(error.code ?? error.message)),
      );
      asking.end(JSON.stringify(body));
    });
    if (response.statusCode === 200) return response;
    const { line } = formed(SignerRefusal, await textOf(response));
    throw new CallError(STATUSES.find((status) => status === response.statusCode) ?? 503, line);
  }

  async *#lines(response: IncomingMessage): AsyncIterable<SignerProgress> {
    let isDone = false;
    let rest = '';
    try {
      for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
        const texts = `${rest}${chunk}`.split('\n');
        rest = texts.pop() ?? '';
        if (rest.length > LINE_CHARS_MAX) throw new CallError(503, 'the signer’s answer is too long');
        for (const text of texts) {
          const line = formed(SignerProgress, text);
          isDone = line.isDone;
          yield line;
        }
      }
    } catch (error) {
      // The connection broke; the code below reports it.
      if (!hasCode(error, 'ECONNRESET')) throw error;
    }
    if (!isDone) throw this.#unavailableError('it has ended in the middle of the search');
  }

  #unavailableError(reason: string): CallError {
    return new CallError(
      503,
      `the signer does not answer on ${this.#socket} (${reason}); start vigie-room-signer`,
    );
  }
}

async function textOf(response: IncomingMessage, charsMax = ANSWER_CHARS_MAX): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > charsMax) throw new CallError(503, 'the signer’s answer is too long');
  }
  return text;
}

function formed<T extends TSchema>(schema: T, text: string): Static<T> {
  const content = jsonOf(text);
  if (Value.Check(schema, content)) return content;
  throw otherForm();
}

const otherForm = (): CallError =>
  new CallError(503, 'unexpected reply of the signer; check that the versions match');
