/** A state folder that version 0.1.0 left behind, killed in the middle of its work, is taken over: nothing in it is lost or told twice. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { ReplayGuard } from '../../agent/command/replay-guard.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from '../../agent/restraint/journal/key.ts';
import { parseVerifierKey, verifierKey } from '../../agent/restraint/journal/note.ts';
import { verifyJournal } from '../../agent/restraint/journal/verify.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { until } from '../lib/room.ts';

const KEYID = 'ab'.repeat(32);

interface Row {
  readonly seq: number;
  readonly topic: string;
  readonly gap: string | null;
  readonly body: Buffer;
}

function read<T>(file: string, act: (db: Database.Database) => T): T {
  const db = new Database(file, { readonly: true });
  try {
    return act(db);
  } finally {
    db.close();
  }
}

const rowsOf = (stateDir: string): Row[] =>
  read(join(stateDir, 'outbox.db'), (db) => db.prepare('SELECT * FROM alert ORDER BY seq').all() as Row[]);
const eventsIn = (stateDir: string): number =>
  read(
    join(stateDir, 'archive.db'),
    (db) => db.prepare('SELECT count(*) FROM event').pluck().get() as number,
  );

t.test('the state of version 0.1.0, killed while an incident stood', async (t) => {
  const dir = scratch(t);
  execFileSync('tar', ['-xzf', join(ROOT, 'test/fixtures/state/state-0.1.0.tar.gz'), '-C', dir]);
  const stateDir = join(dir, 'state');
  // As it was, with its journal of writes ahead: sqlite takes that in when it is opened for writing.
  const before = join(dir, 'before');
  cpSync(stateDir, before, { recursive: true });
  for (const name of ['outbox.db', 'archive.db']) new Database(join(before, name)).close();
  const oldRows = rowsOf(before);
  t.ok(oldRows.length > 3, `${oldRows.length} rows wait`);
  const oldHead = readFileSync(join(before, 'journal/checkpoint'), 'utf8');
  const stood = JSON.parse(readFileSync(join(before, 'standing.json'), 'utf8')) as {
    stays: { episode: string }[];
  };
  const [episode] = stood.stays.map(({ episode }) => episode);
  const content = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as object;
  const order = join(dir, 'order');
  const config = {
    ...configOf(content),
    authorisation: join(order, 'authorisation.dsse.json'),
    authorityKey: join(order, 'authority.pub'),
  };

  const lives = async (how: string): Promise<void> => {
    // There is no camera here; whether it may be looked at is decided all the same.
    const agent = makeAgent(t, config, stateDir, { onUnusable: () => undefined });
    await agent.start();
    await until(t, `${how}: active`, () => agent.report().mode === 'active');
    t.equal(agent.report().restraint.reason, null);
    await agent.stop();
  };
  await lives('taken over');
  const rows = rowsOf(stateDir);
  t.strictSame(rows.slice(0, oldRows.length), oldRows, 'what waited waits as it was');
  t.same(
    rows.filter(({ gap }) => gap !== null),
    [],
    'and nothing is told as lost',
  );
  const numbers = rows.map(({ seq }) => seq);
  t.same(
    numbers,
    Array.from(numbers, (_, i) => (oldRows[0]?.seq ?? 0) + i),
    'numbers go on',
  );
  t.ok(eventsIn(stateDir) >= eventsIn(before), 'the archive has what it had');
  const notes = read(join(stateDir, 'outbox.db'), (db) => db.prepare('SELECT * FROM note').all());
  t.match(JSON.stringify(notes), episode, 'what stood stands');
  t.notOk(existsSync(join(stateDir, 'standing.json')), 'and in one place only');
  const ended = rows.slice(oldRows.length).map(({ body }) => body.toString());
  t.notOk(
    ended.some((body) => body.includes(episode ?? '')),
    'it was neither told anew nor ended unseen',
  );

  await lives('and again');
  const key = readJournalKey(join(stateDir, JOURNAL_KEY_FILE));
  const verifier = parseVerifierKey(verifierKey('vigie/lab/lab-1', key));
  const known = { file: 'head', note: oldHead };
  t.same(
    verifyJournal(join(stateDir, 'journal'), verifier, { heads: [known] }).wrong,
    [],
    'the journal goes on',
  );
  const entries = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8');
  t.equal(entries.split('"type":"authority"').length - 1, 1, 'its authority is the same, and told once');
  const guard = new ReplayGuard({
    file: join(stateDir, 'command-counters.json'),
    journal: { known: { commands: new Map() }, enter: () => undefined },
  });
  const used = { op: 'search', key: 'desk', keyid: KEYID } as const;
  t.throws(() => guard.use({ ...used, counter: 41 }), { code: 'replayed' }, 'no command is obeyed again');
  guard.use({ ...used, counter: 42 });
});
