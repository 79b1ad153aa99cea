/**
 * Runs a search over the boxes of a site through the broker: discovers boxes, signs and sends requests, and ends the
 * search. `Asking` stores the answers.
 *
 * INVARIANTS: the counter increases with each signed command.
 * LIMITS: as `Asking`.
 */
import type { KeyObject } from 'node:crypto';
import { systemClock } from '../../../../../agent/base/clock.ts';
import { AgentError } from '../../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../../agent/base/json.ts';
import type { SiteTime } from '../../../../../agent/base/site-time.ts';
import type { SearchArgs } from '../../../../../agent/contract/search.ts';
import type { Room } from '../../../../lib/room-link/room-file.ts';
import { RoomLink } from '../../../../lib/room-link/room-link.ts';
import { signedCommand } from '../../../../lib/room-link/signed-command.ts';
import { Asking } from './search-progress.ts';

/** Pause in ms that ends the discovery. Retained status messages arrive at once and without a pause. */
const QUIET_MS = 500;
const DISCOVERY_MAX_MS = 10_000;
const TICK_MS = 100;

const UNREADABLE = 'its status cannot be read';

export interface FleetSearchOptions {
  readonly room: Room;
  /** Signs each command. */
  readonly key: KeyObject;
  readonly args: SearchArgs;
  /** Clock of the site, for the notes on offline boxes. */
  readonly time: SiteTime;
  /** Undefined: all boxes of the site. */
  readonly boxes: readonly string[] | undefined;
  readonly timeoutS: number;
  /** Approximate number of events after which no further page is requested. */
  readonly eventsMax: number;
  /** Events beyond this number are counted, not stored. */
  readonly keptMax?: number;
  /** Called a few times a second while answers arrive. */
  onProgress(asking: Asking): void;
}

export class FleetSearch {
  readonly #options: FleetSearchOptions;
  readonly #link: RoomLink;
  readonly #asking: Asking;
  readonly #boxStates = new Map<string, { online: boolean; note: string }>();
  /** Newest counter used for each box, and for all boxes. */
  readonly #counters = new Map<string, number>();
  #counterOfAll = 0;
  #statusAtMs = 0;
  #error: Error | undefined;

  constructor(options: FleetSearchOptions) {
    const { room, timeoutS, eventsMax, keptMax } = options;
    this.#options = options;
    this.#link = new RoomLink({
      config: room.mqtt,
      site: room.site,
      onStatus: (box, payload) => this.#status(box, payload),
      onReply: (box, payload, correlation) => this.#asking.received(box, payload, correlation),
    });
    this.#asking = new Asking({
      clock: systemClock,
      timeoutMs: timeoutS * 1000,
      eventsMax,
      ...(keptMax !== undefined && { keptMax }),
      send: (box, cursor) => this.#send(box, cursor),
    });
  }

  /**
   * Runs the search. Resolves with the answers and the duration in ms once every box has answered or was given up.
   * @throws {AgentError} one line; `unavailable` if `signal` ends it
   */
  async run(signal: AbortSignal): Promise<{ asking: Asking; tookMs: number }> {
    const interrupt = (): void => {
      this.#error ??= new AgentError('unavailable', 'search interrupted');
    };
    signal.addEventListener('abort', interrupt);
    try {
      await this.#link.start(signal);
      void this.#link.closed.then((error) => {
        this.#error ??= error;
      });
      const { boxes } = this.#options;
      if (boxes === undefined) await this.#discover(signal);
      const beganMs = systemClock.nowMs();
      if (boxes === undefined) this.#asking.all(this.#boxStates);
      else for (const name of new Set(boxes)) this.#askOne(name);
      await this.#wait(signal);
      return { asking: this.#asking, tookMs: systemClock.nowMs() - beganMs };
    } finally {
      signal.removeEventListener('abort', interrupt);
      await this.#link.stop();
    }
  }

  #askOne(box: string): void {
    this.#asking.one(box);
    const boxState = this.#boxStates.get(box);
    if (boxState?.online === false) this.#asking.markOffline(box, boxState.note);
  }

  /** Collects the boxes of the site: those with a retained status at the broker. */
  async #discover(signal: AbortSignal): Promise<void> {
    const beganMs = systemClock.nowMs();
    this.#statusAtMs = beganMs;
    while (!signal.aborted && systemClock.nowMs() - this.#statusAtMs < QUIET_MS) {
      if (systemClock.nowMs() - beganMs > DISCOVERY_MAX_MS) return;
      await systemClock.sleep(50, signal);
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { timeoutS, onProgress } = this.#options;
    const asking = this.#asking;
    onProgress(asking);
    // If no box is known, boxes without a status get the time limit to answer.
    const untilMs = systemClock.nowMs() + (asking.boxes.length === 0 ? timeoutS * 1000 : 0);
    while (this.#error === undefined && (asking.open > 0 || systemClock.nowMs() < untilMs)) {
      await systemClock.sleep(TICK_MS, signal);
      asking.tick();
      onProgress(asking);
    }
    if (this.#error !== undefined) throw this.#error;
  }

  #send(box: string | undefined, cursor: string | undefined): number {
    const nowMs = systemClock.wallMs();
    const newest = box === undefined ? 0 : (this.#counters.get(box) ?? this.#counterOfAll);
    const counter = Math.max(newest + 1, nowMs);
    if (box === undefined) this.#counterOfAll = counter;
    else this.#counters.set(box, counter);
    const { room, key, args } = this.#options;
    const envelope = signedCommand(
      {
        site: room.site,
        box: box ?? '*',
        counter,
        op: 'search',
        args: { ...args, ...(cursor !== undefined && { cursor }) },
      },
      key,
      nowMs,
    );
    this.#link.ask(box, envelope, `${counter}`, (refusal) => {
      this.#error ??= refusal;
    });
    return counter;
  }

  #status(box: string, payload: Buffer): void {
    this.#statusAtMs = systemClock.nowMs();
    // An empty message deletes a retained one: the box has left the site.
    if (payload.length === 0) {
      this.#boxStates.delete(box);
      return;
    }
    const { state, time } = Object(jsonOf(payload.toString())) as { state?: unknown; time?: unknown };
    const online = state === 'online';
    const note =
      typeof state === 'string'
        ? `${state}, ${this.#options.time.rfc3339(Date.parse(String(time)))}`
        : UNREADABLE;
    this.#boxStates.set(box, { online, note });
    if (!online) this.#asking.markOffline(box, note);
  }
}
