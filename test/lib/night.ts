/** A clip of a day as it would look at night: less light, and a sensor's noise on top. */
import type { Frame } from '../../agent/contract/picture.ts';
import { randomOf } from './random.ts';

export interface Light {
  readonly gain: number;
  /** Standard deviation of the noise, in levels. */
  readonly noise: number;
}

/** Darkens frames in place; deterministic. */
export function nightOf({ gain, noise }: Light): (frame: Pick<Frame, 'rgb'>) => void {
  const random = randomOf(3);
  // The sum of four uniform variates has a standard deviation of 0.58.
  const variates = Float32Array.from({ length: 65_536 }, () => random() + random() + random() + random() - 2);
  return ({ rgb }) => {
    const start = Math.floor(random() * 65_536);
    for (let k = 0; k < rgb.length; k += 1) {
      const level =
        gain * (rgb[k] as number) + (noise / 0.58) * (variates[(start + k * 7) & 65_535] as number);
      rgb[k] = Math.max(0, Math.min(255, level));
    }
  };
}
