/** `evaluate gating`: compares every label with and without motion gating, by inferences saved and by the incidents. */

import { labelsIn } from './events.ts';
import { type Label, type Start, scoreStarts, startsOf } from './labels.ts';
import { replayClip } from './replay-clip.ts';

/** Largest difference of start times of one incident in two runs: a frame more or less, and the check's interval. */
const SAME_START_S = 2.5;

interface Run {
  readonly frames: number;
  readonly framesHeld: number;
  readonly starts: readonly Start[];
  readonly visionCpuS: number;
  readonly faults: readonly string[];
}

async function run(label: Label, extra: readonly string[]): Promise<Run> {
  const replayed = await replayClip(label.clipPath, label.config, extra);
  try {
    const { frames, framesHeld, cpuS } = replayed.summary;
    const starts = startsOf(replayed.events);
    const faults = scoreStarts(label, starts).flatMap((score) => score.faults.map(({ line }) => line));
    return { frames, framesHeld, starts, visionCpuS: cpuS.vision, faults };
  } finally {
    replayed.forget();
  }
}

/** Returns true if every clip has the same incidents, and all the expected ones. */
export async function evaluateGating(dir: string, say: (line: string) => void): Promise<boolean> {
  say('| clip | frames | inferences saved | CPU of vision, s, without and with | incidents |');
  say('| --- | --- | --- | --- | --- |');
  const shares: number[] = [];
  let right = true;
  for (const label of labelsIn(dir)) {
    if (process.stderr.isTTY) process.stderr.write(`\r${label.name} …\x1b[K`);
    const every = await run(label, ['--every-frame']);
    const gated = await run(label, []);
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    const differences = differencesOf(every.starts, gated.starts);
    const wrong = [...differences, ...gated.faults];
    right &&= wrong.length === 0;
    const share = gated.framesHeld / gated.frames;
    shares.push(share);
    const cpu = `${every.visionCpuS.toFixed(1)} → ${gated.visionCpuS.toFixed(1)}`;
    const incidents = wrong.length === 0 ? `the same ${gated.starts.length}` : wrong.join('; ');
    say(`| ${label.name} | ${gated.frames} | ${percent(share)} | ${cpu} | ${incidents} |`);
  }
  const quiet = shares.sort((a, b) => b - a).slice(0, Math.ceil(shares.length / 2));
  const mean = quiet.reduce((sum, share) => sum + share, 0) / Math.max(1, quiet.length);
  say(`the quieter half of the clips: ${percent(mean)} saved`);
  return right;
}

function differencesOf(every: readonly Start[], gated: readonly Start[]): string[] {
  const left = [...gated];
  const lostStarts = every.filter(({ rule, atS }) => {
    const matchIndex = left.findIndex(
      (start) => start.rule === rule && Math.abs(start.atS - atS) <= SAME_START_S,
    );
    if (matchIndex >= 0) left.splice(matchIndex, 1);
    return matchIndex < 0;
  });
  const line = ({ rule, atS }: Start): string => `${rule} at ${atS.toFixed(1)} s`;
  return [
    ...lostStarts.map((start) => `lost: ${line(start)}`),
    ...left.map((start) => `only gated: ${line(start)}`),
  ];
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
