/** Vision with nothing to watch for, detector and camera only, and vision as one file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { VisionSettings } from '../../agent/contract/link.ts';
import type { CapturePermit } from '../../agent/contract/permit.ts';
import { ownFolder } from '../../agent/orders/restraint-folder.ts';
import { writeOwnFolder } from '../../agent/restraint/folder.ts';
import { permitReplay, permitUnder } from '../../agent/restraint/permit.ts';
import { configOf } from './agent.ts';
import { authorised } from './authority.ts';
import { bundled } from './bundled.ts';
import { MODEL_DIR, scratch } from './paths.ts';
import { BOX, SITE } from './room.ts';

export const BARE_PERMIT: CapturePermit = permitReplay({ rules: [] });

/**
 * A capture permit for a camera with nothing to watch for, and the folder in which vision finds the accepted
 * authorities.
 */
export function permitFor(t: Test, source: string): { permit: CapturePermit; restraintDir: string } {
  const dir = scratch(t);
  const config = authorised(configOf({ site: SITE, box: BOX, camera: { source, fps: 5 } }, 'replay'), dir);
  writeOwnFolder(dir, config);
  const authorisation = readFileSync(config.authorisation ?? '', 'utf8');
  return { permit: permitUnder(authorisation, []), restraintDir: ownFolder(dir).dir };
}

export function bareSettings(source: string, fps: number): VisionSettings {
  return {
    mode: 'live',
    camera: { source, fps },
    detector: { model: 'nanodet-g-city10', input: [416, 256], backend: 'onnxruntime', providers: ['cpu'] },
    modelDir: MODEL_DIR,
    zones: [],
    lines: [],
    masks: [],
    timeZone: 'UTC',
    moveTolerances: [],
    regions: false,
    everyFrame: false,
    detections: false,
  };
}

const NODE = process.execPath;

/**
 * Makes the supervisor run vision as one bundled file until the test ends, which loads in less than half the CPU time. The
 * program that it starts adds `env` and then runs Node.
 */
export function useBundledVision(t: Test, env: Readonly<Record<string, string>> = {}): void {
  const program = join(scratch(t), 'node-with-vision');
  const before = process.execPath;
  const set = Object.entries(env).map(([name, value]) => `${name}='${value}'`);
  const swap = `case $word in */dist/agent/vision/main.js) word='${bundled('agent/vision')}';; esac`;
  const script = `for word do shift; ${swap}; set -- "$@" "$word"; done\nexec env ${set.join(' ')} '${NODE}' "$@"\n`;
  writeFileSync(program, `#!/bin/sh\n${script}`, { mode: 0o755 });
  process.execPath = program;
  t.teardown(() => {
    process.execPath = before;
  });
}
