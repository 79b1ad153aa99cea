/** The technician's page as the agent meets it: a connection to its socket. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import { LinkEnd } from '../../agent/base/link-end.ts';
import type { Received } from '../../agent/base/link-frame.ts';
import { encodeFromPage } from '../../agent/contract/page-frames.ts';
import { type AgentView, type PageAsk, type PagePicture, ToPage } from '../../agent/contract/page-link.ts';
import { waitUntil } from './room.ts';

type Answer = Extract<ToPage, { kind: 'answer' }>;

export class Page {
  readonly socket: Socket;
  readonly pictures: { readonly header: PagePicture; readonly jpeg: Uint8Array; readonly atMs: number }[] =
    [];
  unlocks = 0;
  readonly stills: Buffer[] = [];
  readonly noPictures: Extract<ToPage, { kind: 'no-picture' }>[] = [];
  readonly answers = new Map<number, Answer>();
  closed = false;
  readonly #t: Test;
  readonly #link: LinkEnd<typeof ToPage>;
  readonly #session: string;
  #requests = 0;

  private constructor(t: Test, socket: Socket, session: string) {
    this.#t = t;
    this.socket = socket;
    this.#session = session;
    this.#link = new LinkEnd(socket, ToPage, {
      onMessage: (received) => this.#take(received),
      onClosed: () => {
        this.closed = true;
      },
    });
  }

  /** Connects to the agent; closed with the test. */
  static async connect(t: Test, path: string, session = '0123456789abcdef'): Promise<Page> {
    const socket = connect(path);
    await once(socket, 'connect');
    t.teardown(() => socket.destroy());
    return new Page(t, socket, session);
  }

  /** Reason of the refusal; null where the request was carried out. */
  async ask(ask: PageAsk): Promise<string | null> {
    const { refused: refusal } = await this.#answer(ask);
    return refusal?.code ?? null;
  }

  async state(language: 'fr' | 'en' = 'en'): Promise<AgentView> {
    const { state, refused: refusal } = await this.#answer({ op: 'state', language });
    if (state === null) throw new Error(refusal?.reason ?? 'no state');
    return state;
  }

  /** Sends `count` requests at once without waiting for replies. */
  flood(ask: PageAsk, count: number): void {
    const one = (i: number): Buffer =>
      encodeFromPage({ kind: 'ask', request: 1_000_000 + i, session: this.#session, ask });
    this.#link.send(Buffer.concat(Array.from({ length: count }, (_, i) => one(i))));
  }

  /** Starts the preview as soon as a new box permits it. */
  async startsPreview(viewer: number): Promise<void> {
    const started = performance.now();
    let refusal: string | null = '';
    while (refusal !== null && performance.now() - started < 60_000) {
      refusal = await this.ask({ op: 'preview-start', viewer });
      if (refusal !== null) await new Promise((resolve) => setTimeout(resolve, 200));
    }
    this.#t.equal(refusal, null, 'the preview starts');
  }

  async #answer(ask: PageAsk): Promise<Answer> {
    this.#requests += 1;
    const request = this.#requests;
    this.#link.send(encodeFromPage({ kind: 'ask', request, session: this.#session, ask }));
    await waitUntil(this.#t, `answer to ${ask.op}`, () => this.answers.has(request) || this.closed, 30_000);
    const answer = this.answers.get(request);
    if (answer === undefined) throw new Error(`${ask.op}: the connection was closed`);
    return answer;
  }

  #take({ message, binary }: Received<ToPage>): void {
    if (message.kind === 'answer') this.answers.set(message.request, message);
    else if (message.kind === 'no-picture') this.noPictures.push(message);
    else if (message.kind === 'unlock-pairing') this.unlocks += 1;
    else if (message.kind === 'still') this.stills.push(Buffer.from(binary));
    else this.pictures.push({ header: message, jpeg: binary, atMs: performance.now() });
  }
}
