/** Tests the published health report of a real process over a real broker. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import { HealthReport } from '../../agent/contract/health.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { ClockSync } from '../../agent/health/clock-sync.ts';
import { Health, type HealthSources } from '../../agent/health/health.ts';
import { processReport, temperatureC } from '../../agent/health/host.ts';
import { TrackLogStatus } from '../../agent/tracks/status.ts';
import { eventItem } from '../lib/events.ts';
import { makeOutbox, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, deliver, makeRoom, SITE, waitUntil } from '../lib/room.ts';

void t.test('the report is retained, fits its schema and is repeated', async (t) => {
  const { archive, config } = await makeRoom(t);
  const { outbox } = makeOutbox(join(scratch(t), 'outbox.db'));
  outbox.start();
  t.teardown(() => outbox.stop());
  outbox.append([eventItem('alert', 'loitering')]);
  const { delivery } = deliver(t, config, outbox);
  let published = 0;
  const sources: HealthSources = {
    restraint: {
      mode: 'active',
      report: () => ({
        since: '2026-11-24T14:00:00.000Z',
        reason: null,
        order: '2026-77',
        validUntil: '2027-11-24T14:00:00.000Z',
        installation: false,
        rules: [{ id: 'stays', state: 'shadow', reason: null, shadowed: 3 }],
      }),
    },
    clockSync: { synced: true },
    trackStatus: new TrackLogStatus(),
    status: {
      frames: { read: 100, analysed: 50, dropped: 1, watched: 0 },
      quiet: undefined,
      camera: {
        state: 'streaming',
        reason: null,
        decoder: 'avdec_h264',
        widthPx: 768,
        heightPx: 576,
        fps: 10,
        asOrdered: true,
      },
      detector: { model: 'nanodet-g-city10', sha256: 'ab', provider: 'cpu', fallback: null },
      process: { pid: 4242, rssMiB: 203.4, fds: 61 },
    },
    flow: { report: { standing: 1, episodes: 2, events: 3 }, conditions: ['moved', 'suspended'] },
    outbox,
    delivery: {
      get state() {
        return delivery.state;
      },
      publisher: {
        health: (report) => {
          published += 1;
          delivery.publisher.health(report);
        },
      },
    },
    certificates: { report: { notAfter: '2027-01-01T00:00:00.000Z', caNotAfter: null } },
    accuracy: { report: () => null },
  };
  const health = new Health({
    site: SITE,
    box: BOX,
    timeZone: 'Europe/Paris',
    boot: 'boot-1',
    versions: { vigie: '0.1.0', node: process.versions.node },
    sources,
    clock: systemClock,
    log: SILENT,
    everyMs: 300,
  });
  health.register({ counters: { link_messages_dropped: 3 } });
  health.start();
  t.teardown(() => health.stop());
  await waitUntil(t, 'online and published', () => delivery.state.phase === 'online' && published >= 4);
  await health.stop();
  await health.stop();
  const after = published;
  await sleep(400);
  t.equal(published, after, 'none after the stop');

  // Subscribed only now, so it receives the messages that the broker retained.
  await archive.start();
  const topic = topicsOf(SITE, BOX).health;
  await waitUntil(t, 'retained', () => archive.retained.has(topic));
  const report = archive.retained.get(topic);
  t.same([...Value.Errors(HealthReport, report)], [], 'fits the published schema');
  t.match(report, {
    site: SITE,
    box: BOX,
    mode: 'active',
    conditions: ['moved', 'suspended'],
    certificate: { notAfter: '2027-01-01T00:00:00.000Z', caNotAfter: null },
    restraint: { installation: false, validUntil: '2027-11-24T14:00:00.000Z' },
    outbox: { store: 'disk', lanes: { alert: { lastSeq: 1, appended: 1 } } },
    mqtt: { phase: 'online', fault: null },
    processes: { agent: { pid: process.pid }, vision: { pid: 4242, rssMiB: 203.4, fds: 61 } },
    counters: { link_messages_dropped: 3 },
  });
  const { agent } = (report as HealthReport).processes;
  t.ok(agent.rssMiB > 30 && (agent.fds ?? 0) > 5, `${agent.rssMiB} MiB, ${agent.fds} descriptors`);
  t.ok(JSON.stringify(report).length < 4096, `${JSON.stringify(report).length} bytes`);
});

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
