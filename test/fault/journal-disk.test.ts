/**
 * Tests that a full or read-only journal disk stops video analysis as well as writing, and that both restart
 * automatically.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseVerifierKey } from '../../agent/restraint/journal/note.ts';
import { verifyJournal } from '../../scripts/lib/journal/verification.ts';
import { makeAgent, streetConfig } from '../lib/agent.ts';
import { calmSource } from '../lib/encoded-clip.ts';
import { keyOf } from '../lib/journal.ts';
import { scratch } from '../lib/paths.ts';
import { visionsOf } from '../lib/proc.ts';
import { makeRoom, waitUntil } from '../lib/room.ts';
import { openInbox } from '../lib/room-inbox.ts';
import { unlessAll } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';
import { useBundledVision } from '../lib/vision.ts';

const FAULTS = {
  full: {
    begin: (dir: string) =>
      execFileSync('sh', ['-c', 'dd if=/dev/zero of="$1/filler" bs=4k; true', 'sh', dir], { stdio: 'pipe' }),
    end: (dir: string) => rmSync(join(dir, 'filler')),
    reason: /the disk is full|no space left/i,
  },
  'read-only': {
    begin: (dir: string) => execFileSync('mount', ['-o', 'remount,ro', dir], { stdio: 'pipe' }),
    end: (dir: string) => execFileSync('mount', ['-o', 'remount,rw', dir], { stdio: 'pipe' }),
    reason: /read-only file system/i,
  },
} as const;

for (const [name, { begin, end, reason }] of Object.entries(FAULTS)) {
  const skip = SmallDisk.unavailable() || (name === 'read-only' && unlessAll);
  void t.test(`analysis stops while the journal’s disk is ${name}`, { skip }, async (t) => {
    useBundledVision(t);
    const room = await makeRoom(t);
    const inbox = await openInbox(t, room, 'vigie/+/+/evt/system/journal-down');
    const stateDir = join(scratch(t), 'state');
    const dir = join(stateDir, 'journal');
    mkdirSync(dir, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=700', 'journal', dir], { stdio: 'pipe' });
    t.teardown(() => execFileSync('umount', [dir], { stdio: 'pipe' }));
    const config = streetConfig(room, { camera: { source: calmSource(), fps: 5 } });
    const agent = makeAgent(t, config, stateDir);
    await agent.start();
    await waitUntil(t, 'vision runs', () => visionsOf(process.pid).length === 1, 30_000);

    begin(dir);
    const phase = (): string | undefined => inbox.events().at(-1)?.data.phase;
    await waitUntil(t, 'the event', () => phase() === 'start', 60_000);
    t.match(JSON.stringify(inbox.events().at(-1)), reason);
    await waitUntil(t, 'vision has ended', () => visionsOf(process.pid).length === 0, 30_000);
    end(dir);
    await waitUntil(t, 'it is over', () => phase() === 'end', 60_000);
    await waitUntil(t, 'vision runs again', () => visionsOf(process.pid).length === 1, 30_000);
    await agent.stop();

    t.same(visionsOf(process.pid), []);
    const modes: string[] = [];
    const { wrong } = verifyJournal(dir, parseVerifierKey(keyOf(stateDir)), {
      onEntry: (_index, content) =>
        content?.type === 'mode' && modes.push(`${content.mode} ${content.reason}`),
    });
    t.strictSame(wrong, []);
    const down = 'unauthorised journal-down: no analysis without a journal entry';
    t.strictSame(modes, ['active null', down, 'active null'], 'and the journal says so');
  });
}
