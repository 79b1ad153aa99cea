/**
 * Makes contact sheets of misses and false alerts for inspection. They show frames around the moment, with the zones
 * and lines of the rules and the boxes of the tracks. They show recorded films unredacted, and so must never be stored
 * in the project.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import sharp from 'sharp';
import { AgentError } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { type ClipFacts, factsOf, ffmpeg } from './ffmpeg.ts';
import type { Label, Mistake } from './labels.ts';
import { type MotRow, parseMot } from './mot.ts';

const COLUMNS = 4;
const PICTURES = 12;
const WIDTH_PX = 400;
/** Seconds before and after. A miss is shown around its window; the cause of a false alert precedes it. */
const AROUND_S = { missed: [2, 2], false: [8, 2] } as const;

type Point = readonly [number, number];

/** Creates the folder. Throws AgentError `config` if it is in the project. */
export function pictureFolder(dir: string): string {
  const path = resolve(dir);
  if (!relative(packageRoot(), path).startsWith('..'))
    throw new AgentError(
      'config',
      `${dir}: is inside the project, which must not contain films; choose another folder`,
    );
  mkdirSync(path, { recursive: true });
  return path;
}

/** Writes `<label>-<rule>-<what>-<second>.jpg`; `replayDir` holds the output of the clip's replay. */
export async function contactSheet(
  { label, rule, outcome, windowS }: Mistake,
  { clipPath, config }: Label,
  replayDir: string,
  dir: string,
): Promise<void> {
  const facts = factsOf(clipPath);
  const [fromS, toS] = windowS ?? [0, facts.lengthS];
  const [before, after] = AROUND_S[outcome];
  const frames = framesBetween(Math.max(0, fromS - before), Math.min(facts.lengthS, toS + after), facts);
  const tracksFile = join(replayDir, 'tracks.txt');
  const tracks = parseMot(readFileSync(tracksFile, 'utf8'), tracksFile);
  const heightPx = Math.round((WIDTH_PX * facts.heightPx) / facts.widthPx / 2) * 2;
  const work = mkdtempSync(join(tmpdir(), 'vigie-sheet-'));
  try {
    const selection = frames.map((frame) => `eq(n,${frame - 1})`).join('+');
    const filter = `select='${selection}',scale=${WIDTH_PX}:${heightPx}`;
    await ffmpeg(['-i', clipPath, '-vf', filter, '-fps_mode', 'passthrough', join(work, '%02d.png')]);
    const files = readdirSync(work).sort();
    const tiles = await Promise.all(
      files.map(async (file, i) => {
        const frame = frames[i] as number;
        const frameTracks = tracks.filter((row) => row.frame === frame);
        const overlay = Buffer.from(drawing(config, frameTracks, (frame - 1) / facts.fps, facts, heightPx));
        const input = await sharp(join(work, file))
          .composite([{ input: overlay }])
          .png()
          .toBuffer();
        return { input, left: (i % COLUMNS) * WIDTH_PX, top: Math.floor(i / COLUMNS) * heightPx };
      }),
    );
    const rows = Math.ceil(tiles.length / COLUMNS);
    const sheet = {
      width: COLUMNS * WIDTH_PX,
      height: rows * heightPx,
      channels: 3 as const,
      background: '#000',
    };
    const name = `${label}-${rule}-${outcome}-${fromS.toFixed(1)}.jpg`.replaceAll(/[^\w.-]/g, '-');
    await sharp({ create: sheet }).composite(tiles).jpeg({ quality: 80 }).toFile(join(dir, name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Returns numbers of frames, from 1 on, spread evenly. */
function framesBetween(fromS: number, toS: number, { fps, lengthS }: ClipFacts): number[] {
  const last = Math.floor(lengthS * fps);
  const all = Array.from({ length: PICTURES }, (_, k) =>
    Math.min(last, 1 + Math.round((fromS + (k * (toS - fromS)) / (PICTURES - 1)) * fps)),
  );
  return [...new Set(all)];
}

/** Returns an SVG overlay for a tile. */
function drawing(
  config: Label['config'],
  tracks: readonly MotRow[],
  atS: number,
  { widthPx }: ClipFacts,
  heightPx: number,
): string {
  const { zones = [], lines = [] } = config as {
    zones?: { polygon: Point[] }[];
    lines?: { from: Point; to: Point }[];
  };
  const at = (points: readonly Point[]): string =>
    points.map(([x, y]) => `${(x * WIDTH_PX).toFixed(1)},${(y * heightPx).toFixed(1)}`).join(' ');
  const scale = WIDTH_PX / widthPx;
  const boxes = tracks.map(({ id, xyxyPx, conf }) => {
    const [x1, y1, x2, y2] = xyxyPx.map((v) => v * scale) as [number, number, number, number];
    const box = `<rect x="${x1}" y="${y1}" width="${x2 - x1}" height="${y2 - y1}" fill="none" stroke="#ff0"/>`;
    return `${box}<text x="${x1}" y="${y1 - 2}" font-size="10" fill="#ff0">${id} ${conf.toFixed(2)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH_PX}" height="${heightPx}" font-family="sans-serif">`,
    ...zones.map(({ polygon }) => `<polygon points="${at(polygon)}" fill="none" stroke="#0f0"/>`),
    ...lines.map(({ from, to }) => `<polyline points="${at([from, to])}" stroke="#f0f" stroke-width="2"/>`),
    ...boxes,
    `<text x="4" y="${heightPx - 4}" font-size="13" fill="#fff" stroke="#000" stroke-width=".4">${atS.toFixed(1)} s</text>`,
    '</svg>',
  ].join('');
}
