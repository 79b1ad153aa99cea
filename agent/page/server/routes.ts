/** Routes of the page over HTTPS (contract/page-api.ts), with their handlers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Type } from '@sinclair/typebox';
import type { Clock } from '../../base/clock.ts';
import { AgentError } from '../../base/errors.ts';
import { type ConfigReply, ConfigRequest } from '../../contract/config-trial.ts';
import type { Hello, PageState } from '../../contract/page-api.ts';
import { type AgentView, PageAsk } from '../../contract/page-link.ts';
import { Proposal } from '../../contract/proposal.ts';
import type { AgentClient } from './agent-client.ts';
import type { Cameras } from './cameras.ts';
import type { ConfigClient } from './config-client.ts';
import type { ConfigMark } from './config-mark.ts';
import { enrolmentView } from './enrolment-view.ts';
import { begin, bodyOf, json, Refused, type Reply } from './http.ts';
import { localName } from './own-names.ts';
import type { Pairing } from './pairing.ts';
import type { Preview } from './preview.ts';
import { receipt } from './receipt.ts';
import type { Language } from './receipt-texts.ts';
import type { Session, Sessions } from './sessions.ts';

const strict = { additionalProperties: false } as const;
const Nothing = Type.Object({}, strict);
const Code = Type.Object({ code: Type.String({ minLength: 1, maxLength: 64 }) }, strict);
const Camera = Type.Object(
  {
    address: Type.String({ maxLength: 64 }),
    user: Type.String({ maxLength: 128 }),
    password: Type.String({ maxLength: 256 }),
  },
  strict,
);
const [, , , KeepRequest] = ConfigRequest.anyOf;
const TrialBody = Type.Object({ trial: KeepRequest.properties.trial }, strict);
const [, , , WalkStart, WalkAnswer] = PageAsk.anyOf;
const WalkStartBody = Type.Omit(WalkStart, ['op'], strict);
const WalkAnswerBody = Type.Omit(WalkAnswer, ['op'], strict);

/** Session id for requests before pairing, because the agent requires one. */
const NOBODY = '0'.repeat(16);
const HELLO_EVERY_MS = 10_000;

export interface RouteParts {
  readonly agent: AgentClient;
  readonly config: ConfigClient;
  readonly configMark: ConfigMark;
  readonly cameras: Cameras;
  readonly pairing: Pairing;
  readonly sessions: Sessions;
  readonly preview: Preview;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  readonly version: string;
  readonly enrolStatusFile: string;
}

export interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
}

/** Undefined if the handler writes the answer itself. */
type Answering = (asked: Asked, session: Session) => Promise<Reply | undefined>;

export class Routes {
  readonly #parts: RouteParts;
  readonly #open: ReadonlyMap<string, (asked: Asked) => Promise<Reply>>;
  readonly #paired: ReadonlyMap<string, Answering>;
  #known: { readonly site: string; readonly box: string } | undefined;
  #helloAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: RouteParts) {
    this.#parts = parts;
    this.#open = new Map([
      ['GET /api/hello', (asked: Asked) => this.#hello(asked)],
      ['POST /api/pair', (asked: Asked) => this.#pair(asked)],
    ]);
    this.#paired = new Map<string, Answering>([
      ['POST /api/unpair', (asked, session) => this.#unpair(asked, session)],
      ['POST /api/code', (asked) => this.#code(asked)],
      ['GET /api/state', (asked, session) => this.#state(asked, session)],
      ['GET /api/preview', (asked, session) => this.#preview(asked, session)],
      ['POST /api/config/check', (asked) => this.#propose(asked, 'check')],
      ['POST /api/config/try', (asked) => this.#propose(asked, 'try')],
      ['POST /api/config/keep', (asked) => this.#settle(asked, 'keep')],
      ['POST /api/config/revert', (asked) => this.#settle(asked, 'revert')],
      ['POST /api/walk/start', (asked, session) => this.#walkStart(asked, session)],
      ['POST /api/walk/answer', (asked, session) => this.#walkAnswer(asked, session)],
      ['POST /api/view/confirm', (asked, session) => this.#confirm(asked, session)],
      ['POST /api/cameras', (asked) => this.#cameras(asked)],
      ['POST /api/cameras/stream', (asked) => this.#stream(asked)],
      ['GET /api/receipt.pdf', (asked, session) => this.#receipt(asked, session)],
    ]);
  }

  /** Name as the agent reported it; undefined before. */
  get box(): string | undefined {
    return this.#known?.box;
  }

  /** Rejects with Refused, or AgentError if another process does not answer. */
  async answer(method: string, path: string, asked: Asked): Promise<Reply | undefined> {
    const key = `${method} ${path}`;
    const open = this.#open.get(key);
    if (open !== undefined) return open(asked);
    const paired = this.#paired.get(key);
    if (paired === undefined) {
      const other = [...this.#open.keys(), ...this.#paired.keys()].some((known) =>
        known.endsWith(` ${path}`),
      );
      throw other
        ? new Refused(405, { error: 'no-such-method' })
        : new Refused(404, { error: 'no-such-page' });
    }
    const session = this.#parts.sessions.find(asked.request.headers.cookie);
    if (session === undefined) throw new Refused(401, { error: 'not-paired', reason: 'type the code first' });
    return paired(asked, session);
  }

  async #hello({ request }: Asked): Promise<Reply> {
    const { sessions, clock, version } = this.#parts;
    if (this.#known === undefined && clock.nowMs() - this.#helloAtMs >= HELLO_EVERY_MS) {
      this.#helloAtMs = clock.nowMs();
      await orReason(this.#agentView(NOBODY, 'en'));
    }
    const { site, box } = this.#known ?? { site: '', box: localName().replace(/\.local$/, '') };
    const paired = sessions.find(request.headers.cookie) !== undefined;
    return json({ site, box, paired, version } satisfies Hello);
  }

  async #pair({ request }: Asked): Promise<Reply> {
    const { code } = await bodyOf(request, Code);
    const refused = this.#parts.pairing.try(code, request.socket.remoteAddress ?? '');
    if (refused !== undefined) {
      const retry = refused.retryInS === undefined ? {} : { 'Retry-After': String(refused.retryInS) };
      throw new Refused(refused.error === 'locked' ? 429 : 401, refused, retry);
    }
    return json({}, { 'Set-Cookie': this.#parts.sessions.open().cookie });
  }

  async #unpair({ request }: Asked, session: Session): Promise<Reply> {
    await bodyOf(request, Nothing);
    return json({}, { 'Set-Cookie': this.#parts.sessions.close(session) });
  }

  async #code({ request }: Asked): Promise<Reply> {
    await bodyOf(request, Nothing);
    return json(this.#parts.pairing.freshCode());
  }

  async #state({ query }: Asked, session: Session): Promise<Reply> {
    const { config, sessions, enrolStatusFile } = this.#parts;
    const [agent, installed] = await Promise.all([
      orReason(this.#agentView(session.id, languageOf(query))),
      orReason(config.read()),
    ]);
    return json({
      agent: agent.value && this.#agentForPhone(agent.value),
      agentReason: agent.reason,
      config: installed.value && this.#configForPhone(installed.value),
      configReason: installed.reason,
      enrolment: enrolmentView(enrolStatusFile),
      sessionLeftS: sessions.leftS(session),
    } satisfies PageState);
  }

  async #preview({ request, response }: Asked, session: Session): Promise<Reply | undefined> {
    if (request.method === 'HEAD') throw new Refused(405, { error: 'no-such-method' });
    begin(response, 'application/octet-stream');
    // The preview has its own limit for a phone that does not read.
    request.socket.setTimeout(0);
    request.socket.setNoDelay(true);
    this.#parts.preview.add(session, response);
    return undefined;
  }

  async #propose({ request }: Asked, op: 'check' | 'try'): Promise<Reply> {
    const proposal = await bodyOf(request, Proposal);
    return json(this.#configForPhone(await this.#parts.config.ask({ op, proposal })));
  }

  async #settle({ request }: Asked, op: 'keep' | 'revert'): Promise<Reply> {
    const { trial } = await bodyOf(request, TrialBody);
    return json(this.#configForPhone(await this.#parts.config.ask({ op, trial })));
  }

  async #walkStart({ request }: Asked, session: Session): Promise<Reply> {
    return this.#told(session, { op: 'walk-start', ...(await bodyOf(request, WalkStartBody)) });
  }

  async #walkAnswer({ request }: Asked, session: Session): Promise<Reply> {
    return this.#told(session, { op: 'walk-answer', ...(await bodyOf(request, WalkAnswerBody)) });
  }

  async #confirm({ request }: Asked, session: Session): Promise<Reply> {
    await bodyOf(request, Nothing);
    return this.#told(session, { op: 'confirm-view' });
  }

  async #cameras({ request }: Asked): Promise<Reply> {
    await bodyOf(request, Nothing);
    return json({ cameras: await this.#parts.cameras.find() });
  }

  async #stream({ request }: Asked): Promise<Reply> {
    return json(await this.#parts.cameras.streams(await bodyOf(request, Camera)));
  }

  async #receipt({ query }: Asked, session: Session): Promise<Reply> {
    const language = languageOf(query);
    const [agent, config] = await Promise.all([
      this.#agentView(session.id, language),
      this.#parts.config.read(),
    ]);
    const pdf = await receipt({ agent, config, language, nowMs: this.#parts.clock.wallMs() });
    const name = `attachment; filename="vigie-${agent.box}.pdf"`;
    return { status: 200, type: 'application/pdf', body: pdf, headers: { 'Content-Disposition': name } };
  }

  #configForPhone(reply: ConfigReply): ConfigReply {
    return { ...reply, sha256: this.#parts.configMark.of(reply.sha256) };
  }

  #agentForPhone(view: AgentView): AgentView {
    return { ...view, configSha256: this.#parts.configMark.of(view.configSha256) };
  }

  /** Rejects with AgentError `unavailable`. */
  async #agentView(session: string, language: Language): Promise<AgentView> {
    const { state, refused } = await this.#parts.agent.ask(session, { op: 'state', language });
    if (state === null)
      throw new AgentError(
        'unavailable',
        `the agent says nothing of itself: ${refused?.reason ?? 'no reason'}`,
      );
    this.#known = { site: state.site, box: state.box };
    return state;
  }

  async #told(session: Session, ask: PageAsk): Promise<Reply> {
    const { refused } = await this.#parts.agent.ask(session.id, ask);
    if (refused === null) return json({});
    throw new Refused(409, { error: refused.code, reason: refused.reason });
  }
}

function languageOf(query: URLSearchParams): Language {
  return query.get('language') === 'fr' ? 'fr' : 'en';
}

/** Returns the value, or the reason why there is none. */
async function orReason<T>(asking: Promise<T>): Promise<{ value: T | null; reason: string | null }> {
  try {
    return { value: await asking, reason: null };
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
    return { value: null, reason: error.message };
  }
}
