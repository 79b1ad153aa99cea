/**
 * `vigie replay` of a clip, in which vision's part is computed once for the same clip, settings and code of vision
 * (kept-vision.ts). The command, the rules, the incidents and the output are computed each time.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Replayed, replayClip } from '../../scripts/programs/evaluate/replay-clip.ts';

const KEPT_VISION = fileURLToPath(new URL('./kept-vision.js', import.meta.url));

/** Replays the clip as `replayClip` does. */
export async function keptReplay(
  clip: string,
  config: object,
  extra: readonly string[] = [],
): Promise<Replayed> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-kept-'));
  // The agent starts vision with the program that it runs by, and this script takes its place.
  const program = join(dir, 'node');
  writeFileSync(
    program,
    `#!/bin/sh\nexec '${process.execPath}' '${KEPT_VISION}' '${process.execPath}' "$@"\n`,
  );
  chmodSync(program, 0o755);
  const preload = join(dir, 'preload.mjs');
  writeFileSync(preload, `process.execPath = ${JSON.stringify(program)};\n`);
  const replay = (): Promise<Replayed> => {
    const before = process.env['NODE_OPTIONS'];
    process.env['NODE_OPTIONS'] = `--import=file://${preload}`;
    try {
      return replayClip(clip, config, extra);
    } finally {
      if (before === undefined) delete process.env['NODE_OPTIONS'];
      else process.env['NODE_OPTIONS'] = before;
    }
  };
  try {
    // A kept replay no longer fits where the agent asks for other pictures; then it is computed again.
    return await replay().catch(replay);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
