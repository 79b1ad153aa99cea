/** Views of the log of tracks: framings of the camera, each since the time at which it began. */
import { type CameraSource, configuredStream } from '../contract/camera-address.ts';
import { authorisedAddress, namesStream } from '../orders/camera-pin.ts';
import type { TrackStore, View } from './store.ts';

/** A picture of another aspect ratio is another framing. */
const SAME_ASPECT = 0.01;

export class LogViews {
  readonly #source: string | undefined;
  readonly #stream: CameraSource | undefined;
  /** Text by which the views name the stream. */
  #camera: string | undefined;
  /** Oldest first. */
  #views: View[] = [];
  #unwritten: View[] = [];
  /** Store whose views have been read. */
  #store: TrackStore | undefined;
  #isNext = false;

  /** `source`: the configured camera. */
  constructor(source: string | undefined) {
    this.#source = source;
    this.#stream = configuredStream(source);
  }

  get all(): readonly View[] {
    return this.#views;
  }

  /** Views that are not on disk. */
  get unwritten(): readonly View[] {
    return this.#unwritten;
  }

  /** Reads the views of a store that was opened since the last time. Throws AgentError. */
  read(store: TrackStore | undefined): void {
    if (store === this.#store) return;
    this.#views = [...(store?.views() ?? []), ...this.#unwritten];
    this.#store = store;
  }

  /** Lets the next `read` read again, since rows were deleted. */
  forget(): void {
    this.#store = undefined;
  }

  /** Resets to an empty log. */
  begin(): void {
    this.#views = [];
    this.#unwritten = [];
  }

  /** Marks that the camera shows another, confirmed view from now on. */
  confirm(): void {
    this.#isNext = true;
  }

  /** Begins a view if another stream, another picture shape or a confirmed view is analysed. */
  follow(wallMs: number, aspect: number): void {
    const last = this.#views.at(-1);
    // The digests of a stored view have their own salt.
    if (last !== undefined && last.camera !== this.#camera && namesStream(last.camera, this.#stream))
      this.#camera = last.camera;
    this.#camera ??= authorisedAddress(this.#source);
    const camera = this.#camera;
    const isSame = last?.camera === camera && Math.abs(last.aspect - aspect) <= SAME_ASPECT * aspect;
    if (isSame && !this.#isNext) return;
    this.#isNext = false;
    const view = { fromMs: Math.round(wallMs), camera, aspect };
    this.#views.push(view);
    this.#unwritten.push(view);
  }

  /** Marks that all views are on disk. */
  written(): void {
    this.#unwritten = [];
  }
}
