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
import { begin, bodyOf, json, RefusalError, type Reply } from './http.ts';
import { localName } from './own-names.ts';
import type { Pairing } from './pairing.ts';
import type { Preview } from './preview.ts';
import { receipt } from './receipt.ts';
import type { Language } from './receipt-texts.ts';
import { RepeatedPairing } from './repeated-pairing.ts';
import type { Session, Sessions } from './sessions.ts';

const strict = { additionalProperties: false } as const;
const Nothing = Type.Object({}, strict);
const Code = Type.Object(
  {
    code: Type.String({ minLength: 1, maxLength: 64 }),
    attempt: Type.Optional(Type.String({ pattern: '^[0-9a-f]{32}$' })),
  },
  strict,
);
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

export interface RequestContext {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
}

/** Undefined if the handler writes the answer itself. */
type Answering = (context: RequestContext, session: Session) => Promise<Reply | undefined>;

export class Routes {
  readonly #parts: RouteParts;
  readonly #open: ReadonlyMap<string, (context: RequestContext) => Promise<Reply>>;
  readonly #paired: ReadonlyMap<string, Answering>;
  readonly #repeatedPairing: RepeatedPairing;
  #identity: { readonly site: string; readonly box: string } | undefined;
  #helloAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: RouteParts) {
    this.#parts = parts;
    this.#repeatedPairing = new RepeatedPairing(parts.clock);
    this.#open = new Map([
      ['GET /api/hello', (context: RequestContext) => this.#hello(context)],
      ['POST /api/pair', (context: RequestContext) => this.#pair(context)],
    ]);
    this.#paired = new Map<string, Answering>([
      ['POST /api/unpair', (context, session) => this.#unpair(context, session)],
      ['POST /api/code', (context) => this.#code(context)],
      ['GET /api/state', (context, session) => this.#state(context, session)],
      ['GET /api/preview', (context, session) => this.#preview(context, session)],
      ['POST /api/config/check', (context) => this.#propose(context, 'check')],
      ['POST /api/config/try', (context) => this.#propose(context, 'try')],
      ['POST /api/config/keep', (context) => this.#settle(context, 'keep')],
      ['POST /api/config/revert', (context) => this.#settle(context, 'revert')],
      ['POST /api/walk/start', (context, session) => this.#walkStart(context, session)],
      ['POST /api/walk/answer', (context, session) => this.#walkAnswer(context, session)],
      ['POST /api/view/confirm', (context, session) => this.#confirm(context, session)],
      ['POST /api/cameras', (context) => this.#cameras(context)],
      ['POST /api/cameras/stream', (context) => this.#stream(context)],
      ['POST /api/receipt', (context, session) => this.#issueReceipt(context, session)],
      ['GET /api/receipt.jpg', (_, session) => this.#receiptStill(session)],
      ['GET /api/receipt.pdf', (context, session) => this.#receipt(context, session)],
    ]);
  }

  /** Name as the agent reported it; undefined before. */
  get box(): string | undefined {
    return this.#identity?.box;
  }

  /** Rejects with RefusalError, or AgentError if another process does not answer. */
  async answer(method: string, path: string, context: RequestContext): Promise<Reply | undefined> {
    const key = `${method} ${path}`;
    const open = this.#open.get(key);
    if (open !== undefined) return open(context);
    const paired = this.#paired.get(key);
    if (paired === undefined) {
      const other = [...this.#open.keys(), ...this.#paired.keys()].some((route) =>
        route.endsWith(` ${path}`),
      );
      throw other
        ? new RefusalError(405, { error: 'no-such-method' })
        : new RefusalError(404, { error: 'no-such-page' });
    }
    const session = this.#parts.sessions.find(context.request.headers.cookie);
    if (session === undefined)
      throw new RefusalError(401, { error: 'not-paired', reason: 'type the code first' });
    return paired(context, session);
  }

  async #hello({ request }: RequestContext): Promise<Reply> {
    const { sessions, clock, version } = this.#parts;
    if (this.#identity === undefined && clock.nowMs() - this.#helloAtMs >= HELLO_EVERY_MS) {
      this.#helloAtMs = clock.nowMs();
      await orReason(this.#agentView(NOBODY, 'en'));
    }
    const { site, box } = this.#identity ?? { site: '', box: localName().replace(/\.local$/, '') };
    const paired = sessions.find(request.headers.cookie) !== undefined;
    return json({ site, box, paired, version } satisfies Hello);
  }

  async #pair({ request }: RequestContext): Promise<Reply> {
    const { pairing, sessions } = this.#parts;
    const attempt = await bodyOf(request, Code);
    const previous = this.#repeatedPairing.sessionOf(attempt);
    if (previous !== undefined) sessions.close(previous);
    const address = request.socket.remoteAddress ?? '';
    const refusal = previous === undefined ? pairing.try(attempt.code, address) : undefined;
    if (refusal !== undefined) {
      const retry = refusal.retryInS === undefined ? {} : { 'Retry-After': String(refusal.retryInS) };
      throw new RefusalError(refusal.error === 'locked' ? 429 : 401, refusal, retry);
    }
    const { session, cookie } = sessions.open();
    this.#repeatedPairing.remember(attempt, session);
    return json({}, { 'Set-Cookie': cookie });
  }

  async #unpair({ request }: RequestContext, session: Session): Promise<Reply> {
    await bodyOf(request, Nothing);
    return json({}, { 'Set-Cookie': this.#parts.sessions.close(session) });
  }

  async #code({ request }: RequestContext): Promise<Reply> {
    await bodyOf(request, Nothing);
    return json(this.#parts.pairing.newCode());
  }

  async #state({ query }: RequestContext, session: Session): Promise<Reply> {
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

  async #preview({ request, response }: RequestContext, session: Session): Promise<Reply | undefined> {
    if (request.method === 'HEAD') throw new RefusalError(405, { error: 'no-such-method' });
    begin(response, 'application/octet-stream');
    // The preview has its own limit for a phone that does not read.
    request.socket.setTimeout(0);
    request.socket.setNoDelay(true);
    this.#parts.preview.add(session, response);
    return undefined;
  }

  async #propose({ request }: RequestContext, op: 'check' | 'try'): Promise<Reply> {
    const proposal = await bodyOf(request, Proposal);
    return json(this.#configForPhone(await this.#parts.config.ask({ op, proposal })));
  }

  async #settle({ request }: RequestContext, op: 'keep' | 'revert'): Promise<Reply> {
    const { trial } = await bodyOf(request, TrialBody);
    return json(this.#configForPhone(await this.#parts.config.ask({ op, trial })));
  }

  async #walkStart({ request }: RequestContext, session: Session): Promise<Reply> {
    return this.#askAgent(session, { op: 'walk-start', ...(await bodyOf(request, WalkStartBody)) });
  }

  async #walkAnswer({ request }: RequestContext, session: Session): Promise<Reply> {
    return this.#askAgent(session, { op: 'walk-answer', ...(await bodyOf(request, WalkAnswerBody)) });
  }

  async #confirm({ request }: RequestContext, session: Session): Promise<Reply> {
    await bodyOf(request, Nothing);
    return this.#askAgent(session, { op: 'confirm-view' });
  }

  async #cameras({ request }: RequestContext): Promise<Reply> {
    await bodyOf(request, Nothing);
    return json({ cameras: await this.#parts.cameras.find() });
  }

  async #stream({ request }: RequestContext): Promise<Reply> {
    return json(await this.#parts.cameras.streams(await bodyOf(request, Camera)));
  }

  async #issueReceipt({ request }: RequestContext, session: Session): Promise<Reply> {
    await bodyOf(request, Nothing);
    return this.#askAgent(session, { op: 'receipt' });
  }

  async #receiptStill(session: Session): Promise<Reply> {
    const still = await this.#parts.agent.receiptStill(session.id);
    if (still === undefined) throw new RefusalError(404, { error: 'no-still' });
    return { status: 200, type: 'image/jpeg', body: Buffer.from(still) };
  }

  async #receipt({ query }: RequestContext, session: Session): Promise<Reply> {
    const language = languageOf(query);
    const [agent, config, still] = await Promise.all([
      this.#agentView(session.id, language),
      this.#parts.config.read(),
      this.#parts.agent.receiptStill(session.id),
    ]);
    const pdf = await receipt({ agent, config, still, language, nowMs: this.#parts.clock.wallMs() });
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
    const { state, refused: refusal } = await this.#parts.agent.ask(session, { op: 'state', language });
    if (state === null)
      throw new AgentError(
        'unavailable',
        `the agent does not report its identity: ${refusal?.reason ?? 'no reason'}`,
      );
    this.#identity = { site: state.site, box: state.box };
    return state;
  }

  async #askAgent(session: Session, ask: PageAsk): Promise<Reply> {
    const { refused: refusal } = await this.#parts.agent.ask(session.id, ask);
    if (refusal === null) return json({});
    throw new RefusalError(409, { error: refusal.code, reason: refusal.reason });
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
