/**
 * Tests power cuts with torn sectors. A trace records every write to the outbox or the journal and is cut at random
 * moments. The test then opens the state that a disk could hold. FS_IOC_SHUTDOWN (outbox.test.ts) cuts a real file
 * system but never tears a sector.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { LANES, type Lane } from '../../agent/contract/outbox.ts';
import { ORIGIN, openJournal, wrongIn } from '../lib/journal.ts';
import { carelessRows, survivors } from '../lib/outbox-rows.ts';
import { scratch } from '../lib/paths.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { ALL, FULL, unlessAll } from '../lib/run.ts';
import { WriteTrace } from '../lib/write-trace.ts';

const WRITER = fileURLToPath(new URL('../lib/outbox-writer.js', import.meta.url));
const JOURNAL_WRITER = fileURLToPath(new URL('../lib/journal-writer.js', import.meta.url));
/** More than one file of 256 entries. */
const ENTRIES = 300;
const CUTS = FULL ? 1000 : ALL ? 20 : 8;
/** Enough appends to checkpoint the log into the file more than once, every 2 MiB. */
const APPENDS = 400;

/** Moments after the first output, at which something can be lost. */
function cutsOf(trace: WriteTrace, random: () => number): ReadonlySet<number> {
  const { length, firstSaid } = trace;
  if (length - firstSaid <= CUTS) throw new Error(`a trace of ${length} operations only`);
  const cuts = new Set<number>();
  while (cuts.size < CUTS) cuts.add(firstSaid + Math.floor(random() * (length - firstSaid)));
  return cuts;
}

function acceptedSeqs(output: string): Record<Lane, number[]> {
  const numbers: Record<Lane, number[]> = { alert: [], bulk: [] };
  for (const line of output.split('\n').slice(0, -1)) {
    const [lane, ...seqs] = line.split(' ');
    if (lane === 'alert' || lane === 'bulk') numbers[lane].push(...seqs.map(Number));
  }
  return numbers;
}

void t.test(
  'torn sectors lose no accepted row of the outbox, and a careless writer loses some',
  { skip: unlessAll || WriteTrace.unavailable() },
  async (t) => {
    t.comment(`seed ${SEED}`);
    for (const careless of [false, true]) {
      const dir = scratch(t);
      const file = join(dir, 'outbox.db');
      const words = [file, '16', String(APPENDS), ...(careless ? ['careless'] : [])];
      const command = [process.execPath, WRITER, ...words];
      const trace = WriteTrace.record(command, file, join(dir, 'trace'));
      const random = randomOf(SEED);
      const cuts = cutsOf(trace, random);
      const after = join(dir, 'after.db');
      let checked = 0;
      let lostCount = 0;
      const corrupt: string[] = [];
      trace.replay(cuts, random, ({ files, output }) => {
        const numbers = acceptedSeqs(output);
        for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(after + suffix, { force: true });
        for (const [path, content] of files) writeFileSync(after + path.slice(file.length), content);
        const rows = LANES.reduce((sum, lane) => sum + numbers[lane].length, 0);
        checked += rows;
        try {
          const storedRows = careless ? carelessRows(after) : survivors(after);
          lostCount += LANES.flatMap((lane) =>
            numbers[lane].filter((seq) => !storedRows[lane].has(seq)),
          ).length;
        } catch (error) {
          corrupt.push(String(error));
          lostCount += rows;
        }
      });
      const summary = `seed ${SEED}, ${cuts.size} cuts`;
      if (careless) {
        t.ok(
          lostCount > 0,
          `control: ${lostCount} of ${checked} rows lost without waiting for the disk (${summary})`,
        );
      } else {
        t.same(corrupt, [], 'every file can be read');
        t.equal(lostCount, 0, `0 of ${checked} accepted rows lost (${summary})`);
      }
    }
  },
);

/** Number of entries lost in the cut; throws where the journal cannot continue. */
function lostOf(dir: string, output: string): number {
  const before = Number(output.split('\n').at(-2) ?? -1) + 1;
  const journal = openJournal(dir);
  const { size } = journal;
  const problems = wrongIn(dir);
  if (problems.length > 0) throw new AgentError('corrupt', problems.join('; '));
  journal.append({ at: new Date(0).toISOString(), type: 'clock-step', stepMs: 1 });
  if (wrongIn(dir).length > 0) throw new AgentError('corrupt', 'it does not go on');
  return Math.max(0, before - size);
}

void t.test(
  'a journal opens valid after torn sectors, with every entry that a head covered',
  { skip: WriteTrace.unavailable() },
  async (t) => {
    t.comment(`seed ${SEED}`);
    const dir = join(scratch(t), 'state');
    mkdirSync(dir);
    openJournal(dir);
    // State before the trace began.
    const began = scratch(t);
    cpSync(dir, began, { recursive: true });
    const command = [process.execPath, JOURNAL_WRITER, dir, ORIGIN, String(ENTRIES)];
    const fullTrace = WriteTrace.record(command, dir, `${dir}.trace`);
    t.strictSame(wrongIn(dir), []);
    for (const trace of [fullTrace, fullTrace.careless]) {
      const careless = trace !== fullTrace;
      const random = randomOf(SEED);
      const cuts = cutsOf(trace, random);
      const spoilt: string[] = [];
      let lostCount = 0;
      trace.replay(cuts, random, ({ files, output }) => {
        const after = scratch(t);
        cpSync(began, after, { recursive: true });
        for (const [path, content] of files) {
          const file = join(after, path.slice(dir.length));
          mkdirSync(dirname(file), { recursive: true });
          writeFileSync(file, content);
        }
        try {
          lostCount += lostOf(after, output);
        } catch (error) {
          if (!(error instanceof AgentError)) throw error;
          spoilt.push(error.message);
        }
      });
      const summary = `seed ${SEED}, ${cuts.size} cuts in ${trace.length} operations`;
      if (careless) {
        t.ok(
          lostCount + spoilt.length > 0,
          `control: without waiting for the disk ${spoilt.length} are spoilt, ${lostCount} entries lost (${summary})`,
        );
      } else {
        t.strictSame(spoilt, [], `each opens and is valid (${summary})`);
        t.equal(lostCount, 0, '0 entries lost that were covered by a head');
      }
    }
  },
);
