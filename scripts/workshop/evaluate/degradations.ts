/**
 * Simulates the effects of light, weather, lens and network on a film, as graphs of ffmpeg's filters. They are the
 * common corruptions of Hendrycks and Dietterich (2019), in strengths that street cameras suffer, the same from run to
 * run. `evaluate conditions` uses them for whole films.
 */
import type { CameraCondition } from '../../../agent/contract/condition.ts';

export interface Film {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly fps: number;
  readonly lengthS: number;
}

export interface Degradation {
  readonly name: string;
  /** Returns ffmpeg's graph, from the pad `[film]` to one output without a name. */
  graph(film: Film): string;
  /** Encoder options that replace constant quality. */
  readonly encode?: readonly string[];
  /** Camera conditions that are correct on it. */
  readonly mayTell: readonly CameraCondition[];
  /** True if it can blind the camera: misses are forgiven if the box reports that in time. */
  readonly blinding?: true;
}

const film = (chain: string): (() => string) => {
  return () => `[film]${chain}`;
};

/** Gaussian noise of that many levels; ffmpeg's strength is √3 times the standard deviation. */
const noise = (sigma: number): string => `noise=alls=${Math.round(sigma * Math.sqrt(3))}:allf=t:all_seed=11`;

/** Moves every level towards `level`, so that `contrast` of the differences is left. */
const haze = (contrast: number, level: number): string => {
  const to = `'val*${contrast}+${Math.round(level * (1 - contrast))}'`;
  return `format=gbrp,lutrgb=r=${to}:g=${to}:b=${to}`;
};

/** Spot of light, drawn small and stretched: `peak` at the middle, a Gaussian of `sigma` sides along each. */
const glow = (widthPx: number, heightPx: number, fps: number, peak: number, sigma: number): string => {
  const [w, h] = [64, 36];
  const fall = `exp(-(pow(X/${w}-0.5,2)+pow(Y/${h}-0.5,2))/${(2 * sigma * sigma).toFixed(4)})`;
  const layer = `format=rgba,geq=r=255:g=250:b=235:a='${Math.round(255 * peak)}*${fall}'`;
  return `color=white:s=${w}x${h}:r=${fps},${layer},scale=${even(widthPx)}:${even(heightPx)}`;
};

const even = (px: number): number => 2 * Math.round(px / 2);

/** Copies of a lens that hunts for its focus: 4 s in 18 s, as one such camera did. */
const HUNTING = 'between(mod(t,18),3,7)';

export const DEGRADATIONS: readonly Degradation[] = [
  { name: 'none', graph: film('null'), mayTell: [] },
  // The infra-red cut filter is removed, so there is no colour.
  { name: 'grey', graph: film('hue=s=0'), mayTell: [] },
  // Sensor at full gain: 12 levels, six times the noise of daylight.
  { name: 'gain-noise', graph: film(noise(12)), mayTell: [] },
  // Mid-grey (100) becomes 32; little noise, as with a long exposure.
  {
    name: 'dark',
    graph: film(`eq=gamma=0.45,${noise(3)}`),
    mayTell: ['too-dark', 'cannot-see'],
    blinding: true,
  },
  {
    // A lamp beside the lens lights the middle, without colour, at full gain.
    name: 'infra-red',
    graph: ({ widthPx }) =>
      `[film]hue=s=0,eq=gamma=0.6:contrast=0.7,vignette=PI/4,gblur=sigma=${(widthPx / 400).toFixed(2)},${noise(8)}`,
    mayTell: ['too-dark', 'cannot-see'],
    blinding: true,
  },
  {
    // Two pixels of the detector's input.
    name: 'blur',
    graph: ({ widthPx }) => `[film]gblur=sigma=${(widthPx / 200).toFixed(2)}`,
    mayTell: ['defocused', 'cannot-see'],
    blinding: true,
  },
  // A quarter of the contrast is left, around light grey (Koschmieder's law at 1.4 extinction lengths).
  { name: 'haze', graph: film(haze(0.25, 200)), mayTell: ['cannot-see'], blinding: true },
  {
    // Drops fall through the picture during an exposure: streaks of a twentieth of its height, slightly slanted.
    name: 'rain',
    graph: ({ widthPx, heightPx, fps }) => {
      const drops = `color=gray:s=${widthPx}x${heightPx}:r=${fps},noise=c0s=60:allf=t:all_seed=7,format=gray`;
      const streaks = `lutyuv=y='if(gt(val,232),255,0)',dblur=angle=82:radius=${Math.round(heightPx / 20)},lutyuv=y='min(80,val*9)'`;
      return `${drops},${streaks},format=gbrp[rain];[film]format=gbrp[lit];[lit][rain]blend=all_mode=screen:shortest=1`;
    },
    mayTell: [],
  },
  {
    name: '150-kbit',
    graph: film('null'),
    encode: ['-b:v', '150k', '-maxrate', '150k', '-bufsize', '150k'],
    mayTell: [],
  },
  {
    // Mast in the wind: three pixels to each side, faster than the frame rate resolves.
    name: 'shake',
    graph: ({ widthPx, heightPx }) =>
      `[film]format=yuv444p,crop=iw-8:ih-8:x='4+3*sin(1.7*n)':y='4+3*sin(2.3*n)',scale=${widthPx}:${heightPx}`,
    mayTell: [],
  },
  {
    // Headlights with light cones pass one another on a street at night.
    name: 'headlights',
    graph: ({ widthPx, heightPx, fps }) => {
      const lamp = glow(0.12 * widthPx, 0.07 * widthPx, fps, 1, 0.14);
      const cone = glow(0.5 * widthPx, 0.12 * widthPx, fps, 0.55, 0.17);
      const way = (periodS: number, isBackward: boolean, y: number): string => {
        const position = `(mod(t,${periodS})/${periodS}*1.6-0.4)`;
        return `x='W*${isBackward ? `(0.8-${position})` : position}':y='${Math.round(y * heightPx)}'`;
      };
      return [
        `${lamp},split[l1][l2]`,
        `${cone},split[c1][c2]`,
        `[film]eq=gamma=0.45,${noise(3)}[n]`,
        `[n][c1]overlay=${way(7, false, 0.6)}:shortest=1[a]`,
        `[a][l1]overlay=${way(7, false, 0.62)}:shortest=1[b]`,
        `[b][c2]overlay=${way(11, true, 0.45)}:shortest=1[c]`,
        `[c][l2]overlay=${way(11, true, 0.47)}:shortest=1`,
      ].join(';');
    },
    mayTell: ['too-dark', 'cannot-see'],
    blinding: true,
  },
  {
    name: 'focus-hunting',
    graph: ({ widthPx }) => `[film]gblur=sigma=${(widthPx / 100).toFixed(2)}:enable='${HUNTING}'`,
    mayTell: ['defocused'],
  },
  {
    // Fog or snow closes in within 10 s; a twenty-fifth of the contrast is left, and noise.
    name: 'white-out',
    graph: ({ widthPx, heightPx, fps, lengthS }) => {
      const fade = `fade=t=in:st=${Math.min(10, 0.2 * lengthS).toFixed(1)}:d=${Math.min(10, 0.3 * lengthS).toFixed(1)}:alpha=1`;
      const white = `color=0xE6E6E6:s=${widthPx}x${heightPx}:r=${fps},format=rgba,colorchannelmixer=aa=0.96,${fade}[white]`;
      return `${white};[film][white]overlay=shortest=1,${noise(2)}`;
    },
    mayTell: ['cannot-see', 'covered'],
    blinding: true,
  },
  {
    // A low sun shines into the lens: haze over the whole picture, white around the sun.
    name: 'glare',
    graph: ({ widthPx, heightPx, fps }) =>
      `${glow(2 * widthPx, 2 * heightPx, fps, 1, 0.16)}[sun];[film]${haze(0.5, 215)}[veiled];[veiled][sun]overlay=x=-W*0.35:y=-H*0.8:shortest=1`,
    mayTell: ['cannot-see', 'covered'],
    blinding: true,
  },
];

/** @throws Error if there is none of that name */
export function degradationOf(name: string): Degradation {
  const degradation = DEGRADATIONS.find((one) => one.name === name);
  if (degradation === undefined) throw new Error(`no degradation is called ${name}`);
  return degradation;
}

/** Returns the whole graph for `-vf`: frames at the film's rate, then the degradation. */
export function filterGraph({ graph }: Degradation, of: Film): string {
  return `[in]fps=${of.fps}[film];${graph(of)}[out]`;
}

/**
 * Returns encoder options: H.264 as cameras send it, with a key frame every 10 s, on one thread, for the same bytes
 * each time.
 */
export function encoderOf({ encode = ['-crf', '23'] }: Degradation, fps: number): string[] {
  const h264 = [
    '-c:v',
    'libx264',
    '-preset',
    'veryfast',
    '-g',
    String(Math.round(10 * fps)),
    '-threads',
    '1',
  ];
  return [...h264, ...encode, '-pix_fmt', 'yuv420p'];
}
