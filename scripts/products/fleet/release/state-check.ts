/**
 * Tests that a rollback is possible. The previous release and the new one run in turn on one state folder and a clip:
 * forward, back, and forward again.
 *
 * INVARIANT: each release still has the data of the last one:
 * - events of the archive
 * - rows of the outbox, none of which is delivered
 * - the journal, as a prefix
 * - a suspension
 */
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import { loadConfig } from '../../../../agent/config/load.ts';
import { LANES } from '../../../../agent/contract/outbox.ts';
import { parseVerifierKey } from '../../../../agent/restraint/journal/note.ts';
import { AgentProcess } from '../../../lib/agent-process.ts';
import { counted } from '../../../lib/counted.ts';
import { verifyJournal } from '../../../lib/journal/verification.ts';
import { ownAuthorisation } from '../../../lib/own-authorisation.ts';
import { type AgentHealth, agentHealth } from '../../root/change/probation.ts';

/** Time limit of a run, ms. The street clip has its first events after 5 s, and a loaded machine is slow. */
const RUN_WITHIN_MS = 120_000;
const POLL_MS = 500;
const COMMAND_WITHIN_MS = 60_000;
/** Maximum length of an agent's last output in a message. */
const REASON_CHARS_MAX = 300;
/** Maximum number of journal errors in a message; one error causes others. */
const WRONG_SHOWN = 3;

export interface StateCheckOptions {
  /** Folders of the releases. Without `before` the new release follows itself. */
  readonly next: string;
  readonly before: string | undefined;
  /** False if the new release declares that the previous one cannot read its state. */
  readonly wayBack: boolean;
  /** Footage in which something passes. */
  readonly clip: string;
  readonly say: (line: string) => void;
}

/** Content of the state folder. */
interface StateContent {
  readonly events: ReadonlySet<string>;
  readonly rows: ReadonlySet<string>;
  readonly journalEntries: number;
}

interface Place {
  readonly state: string;
  readonly config: string;
  readonly env: NodeJS.ProcessEnv;
  readonly dir: string;
}

/** Throws AgentError `denied` that names what was lost, and by which release. */
export async function checkState({ next, before, wayBack, clip, say }: StateCheckOptions): Promise<void> {
  if (!existsSync(clip))
    throw new AgentError('config', `${clip}: no clip to run on; ./scripts/setup --for demo fetches it`);
  const dir = mkdtempSync(join(tmpdir(), 'vigie-state-'));
  try {
    const place = placeIn(dir, clip);
    const [forth, backward] = [
      { tree: next, name: 'the new release' },
      {
        tree: before ?? next,
        name: before === undefined ? 'the new release, once more' : 'the release before',
      },
    ];
    const later = wayBack ? [forth, backward] : [forth];
    const turns = before === undefined ? [forth, backward] : [backward, ...later];
    let content: StateContent = { events: new Set(), rows: new Set(), journalEntries: 0 };
    for (const turn of turns) {
      await runUntil(
        place,
        turn,
        (health, now) => health.mode === 'active' && health.analysed > 0 && now > content.events.size,
        'sees nothing',
      );
      content = await compared(place, turn, content);
      say(
        `${turn.name}: healthy; ${counted(content.events.size, 'event')}, ${counted(content.rows.size, 'row')} to deliver, ${counted(content.journalEntries, 'journal entry', 'journal entries')}`,
      );
    }
    await suspend(place, wayBack ? forth : backward);
    for (const turn of later) {
      await runUntil(place, turn, ({ mode }) => mode === 'suspended', 'is not suspended');
      content = await compared(place, turn, content);
    }
    say(`${later.at(-1)?.name}: suspended, and stays so`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Turn {
  readonly tree: string;
  readonly name: string;
}

const programOf = ({ tree }: Turn): string => join(tree, 'dist/agent/cli/main.js');

function placeIn(dir: string, clip: string): Place {
  const config = join(dir, 'vigie.yaml');
  const source = `file:${clip}`;
  // Uses only settings that an earlier release knows. No broker answers, so accepted events stay in the outbox.
  const content = {
    site: 'release',
    box: 'release-1',
    camera: { source, fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'check' }],
    alertsPerHour: 3600,
    mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' },
  };
  writeFileSync(config, JSON.stringify(content));
  const authorisationEnv = ownAuthorisation(
    loadConfig(config, { env: {}, mode: 'check', files: false }),
    source,
    dir,
    'release check',
  );
  // Removes settings of the user's own box, and those that a test runner adds.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VIGIE_|NODE_OPTIONS$|TAP)/.test(name));
  const env = { ...Object.fromEntries(inherited), ...authorisationEnv, ORT_DISABLE_TELEMETRY: '1' };
  return { dir, config, env, state: join(dir, 'state') };
}

/** Starts the agent, waits until its state is as expected, and stops it. */
async function runUntil(
  place: Place,
  turn: Turn,
  isGood: (health: AgentHealth, events: number) => boolean,
  unlike: string,
): Promise<void> {
  const args = ['run', '--config', place.config, '--state', place.state];
  const agent = new AgentProcess(
    [process.execPath, programOf(turn), ...args],
    place.env,
    join(place.dir, 'log'),
  );
  let exitText: string | undefined;
  const exit = agent.start().then(({ code, signal, reason }) => {
    exitText = `${signal ?? `exit code ${code}`}: ${messageOf(reason)}`;
  });
  try {
    const untilMs = performance.now() + RUN_WITHIN_MS;
    for (;;) {
      await sleep(POLL_MS);
      if (exitText !== undefined)
        throw refusal(`${turn.name} ends (${printable(exitText, REASON_CHARS_MAX)})`);
      const health = await agentHealth(place.state);
      if (health !== undefined && isGood(health, eventsIn(place.state))) return;
      if (performance.now() > untilMs)
        throw refusal(`${turn.name} ${unlike} within ${RUN_WITHIN_MS / 1000} s`);
    }
  } finally {
    await agent.stop();
    await exit;
  }
}

const refusal = (detail: string): AgentError =>
  new AgentError('denied', `old and new on one state folder: ${detail}; no file to sign is written`);

/** Returns the present content; throws if something of `before` is missing. */
async function compared(place: Place, turn: Turn, before: StateContent): Promise<StateContent> {
  const content = { ...readKept(place.state, turn), journalEntries: await journalEntries(place, turn) };
  const losses = [
    ...lostOf('event', before.events, content.events),
    ...lostOf('row of the outbox', before.rows, content.rows),
    // No broker takes the rows, so every event must still be undelivered.
    ...(content.rows.size >= content.events.size
      ? []
      : [`${counted(content.events.size, 'event')}, and ${counted(content.rows.size, 'row')} of the outbox`]),
    ...(content.journalEntries > before.journalEntries
      ? []
      : [
          `the journal has ${counted(content.journalEntries, 'entry', 'entries')}, and had ${before.journalEntries}`,
        ]),
  ];
  if (losses.length > 0) throw refusal(`after ${turn.name}: ${losses.join('; ')}`);
  copyFileSync(join(place.state, 'journal/checkpoint'), join(place.dir, 'head'));
  return content;
}

function lostOf(kind: string, before: ReadonlySet<string>, after: ReadonlySet<string>): string[] {
  const missing = [...before].filter((one) => !after.has(one));
  return missing.length === 0 ? [] : [`${missing.length} of ${before.size} lost: ${kind} ${missing[0]}`];
}

function readKept(state: string, turn: Turn): Pick<StateContent, 'events' | 'rows'> {
  try {
    return {
      events: new Set(strings(join(state, 'archive.db'), 'SELECT id FROM event')),
      rows: new Set(
        LANES.flatMap((lane) =>
          strings(
            join(state, 'outbox.db'),
            `SELECT (SELECT id FROM epoch) || ' ${lane} ' || seq FROM ${lane} WHERE gap IS NULL`,
          ),
        ),
      ),
    };
  } catch (error) {
    throw refusal(`after ${turn.name}: archive or outbox cannot be read (${messageOf(error)})`);
  }
}

/** Returns zero while there is no readable archive. */
function eventsIn(state: string): number {
  try {
    return strings(join(state, 'archive.db'), 'SELECT id FROM event').length;
  } catch (error) {
    if (error instanceof Database.SqliteError) return 0;
    throw error;
  }
}

function strings(file: string, sql: string): string[] {
  const db = new Database(file, { readonly: true });
  try {
    return db.prepare(sql).pluck().all() as string[];
  } finally {
    db.close();
  }
}

/**
 * Returns the number of journal entries, verified with the key that the release reports, against the head that the last
 * release left.
 */
async function journalEntries(place: Place, turn: Turn): Promise<number> {
  const file = join(place.dir, 'head');
  const heads = existsSync(file) ? [{ file, note: readFileSync(file, 'utf8') }] : [];
  const key = parseVerifierKey(await vigie(place, turn, ['journal', 'key', '--state', place.state]));
  const { wrong, checkpoint } = verifyJournal(join(place.state, 'journal'), key, { heads });
  if (checkpoint !== undefined && wrong.length === 0) return checkpoint.size;
  throw refusal(
    `after ${turn.name}: the journal is not in order (${wrong.slice(0, WRONG_SHOWN).join('; ')})`,
  );
}

async function suspend(place: Place, turn: Turn): Promise<void> {
  await vigie(place, turn, ['suspend', '--reason', 'release check', '--state', place.state]);
}

async function vigie(place: Place, turn: Turn, args: readonly string[]): Promise<string> {
  try {
    const options = { env: place.env, timeout: COMMAND_WITHIN_MS };
    const { stdout } = await promisify(execFile)(process.execPath, [programOf(turn), ...args], options);
    return stdout;
  } catch (error) {
    throw refusal(`${turn.name} fails at vigie ${args.slice(0, 2).join(' ')}: ${messageOf(error)}`);
  }
}
