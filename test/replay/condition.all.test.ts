/**
 * Tests the camera conditions with faults made from a street clip: each is reported in time, and a healthy picture has
 * none.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import type { ZoneConfig } from '../../agent/contract/config.ts';
import type { SizePx } from '../../agent/contract/geometry.ts';
import type { Frame } from '../../agent/contract/picture.ts';
import { CameraConditions } from '../../agent/vision/observe/condition.ts';
import { MovingCells } from '../../agent/vision/observe/moving.ts';
import { replayClip } from '../../scripts/workshop/evaluate/replay-clip.ts';
import { encodedClip, smallStreet } from '../lib/encoded-clip.ts';
import { type ClipOptions, FILTERED_FPS, filteredClip } from '../lib/filtered-clip.ts';
import { evaluationData, STREET_CLIP } from '../lib/paths.ts';
import { randomOf } from '../lib/random.ts';
import { unlessFull } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip';
/** Start of the faults, and their end where they end within the clip of 79 s. */
const FROM_S = 24;
const TO_S = 62;
const during = `enable='between(t,${FROM_S},${TO_S})'`;
/** Lays a filtered copy of the picture over the picture. */
const over = (copy: string): string => `split[a][b];[b]${copy}[c];[a][c]overlay=${during}`;

interface Light {
  readonly gain: number;
  /** Standard deviation of the noise, in levels. */
  readonly noise: number;
}

/** Darkens frames in place; deterministic. */
function nightOf({ gain, noise }: Light): (frame: Pick<Frame, 'rgb'>) => void {
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

async function changes(filter: string, night?: Light, clip?: ClipOptions): Promise<[number, string][]> {
  const conditions = new CameraConditions();
  const darken = night && nightOf(night);
  const changeList: [number, string][] = [];
  let before = '';
  // The filter skips frames that no detector run uses.
  for await (const frame of filteredClip(`fps=${FILTERED_FPS},${filter}`, clip ?? smallStreet())) {
    darken?.(frame);
    const now = conditions.update(frame, []).join();
    if (now !== before) changeList.push([frame.atMs / 1000, now]);
    before = now;
  }
  return changeList;
}

t.test('each fault is reported in its time and ends after it', { skip }, async (t) => {
  const faults = [
    { condition: 'covered', withinS: 10, filter: `drawbox=color=0x505050:t=fill:${during}` },
    {
      condition: 'covered',
      withinS: 10,
      filter: over('crop=30:30:150:150,scale=384:288:flags=bicubic,gblur=10'),
    },
    { condition: 'moved', withinS: 60, filter: over('hflip') },
    { condition: 'moved', withinS: 60, filter: over('crop=378:284:0:0,pad=384:288:6:4') },
    { condition: 'defocused', withinS: 60, filter: `gblur=sigma=3:${during}` },
    { condition: 'too-dark', withinS: 60, filter: `lutrgb=r=val*0.06:g=val*0.06:b=val*0.06:${during}` },
  ];
  for (const { condition, withinS, filter } of faults) {
    const changeList = await changes(filter);
    t.same(
      changeList.map(([, now]) => now),
      [condition, ''],
      `${condition}, by ${filter}: ${JSON.stringify(changeList)}`,
    );
    const [fromS = Number.NaN, ends = Number.NaN] = changeList.map(([atS]) => atS);
    t.ok(fromS >= FROM_S && fromS - FROM_S <= withinS, `within ${withinS} s`);
    t.ok(ends >= TO_S && ends - TO_S <= 17, 'and over soon after');
  }
  const frozen = await changes(`loop=loop=${35 * FILTERED_FPS}:size=1:start=${FROM_S * FILTERED_FPS}`);
  t.same(
    frozen.map(([, now]) => now),
    ['frozen', ''],
    `frozen: ${JSON.stringify(frozen)}`,
  );
  t.ok((frozen[0]?.[0] ?? 0) - FROM_S <= 30, 'within 30 s');
});

/** A glow that bleaches the left third of the picture, like a low sun. */
const glare = `split[a][b];[b]scale=96:72,format=yuva444p,geq=lum=255:cb=128:cr=128:a='255*clip(1.6-1.6*hypot(X-W*0.2,Y-H*0.35)/(W*0.45),0,1)',scale=384:288[g];[a][g]overlay=enable='gte(t,24)'`;
const ZONES = [
  { id: 'left', polygon: rectangle(0.05, 0.15, 0.3, 0.5) },
  { id: 'right', polygon: rectangle(0.6, 0.5, 0.9, 0.9) },
] satisfies ZoneConfig[];

t.test('haze is reported within a minute of its beginning and ends after it', { skip }, async (t) => {
  const whiteOut = await changes('fade=type=out:start_time=24:duration=20:color=white');
  t.same(
    whiteOut.map(([, now]) => now),
    ['cannot-see'],
    `white-out: ${JSON.stringify(whiteOut)}`,
  );
  t.ok((whiteOut[0]?.[0] ?? 99) - FROM_S <= 60, 'within 60 s');
  const haze = await changes(`gblur=sigma=1:${during},eq=contrast=0.15:brightness=0.1:${during}`);
  t.same(
    haze.map(([, now]) => now),
    ['cannot-see', ''],
    `haze: ${JSON.stringify(haze)}`,
  );
  t.ok((haze[0]?.[0] ?? 99) - FROM_S <= 60, 'within 60 s');
});

t.test('a glare blinds only the zones that lie in it', { skip }, async (t) => {
  const conditions = new CameraConditions({ zones: ZONES });
  const reports: string[] = [];
  for await (const frame of filteredClip(glare, smallStreet())) {
    t.same(conditions.update(frame, []), []);
    const now = conditions.blindZones.join();
    if (now !== (reports.at(-1)?.split(' ')[1] ?? '')) reports.push(`${frame.atMs / 1000} ${now}`);
  }
  t.match(reports, [/^\d+(\.\d+)? left$/], 'once');
  t.ok(Number(reports[0]?.split(' ')[0]) <= FROM_S + 60, `after ${reports[0]}`);
});

/** The detector finds no one in the film, which equals a blind camera. */
t.test('people who pass and are never detected are reported within a minute', { skip }, async (t) => {
  const conditions = new CameraConditions();
  const cells = new MovingCells();
  const infrared = 'hue=s=0,eq=gamma=0.6:contrast=0.35:brightness=-0.2,noise=alls=12:allf=t';
  let toldMs: number | undefined;
  for await (const frame of filteredClip(infrared, smallStreet())) {
    const context = { detectorRan: true, foreground: cells.update(frame) };
    if (conditions.update(frame, [], context).includes('cannot-see')) toldMs ??= frame.atMs;
  }
  t.ok(toldMs !== undefined && toldMs <= 60_000, `after ${toldMs} ms`);
});

t.test('a street has no condition when dark, noisy, shaking or in other light', { skip }, async (t) => {
  t.same(await changes('null', { gain: 0.15, noise: 5 }), []);
  t.same(await changes(`crop=380:284:x='2+2*sin(t*7)':y='2+2*sin(t*5)'`), [], 'wind');
  t.same(await changes(`drawbox=y=30:color=0x406080:t=fill:enable='between(t,30,34)'`), [], 'a lorry');
  await t.test(
    'a street by day, with noise, pale or less sharp has none either',
    { skip: unlessFull },
    async (t) => {
      t.same(await changes('null'), []);
      t.same(await changes('null', { gain: 1, noise: 8 }), []);
      t.same(await changes(`eq=brightness=0.25:contrast=0.6:${during}`), []);
      t.same(await changes(`gblur=sigma=0.5:${during}`), [], 'a little less sharp');
    },
  );
});

t.test('a covered camera becomes one incident of the box, with a start and an end', { skip }, async (t) => {
  const filter = `fps=3,scale=384:288,drawbox=color=0x505050:t=fill:enable='between(t,24,45)'`;
  const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-t', '60', '-threads', '1'];
  const clip = encodedClip(['-i', STREET_CLIP, '-vf', filter, ...h264], 'mp4');
  const replayed = await replayClip(clip, { site: 'lab', box: 'lab-1', rules: [] });
  t.teardown(replayed.forget);
  const reports = replayed.events.map(({ time, data: { rule, phase } }) => ({
    atS: Date.parse(time) / 1000,
    transition: `${rule.kind} ${phase}`,
  }));
  t.match(reports, [{ transition: 'covered start' }, { transition: 'covered end' }]);
  t.equal(reports.length, 2);
  t.ok((reports[0]?.atS ?? 0) > 24 && (reports[0]?.atS ?? 99) <= 34, `starts at ${reports[0]?.atS} s`);
  t.ok((reports[1]?.atS ?? 0) > 45 && (reports[1]?.atS ?? 99) <= 55, `ends at ${reports[1]?.atS} s`);
});

const data = evaluationData('clips');

function sizeOf(clip: string): SizePx {
  const show = ['-select_streams', 'v:0', '-show_entries', 'stream=width,height', '-of', 'csv=p=0'];
  const { stdout } = spawnSync('ffprobe', ['-v', 'error', ...show, clip], { encoding: 'utf8' });
  const [widthPx = 0, heightPx = 0] = stdout.trim().split(',').map(Number);
  return { widthPx, heightPx };
}

/** A yard at night. With a quarter of its light it is too dark, which is then reported. */
const NIGHT_CLIP = 'dark-yard.mp4';

/**
 * Every clip by day and at night, repeated for an hour. With less than a fifth of the light, 19 of 20 cells of the
 * darkest clip are below the limit of `too-dark`, which is then reported.
 */
t.test(
  'no condition appears in an hour of street video',
  { skip: skip || data.skip || unlessFull, timeout: 3_600_000 },
  async (t) => {
    const clips = [STREET_CLIP, ...readdirSync(data.file).map((name) => join(data.file, name))];
    const loopS = 3600 / (2 * clips.length);
    for (const clip of clips) {
      const looped = { clip, source: sizeOf(clip), loopS };
      t.same(await changes('null', undefined, looped), [], `${basename(clip)}, ${loopS} s by day`);
      if (basename(clip) === NIGHT_CLIP) continue;
      t.same(
        await changes('null', { gain: 0.2, noise: 5 }, looped),
        [],
        `${basename(clip)}, ${loopS} s at night`,
      );
    }
  },
);
