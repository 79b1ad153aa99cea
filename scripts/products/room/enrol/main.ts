/** Command line of `scripts/room enrol`: issues certificates to boxes. See docs/guide/enrolment.md. */

import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Argument, InvalidArgumentError } from '@commander-js/extra-typings';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { systemClock } from '../../../../agent/base/clock.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { printableLine } from '../../../../agent/base/printable.ts';
import { integerUpTo, placeName } from '../../../../agent/cli/commands/options.ts';
import { ALL_BOXES } from '../../../../agent/contract/command.ts';
import { ROLES } from '../../../lib/broker-acl.ts';
import { typedProgram } from '../../../lib/typed-program.ts';
import { ARCHIVE } from '../contract/terms.ts';
import type { Authority } from './authority.ts';
import { displace } from './displace.ts';
import { Enrolment, withEnrolment } from './enrolment.ts';
import { hostName, issueProgram, issueServer, newRequest, signRequest } from './issue.ts';
import { listLines } from './list.ts';
import { EnrolServer } from './server.ts';

const DIR = 'enrolment';
const DAY_MS = 86_400_000;
/** Second half of a program's name if none is given, and always that of the archive. */
const PROGRAM_NAME = 'room';
/**
 * Lifetime in days of the server's own certificate, which is never installed by hand and is renewed SERVER_LEFT_DAYS
 * before its end.
 */
const SERVER_DAYS = 397;
const SERVER_LEFT_DAYS = 60;
/** Time in ms in which a broker reads changed lists: the package's path unit reloads it at once. */
const RELOADED_MS = 2000;

interface DirOption {
  readonly dir: string;
}

interface ServeOptions extends DirOption {
  readonly port: number;
  readonly host: string;
  readonly name: string;
  readonly days: number;
}

const say = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`);
const warn = (line: string): void => void process.stderr.write(`room: ${printableLine(line)}\n`);

interface IssueOptions extends DirOption {
  readonly days: number;
}

interface OutOptions extends IssueOptions {
  readonly out: string;
}

function init({ dir, name }: DirOption & { readonly name: string }): void {
  const isNew = Enrolment.make(dir, name, Date.now());
  say(`${join(dir, 'ca.crt')}: ${isNew ? 'a new authority' : 'the authority that was there is kept'}`);
  say(
    `${join(dir, 'ca.key')} issues certificates for boxes; keep a copy offline, where no one else can read it`,
  );
}

function token(site: string, box: string, { dir }: DirOption): void {
  withEnrolment(dir, ({ store }) => {
    const newToken = store.makeToken(site, box, Date.now());
    warn(
      `for ${box} at ${site}, once, until ${new Date(newToken.untilMs).toISOString()}; it is not shown again`,
    );
    // Only the token goes to standard output, for programs that write cards.
    process.stdout.write(`${newToken.token}\n`);
  });
}

function revoke(box: string, { dir }: DirOption): void {
  const { count, folder } = withEnrolment(dir, (enrolment) => enrolment.revoke(box, Date.now()));
  say(
    `${box}: ${count} certificates revoked; broker and archive read it in ${folder}, the broker once it is reloaded`,
  );
}

async function revokeProgram(
  name: string,
  serial: string | undefined,
  { dir, broker: url }: DirOption & { readonly broker?: string },
): Promise<void> {
  const { count, folder } = withEnrolment(dir, (enrolment) =>
    enrolment.revokeProgram(name, serial?.toUpperCase(), Date.now()),
  );
  say(`${name}: certificates revoked: ${count}; the brokers read it in ${folder} once they are reloaded`);
  if (url === undefined) return;
  // The broker may not have read the lists yet, and the program may be back before it has.
  for (const waitMs of [RELOADED_MS, RELOADED_MS]) {
    await sleep(waitMs);
    await withOpenEnrolment(dir, ({ programs, authority }) =>
      displace({ authority: programs, name, url, ca: Buffer.from(authority.certificate) }),
    );
  }
  say(`${name}: its connection to ${url} was ended; it cannot return once the broker has read the lists`);
}

function accept(site: string, box: string, key: string | undefined, { dir }: DirOption): void {
  const row = withEnrolment(dir, ({ store }) => store.accept(site, box, key));
  say(`${box}: accepted at ${site}, key ${row.key.slice(0, 16)}; it hears of it when it asks again`);
}

function refuse(box: string, key: string | undefined, { dir }: DirOption): void {
  const row = withEnrolment(dir, ({ store }) => store.refuse(box, key));
  say(`${box}: refused, key ${row.key.slice(0, 16)}; it hears of it when it asks again`);
}

function refuseFrom(address: string, { dir }: DirOption): void {
  const count = withEnrolment(dir, ({ store }) => store.refuseFrom(address));
  say(`${address}: ${count} refused; their places are free`);
}

/** Runs `work` with the store open, also while a request is read. */
async function withOpenEnrolment<T>(dir: string, work: (enrolment: Enrolment) => Promise<T>): Promise<T> {
  const enrolment = new Enrolment(dir);
  try {
    return await work(enrolment);
  } finally {
    enrolment.close();
  }
}

async function sign(site: string, box: string, file: string, { dir, days }: IssueOptions): Promise<void> {
  const pem = await withOpenEnrolment(dir, (enrolment) =>
    signRequest(enrolment, { site, box }, { file, days }),
  );
  warn(`${box} is enrolled at ${site}; its certificate is good for ${days} days`);
  // Only the certificate goes to standard output, for the file that goes to the box.
  process.stdout.write(pem);
}

async function server(
  host: string,
  { dir, ...options }: OutOptions & { readonly file: string },
): Promise<void> {
  for (const file of await withOpenEnrolment(dir, (enrolment) => issueServer(enrolment, host, options)))
    say(file);
}

async function programPair(role: string, ownName: string, { dir, out, days }: OutOptions): Promise<void> {
  const name = `${role}.${ownName}`;
  if (name.startsWith('archive.') && name !== ARCHIVE)
    throw new AgentError('config', `${name}: archive and standby of a room have the same name; leave it out`);
  for (const file of await withOpenEnrolment(dir, (enrolment) =>
    issueProgram(enrolment, name, { out, days }),
  ))
    say(file);
}

/**
 * Returns key and certificate of the server. Creates new ones if they are missing, have another name, or expire soon.
 */
function serverTls(dir: string, authority: Authority, name: string): { cert: string; key: string } {
  const [keyFile, certFile] = [join(dir, 'server.key'), join(dir, 'server.crt')];
  if (existsSync(keyFile) && existsSync(certFile)) {
    const cert = readFileSync(certFile, 'utf8');
    const x509 = new X509Certificate(cert);
    const isFor = isIP(name) === 0 ? x509.checkHost(name) : x509.checkIP(name);
    const lastMs = Date.parse(x509.validTo) - SERVER_LEFT_DAYS * DAY_MS;
    const isOurs = x509.verify(new X509Certificate(authority.certificate).publicKey);
    if (isFor !== undefined && isOurs && Date.now() < lastMs)
      return { cert, key: readFileSync(keyFile, 'utf8') };
  }
  const { key, csr } = newRequest('enrolment');
  writeAtomically(keyFile, key, 0o600);
  const commonName = name.slice(0, 64);
  const { pem } = authority.issue(
    csr,
    { use: 'server', commonName, names: [hostName(name)], days: SERVER_DAYS },
    Date.now(),
  );
  writeAtomically(certFile, pem, 0o644);
  return { cert: pem, key };
}

async function serve({ dir, port, host, name, days }: ServeOptions): Promise<void> {
  const enrolment = new Enrolment(dir);
  const { authority, store } = enrolment;
  enrolment.writeBoxes();
  const tls = serverTls(dir, authority, name);
  const server = new EnrolServer({
    authority,
    store,
    tls,
    days,
    clock: systemClock,
    log: say,
    onEnrolled: () => enrolment.writeBoxes(),
  });
  let bound: number;
  try {
    bound = await server.start(port, host);
  } catch (error) {
    enrolment.close();
    throw new AgentError('config', `--host ${host} --port ${port}: cannot be listened on`, error);
  }
  const daily = setInterval(() => server.use(serverTls(dir, authority, name)), DAY_MS);
  say(`Enrolment on https://${name}:${bound}; Ctrl-C ends it`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  clearInterval(daily);
  await server.stop();
  enrolment.close();
}

function boxName(text: string): string {
  if (text === ALL_BOXES) throw new InvalidArgumentError('No box may be called that.');
  return placeName(text);
}

const program = typedProgram('room enrol').description(
  'Issues certificates to boxes: with a one-time token on the card, or after a person accepts the box. Boxes renew automatically. See docs/guide/enrolment.md.',
);

/** Adds a command with the option for the folder. */
function command(name: string, description: string) {
  return program
    .command(name)
    .description(description)
    .allowExcessArguments(false)
    .option('--dir <folder>', 'authority, store and list of revocations', DIR);
}

command('init', 'makes the authority and the store; an authority that is there (ca.key, ca.crt) is kept')
  .option('--name <text>', 'what the authority is called', 'Vigie room')
  .action(init);
command('serve', 'answers boxes, over HTTPS')
  .option('--port <number>', 'TCP port', integerUpTo(65_535, 0), 8443)
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--name <host>', 'host name or address by which boxes know it, as in their cards', 'localhost')
  .option('--days <number>', 'how long a certificate is good', integerUpTo(3650), 365)
  .action(serve);
command('token', 'prints a new token for a box, once; it is good for 14 days')
  .argument('<site>', 'site of the box', placeName)
  .argument('<box>', 'its name, which becomes the CN', boxName)
  .action(token);
command('list', 'prints tokens that are out, boxes that wait, and all certificates with their dates').action(
  ({ dir }: DirOption) => withEnrolment(dir, ({ store }) => listLines(store, Date.now()).forEach(say)),
);
command('accept', 'lets a box that waits have its certificate')
  .argument('<site>', 'site at which it is', placeName)
  .argument('<box>', 'its name', boxName)
  .argument('[key]', 'how its key begins, as the box says it', undefined)
  .action(accept);
command('refuse', 'tells a box that waits that it gets none')
  .argument('<box>', 'its name', boxName)
  .argument('[key]', 'how its key begins, as the box says it', undefined)
  .action(refuse);
command('refuse-from', 'tells all boxes that ask from an address that they get none')
  .argument('<address>', 'as list prints it')
  .action(refuseFrom);
command(
  'revoke',
  'takes all certificates and tokens of a box back, and writes the lists for broker and archive',
)
  .argument('<box>', 'its name', boxName)
  .action(revoke);
command('sign', 'signs the request of a box that was brought by hand, and prints the certificate')
  .argument('<site>', 'site of the box', placeName)
  .argument('<box>', 'its name, as in the request', boxName)
  .argument('<file>', 'the request (PKCS #10, PEM or DER)')
  .option('--days <number>', 'how long the certificate is good', integerUpTo(3650), 365)
  .action(sign);
command(
  'server',
  'makes key and certificate of a server that boxes ask, and lays both authorities beside them',
)
  .argument('<host>', 'host name or address by which boxes know it')
  .option('--out <folder>', 'where they are written', '.')
  .option(
    '--file <name>',
    'how key and certificate are called there, without .key and .crt',
    placeName,
    'broker',
  )
  .option('--days <number>', 'how long the certificate is good', integerUpTo(3650), SERVER_DAYS)
  .action(server);
command(
  'program',
  'makes key and certificate of a program of the room, ROLE.NAME, with the rights of its role',
)
  .addArgument(new Argument('<role>', 'what it may do').choices(ROLES))
  .argument('[name]', 'which one of that role: each program that runs has its own', placeName, PROGRAM_NAME)
  .option('--out <folder>', 'where they are written', '.')
  .option('--days <number>', 'how long the certificate is good', integerUpTo(3650), SERVER_DAYS)
  .action(programPair);
command(
  'revoke-program',
  'takes the certificates and rights of a program back, and writes the lists for the brokers',
)
  .argument('<name>', 'ROLE.NAME, as list prints it')
  .argument('[serial]', 'of the one certificate that is taken back', undefined)
  .option('--broker <url>', 'where its connection is ended too, with the port of the programs')
  .action(revokeProgram);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
  warn(error.message);
  process.exitCode = error.kind === 'config' ? 2 : 1;
}
