/** Cameras whose openings and losses no one hears, unless told otherwise. */
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { Camera, type CameraOptions } from '../../agent/vision/camera/camera.ts';
import { SILENT } from './outbox.ts';

type Options = Partial<CameraOptions> & Pick<CameraOptions, 'source'>;

export function cameraOf(options: Options): Camera {
  return new Camera({
    fps: 5,
    input: { widthPx: 416, heightPx: 256 },
    masks: [],
    mode: 'replay',
    clock: systemClock,
    log: SILENT,
    onOpened: () => undefined,
    onLost: () => undefined,
    ...options,
  });
}

/** A camera that is stopped with the test. */
export function testCamera(t: Pick<Test, 'teardown'>, options: Options): Camera {
  const camera = cameraOf(options);
  t.teardown(() => camera.stop());
  return camera;
}
