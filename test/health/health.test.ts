/** Tests the sources of the health report: patience with them, the clock, processes and sensors. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import { ClockSync } from '../../agent/health/clock-sync.ts';
import { Health, type HealthSources } from '../../agent/health/health.ts';
import { processReport, temperatureC } from '../../agent/health/host.ts';
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
