/** A box reduced to a track log and its handler, on a clock that the test moves; its street is made by hand. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { AgentError } from '../../agent/base/errors.ts';
import type { CameraCondition } from '../../agent/contract/condition.ts';
import type { CommandKey, Config } from '../../agent/contract/config.ts';
import type { CameraReport } from '../../agent/contract/health.ts';
import { groupOf, type Label } from '../../agent/contract/label.ts';
import type { PreviewAnswer } from '../../agent/contract/link.ts';
import type { Mode } from '../../agent/contract/mode.ts';
import type { Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { PurgeRecord } from '../../agent/contract/search.ts';
import { TRACK_APPROVAL_TYPE, type TrackApproval } from '../../agent/contract/track-approval.ts';
import type {
  TrackLogGrant,
  TrackQuestion,
  TrackRecord,
  TrackResult,
  TrackStillResult,
} from '../../agent/contract/track-log.ts';
import { signEnvelope } from '../../agent/orders/dsse.ts';
import { TrackHandler } from '../../agent/tracks/handler.ts';
import { TrackLogStatus } from '../../agent/tracks/status.ts';
import { TrackLog } from '../../agent/tracks/track-log.ts';
import { accepted, type Signer } from './commands.ts';
import { HandClock, SILENT } from './outbox.ts';
import { observation, track } from './street.ts';

export const GRANT: TrackLogGrant = {
  purpose: 'searches after the fact',
  legalBasis: 'Code de test, art. L. 2',
  grade: 'vehicles',
  zones: 'all',
  days: 30,
  spanHours: 720,
  budget: { case: 1000, keyDay: 1000, day: 2000 },
};

const SOURCE = { widthPx: 1600, heightPx: 900 };
/** Frames a second. */
const FPS = 5;

export interface MovingObject {
  readonly id: number;
  readonly label?: Label;
  /** Place of its foot at a time since the beginning of the scene, s; undefined outside the scene. */
  at(s: number): readonly [number, number] | undefined;
  readonly heightNorm?: number;
  readonly isStaticFalsePositive?: boolean;
  readonly colours?: ObservedTrack['colours'];
}

/** A mover that goes evenly from one place to another. */
export function movingObject(
  id: number,
  from: readonly [number, number],
  to: readonly [number, number],
  [startS, endS]: readonly [number, number],
  options: Partial<MovingObject> = {},
): MovingObject {
  const at = (s: number): [number, number] | undefined => {
    if (s < startS || s > endS) return undefined;
    const ratio = (s - startS) / Math.max(0.001, endS - startS);
    return [from[0] + ratio * (to[0] - from[0]), from[1] + ratio * (to[1] - from[1])];
  };
  return { id, label: 'car', at, ...options };
}

type Answer = TrackResult & TrackStillResult;

export class TrackedBox {
  readonly clock: HandClock;
  readonly records: (PurgeRecord | TrackRecord)[] = [];
  readonly stateDir: string;
  readonly config: Config;
  readonly camera: { -readonly [K in keyof CameraReport]: CameraReport[K] };
  readonly status = new TrackLogStatus();
  grant: TrackLogGrant | undefined;
  mode: Mode = 'active';
  synced = true;
  trusted = true;
  resting = false;
  order = '2026-77';
  notAfter = '2027-11-24T00:00:00.000Z';
  /** True if the journal refuses entries. */
  recordFails = false;
  /** True if the configuration names the authorisation; the active one may be another. */
  isAuthorisationKnown = true;
  picture: PreviewAnswer = { picture: undefined, reason: 'there is no vision process' };
  log!: TrackLog;
  handler!: TrackHandler;
  #frame = 0;
  #counter = 0;

  constructor(
    stateDir: string,
    options: {
      grant?: TrackLogGrant;
      keys?: readonly CommandKey[];
      clock?: HandClock;
      tracksMiB?: number;
      source?: string;
    } = {},
  ) {
    const {
      grant,
      keys = [],
      clock = new HandClock(),
      tracksMiB = 16,
      source = 'rtsp://10.0.0.9/main',
    } = options;
    this.stateDir = stateDir;
    this.grant = grant;
    this.clock = clock;
    this.camera = {
      state: 'streaming',
      reason: null,
      decoder: null,
      widthPx: 1600,
      heightPx: 900,
      fps: 25,
      asOrdered: true,
    };
    this.config = {
      site: 'marseille-1',
      box: 'canebiere-017',
      timeZone: 'Europe/Paris',
      camera: { source, fps: 5 },
      commands: { keys: [...keys] },
      authorisation: '/etc/vigie/order.json',
      retention: { tracksMiB },
    } as unknown as Config;
    this.#make();
  }

  get file(): string {
    return join(this.stateDir, 'tracks.db');
  }

  /** Number of rows in the file. */
  get rows(): number {
    const database = new Database(this.file, { readonly: true });
    const { rows } = database.prepare('SELECT count(*) AS rows FROM track').get() as { rows: number };
    database.close();
    return rows;
  }

  start(): this {
    this.log.start();
    this.rule();
    return this;
  }

  /** Sends the active authorisation to the log. */
  rule(): void {
    const authorisation = this.isAuthorisationKnown
      ? { order: this.order, notAfter: this.notAfter, ...(this.grant && { tracks: this.grant }) }
      : undefined;
    this.log.permit({ mode: this.mode, authorisation });
  }

  /** Kills the agent without notice and starts it again. */
  kill(): this {
    this.#make();
    return this.start();
  }

  restart(): this {
    this.log.stop();
    return this.kill();
  }

  /** Lets the street continue for this time; the agent runs after each frame. */
  live(
    seconds: number,
    movingObjects: readonly MovingObject[] = [],
    camera: readonly CameraCondition[] = [],
  ): void {
    for (let i = 0; i <= seconds * FPS; i += 1) {
      this.log.observe(this.#observation(i / FPS, movingObjects, camera));
      this.log.tick();
      if (i < seconds * FPS) this.clock.advance(1000 / FPS);
    }
  }

  /** Lets time pass in which no one is seen. */
  sleep(seconds: number, everyS = 1): void {
    for (let slept = 0; slept < seconds; slept += everyS) {
      this.clock.advance(everyS * 1000);
      this.log.tick();
    }
  }

  /** Sends a request by the key, in a case, for the time since `sinceMs`, a day by default. */
  async ask(
    question: Partial<TrackQuestion> = {},
    {
      key = 'judge-desk',
      number = '2026/1234',
      cursor,
      approval,
    }: { key?: string; number?: string; cursor?: string; approval?: object } = {},
  ): Promise<Answer> {
    const nowMs = this.clock.wallMs();
    const iso = (ms: number): string => new Date(ms).toISOString();
    const request = { from: iso(nowMs - 86_400_000), to: iso(nowMs), answer: 'tracks', ...question };
    return this.raw(
      {
        case: number,
        reason: 'theft',
        question: request,
        ...(cursor && { cursor }),
        ...(approval && { approval }),
      },
      key,
    );
  }

  async raw(args: Readonly<Record<string, unknown>>, key = 'judge-desk'): Promise<Answer> {
    this.#counter += 1;
    // A rate of one a second is another test's.
    this.clock.advance(1000);
    this.log.tick();
    const command = accepted('tracks', args, { counter: this.#counter, key });
    return (await this.handler.answer(command)) as Answer;
  }

  approval(signer: Signer, fields: Partial<TrackApproval> & Pick<TrackApproval, 'question'>): object {
    const nowMs = this.clock.wallMs();
    const content: TrackApproval = {
      site: this.config.site,
      box: this.config.box,
      case: '2026/1234',
      reason: 'theft',
      notBefore: new Date(nowMs - 60_000).toISOString(),
      notAfter: new Date(nowMs + 3_600_000).toISOString(),
      ...fields,
    };
    return JSON.parse(
      signEnvelope(TRACK_APPROVAL_TYPE, JSON.stringify(content), signer.privateKey).toString(),
    ) as object;
  }

  #make(): void {
    const { clock, stateDir, config, status } = this;
    const record = (one: PurgeRecord | TrackRecord): void => {
      if (this.recordFails) throw new AgentError('unavailable', 'the journal is down');
      this.records.push(one);
    };
    const self = this;
    const steady = {
      get synced() {
        return self.synced;
      },
      trusted: () => self.trusted,
    };
    const vision = {
      camera: this.camera,
      get quiet() {
        const quiet = { reason: null, rests: 0, idleWakings: 0, startsCompared: 0, startsShown: 0 };
        return self.resting ? { ...quiet, resting: true } : undefined;
      },
    };
    this.log = new TrackLog({ config, stateDir, clock, log: SILENT, steady, vision, status, record });
    const supervisor = { preview: () => Promise.resolve(this.picture) };
    this.handler = new TrackHandler({ config, log: this.log, clock, supervisor, status, record });
  }

  #observation(
    s: number,
    movingObjects: readonly MovingObject[],
    camera: readonly CameraCondition[],
  ): Observation {
    const atMs = this.clock.nowMs();
    this.#frame += 1;
    const tracks = movingObjects.flatMap((one) => {
      const place = one.at(s);
      return place === undefined ? [] : [trackOf(one, place, atMs)];
    });
    return observation(atMs, tracks, {
      frame: this.#frame,
      wallMs: this.clock.wallMs(),
      source: SOURCE,
      camera: [...camera],
    });
  }
}

export function trackOf(
  { id, label = 'car', heightNorm = 0.1, isStaticFalsePositive = false, colours }: MovingObject,
  [x, y]: readonly [number, number],
  atMs: number,
): ObservedTrack {
  return track(id, {
    label,
    group: groupOf(label),
    score: 0.7,
    xyxyNorm: [x - 0.05, y - heightNorm, x + 0.05, y],
    ground: [x, y],
    firstMs: atMs,
    lastMs: atMs,
    furniture: isStaticFalsePositive,
    ...(colours !== undefined && { colours }),
  });
}
