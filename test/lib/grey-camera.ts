/** Shows grey pictures to the real sink, and gives the glimpses that a camera makes of them. */
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { SizePx } from '../../agent/contract/geometry.ts';
import type { Glimpse, LookTerms } from '../../agent/contract/picture.ts';
import { type CellsOf, FrameReader } from '../../agent/vision/camera/frame-reader.ts';
import { PrivacyMasks } from '../../agent/vision/camera/mask.ts';
import { StillRing } from '../../agent/vision/camera/still-ring.ts';
import { Timeline } from '../../agent/vision/camera/timeline.ts';
import { NativePipeline } from '../../agent/vision/native/gstreamer.ts';

export class GreyCamera {
  readonly #pipeline: NativePipeline;
  readonly #reader: FrameReader;

  /** Pictures have the size of the detector's `input`. */
  constructor(t: Test, input: SizePx, cellsOf: CellsOf) {
    const { widthPx, heightPx } = input;
    const caps = `video/x-raw,format=GRAY8,width=${widthPx},height=${heightPx},framerate=0/1`;
    this.#pipeline = new NativePipeline(
      `appsrc name=source format=time caps="${caps}" ! videoconvert ! video/x-raw,format=I420 ! ` +
        'identity name=rate ! picturesink name=sink sync=false',
      systemClock,
    );
    this.#pipeline.open();
    t.teardown(() => this.#pipeline.dispose());
    const { look, beginScene, get, fail } = this.#pipeline;
    this.#reader = new FrameReader({
      pipeline: {
        look: look.bind(this.#pipeline),
        beginScene: beginScene.bind(this.#pipeline),
        fail: fail.bind(this.#pipeline),
        // No videorate counts these pictures.
        get: (element, property) => (element === 'rate' ? 0 : get.call(this.#pipeline, element, property)),
      },
      ring: new StillRing(),
      masks: new PrivacyMasks([]),
      input,
      timeline: new Timeline(systemClock, false),
      fps: null,
      cellsOf,
      stillLongSidePx: 1280,
    });
  }

  /** Shows a picture at a media time; the first one is at 0. */
  show(grey: Uint8Array, atMs: number): void {
    if (!this.#pipeline.push(grey, BigInt(Math.round(atMs * 1e6)))) throw new Error('the pipeline has ended');
  }

  /** Returns the next glimpse of what is shown. */
  async next(termsNow?: () => LookTerms): Promise<Glimpse> {
    const glimpse = await this.#reader.next(termsNow);
    if (glimpse === undefined) throw new Error('the pipeline has ended');
    return glimpse;
  }
}
