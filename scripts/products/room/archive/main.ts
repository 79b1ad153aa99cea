/**
 * Command line of `scripts/room`: runs a room's archive, which is also an example for other implementations. See
 * docs/guide/room.md.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { AgentError } from '../../../../agent/base/errors.ts';
import { printable, printableLine } from '../../../../agent/base/printable.ts';
import type { VigieEvent } from '../../../../agent/contract/event.ts';
import { roomBrokerProblem } from '../../../../agent/mqtt/connection-errors.ts';
import { readAuthorityKey } from '../../../../agent/restraint/authorisation.ts';
import { typedProgram } from '../../../lib/typed-program.ts';
import { databaseOf } from '../database/open.ts';
import { Purge } from '../retention/purge.ts';
import { AlertFeed } from './alert-feed.ts';
import { alertLine, isMomentaryEnd } from './alert-line.ts';
import { Archive, localTimeZone } from './archive.ts';
import { Register, RegisterError } from './register.ts';
import { Room, type RoomCounters } from './room.ts';

interface Arguments {
  readonly broker: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly database: string;
  readonly snapshots?: string;
  readonly timeZone: string;
  readonly orders?: string;
  readonly authority: readonly string[];
  readonly boxes?: string;
  readonly quiet?: true;
}

const say = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`);
const warn = (line: string): void => void process.stderr.write(`room: ${printableLine(line)}\n`);

/** Wrong usage by the caller: one line, exit code 2. */
class UsageError extends Error {}

function credentials({ broker, ca, cert, key }: Arguments) {
  const protocol = URL.canParse(broker) ? new URL(broker).protocol : undefined;
  if (protocol === 'mqtt:') return undefined;
  if (protocol !== 'mqtts:') {
    throw new UsageError(`--broker takes mqtts://host:port (or mqtt:// on this machine), not '${broker}'`);
  }
  const read = (option: string, file: string | undefined): Buffer => {
    if (file === undefined)
      throw new UsageError(`${option} is missing: mqtts:// needs --ca, --cert and --key`);
    try {
      return readFileSync(file);
    } catch (error) {
      throw new UsageError(`${option}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  return { ca: read('--ca', ca), cert: read('--cert', cert), key: read('--key', key) };
}

/** Unique name of this program among several on one database. */
const INSTANCE_ID = randomUUID();

function openedBy({ database, timeZone, orders: folder, authority }: Arguments): {
  archive: Archive;
  purge: Purge;
} {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(`--time-zone takes a name as Europe/Paris, not '${timeZone}'`);
  }
  if (folder !== undefined && authority.length === 0) {
    throw new UsageError('--authority is missing: --orders needs the public key by which orders are signed');
  }
  const keys = authority.map(readAuthorityKey);
  try {
    const db = databaseOf(database, ({ message }) => warn(`archive: ${message}`));
    const archive = new Archive(db, { timeZone, now: Date.now, instanceId: INSTANCE_ID, onNotice: warn });
    return { archive, purge: new Purge(db, { folder, keys, instanceId: INSTANCE_ID }, warn) };
  } catch (error) {
    throw new UsageError(`--database ${error instanceof Error ? error.message : String(error)}`);
  }
}

function endOf(counters: RoomCounters): string {
  const {
    events,
    snapshots,
    duplicates,
    unread,
    refusals,
    droppedReports,
    limited,
    fromUnknownSenders,
    leftOut,
    missing,
    takenOver,
  } = counters;
  const parts = [
    `${events} events and ${snapshots} snapshots stored`,
    `${duplicates} came again`,
    `${unread} kept unread`,
    `${refusals} refused`,
    `${droppedReports} reports dropped`,
    ...(limited > 0 ? [`${limited} left out of boxes that sent too many`] : []),
    ...(fromUnknownSenders > 0 ? [`${fromUnknownSenders} left out of boxes that are not enrolled`] : []),
    ...(leftOut > 0 ? [`${leftOut} left out beyond what a box may have stored in a day`] : []),
    ...(missing > 0 ? [`${missing} missing, which the boxes no longer have`] : []),
    ...(takenOver > 0 ? [`${takenOver} connections taken over by another program`] : []),
  ];
  return `Ended: ${parts.join(', ')}.`;
}

function registerIn(file: string): Register {
  try {
    return new Register(file, warn);
  } catch (error) {
    throw error instanceof RegisterError ? new UsageError(error.message) : error;
  }
}

function show(event: VigieEvent, picture: string | undefined, note: string | undefined): void {
  if (isMomentaryEnd(event)) return;
  const box = event.source.split(':').slice(2).join('/');
  const still = picture === undefined ? '' : `  ${relative(process.cwd(), picture)}`;
  say(`${alertLine(event)}  [${box}]${note === undefined ? still : `  (no snapshot: ${printable(note)})`}`);
}

async function run(options: Arguments): Promise<void> {
  const tls = credentials(options);
  const register = options.boxes === undefined ? undefined : registerIn(options.boxes);
  const { archive, purge } = openedBy(options);
  const { broker: url, snapshots, quiet } = options;
  if (snapshots !== undefined) mkdirSync(snapshots, { recursive: true });
  const feed = new AlertFeed(quiet ? undefined : snapshots, quiet ? () => undefined : show);
  const exitCode = new Promise<number>((resolve) => {
    let hasSaid = quiet === true;
    const room = new Room({
      url,
      archive,
      tls,
      register,
      onReady: () => {
        if (!hasSaid) say(`Room on ${new URL(url).host}; Ctrl-C ends it`);
        hasSaid = true;
      },
      onStored: (newArrivals) => feed.take(newArrivals),
      brokerProblem: (error) => roomBrokerProblem(error, url),
      onNotice: warn,
      onStandby: warn,
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        void purge
          .stop()
          .then(() => room.stop())
          .then(() => {
            if (!quiet) say(endOf(room.counters));
            resolve(0);
          });
      });
    }
    room.start().then(
      () => purge.start(),
      (error: unknown) => {
        // The URL is not printed, because it may contain a password.
        warn(`--database cannot be opened: ${error instanceof Error ? error.message : String(error)}`);
        resolve(2);
      },
    );
  });
  const code = await exitCode;
  feed.stop();
  process.exit(code);
}

const program = typedProgram('room')
  .description(
    'Stores what boxes publish, tells each how far it has come, and prints a line for each alert. See docs/guide/room.md.',
  )
  .requiredOption('--broker <url>', 'mqtts://host:port; mqtt:// for a broker on this machine')
  .option('--ca <file>', 'certificate of the broker’s authority (PEM)')
  .option('--cert <file>', 'certificate of this room (PEM)')
  .option('--key <file>', 'its key (PEM)')
  .option('--database <where>', 'a file of SQLite, or postgres://user@host/name', 'room.db')
  .option('--snapshots <folder>', 'save the newest 500 stills as files as well, and name them in the lines')
  .option(
    '--time-zone <name>',
    'time zone of the days and hours of statistics; fixed at the first start',
    localTimeZone(),
  )
  .option('--orders <folder>', 'the authority’s signed orders: what they do not allow to be kept is deleted')
  .option(
    '--authority <file>',
    'public key by which orders are signed (PEM); may be given several times',
    (file: string, before: readonly string[]) => [...before, file],
    [] as readonly string[],
  )
  .option(
    '--boxes <file>',
    'the enrolment’s list of boxes (boxes.json): what others send is left out; without it every box is known',
  )
  .option('--quiet', 'print faults only')
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  const isMistake = error instanceof UsageError || (error instanceof AgentError && error.kind === 'config');
  if (!isMistake) throw error;
  warn(`${error.message} (see --help)`);
  process.exitCode = 2;
}
