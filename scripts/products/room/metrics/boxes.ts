/**
 * Tracks all boxes that have sent a message, with the latest message of each kind.
 *
 * INVARIANTS:
 * - Messages are parsed only when metrics are requested, and only the newest of each topic. A box that sends a thousand
 *   a second costs only their copying.
 * - An unreadable message leaves earlier data unchanged.
 * - Names come from topics and are validated. Other text from a box becomes a label only if families.ts knows it.
 * LIMITS:
 * - `boxesMax` boxes.
 * - SITES_MAX sites for each box name, because a box may publish for any site while its certificate proves the name.
 * - MESSAGE_BYTES_MAX for each topic of a box.
 * - Each refusal is counted.
 */
import { ALL_BOXES } from '../../../../agent/contract/command.ts';
import { RELEASE_KINDS, type ReleaseKind } from '../../../../agent/contract/release.ts';
import {
  type BoxReports,
  BRANCHES,
  type Branch,
  MESSAGE_BYTES_MAX,
  type Refusal,
  read,
  timeIn,
} from './messages.ts';
import { CHANGES } from './release-changes.ts';

/** The current site, and retained messages of earlier sites at the broker. */
const SITES_MAX = 3;
const NAME = /^[a-z0-9-]{1,32}$/;
const FAILED: readonly string[] = ['rolled-back', 'failed'];

export const REFUSALS = ['topic', 'size', 'form', 'identity', 'boxes', 'sites'] as const;

interface Unread {
  readonly payload: Buffer;
  /** True if the message was retained at the broker, so its time of sending is unknown. */
  readonly retained: boolean;
  readonly atMs: number;
}

interface Failures {
  count: number;
  sinceTime: string | undefined;
}

export class Box {
  readonly site: string;
  readonly box: string;
  readonly reports: BoxReports = {};
  readonly unread = new Map<Branch, Unread>();
  /** Time of the box's last message by branch, as far as known, in wall-clock ms. */
  readonly heardMs = new Map<Branch, number>();
  refusalCount = 0;
  /**
   * Failed or rolled-back updates of each program of a box that this program has seen, and the start of the last one.
   */
  readonly failures: Readonly<Record<ReleaseKind, Failures>> = {
    release: { count: 0, sinceTime: undefined },
    root: { count: 0, sinceTime: undefined },
  };

  constructor(site: string, box: string) {
    this.site = site;
    this.box = box;
  }

  get isOnline(): boolean {
    return this.reports.status?.state === 'online';
  }

  get isSilent(): boolean {
    return this.unread.size === 0 && this.heardMs.size === 0;
  }

  get lastHeardMs(): number {
    return Math.max(...this.heardMs.values());
  }
}

export class Boxes {
  readonly refusals: Record<(typeof REFUSALS)[number], number> = {
    topic: 0,
    size: 0,
    form: 0,
    identity: 0,
    boxes: 0,
    sites: 0,
  };
  readonly #boxesMax: number;
  readonly #forgetMs: number;
  /** Boxes by name, then by site. */
  readonly #boxes = new Map<string, Map<string, Box>>();
  #count = 0;
  #messages = 0;

  /** `forgetMs`: offline boxes that have been silent for this time are left out. */
  constructor({ boxesMax, forgetMs }: { readonly boxesMax: number; readonly forgetMs: number }) {
    this.#boxesMax = boxesMax;
    this.#forgetMs = forgetMs;
  }

  get messages(): number {
    return this.#messages;
  }

  /** Stores a message as received; an empty payload deletes a retained message. */
  take(topic: string, payload: Buffer, retained: boolean, nowMs: number): void {
    this.#messages += 1;
    const [root, site = '', name = '', ...rest] = topic.split('/');
    const branch = BRANCHES.find((one) => one === rest.join('/'));
    const isBox = NAME.test(name) && name !== ALL_BOXES;
    if (root !== 'vigie' || !NAME.test(site) || !isBox || branch === undefined) {
      this.refusals.topic += 1;
      return;
    }
    const entry = this.#boxes.get(name)?.get(site);
    if (payload.length === 0) {
      if (entry !== undefined) this.#takeBack(entry, branch);
      return;
    }
    if (payload.length > MESSAGE_BYTES_MAX) {
      this.refusals.size += 1;
      if (entry !== undefined) entry.refusalCount += 1;
      return;
    }
    const box = entry ?? this.#added(site, name);
    // A copy, because the payload may be a slice of a larger buffer of MQTT.js.
    box?.unread.set(branch, { payload: Buffer.from(payload), retained, atMs: nowMs });
  }

  /** Returns the boxes to show, and the number that have been silent for too long. */
  view(nowMs: number): { readonly boxes: Box[]; readonly forgotten: number } {
    const all = [...this.#boxes.values()].flatMap((sites) => [...sites.values()]);
    for (const box of all) for (const [branch, unread] of box.unread) this.#read(box, branch, unread);
    const heardBoxes = all.filter(({ heardMs }) => heardMs.size > 0);
    const boxes = heardBoxes.filter((box) => box.isOnline || nowMs - box.lastHeardMs < this.#forgetMs);
    return { boxes, forgotten: heardBoxes.length - boxes.length };
  }

  #read(box: Box, branch: Branch, { payload, retained, atMs }: Unread): void {
    box.unread.delete(branch);
    const refusal: Refusal | undefined = read(branch, payload, box, box.reports);
    if (refusal !== undefined) {
      this.refusals[refusal] += 1;
      box.refusalCount += 1;
      return;
    }
    // A retained message is as old as it claims, if the box's clock is right.
    box.heardMs.set(branch, retained ? Math.min(atMs, timeIn(branch, box.reports)) : atMs);
    if (branch === 'update/reported') noteFailure(box);
  }

  #takeBack(box: Box, branch: Branch): void {
    box.unread.delete(branch);
    box.heardMs.delete(branch);
    delete box.reports[branch === 'update/reported' ? 'report' : branch];
    if (!box.isSilent) return;
    const sites = this.#boxes.get(box.box);
    sites?.delete(box.site);
    if (sites?.size === 0) this.#boxes.delete(box.box);
    this.#count -= 1;
  }

  #added(site: string, name: string): Box | undefined {
    const sites = this.#boxes.get(name) ?? new Map<string, Box>();
    if (sites.size >= SITES_MAX) {
      this.refusals.sites += 1;
      return undefined;
    }
    if (this.#count >= this.#boxesMax) {
      this.refusals.boxes += 1;
      return undefined;
    }
    const box = new Box(site, name);
    this.#boxes.set(name, sites.set(site, box));
    this.#count += 1;
    return box;
  }
}

/**
 * Counts each failure once, however often the box reports it. Failures reported before this program started count too.
 */
function noteFailure(box: Box): void {
  const updater = box.reports.report?.updater;
  if (updater == null) return;
  for (const kind of RELEASE_KINDS) {
    const { phase, since: sinceTime } = CHANGES[kind](updater);
    const failures = box.failures[kind];
    if (!FAILED.includes(phase) || failures.sinceTime === sinceTime) continue;
    failures.sinceTime = sinceTime;
    failures.count += 1;
  }
}
