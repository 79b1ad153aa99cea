/**
 * Sends the preview to phones. Each viewer is an HTTP answer that does not end, to which pictures are appended.
 *
 * INVARIANTS:
 * - A picture is the newest or none. One that arrives while the previous is unread is skipped and counted, never
 *   queued.
 * - The message that there is no picture is never skipped, because the shown one must disappear.
 * - Nothing is stored.
 * LIMITS: one viewer a session. A viewer that does not read for STUCK_MS is disconnected.
 */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../../base/clock.ts';
import { rethrowBug } from '../../base/errors.ts';
import type { PreviewHeader } from '../../contract/page-api.ts';
import { NO_PICTURE, type NoPicture, PREVIEW_BYTES_MAX } from '../../contract/page-link.ts';
import type { AgentClient, NoPictureMessage, Picture } from './agent-client.ts';
import type { Session } from './sessions.ts';

const STUCK_MS = 20_000;
const NOTHING = Buffer.alloc(0);

interface Viewer {
  readonly id: number;
  readonly session: Session;
  readonly response: ServerResponse;
  /** Time since which data is unread; undefined if all is read. */
  unreadSinceMs: number | undefined;
  /** Message to send as soon as all is read. */
  owed: PreviewHeader | undefined;
}

export interface PreviewOptions {
  readonly agent: Pick<AgentClient, 'ask'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

export class Preview {
  readonly #options: PreviewOptions;
  readonly #viewers = new Map<number, Viewer>();
  #lastId = 0;
  #skipped = 0;
  #disconnectedCount = 0;

  constructor(options: PreviewOptions) {
    this.#options = options;
  }

  /** Number of pictures that a phone did not get because it was too slow. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Number of phones disconnected because they stopped reading. */
  get disconnectedCount(): number {
    return this.#disconnectedCount;
  }

  /** Takes an answer whose head is written; from now on it belongs to the preview. */
  add(session: Session, response: ServerResponse): void {
    this.end(session);
    this.#lastId += 1;
    const viewer: Viewer = { id: this.#lastId, session, response, unreadSinceMs: undefined, owed: undefined };
    this.#viewers.set(viewer.id, viewer);
    response.on('close', () => this.#remove(viewer));
    this.#ask(viewer);
  }

  /** Ends the preview of a session, which is over or starts another. */
  end(session: Session): void {
    for (const viewer of this.#viewers.values()) {
      if (viewer.session !== session) continue;
      this.#viewers.delete(viewer.id);
      this.#tellLeft(viewer);
      viewer.response.destroy();
    }
  }

  /** Handles a returned agent, which knows of no viewer. */
  connected(): void {
    for (const viewer of this.#viewers.values()) this.#ask(viewer);
  }

  showUnavailable(): void {
    this.showNone({
      kind: 'no-picture',
      why: 'not-started',
      reason: 'the agent does not answer',
      viewer: null,
    });
  }

  show({ widthPx, heightPx, atMs, tracks }: Picture, jpeg: Uint8Array): void {
    if (jpeg.length === 0 || jpeg.length > PREVIEW_BYTES_MAX) return;
    const packed = pack({ picture: true, widthPx, heightPx, atMs, tracks }, jpeg);
    for (const viewer of this.#viewers.values()) {
      if (viewer.unreadSinceMs === undefined) this.#write(viewer, packed);
      else this.#skipped += 1;
    }
  }

  showNone({ why, reason, viewer }: NoPictureMessage): void {
    const header: PreviewHeader = { picture: false, why, reason };
    for (const one of this.#viewers.values())
      if (viewer === null || viewer === one.id) this.#tell(one, header);
  }

  /** Disconnects viewers that have stopped reading. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const viewer of this.#viewers.values()) {
      if (viewer.unreadSinceMs === undefined || nowMs - viewer.unreadSinceMs < STUCK_MS) continue;
      this.#disconnectedCount += 1;
      viewer.response.destroy();
    }
  }

  /** Ends all previews, at the end of the page. */
  stop(): void {
    for (const { response } of this.#viewers.values()) response.destroy();
  }

  #ask(viewer: Viewer): void {
    const { id, session } = viewer;
    this.#options.agent.ask(session.id, { op: 'preview-start', viewer: id }).then(
      ({ refused }) => {
        if (refused === null) return;
        this.#tell(viewer, { picture: false, why: noPictureOf(refused.code), reason: refused.reason });
      },
      (error: unknown) => {
        rethrowBug(error);
        this.#tell(viewer, { picture: false, why: 'not-started', reason: error.message });
      },
    );
  }

  #remove(viewer: Viewer): void {
    if (this.#viewers.delete(viewer.id)) this.#tellLeft(viewer);
  }

  #tellLeft({ id, session }: Viewer): void {
    // An unreachable agent has no viewers.
    this.#options.agent.ask(session.id, { op: 'preview-stop', viewer: id }).catch(rethrowBug);
  }

  #tell(viewer: Viewer, header: PreviewHeader): void {
    if (viewer.unreadSinceMs === undefined) this.#write(viewer, pack(header, NOTHING));
    else viewer.owed = header;
  }

  #drained(viewer: Viewer): void {
    viewer.unreadSinceMs = undefined;
    const { owed } = viewer;
    viewer.owed = undefined;
    if (owed !== undefined) this.#write(viewer, pack(owed, NOTHING));
  }

  #write(viewer: Viewer, bytes: Buffer): void {
    const { response } = viewer;
    if (response.destroyed) return;
    viewer.unreadSinceMs = this.#options.clock.nowMs();
    // Called when the kernel has taken all of it, or the connection has closed.
    response.write(bytes, () => this.#drained(viewer));
  }
}

function noPictureOf(code: string): NoPicture {
  return NO_PICTURE.find((candidate) => candidate === code) ?? 'not-started';
}

function pack(header: PreviewHeader, jpeg: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(text.length, 0);
  lengths.writeUInt32BE(jpeg.length, 4);
  return Buffer.concat([lengths.subarray(0, 4), text, lengths.subarray(4), jpeg]);
}
