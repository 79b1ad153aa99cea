/** Runs `vigie replay` like a user, in a process of its own, and reads its output. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentError } from '../../../agent/base/errors.ts';
import type { VigieEvent } from '../../../agent/contract/event.ts';
import { Contract } from '../docs/contract.ts';

export interface Replayed {
  /** Folder with the output of the replay; `forget()` removes it. */
  readonly dir: string;
  readonly events: readonly VigieEvent[];
  readonly summary: {
    readonly frames: number;
    /** Frames of these without a detector run. */
    readonly framesHeld: number;
    /** High-resolution passes of the detector. */
    readonly looksFine: number;
    readonly detections: number;
    readonly clipS: number;
    readonly cpuS: { readonly vision: number; readonly agent: number };
  };
  forget(): void;
}

const contract = new Contract();

/**
 * `config` is an object in the form of the configuration file. Throws AgentError `unavailable` with the replay's own
 * line, and `bug` if an event violates the published contract.
 */
export async function replayClip(
  clip: string,
  config: object,
  extra: readonly string[] = [],
): Promise<Replayed> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-replay-'));
  const configFile = join(dir, 'config.json');
  writeFileSync(configFile, JSON.stringify(config));
  const program = fileURLToPath(
    new URL(`../../../agent/cli/main${extname(fileURLToPath(import.meta.url))}`, import.meta.url),
  );
  const { code, stderr } = await run([
    program,
    'replay',
    clip,
    '--config',
    configFile,
    '--out',
    dir,
    ...extra,
  ]);
  if (code !== 0)
    throw new AgentError('unavailable', `replay of ${clip} ended with ${code}: ${stderr.trim()}`);
  const lines = readFileSync(join(dir, 'events.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const events = lines.map((line) => JSON.parse(line) as VigieEvent);
  for (const event of events) {
    const [problem] = contract.eventProblems(event);
    if (problem !== undefined)
      throw new AgentError('bug', `replay of ${clip}: event ${event.id}: ${problem}`);
  }
  return {
    dir,
    events,
    summary: JSON.parse(readFileSync(join(dir, 'summary.json'), 'utf8')) as Replayed['summary'],
    forget: () => rmSync(dir, { recursive: true, force: true }),
  };
}

function run(args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stderr }));
  });
}
