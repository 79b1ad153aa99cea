/** Tests programs of the control room with an unreachable broker or database: one line with the address and the fix. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { roomBrokerProblem } from '../../agent/mqtt/connection-errors.ts';
import { CertificateAuthority, RoomAuthorities } from '../../scripts/lib/certificates.ts';
import { freePort, Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { bundled } from '../lib/bundled.ts';
import { scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

const programOf = (name: string): string => bundled(`scripts/programs/room/${name}`);

/** Returns the program's first line on standard error, and ends it. */
async function firstErrorLine(t: Test, name: string, ...args: string[]): Promise<string> {
  const program: Program = start(t, process.execPath, [programOf(name), ...args]);
  await waitUntil(t, 'a fault', () => program.err.includes('\n') || program.code !== undefined, 30_000);
  program.child.kill('SIGTERM');
  await program.exit;
  return program.err.split('\n')[0] ?? '';
}

void t.test('an unreachable broker is one line with its address and the fix', async (t) => {
  const port = await freePort();
  const database = join(scratch(t), 'room.db');
  t.equal(
    await firstErrorLine(t, 'archive', '--broker', `mqtt://127.0.0.1:${port}`, '--database', database),
    `room: broker mqtt://127.0.0.1:${port}: nothing listens there; start the broker, or correct --broker`,
  );
  t.match(
    await firstErrorLine(t, 'archive', '--broker', 'mqtt://no-such-host.invalid', '--database', database),
    /^room: broker mqtt:\/\/no-such-host\.invalid: the (name is unknown; correct the host in --broker|DNS does not)/,
  );
  const brokerArgs = ['--broker', `mqtt://user:hunter2@127.0.0.1:${port}`, '--port', '0'];
  t.equal(
    await firstErrorLine(t, 'metrics', ...brokerArgs),
    `room: broker mqtt://***:***@127.0.0.1:${port}: nothing listens there; start the broker, or correct --broker`,
  );
});

void t.test(
  'a broker certificate of another authority is one line with the options',
  { skip: unlessAll },
  async (t) => {
    const dir = scratch(t);
    const [own, other] = [
      new RoomAuthorities(join(dir, 'own')),
      new CertificateAuthority(join(dir, 'other')),
    ];
    await Promise.all([own.start(), other.start()]);
    const broker = new Mosquitto({ dir, tls: await own.brokerTls() });
    t.teardown(() => broker.stop());
    await broker.start();
    const { cert, key } = await own.programs.client('room');
    const files = ['--ca', other.ca, '--cert', cert, '--key', key];
    const database = join(dir, 'room.db');
    t.match(
      await firstErrorLine(t, 'archive', '--broker', broker.programsUrl, ...files, '--database', database),
      /^room: broker mqtts:\S+: the broker’s certificate is not trusted \(\w+\); check --ca and the broker’s certificate; there is no fallback to plaintext$/,
    );
  },
);

void t.test(
  'an unreachable database is one line with its address and the fix',
  { skip: unlessAll },
  async (t) => {
    const port = await freePort();
    const database = `postgres://user:hunter2@127.0.0.1:${port}/room`;
    t.equal(
      await firstErrorLine(t, 'archive', '--broker', 'mqtt://127.0.0.1:1', '--database', database),
      `room: archive: PostgreSQL on 127.0.0.1:${port}: nothing listens there; start it, or put host and port of the database right; tried again until it works`,
    );
  },
);

void t.test('a program’s broker errors name its own options', async (t) => {
  const coded = (code: string | number): string =>
    roomBrokerProblem(Object.assign(new Error('x'), { code }), 'mqtts://broker:8883');
  t.match(coded('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), /refuses this machine’s certificate .*--cert, --key/);
  t.match(coded(135), /does not authorise this program; check the certificate’s CN and the ACL/);
  for (const code of ['ERR_TLS_CERT_ALTNAME_INVALID', 'CERT_NOT_YET_VALID', 'ECONNRESET', 134, 142]) {
    t.notMatch(coded(code), /mqtt\.|\bbox\b/, String(code));
  }
});
