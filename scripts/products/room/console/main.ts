/**
 * Command line of `scripts/room console`: serves the screens of a room and its interface for programs. See
 * docs/guide/console.md.
 */
import { join } from 'node:path';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { makeLogger } from '../../../../agent/base/log.ts';
import { packageRoot } from '../../../../agent/base/package-root.ts';
import { printableLine } from '../../../../agent/base/printable.ts';
import { typedProgram } from '../../../lib/typed-program.ts';
import { ENTER_PATH } from '../contract/terms.ts';
import { databaseOf } from '../database/open.ts';
import { prepare, timeZoneOf } from '../database/prepare.ts';
import { DatabaseUnavailable, type Sql } from '../database/sql.ts';
import { partsOf } from './parts.ts';
import { ConsoleServer } from './server.ts';
import { demoSettings, readSettings, type Settings } from './settings.ts';
import { readStaticFiles } from './static-files.ts';
import { Webhooks } from './webhooks.ts';

const APP = join(packageRoot(), 'dist/scripts/products/room/app');

/**
 * Entry token for --demo, set by a parent process that shows the link itself. It is not an argument, because every user
 * of the machine can see those.
 */
const ENTRY_TOKEN = 'VIGIE_ROOM_DEMO_TOKEN';

interface Arguments {
  readonly settings?: string;
  readonly demo?: true;
  readonly database: string;
  readonly listen: string;
  readonly signer?: string;
  readonly plan?: string;
  readonly app?: string;
}

const say = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`);
const warn = (line: string): void => void process.stderr.write(`room: ${printableLine(line)}\n`);

function settingsOf({ settings, demo, database, listen, signer, plan }: Arguments): Settings {
  if ((settings === undefined) === (demo === undefined)) {
    throw new AgentError('config', 'name --settings FILE, or --demo to try it without an identity provider');
  }
  if (settings !== undefined) return readSettings(settings);
  const token = process.env[ENTRY_TOKEN];
  if (token !== undefined && !/^[\w-]{43,}$/.test(token))
    throw new AgentError('config', `${ENTRY_TOKEN}: must be 43 or more of A-Z, a-z, 0-9, - and _`);
  return { ...demoSettings(database, listen, token), signer, plan };
}

function databaseAt(address: string): Sql {
  try {
    return databaseOf(address, (error) => warn(`database: ${error.message}`));
  } catch (error) {
    throw new AgentError('config', `database: ${messageOf(error)}`, error);
  }
}

/** Returns the room's time zone. A demonstration creates missing tables, because the archive may start later. */
async function openDatabase(db: Sql, isDemo: boolean): Promise<string> {
  try {
    if (isDemo) {
      const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
      await prepare(db, timeZone, Date.now());
    }
    return await timeZoneOf(db);
  } catch (error) {
    if (error instanceof AgentError || error instanceof DatabaseUnavailable) throw error;
    throw new AgentError(
      'config',
      `database: not a room database yet (${messageOf(error)}); start the archive (scripts/room) with it first`,
      error,
    );
  }
}

async function run(options: Arguments): Promise<void> {
  const settings = settingsOf(options);
  const app = readStaticFiles(options.app ?? APP);
  const stopSignal = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  const db = databaseAt(settings.database);
  try {
    const timeZone = await openDatabase(db, options.demo === true);
    const { handlers, changesSince } = partsOf(db, settings, timeZone, Date.now);
    const server = new ConsoleServer({
      settings,
      db,
      handlers,
      changesSince,
      app,
      timeZone,
      onNotice: warn,
      nowMs: Date.now,
    });
    const webhooks = new Webhooks(db, settings.webhooks, makeLogger('room', 'warn'));
    const address = await server.start();
    try {
      await webhooks.start();
      const as = settings.origin === undefined ? '' : ` for ${settings.origin}`;
      const { entryToken } = settings;
      if (entryToken !== undefined && process.env[ENTRY_TOKEN] === undefined)
        say(`To enter, on this machine: ${address}${ENTER_PATH}?token=${entryToken}`);
      say(`Console on ${address}/${as}; Ctrl-C ends it`);
      await stopSignal;
    } finally {
      await webhooks.stop();
      await server.stop();
      const summary = server.summary();
      if (summary !== undefined) say(`Ended: ${summary}`);
    }
  } finally {
    await db.close();
  }
}

const program = typedProgram('room console')
  .description(
    'Serves the screens of the room and its interface for programs, from the database of the archive. A proxy in front of it has the certificate. See docs/guide/console.md.',
  )
  .option('--settings <file>', 'how people get in, and where the database is (YAML)')
  .option('--demo', 'accounts without a password, on this machine only, by the link that is printed')
  .option('--database <where>', 'with --demo: a file of SQLite, or postgres://user@host/name', 'room.db')
  .option('--listen <address>', 'with --demo: address and port; 0 for any', '127.0.0.1:9480')
  .option('--signer <socket>', 'with --demo: socket of scripts/room signer, for searches and passages')
  .option('--plan <file>', 'with --demo: map of the city with its cameras, as GeoJSON')
  .option('--app <folder>', 'folder of the browser app, if not the built one')
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof DatabaseUnavailable) {
    warn(`database: does not answer (${error.message})`);
    process.exitCode = 1;
  } else {
    if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
    warn(`${error.message} (see --help)`);
    process.exitCode = error.kind === 'config' ? 2 : 1;
  }
}
