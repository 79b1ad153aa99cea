/** A box's lifetime as its journal records it, made up by a test: entries at fixed times, in a real journal. */

import type { JournalContent, JournalEntry, Running } from '../../agent/contract/journal.ts';
import type { Journal } from '../../agent/restraint/journal/journal.ts';
import { RestraintState } from '../../agent/restraint/journal/restraint-state.ts';
import { TrackLogStatus } from '../../agent/tracks/status.ts';

const HEARTBEAT_MS = 600_000;
const FRAMES_PER_SECOND = 5;

export class BoxLifetime {
  readonly entries: JournalContent[] = [];
  /** Totals that a report of this lifetime must show. */
  readonly counted = { frames: 0, alerts: 0 };
  /** Report of the track log, from the next heartbeat on. */
  tracks = new TrackLogStatus().report;
  #atMs: number;
  #mode: 'active' | 'suspended' | 'unauthorised' = 'active';
  #read = 0;
  #watched = 0;
  #boot = 0;
  #synced = true;
  readonly #knownState = new RestraintState();
  #running: Omit<Running, 'clockSynced' | 'records' | 'restraint'> = {
    versions: { vigie: '0.1.0', node: '20.19.2' },
    config: 'c0'.repeat(32),
    zones: '20'.repeat(32),
    watched: '30'.repeat(32),
    folder: '40'.repeat(32),
    model: { name: 'ssd-street-v2', sha256: 'de'.repeat(32) },
  };

  constructor(at: string) {
    this.#atMs = Date.parse(at);
  }

  note(entry: JournalEntry): this {
    this.entries.push(this.#knownState.learnt({ at: new Date(this.#atMs).toISOString(), ...entry }));
    return this;
  }

  start(): this {
    this.#boot += 1;
    this.#read = 0;
    return this.note({ type: 'start', boot: String(this.#boot), timeZone: 'Europe/Paris', ...this.#now() });
  }

  stop(): this {
    return this.note({ type: 'stop', boot: String(this.#boot), frames: this.#frames() });
  }

  /** Adds heartbeats, and frames while the box is active. */
  live(minutes: number): this {
    for (let remainingMs = minutes * 60_000; remainingMs > 0; remainingMs -= HEARTBEAT_MS) {
      const lastedMs = Math.min(remainingMs, HEARTBEAT_MS);
      this.#atMs += lastedMs;
      if (this.#mode === 'active') this.#read += (lastedMs / 1000) * FRAMES_PER_SECOND;
      if (this.#mode === 'active') this.counted.frames += (lastedMs / 1000) * FRAMES_PER_SECOND;
      this.#heartbeat();
    }
    return this;
  }

  /** Adds heartbeats of a quiet time, in which only key frames are decoded, one a second. */
  quiet(minutes: number): this {
    for (let remainingMinutes = minutes; remainingMinutes > 0; remainingMinutes -= 1) {
      this.#atMs += 60_000;
      this.#read += 60;
      this.#watched += 60 * (FRAMES_PER_SECOND - 1);
      this.#heartbeat();
    }
    return this;
  }

  /** Adds frames without a journal entry. */
  run(minutes: number): this {
    this.#atMs += minutes * 60_000;
    this.#read += minutes * 60 * FRAMES_PER_SECOND;
    return this;
  }

  /** Writes a suspension as the agent does when a person has stopped it. */
  suspend(id: string): this {
    this.note({ type: 'suspend', id, reason: 'order', by: 'desk', ...this.#frameCounts() });
    return this.suspendedAgain(id);
  }

  /** Writes a suspension as a start finds it. */
  suspendedAgain(id: string): this {
    return this.mode('suspended', 'order', id);
  }

  resume(id: string): this {
    return this.note({ type: 'resume', id, reason: 'order lifted', by: ['prefect', 'mayor'] });
  }

  /** Lets time pass without entries. */
  silence(minutes: number): this {
    this.#atMs += minutes * 60_000;
    return this;
  }

  mode(
    mode: 'active' | 'suspended' | 'unauthorised',
    reason: string,
    suspension: string | null = null,
  ): this {
    this.#mode = mode;
    const startTime = new Date(this.#atMs).toISOString();
    return this.note({ type: 'mode', mode, since: startTime, reason, suspension, ...this.#frameCounts() });
  }

  alerts(count: number): this {
    for (let i = 0; i < count; i += 1) {
      this.counted.alerts += 1;
      const id = `alert-${this.counted.alerts}`;
      this.note({ type: 'alert', id, sequence: String(this.counted.alerts), sha256: 'a1'.repeat(32) });
    }
    return this;
  }

  search(number: string): this {
    const at = new Date(this.#atMs).toISOString();
    const query = { from: at, to: at, kinds: ['loitering'], zones: ['forecourt'] };
    const record = {
      record: 'search' as const,
      at,
      key: 'judge-desk',
      counter: 1,
      case: number,
      reason: 'theft of a bicycle',
      query,
      cursor: null,
      matches: 4,
      given: 4,
    };
    return this.note({ type: 'search', row: 1, record });
  }

  /** Adds an unsealing for a case; `hasContent` means that data was handed out. */
  unseal(number: string, hasContent: boolean): this {
    const at = new Date(this.#atMs).toISOString();
    const record = {
      record: 'unseal' as const,
      at,
      key: 'judge-desk',
      counter: 1,
      case: number,
      reason: 'assault',
      event: 'b00t-1',
      sha256: hasContent ? 'ef'.repeat(32) : null,
    };
    return this.note({ type: 'unseal', row: 1, record });
  }

  reconfigured(): this {
    const { config: before, zones } = this.#running;
    this.#running = { ...this.#running, config: 'c1'.repeat(32), zones: '21'.repeat(32) };
    const by = { uid: 0, user: 'root', fileTime: new Date(this.#atMs - 60_000).toISOString() };
    const zoneChange = { before: zones, after: this.#running.zones };
    return this.note({ type: 'config', before, after: this.#running.config, zones: zoneChange, by });
  }

  updated(): this {
    const { versions: before } = this.#running;
    this.#running = { ...this.#running, versions: { ...before, vigie: '0.2.0' } };
    return this.note({ type: 'update', before, after: this.#running.versions });
  }

  clock(synced: boolean): this {
    this.#synced = synced;
    return this;
  }

  into(journal: Journal): void {
    journal.appendAll(this.entries);
  }

  #heartbeat(): void {
    const boot = String(this.#boot);
    this.note({ type: 'heartbeat', boot, frames: this.#frames(), tracks: this.tracks, ...this.#now() });
  }

  #now(): Running {
    return {
      ...this.#running,
      clockSynced: this.#synced,
      records: 0,
      restraint: this.#knownState.summary,
    };
  }

  #frames() {
    return { read: this.#read, analysed: this.#read, dropped: 0, watched: this.#watched };
  }

  #frameCounts() {
    return { framesRead: this.#read, packetsWatched: this.#watched };
  }
}

/** A day from the evening before to the morning after: a night, a suspension, a power cut, an update. */
export function dayOf(): BoxLifetime {
  return new BoxLifetime('2026-11-23T23:00:00Z')
    .start()
    .live(8 * 60)
    .alerts(2)
    .live(90)
    .mode('suspended', 'demonstration: order of the prefect 2026-1187')
    .live(200)
    .mode('active', 'resumed by two keys')
    .live(60)
    .alerts(1)
    .live(15)
    .silence(25)
    .start()
    .live(45)
    .search('2026/1234')
    .live(30)
    .stop()
    .silence(10)
    .updated()
    .reconfigured()
    .start()
    .mode('unauthorised', 'authorisation expired')
    .live(60)
    .mode('active', 'authorisation 2026-88 until 2027-05-31')
    .clock(false)
    .live(40)
    .note({ type: 'clock-step', stepMs: -4200 })
    .clock(true)
    .live(180)
    .alerts(5)
    .live(25)
    .silence(50)
    .live(20)
    .note({ type: 'missed', count: 2 })
    .live(7 * 10);
}
