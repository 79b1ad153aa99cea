/**
 * Tests all boxes of a city at once: 3,000 TLS connections to one shipped Mosquitto, and an archive on either database.
 *
 * At a city's rate nothing queues. Then the rate rises until a part is too slow. The test reports the cost per message
 * of each process.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { DATABASES, type TestDatabase } from '../lib/databases.ts';
import { cpuS, Load, machineCpuS, makeCertificates, openFiles, rssMB } from '../lib/load.ts';
import { loadName, loadSite } from '../lib/load-protocol.ts';
import { scratch } from '../lib/paths.ts';
import { makeRoom, type Room, waitUntil } from '../lib/room.ts';
import { RoomProgram } from '../lib/room-program.ts';
import { FULL } from '../lib/run.ts';

/** Number of boxes; can be set for an experiment. */
const BOXES = Number(process.env['VIGIE_TEST_BOXES'] ?? 3000);
const PROCESSES = 2;

/** Connections per second: all boxes return within a minute of an outage's end. */
const CONNECTS_PER_S = Math.ceil(BOXES / 60);
const CONNECTED_WITHIN_MS = 300_000;

interface Stage {
  readonly name: string;
  /** Events and pictures per second of all boxes. */
  readonly perS: number;
  readonly stills: boolean;
  readonly lastsMs: number;
}

/** Each box has four incidents an hour with a start, an end and a picture, and reports its health every 30 s. */
const CITY: Stage = { name: "a city's rate", perS: (BOXES * 12) / 3600, stills: true, lastsMs: 60_000 };
const STAGES: readonly Stage[] = [
  CITY,
  ...[100, 200, 400].map((perS) => ({ name: 'faster', perS, stills: true, lastsMs: 20_000 })),
  ...[500, 1000, 2000, 4000].map((perS) => ({ name: 'events only', perS, stills: false, lastsMs: 20_000 })),
];

/** Maximum backlog at the end of a stage, in seconds of traffic; a greater one would grow. */
const BEHIND_S_MAX = 2;
const DRAINED_WITHIN_MS = 180_000;

interface Parts {
  readonly load: Load;
  readonly room: Room;
  readonly program: RoomProgram;
  readonly database: TestDatabase;
}

/** CPU time of each part since its start, s. */
function cpuTimes({ load, room, program, database }: Parts): Record<string, number> {
  const { server } = database;
  const parts = {
    broker: cpuS(room.broker.pid ?? 0),
    archive: cpuS(program.pid ?? 0),
    ...(server && { database: cpuS(server.pid) }),
    boxes: load.cpuS,
  };
  const sum = Object.values(parts).reduce((all, s) => all + s, 0);
  return { ...parts, others: machineCpuS() - sum };
}

/** Runs a stage; false if messages were stored more slowly than they arrived. */
async function runStage(t: Test, parts: Parts, { name, perS, stills, lastsMs }: Stage): Promise<boolean> {
  const { load, room, program } = parts;
  const [counts, before, beganMs] = [load.counts, cpuTimes(parts), performance.now()];
  load.rate(perS, stills);
  await sleep(lastsMs);
  load.rate(0, stills);
  const [at, after, tookS] = [load.counts, cpuTimes(parts), (performance.now() - beganMs) / 1000];
  const [sentCount, stored, health] = [
    at.sentCount - counts.sentCount,
    at.stored - counts.stored,
    at.health - counts.health,
  ];
  const cpu = Object.entries(after).map(([name, s]) => {
    const usedS = s - (before[name] ?? 0);
    const each = name === 'others' ? '' : ` ${((usedS * 1000) / (stored + health)).toFixed(2)} ms a message,`;
    return `${name}${each} ${((usedS * 100) / tookS).toFixed(0)} %`;
  });
  const behindS = (sentCount - stored) / (sentCount / tookS);
  const hasKeptUp = behindS <= BEHIND_S_MAX && sentCount >= 0.9 * perS * tookS;
  const perSecond = (count: number): string => (count / tookS).toFixed(0);
  t.comment(
    [
      `${name}, ${stills ? 'every third a picture' : 'no pictures'}: ${perSecond(sentCount)} of ${perS.toFixed(0)} sent, ` +
        `${perSecond(stored)} stored and ${perSecond(health)} reports a second`,
      `CPU (of one core): ${cpu.join('; ')}`,
      `broker ${rssMB(room.broker.pid ?? 0).toFixed(0)} MB, archive ${rssMB(program.pid ?? 0).toFixed(0)} MB`,
      `${behindS.toFixed(1)} s behind; load ${(loadavg()[0] ?? 0).toFixed(1)}${hasKeptUp ? '' : ': SOMETHING GAVE'}`,
    ].join('; '),
  );
  await waitUntil(t, 'all is stored', () => load.counts.stored >= load.counts.sentCount, DRAINED_WITHIN_MS);
  return hasKeptUp;
}

/** Writes the certificates of a number of boxes, and their access rules. */
async function writeEnrolment(dir: string, { authority, broker }: Room, count: number): Promise<void> {
  makeCertificates(dir, dirname(authority.ca), count);
  await broker.enrol(
    ...Array.from({ length: count }, (_, no) => ({ site: loadSite(no), box: loadName(no) })),
  );
}

const skip = !FULL && 'set VIGIE_TEST_RUN=full for 3,000 boxes';

/** systemd's default for a unit without a setting, such as Debian's Mosquitto unit. */
const OPEN_FILES = 1024;

void t.test('the open files of a unit are the first limit', { skip, timeout: 600_000 }, async (t) => {
  const dir = join(scratch(t), 'boxes');
  mkdirSync(dir);
  const room = await makeRoom(t);
  const count = OPEN_FILES + 50;
  await writeEnrolment(dir, room, count);
  const limit = (files: string): unknown =>
    execFileSync('prlimit', ['--pid', String(room.broker.pid), `--nofile=${files}:`]);
  limit(String(OPEN_FILES));
  const load = new Load(t, PROCESSES);
  load.connect(room.broker.url, dir, count, CONNECTS_PER_S);
  const isFull = (): boolean => load.counts.connected > OPEN_FILES - 50 && load.counts.failed > 50;
  await waitUntil(t, 'no more are taken', isFull, CONNECTED_WITHIN_MS);
  const { connected } = load.counts;
  t.ok(connected < OPEN_FILES, `${connected} are connected`);
  // The broker writes its log in blocks. Without a free descriptor it cannot read /etc/hosts.allow, and logs a denial.
  const log = (): string => readFileSync(room.broker.logFile, 'utf8');
  const saysWhy = (): boolean => log().includes('denied access by tcpd');
  await waitUntil(t, 'the log says why', saysWhy, CONNECTED_WITHIN_MS);
  limit(String(2 * OPEN_FILES));
  const isThere = (): boolean => load.counts.connected === count;
  await waitUntil(t, 'with a higher limit all are there', isThere, CONNECTED_WITHIN_MS);
});

for (const name of ['postgres', 'sqlite'] as const) {
  void t.test(
    `${BOXES} boxes are stored at a city's rate: ${name}`,
    { skip, timeout: 3_600_000 },
    async (t) => {
      const dir = join(scratch(t), 'boxes');
      mkdirSync(dir);
      const room = await makeRoom(t, { persistent: true });
      await writeEnrolment(dir, room, BOXES);
      const database = await DATABASES[name](t);
      const program = await RoomProgram.start(t, room, '--database', database.address, '--quiet');
      const load = new Load(t, PROCESSES);
      const parts = { load, room, program, database };
      const broker = room.broker.pid ?? 0;
      await sleep(2000);

      const [emptyMB, emptyS, beganMs] = [rssMB(broker), cpuS(broker), performance.now()];
      load.connect(room.broker.url, dir, BOXES, CONNECTS_PER_S);
      await waitUntil(t, 'all are connected', () => load.counts.connected === BOXES, CONNECTED_WITHIN_MS);
      const handshakeMs = ((cpuS(broker) - emptyS) * 1000) / BOXES;
      t.comment(
        `connected within ${((performance.now() - beganMs) / 1000).toFixed(0)} s: ${handshakeMs.toFixed(2)} ms of the broker's ` +
          `CPU and ${(((rssMB(broker) - emptyMB) * 1000) / BOXES).toFixed(0)} kB a box, ${openFiles(broker)} open files`,
      );

      let rest = [...STAGES];
      while (rest.length > 0) {
        const [stage = CITY, ...laterStages] = rest;
        const hasKeptUp = await runStage(t, parts, stage);
        if (stage === CITY) t.ok(hasKeptUp, "a city's rate is stored without delay");
        // After a failed stage the faster ones of its kind are skipped.
        rest = hasKeptUp ? laterStages : laterStages.filter(({ name }) => name !== stage.name);
      }
      const { sentCount, stored, refusedCount, failed } = load.counts;
      t.equal(refusedCount, 0, 'no message was refused');
      t.comment(`${failed} connections were lost or refused, and made again`);
      t.equal(stored, sentCount, `all of ${sentCount} are acknowledged`);
      const [row] = await database.read(
        'SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM snapshot) AS n',
      );
      t.equal(Number(row?.['n']), sentCount, 'and there');
      t.comment(program.output);
    },
  );
}
