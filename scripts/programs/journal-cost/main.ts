/** What an entry of the journal costs on this machine's disk: `node dist/scripts/programs/journal-cost/main.js [FOLDER]`. */
import fs, { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JournalContent } from '../../../agent/contract/journal.ts';
import { Journal } from '../../../agent/restraint/journal/journal.ts';

const ENTRIES = 512;
const BATCH = 16;

const { fsyncSync } = fs;
let flushes = 0;
fs.fsyncSync = (fd) => {
  flushes += 1;
  fsyncSync(fd);
};
syncBuiltinESMExports();

const at = new Date().toISOString();
const alert = (i: number): JournalContent => ({
  at,
  type: 'alert',
  id: `0123456789abcdef-${i}`,
  sequence: String(i).padStart(20, '0'),
  sha256: 'ab'.repeat(32),
});

function measure(what: string, perCheckpoint: number): void {
  const stateDir = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'journal-cost-'));
  try {
    const journal = new Journal({ stateDir, origin: 'vigie/site/box' });
    journal.start();
    journal.append(alert(0));
    const times: number[] = [];
    flushes = 0;
    for (let i = 0; i < ENTRIES; i += perCheckpoint) {
      const began = performance.now();
      journal.appendAll(Array.from({ length: perCheckpoint }, (_, k) => alert(i + k)));
      times.push(performance.now() - began);
    }
    times.sort((a, b) => a - b);
    const quantile = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
    const perEntry = times.reduce((sum, ms) => sum + ms, 0) / ENTRIES;
    const bytes = sizeOf(stateDir) / ENTRIES;
    process.stdout.write(
      `${what}: ${perEntry.toFixed(2)} ms, ${(flushes / ENTRIES).toFixed(1)} fsyncs and ${bytes.toFixed(0)} bytes an entry; ` +
        `a call half the time within ${quantile(0.5)} ms, 95 of 100 within ${quantile(0.95)} ms\n`,
    );
  } finally {
    rmSync(stateDir, { recursive: true });
  }
}

function sizeOf(dir: string): number {
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((path) =>
    statSync(join(dir, path)),
  );
  return files.filter((file) => file.isFile()).reduce((sum, { size }) => sum + size, 0);
}

measure('one entry a call', 1);
measure(`${BATCH} entries a call`, BATCH);
