/** `evaluate gating`: compares every label with and without motion gating, by inferences saved and by the incidents. */

import { labelsIn } from './events.ts';
import { type Label, type Start, scoreStarts, startsOf } from './labels.ts';
import { replayClip } from './replay-clip.ts';

/** Largest difference of start times of one incident in two runs: a frame more or less, and the check's interval. */
const SAME_START_S = 2.5;

interface Run {
  readonly frames: number;
  readonly skippedFrames: number;
  readonly starts: readonly Start[];
  readonly visionCpuS: number;
  readonly mistakes: readonly string[];
}

async function run(label: Label, extra: readonly string[]): Promise<Run> {
  const replayed = await replayClip(label.clipPath, label.config, extra);
  try {
    const { frames, framesHeld: skippedFrames, cpuS } = replayed.summary;
    const starts = startsOf(replayed.events);
    const mistakes = scoreStarts(label, starts).flatMap((score) => score.mistakes.map(({ line }) => line));
    return { frames, skippedFrames, starts, visionCpuS: cpuS.vision, mistakes };
  } finally {
    replayed.forget();
  }
}

/** Returns true if every clip has the same incidents, and all the expected ones. */
export async function evaluateGating(dir: string, say: (line: string) => void): Promise<boolean> {
  say('| clip | frames | inferences saved | CPU of vision, s, without and with | incidents |');
  say('| --- | --- | --- | --- | --- |');
  const ratios: number[] = [];
  let right = true;
  for (const label of labelsIn(dir)) {
    if (process.stderr.isTTY) process.stderr.write(`\r${label.name} …\x1b[K`);
    const every = await run(label, ['--every-frame']);
    const gated = await run(label, []);
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    const differences = differencesOf(every.starts, gated.starts);
    const wrong = [...differences, ...gated.mistakes];
    right &&= wrong.length === 0;
    const ratio = gated.skippedFrames / gated.frames;
    ratios.push(ratio);
    const cpu = `${every.visionCpuS.toFixed(1)} → ${gated.visionCpuS.toFixed(1)}`;
    const incidents = wrong.length === 0 ? `the same ${gated.starts.length}` : wrong.join('; ');
    say(`| ${label.name} | ${gated.frames} | ${percent(ratio)} | ${cpu} | ${incidents} |`);
  }
  const quiet = ratios.sort((a, b) => b - a).slice(0, Math.ceil(ratios.length / 2));
  const mean = quiet.reduce((sum, ratio) => sum + ratio, 0) / Math.max(1, quiet.length);
  say(`the quieter half of the clips: ${percent(mean)} saved`);
  return right;
}

function differencesOf(every: readonly Start[], gated: readonly Start[]): string[] {
  const unmatched = [...gated];
  const lostStarts = every.filter(({ rule, atS }) => {
    const matchIndex = unmatched.findIndex(
      (start) => start.rule === rule && Math.abs(start.atS - atS) <= SAME_START_S,
    );
    if (matchIndex >= 0) unmatched.splice(matchIndex, 1);
    return matchIndex < 0;
  });
  const line = ({ rule, atS }: Start): string => `${rule} at ${atS.toFixed(1)} s`;
  return [
    ...lostStarts.map((start) => `lost: ${line(start)}`),
    ...unmatched.map((start) => `only gated: ${line(start)}`),
  ];
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}
