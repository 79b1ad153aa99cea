/**
 * Tests the sources of the health report: patience with them, the clock, processes and sensors. Also tests the messages
 * to systemd: readiness, one status line for a technician, and watchdog pings that can stop.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import type { HealthReport } from '../../agent/contract/health.ts';
import { ClockSync } from '../../agent/health/clock-sync.ts';
import { Health, type HealthSources } from '../../agent/health/health.ts';
import { processReport, temperatureC } from '../../agent/health/host.ts';
import { SdNotify } from '../../agent/health/sd-notify.ts';
import { statusLine } from '../../agent/health/status-line.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';

void t.test(
  'a source that cannot answer costs one report, and a programming error is not hidden',
  async (t) => {
    let askCount = 0;
    const broken = (error: Error): Health =>
      new Health({
        site: SITE,
        box: BOX,
        timeZone: 'Europe/Paris',
        boot: 'b',
        versions: {},
        sources: {
          outbox: {
            get counters() {
              askCount += 1;
              throw error;
            },
          },
          delivery: { publisher: { health: () => t.fail('nothing to publish') } },
        } as unknown as HealthSources,
        clock: systemClock,
        log: SILENT,
        everyMs: 20,
      });
    const patient = broken(new AgentError('unavailable', 'the disk'));
    patient.start();
    await waitUntil(t, 'asked again', () => askCount >= 3);
    await patient.stop();
    const mistaken = broken(new TypeError('x is undefined'));
    t.throws(() => mistaken.report(), TypeError);
  },
);

void t.test('the report says that timesyncd, the kernel or no one set the clock', async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'synchronized');
  const kernel = (answer: string): string => {
    const program = join(dir, `timedatectl-${answer}`);
    writeFileSync(program, `#!/bin/sh\ntest "$2" = --property=NTPSynchronized && echo ${answer}\n`);
    chmodSync(program, 0o755);
    return program;
  };
  const syncedBy = async (timedatectl: string): Promise<boolean> => {
    const sync = new ClockSync({ clock: systemClock, log: SILENT, timesyncFile: file, timedatectl });
    t.equal(sync.synced, false, 'not before the first reading');
    await sync.start();
    await sync.stop();
    return sync.synced;
  };
  t.equal(await syncedBy(kernel('no')), false);
  t.equal(await syncedBy(kernel('yes')), true, 'chrony or ntpsec');
  t.equal(await syncedBy(join(dir, 'missing')), false, 'no systemd: taken as not set');
  writeFileSync(file, '');
  t.equal(await syncedBy(join(dir, 'missing')), true, 'systemd-timesyncd');
});

void t.test('processes and temperature are read as Linux shows them', async (t) => {
  t.ok((processReport(process.pid)?.rssMiB ?? 0) > 10);
  t.equal(processReport(2 ** 22 + 1), null, 'no such process');
  const dir = scratch(t);
  t.equal(temperatureC(dir), null, 'a board without sensors');
  for (const [zone, temp] of Object.entries({
    thermal_zone0: '48312\n',
    thermal_zone1: '61950\n',
    cooling_device0: '99000',
  })) {
    mkdirSync(join(dir, 'thermal', zone), { recursive: true });
    writeFileSync(join(dir, 'thermal', zone, 'temp'), temp);
  }
  mkdirSync(join(dir, 'thermal', 'thermal_zone2'));
  t.equal(temperatureC(dir), 62, 'the hottest, whole readings only');
  mkdirSync(join(dir, 'hwmon', 'hwmon3'), { recursive: true });
  writeFileSync(join(dir, 'hwmon', 'hwmon3', 'temp2_input'), '71500\n');
  writeFileSync(join(dir, 'hwmon', 'hwmon3', 'temp2_crit'), '99000\n');
  t.equal(temperatureC(dir), 71.5, 'boards that tell it there alone');
  const proc = join(dir, '77');
  mkdirSync(proc);
  writeFileSync(join(proc, 'status'), 'Name:\tvision\nVmRSS:\t  102400 kB\n');
  t.same(
    processReport(77, dir),
    { pid: 77, rssMiB: 100, fds: null },
    'descriptors of another user are not shown',
  );
});

const lane = { rows: 2 };
const REPORT = {
  mode: 'active',
  restraint: { installation: false },
  camera: { state: 'streaming', reason: null },
  mqtt: { phase: 'online', fault: null, unacknowledgedS: 0 },
  outbox: { store: 'disk', lanes: { alert: lane, bulk: lane } },
  incidents: { standing: 1 },
  frames: { analysed: 0 },
} as unknown as HealthReport;

void t.test('the status is one line', async (t) => {
  t.equal(
    statusLine(REPORT, 4.96),
    'watching, 5.0 frames a second; broker online; 4 events wait to be delivered; 1 incidents open',
  );
  const offline = {
    ...REPORT,
    camera: { state: 'lost', reason: 'no answer\nWATCHDOG=1' },
    mqtt: { phase: 'waiting', fault: { message: 'broker room:8883: refused' } },
  } as unknown as HealthReport;
  t.match(
    statusLine(offline, 0),
    /^camera lost \(no answer WATCHDOG=1\); broker unavailable \(broker room:8883: refused\)/,
  );
  t.notMatch(statusLine(offline, 0), /\n/, 'no second word in it');
  const unheard = structuredClone(REPORT);
  Object.assign(unheard.mqtt as object, { unacknowledgedS: 61 });
  t.match(statusLine(unheard, 5), /; NO ARCHIVE ACKNOWLEDGES; /);
  t.match(statusLine({ ...REPORT, mode: 'suspended' }, 0), /^suspended, not watching/);
});

interface NotifierState {
  readonly words: () => string[];
  readonly notify: SdNotify;
  signs: number;
  mode: HealthReport['mode'];
}

/** Runs a notifier with a systemd-notify that records its arguments. */
function startNotifier(t: Test, env: NodeJS.ProcessEnv): NotifierState {
  const dir = scratch(t);
  const [file, program] = [join(dir, 'told'), join(dir, 'systemd-notify')];
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" >>${file}\n`, { mode: 0o755 });
  const state: NotifierState = {
    words: () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []),
    signs: 0,
    mode: 'active',
    notify: new SdNotify({
      env: { PATH: process.env['PATH'], ...env },
      clock: systemClock,
      log: SILENT,
      report: () => ({ ...REPORT, mode: state.mode }),
      activityCount: () => state.signs,
      program,
    }),
  };
  t.teardown(() => state.notify.stop());
  return state;
}

const beats = ({ words }: NotifierState): number => words().filter((word) => word === 'WATCHDOG=1').length;

void t.test('no notifier starts without systemd', async (t) => {
  const state = startNotifier(t, {});
  state.notify.start();
  await state.notify.stop();
  t.strictSame(state.words(), []);
});

void t.test(
  'systemd hears of readiness, of signs of life while there are some, and of the stop',
  async (t) => {
    const state = startNotifier(t, { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '900000' });
    state.notify.start();
    await waitUntil(t, 'ready', () => state.words()[0] === 'READY=1', 30_000);
    t.match(state.words()[1], /^STATUS=watching/);
    const living = setInterval(() => (state.signs += 1), 50);
    t.teardown(() => clearInterval(living));
    await waitUntil(t, 'fed', () => beats(state) >= 3, 30_000);
    clearInterval(living);
    let before = -1;
    let statuses = -1;
    const starved = (): boolean => {
      const now = state.words().filter((word) => word.startsWith('STATUS=')).length;
      if (beats(state) !== before) [before, statuses] = [beats(state), now];
      return now >= statuses + 4;
    };
    await waitUntil(t, 'the status continues without watchdog pings', starved, 60_000);
    state.mode = 'suspended';
    const hungry = beats(state);
    await waitUntil(t, 'suspended: no sign is expected', () => beats(state) > hungry + 1, 30_000);
    await state.notify.stop();
    t.strictSame(state.words().slice(-2), ['STOPPING=1', 'STATUS=stopping']);
  },
);
