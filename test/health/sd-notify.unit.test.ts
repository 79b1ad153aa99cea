/** Tests the messages to systemd: readiness, one status line for a technician, and watchdog pings that can stop. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { HealthReport } from '../../agent/contract/health.ts';
import { SdNotify } from '../../agent/health/sd-notify.ts';
import { statusLine } from '../../agent/health/status-line.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';

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
