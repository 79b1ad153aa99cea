/** A camera whose openings and losses no one hears, unless told otherwise. It is stopped with the test. */
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { Camera, type CameraOptions } from '../../agent/vision/camera/camera.ts';
import { SILENT } from './outbox.ts';

export function testCamera(
  t: Pick<Test, 'teardown'>,
  options: Partial<CameraOptions> & Pick<CameraOptions, 'source'>,
): Camera {
  const camera = new Camera({
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
  t.teardown(() => camera.stop());
  return camera;
}
