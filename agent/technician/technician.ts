/**
 * Agent side of the technician's page: takes its requests and answers them. It gets what it needs from the other parts,
 * and none of them waits for it.
 *
 * INVARIANTS:
 * - Whatever the page sends, the agent keeps running.
 * - No request changes what the box analyses.
 * LIMITS: those of page-server.ts, preview.ts and walk.ts; RECEIPTS.
 */
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import { messageOf, rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { CommandRefused } from '../contract/command.ts';
import type { Config, MaskConfig } from '../contract/config.ts';
import type { Finding } from '../contract/finding.ts';
import type { CameraReport, DetectorReport } from '../contract/health.ts';
import type { Installation } from '../contract/installation.ts';
import type { EvidenceRequest } from '../contract/link.ts';
import type { LocalStatus } from '../contract/local-status.ts';
import { encodePageStill, encodeToPage } from '../contract/page-frames.ts';
import { type FromPage, PAGE_SOCKET, type PageAsk } from '../contract/page-link.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import { agentView, type RulingWithAuthorisation } from './agent-view.ts';
import { installationOf } from './installation.ts';
import { Masks } from './masks.ts';
import type { NewestReceipt } from './newest-receipt.ts';
import { PageServer } from './page-server.ts';
import { type Forbidden, Preview, type PreviewOptions, type Refusal, type Screen } from './preview.ts';
import { PreviewUse } from './preview-use.ts';
import { Walk, type WalkOptions } from './walk.ts';

/** File name in the state folder. */
const USE_FILE = 'preview-use.json';
/** Modes of the socket. A service's socket also belongs to the group of the page's user. */
const [OWN_MODE, GROUP_MODE] = [0o600, 0o660];
/** Time for which a state is reused, ms, because each phone requests it. */
const VIEW_REUSED_MS = 500;
/** Limit on receipts: each sends an event with a still to the room, which a faulty page must not flood. */
const RECEIPTS = { burst: 5, perS: 1 / 600 } as const;
/** Limit of the contract on a line of text. */
const TEXT_MAX = 1000;

type Language = Extract<PageAsk, { op: 'state' }>['language'];
type LocalView = { readonly status: LocalStatus; readonly findings: readonly Finding[] };

export interface TechnicianPageOptions {
  readonly config: Config;
  /** SHA-256 of the file that the agent has read, hex; undefined if it is not reported. */
  readonly configSha256: string | undefined;
  readonly stateDir: string;
  /** Path on which the service listens; undefined in a plain run, which uses the state folder. */
  readonly pageSocket: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly restraint: { readonly ruled: RulingWithAuthorisation | undefined };
  readonly status: PreviewOptions['status'] & {
    readonly camera: CameraReport;
    readonly detector: DetectorReport | null;
  };
  readonly supervisor: PreviewOptions['supervisor'] & {
    confirmView(by: string): string | undefined;
    requestEvidence(requests: EvidenceRequest[]): boolean;
  };
  readonly receipts: NewestReceipt;
  readonly journal: PreviewOptions['journal'];
  readonly flow: PreviewOptions['flow'] & {
    installed(cause: Installation): EvidenceRequest[];
    noEvidence(requests: readonly EvidenceRequest[], reason: string): void;
  };
  readonly accuracy: { walkTest: WalkOptions['walkTest'] };
  /** State of the box as shown to a person on site. */
  readonly view: { statusWithFindings(language: Language): LocalView };
  isOn(rule: RuleConfig): boolean;
  /** The configuration is on trial. */
  isOnTrial(): boolean;
  /**
   * SHA-256 of the configuration without logins; undefined if it is not known. Throws AgentError if it cannot be read.
   */
  shownSha256(): string | undefined;
  /** Masks of the configuration on the disk. Throws AgentError if they cannot be read. */
  masksOnDisk(): readonly MaskConfig[];
}

export class TechnicianPage {
  readonly #options: TechnicianPageOptions;
  readonly #server: PageServer;
  readonly #use: PreviewUse;
  readonly #preview: Preview;
  readonly #walk: Walk;
  readonly #masks: Masks;
  readonly #receiptLimit: TokenBucket;
  #receiptRefusals = 0;
  readonly #views = new Map<Language, { readonly localView: LocalView; readonly atMs: number }>();

  constructor(options: TechnicianPageOptions) {
    this.#options = options;
    const { config, stateDir, pageSocket, clock, log, accuracy, masksOnDisk } = options;
    const { masks: running, timeZone } = config;
    this.#masks = new Masks({ running, onDisk: masksOnDisk, clock });
    this.#receiptLimit = new TokenBucket(RECEIPTS, clock);
    this.#use = new PreviewUse({ file: join(stateDir, USE_FILE), timeZone, clock, log });
    const { isOn } = options;
    this.#walk = new Walk({ clock, isOn, walkTest: (test) => accuracy.walkTest(test) });
    this.#preview = new Preview({
      clock,
      use: this.#use,
      journal: options.journal,
      flow: options.flow,
      supervisor: options.supervisor,
      status: options.status,
      order: () => options.restraint.ruled?.authorisation?.order,
      forbidden: () => this.#forbidden(),
    });
    this.#server = new PageServer({
      socket: pageSocket ?? join(stateDir, PAGE_SOCKET),
      mode: pageSocket === undefined ? OWN_MODE : GROUP_MODE,
      clock,
      log,
      ask: (message, screen) => this.#ask(message, screen),
      onScreenClosed: (screen) => this.#preview.screenClosed(screen),
    });
  }

  get counters(): Counters {
    const receipts = {
      receipts_issued: this.#options.receipts.issued,
      receipts_refused: this.#receiptRefusals,
    };
    return { ...this.#server.counters, ...this.#preview.counters, ...receipts };
  }

  async start(): Promise<void> {
    this.#use.start();
    await this.#server.start();
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    const ends = [this.#preview.close(), this.#walk.stop()];
    await this.#server.stop();
    await Promise.all(ends);
  }

  /** Handles the command `unlock-pairing`. Throws CommandRefused. */
  unlockPairing(): Record<string, never> {
    if (!this.#server.tellAll(encodeToPage({ kind: 'unlock-pairing' })))
      throw new CommandRefused('unavailable', 'the technician’s page does not run on this box');
    return {};
  }

  #ask({ request, session, ask }: FromPage, screen: Screen): void {
    let refusal: Refusal | undefined;
    let state = null;
    try {
      if (ask.op === 'state') state = this.#state(ask.language);
      else if (ask.op === 'receipt-still') refusal = this.#sendStill(request, screen);
      else refusal = this.#do(ask, session, screen);
    } catch (error) {
      this.#options.log.error({ err: error, op: ask.op }, 'an answer for the page could not be made');
      refusal = { code: 'failed', reason: messageOf(error) };
    }
    const short = refusal === undefined ? null : { ...refusal, reason: refusal.reason.slice(0, TEXT_MAX) };
    screen.tell(encodeToPage({ kind: 'answer', request, refused: short, state }));
  }

  /** Returns the reason for a refusal, or undefined. */
  #do(
    ask: Exclude<PageAsk, { op: 'state' | 'receipt-still' }>,
    session: string,
    screen: Screen,
  ): Refusal | undefined {
    switch (ask.op) {
      case 'preview-start':
        return this.#preview.start(screen, ask.viewer, session);
      case 'preview-stop':
        return this.#preview.stop(screen, ask.viewer);
      case 'walk-start':
        return this.#startWalk(ask.rule, ask.passes);
      case 'walk-answer':
        return this.#walk.answer(ask.answer);
      case 'confirm-view': {
        const reason = this.#options.supervisor.confirmView(`page ${session}`);
        return reason === undefined ? undefined : { code: 'not-confirmed', reason };
      }
      case 'receipt': {
        const refusal = this.#issueReceipt(session);
        if (refusal !== undefined) this.#receiptRefusals += 1;
        return refusal;
      }
    }
  }

  /** Reports the installation as an event, whose still is made and sent like that of an alert. */
  #issueReceipt(session: string): Refusal | undefined {
    const { config, restraint, flow, supervisor, receipts, isOnTrial } = this.#options;
    if (receipts.isWaiting) return { code: 'receipt-waits', reason: 'a receipt is being issued already' };
    const waitS = this.#receiptLimit.take();
    if (waitS > 0) return { code: 'too-often', reason: `issued too often; again in ${Math.ceil(waitS)} s` };
    const { authorisation } = restraint.ruled ?? {};
    const shownSha256 = this.#shownSha256();
    const own = { config, authorisation, shownSha256, isOnTrial: isOnTrial(), session };
    const no = this.#forbidden();
    receipts.awaits();
    const requests = flow.installed(installationOf({ ...own, ...this.#tell('en') }));
    if (no !== undefined) flow.noEvidence(requests, no.reason);
    else if (!supervisor.requestEvidence(requests)) flow.noEvidence(requests, 'there is no vision process');
    return undefined;
  }

  #shownSha256(): string | undefined {
    try {
      return this.#options.shownSha256();
    } catch (error) {
      rethrowBug(error);
      return undefined;
    }
  }

  /** Sends the still of the newest receipt, unless the box is suspended or without an authorisation now. */
  #sendStill(request: number, screen: Screen): Refusal | undefined {
    const no = this.#forbidden();
    if (no?.code === 'suspended' || no?.code === 'unauthorised') return no;
    const { still } = this.#options.receipts;
    if (still === undefined) return { code: 'no-still', reason: 'there is no receipt with a still' };
    screen.tell(encodePageStill(request, still));
    return undefined;
  }

  #startWalk(id: string, passes: number): Refusal | undefined {
    const { config, restraint } = this.#options;
    const rule = config.rules.find((candidate) => candidate.id === id);
    if (rule === undefined) return { code: 'no-such-rule', reason: `no rule ${id} runs here` };
    const grant = restraint.ruled?.permit?.rules.get(id);
    if (grant === undefined) return { code: 'rule-unauthorised', reason: `rule ${id} may not run now` };
    if (grant.shadow) return { code: 'shadow', reason: `rule ${id} runs in shadow: it raises no alert` };
    return this.#walk.start(rule, passes);
  }

  /** Cheapest checks first: it is called ten times a second during a preview. */
  #forbidden(): Forbidden | undefined {
    const { restraint, status } = this.#options;
    const { ruled } = restraint;
    const { camera, detector } = status;
    if (ruled?.mode === 'suspended') return { code: 'suspended', reason: ruled.reason ?? 'suspended' };
    if (ruled?.permit === undefined) {
      return { code: 'unauthorised', reason: ruled?.reason ?? 'no valid authorisation has been found yet' };
    }
    if (camera.state === 'lost') return { code: 'camera-away', reason: camera.reason ?? 'no picture' };
    if (detector === null)
      return { code: 'detector-down', reason: 'no detector is loaded, so people cannot be hidden' };
    if (camera.state !== 'streaming') return { code: 'camera-away', reason: 'the camera is being opened' };
    const masks = this.#masks.problem;
    return masks === undefined ? undefined : { code: 'masks-not-applied', reason: masks };
  }

  #state(language: Language): ReturnType<typeof agentView> {
    const { config, restraint } = this.#options;
    const { receipts } = this.#options;
    const screenState = {
      preview: this.#preview.view,
      walk: this.#walk.view,
      receipt: receipts.view,
      receiptWaits: receipts.isWaiting,
    };
    const own = { ...screenState, configSha256: this.#options.configSha256 ?? null, ruled: restraint.ruled };
    return agentView({ ...config, ...own, ...this.#tell(language) });
  }

  #tell(language: Language): LocalView {
    const { clock, view } = this.#options;
    const nowMs = clock.nowMs();
    const before = this.#views.get(language);
    if (before !== undefined && nowMs - before.atMs < VIEW_REUSED_MS) return before.localView;
    const localView = view.statusWithFindings(language);
    this.#views.set(language, { localView, atMs: nowMs });
    return localView;
  }
}
