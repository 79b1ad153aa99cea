/**
 * Tests the box's own Wi-Fi: the profile for NetworkManager, when it opens, and that it ends. NetworkManager does not
 * run; it does in hotspot-phone.all.test.ts.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Command } from '../../agent/contract/command.ts';
import { requestHotspot } from '../../agent/technician/hotspot-request.ts';
import { ownAuthorisation } from '../../scripts/lib/own-authorisation.ts';
import { type Provisioned, takeFromBootPartition } from '../../scripts/products/root/card/boot-partition.ts';
import { settingsDir, UPDATE_FILES, updatePlace } from '../../scripts/products/root/card/update-files.ts';
import {
  Hotspot,
  hotspotKeyProblem,
  hotspotProfile,
  readHotspotKey,
} from '../../scripts/products/root/network/hotspot.ts';
import { hotspotRefusal } from '../../scripts/products/root/network/hotspot-command.ts';
import { DEFAULT_PLACES } from '../../scripts/products/root/paths.ts';
import { RoomCommand } from '../../scripts/products/root/room-command.ts';
import { configOf } from '../lib/agent.ts';
import { accepted, makeSigner, searchCommand, signed } from '../lib/commands.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE } from '../lib/room.ts';

const RADIO = 'wlan0:wifi:disconnected\n';
const PASSPHRASE = 'k7qf\\93mx;w"#2z';

/** A clock whose sleeps end at once. */
class Hasty extends HandClock {
  onSleep: () => void = () => undefined;
  override async sleep(delayMs: number): Promise<void> {
    this.advance(delayMs);
    this.onSleep();
  }
}

/** A stand-in for nmcli(1) and systemctl(1) that logs its calls and the current profile. `devices` may be changed. */
function standIn(
  t: Test,
  devices: string,
  fails = 'nothing',
): { nmcli: string; calls: () => string; dir: string; devices: (text: string) => void } {
  const dir = scratch(t);
  const [nmcli, log] = [join(dir, 'nmcli'), join(dir, 'calls')];
  const text = `#!/bin/sh
echo "$*" >>${log}
case "$*" in *${fails}*) echo refused >&2; exit 4;; esac
case "$*" in *device) cat ${dir}/devices;; *load*) cat "$3" >${dir}/loaded; stat -c %a "$3" >>${log};; esac
`;
  writeFileSync(nmcli, text);
  chmodSync(nmcli, 0o755);
  const write = (lines: string): void => writeFileSync(join(dir, 'devices'), lines);
  write(devices);
  return { nmcli, dir, devices: write, calls: () => (existsSync(log) ? readFileSync(log, 'utf8') : '') };
}

interface Room {
  readonly onRequest: boolean;
  requested(): number | undefined;
}
const NOBODY: Room = { onRequest: false, requested: () => undefined };

function hotspot(
  dir: string,
  nmcli: string,
  clock: HandClock,
  refusal: () => string | undefined,
  room: Room = NOBODY,
) {
  const lines: string[] = [];
  const profileFile = join(dir, 'run', 'vigie-hotspot.nmconnection');
  const say = (line: string): void => void lines.push(line);
  const identity = { box: 'box-1', passphrase: PASSPHRASE, profileFile };
  const instance = new Hotspot({ ...identity, ...room, clock, refusal, say, nmcli, systemctl: nmcli });
  return { hotspot: instance, lines, profileFile };
}

void t.test('the hotspot opens for a quarter of an hour, and its profile is removed', async (t) => {
  const { nmcli, calls, dir } = standIn(t, 'eth0:ethernet:connected\nwlan0:wifi:disconnected\n');
  const clock = new Hasty();
  const { hotspot: one, lines, profileFile } = hotspot(dir, nmcli, clock, () => undefined);
  const from = clock.nowMs();
  await one.open();
  t.equal(clock.nowMs() - from, 15 * 60_000);
  t.match(
    calls(),
    /^--terse --fields DEVICE,TYPE,STATE device\nconnection load .*\n600\nconnection up vigie-hotspot\nstart vigie-hotspot-dhcp@wlan0\.service\nconnection delete/,
  );
  t.notOk(existsSync(profileFile), 'the passphrase is nowhere any more');
  t.notOk(
    calls().includes(PASSPHRASE) || lines.join().includes(PASSPHRASE),
    'and was in no argument and no line',
  );
  t.match(lines, [/^hotspot box-1 is open for 15 min: https:\/\/10\.42\.0\.1\/$/, /closed/]);
  t.equal(readFileSync(join(dir, 'loaded'), 'utf8'), hotspotProfile('box-1', PASSPHRASE, 'wlan0'));
});

void t.test('the hotspot stays closed under an order, and without a device or key', async (t) => {
  const clock = new Hasty();
  let refusal: string | undefined;
  clock.onSleep = () => {
    refusal = 'order 2026/1 holds';
  };
  const { nmcli, dir, calls } = standIn(t, RADIO);
  const came = hotspot(dir, nmcli, clock, () => refusal);
  await came.hotspot.open();
  t.equal(clock.nowMs(), 11_000, 'an order that comes closes it at once');
  t.match(calls(), /connection delete vigie-hotspot\n$/);
  const second = hotspot(dir, nmcli, clock, () => refusal);
  const before = calls();
  await second.hotspot.open();
  t.strictSame(second.lines, ['no hotspot: order 2026/1 holds']);
  t.equal(calls(), before, 'NetworkManager is not even asked');
  for (const [name, nmcliPath] of [
    ['no Wi-Fi', standIn(t, 'eth0:ethernet:connected\n').nmcli],
    ['no NetworkManager', join(dir, 'no-such-program')],
  ] as const) {
    const { hotspot: none, lines } = hotspot(dir, nmcliPath, clock, () => undefined);
    const from = clock.nowMs();
    await none.open();
    t.equal(clock.nowMs() - from, 15 * 60_000, `${name}: it waits for one`);
    const missing = /(there is no Wi-Fi device|NetworkManager does not answer)/.source;
    t.match(
      lines,
      [new RegExp(`^waits for a radio: ${missing}`), new RegExp(`^no hotspot: ${missing}`)],
      name,
    );
    t.equal(lines.length, 2, 'two lines, and not an error');
  }
  const failing = standIn(t, RADIO, 'connection?up');
  const bad = hotspot(failing.dir, failing.nmcli, clock, () => undefined);
  await t.rejects(bad.hotspot.open(), {
    kind: 'unavailable',
    message: /nmcli connection up vigie-hotspot: .*refused/,
  });
  t.notOk(existsSync(bad.profileFile));
  t.match(failing.calls(), /connection delete vigie-hotspot\n$/, 'the failed connection is deleted');
  const silent = standIn(t, RADIO, 'dhcp');
  await t.rejects(hotspot(silent.dir, silent.nmcli, clock, () => undefined).hotspot.open(), {
    kind: 'unavailable',
    message:
      /^phones get no address \(.*refused.*\); see journalctl -u vigie-hotspot-dhcp@wlan0\.service, is dnsmasq/s,
  });
  t.match(silent.calls(), /connection delete vigie-hotspot\n$/, 'and without addresses it closes');
});

void t.test('a late radio gets what is left of the quarter of an hour', async (t) => {
  /** The radio comes after this number of minutes; `then` says what it is until then. */
  const openAfter = async (minutes: number, then: string, room = NOBODY) => {
    const clock = new Hasty();
    const { nmcli, dir, calls, devices } = standIn(t, then);
    const from = clock.nowMs();
    clock.onSleep = () => {
      if (clock.nowMs() - from >= minutes * 60_000) devices(`${then}wlan1:wifi:disconnected\n`);
    };
    const { hotspot: one, lines } = hotspot(dir, nmcli, clock, () => undefined, room);
    await one.open();
    return { lines, calls: calls(), minutes: (clock.nowMs() - from) / 60_000 };
  };
  const late = await openAfter(14, '');
  t.match(late.lines, [/^waits for a radio: there is no/, /^hotspot box-1 is open for 1 min/, /closed/]);
  t.equal(late.minutes, 15, 'one deadline for the wait and the time that it is open');
  const blocked = await openAfter(3, 'wlan0:wifi:unavailable\n');
  t.match(blocked.lines, [
    /^waits for a radio: wlan0 is unavailable \(nmcli device, rfkill\)$/,
    /open for 12 min/,
  ]);
  t.match(blocked.calls, /^start vigie-hotspot-dhcp@wlan1\.service$/m, 'on the device that can be used');
  t.match((await openAfter(16, '')).lines, [/^waits/, /^no hotspot: there is no Wi-Fi device$/], 'too late');
  const uplink = await openAfter(0, 'wlan0:wifi:connected\nwlan1:wifi:disconnected\n');
  t.match(uplink.calls, /dhcp@wlan1/, 'a device without a connection is taken first');
  const requests = [20];
  const room = { onRequest: true, requested: () => requests.shift() };
  const outcome = await openAfter(8, '', room);
  t.match(
    outcome.lines,
    [/^the room opens/, /^waits for a radio/, /is open for 12 min/],
    'as for the room’s time',
  );
  t.equal(outcome.minutes, 20);
});

void t.test('the room’s command opens it under an order, for the given time', async (t) => {
  const orderRefusal = (): string => 'order 2026/1 holds';
  const roomOf = (
    clock: HandClock,
    onRequest: boolean,
    requests: [atMs: number, minutes: number][],
  ): Room => ({
    onRequest,
    requested: () =>
      clock.nowMs() >= (requests[0]?.[0] ?? Number.POSITIVE_INFINITY) ? requests.shift()?.[1] : undefined,
  });
  const openAs = async (
    onRequest: boolean,
    requests: [number, number][],
    refusal = orderRefusal as () => string | undefined,
  ) => {
    const clock = new Hasty();
    const { nmcli, dir } = standIn(t, RADIO);
    const one = hotspot(dir, nmcli, clock, refusal, roomOf(clock, onRequest, requests));
    const from = clock.nowMs();
    await one.hotspot.open();
    return { lines: one.lines, minutes: (clock.nowMs() - from) / 60_000 };
  };
  const outcome = await openAs(true, [[0, 30]]);
  t.equal(outcome.minutes, 30);
  t.match(outcome.lines, [/^the room opens the hotspot for 30 min$/, /is open for 30 min/, /closed/]);
  t.match(await openAs(true, []), { minutes: 0, lines: ['no hotspot: the room has not requested it'] });
  const free = await openAs(true, [], () => undefined);
  t.match(
    free,
    { minutes: 0, lines: [/has not requested/] },
    'nor does the agent’s file open it without an order',
  );
  t.equal(
    (
      await openAs(true, [
        [0, 5],
        [4 * 60_000, 10],
      ])
    ).minutes,
    14,
    'asked again while it is open',
  );
  t.equal(
    (
      await openAs(true, [
        [0, 60],
        [30 * 60_000, 60],
      ])
    ).minutes,
    60,
    'an hour at most, then again',
  );
  t.equal(
    (await openAs(false, [[60_000, 30]], () => undefined)).minutes > 30,
    true,
    'longer than from power-up',
  );
  t.equal(
    (await openAs(false, [[0, 5]])).minutes,
    5,
    'after power-up the order closes it when the room’s time is over',
  );
});

void t.test('root itself validates the room’s command, and obeys it once', async (t) => {
  const dir = scratch(t);
  const [state, folder] = [join(dir, 'state'), join(dir, 'root')];
  for (const newDir of [state, folder]) mkdirSync(newDir);
  const [signer, other] = [makeSigner('desk', ['open-hotspot']), makeSigner('court', ['suspend'])];
  const keys = [signer.config, other.config];
  const clock = new HandClock();
  const commandOf = (change: Partial<Command> = {}): Command =>
    searchCommand({ op: 'open-hotspot', args: { minutes: 20 }, ...change }, clock.epochMs);
  const file = join(state, 'open-hotspot.dsse.json');
  const makeRequest = (): RoomCommand<'open-hotspot'> =>
    new RoomCommand({
      op: 'open-hotspot',
      stateDir: state,
      folder,
      clock,
      config: () => ({ site: SITE, box: BOX, commands: { keys } }),
    });
  const submit = (bytes: Uint8Array): unknown => {
    writeFileSync(file, bytes);
    return makeRequest().newCommand();
  };
  t.equal(makeRequest().newCommand(), undefined, 'nothing there');
  const right = signed(signer, commandOf());
  const one = makeRequest();
  writeFileSync(file, right);
  t.strictSame(one.newCommand(), { args: { minutes: 20 } });
  t.equal(one.newCommand(), undefined, 'reported once');
  t.match(
    submit(right),
    { refusal: /is not above/ },
    'after a restart it is used, whatever the agent puts back',
  );
  for (const [name, bytes, reason] of [
    ['another key', signed(makeSigner('mine', ['open-hotspot']), commandOf()), /no key/],
    ['a key that may not', signed(other, commandOf()), /may not open-hotspot/],
    ['another command', signed(other, commandOf({ op: 'suspend', args: {} })), /may not suspend/],
    ['another box', signed(signer, commandOf({ box: 'box-9' })), /is for box-9/],
    ['all boxes', signed(signer, commandOf({ box: '*' })), /is for \*/],
    [
      'old',
      signed(signer, commandOf({ notAfter: new Date(clock.epochMs - 1).toISOString() })),
      /valid until/,
    ],
    [
      'early',
      signed(signer, commandOf({ notBefore: new Date(clock.epochMs + 1).toISOString() })),
      /valid from/,
    ],
    ['too long', signed(signer, commandOf({ args: { minutes: 61 } })), /minutes: 1 to 60/],
    ['without an end', signed(signer, commandOf({ args: {} })), /minutes: 1 to 60/],
    ['anything', Buffer.from('{}'), /not a DSSE envelope/],
    ['much', Buffer.alloc(20_000, 0x20), /is not JSON/],
  ] as const)
    t.match(submit(bytes), { refusal: reason }, name);
  rmSync(file);
  symlinkSync('/etc/hostname', file);
  t.match(makeRequest().newCommand(), { refusal: /is not JSON/ }, 'no file of root’s is read for the agent');
  rmSync(file);
  t.equal(spawnSync('mkfifo', [file]).status, 0);
  t.match(makeRequest().newCommand(), { refusal: /is not JSON/ }, 'nor does a pipe hold it up');
  rmSync(file);
  t.strictSame(
    submit(signed(signer, commandOf())),
    { args: { minutes: 20 } },
    'and the next right one is obeyed',
  );

  rmSync(file);
  t.strictSame(requestHotspot(state, accepted('open-hotspot', { minutes: 20 }, { envelope: right })), {
    minutes: 20,
  });
  t.strictSame(readFileSync(file), right, 'the agent stores only what was signed');
  for (const args of [{}, { minutes: 0 }, { minutes: 1.5 }, { minutes: 20, ssid: 'x' }])
    t.throws(() => requestHotspot(state, accepted('open-hotspot', args, { envelope: right })), {
      code: 'bad-arguments',
    });
});

void t.test('a valid order closes it; an expired or foreign one does not', async (t) => {
  const dir = scratch(t);
  const zone = {
    id: 'forecourt',
    polygon: [
      [0.1, 0.1],
      [0.9, 0.1],
      [0.5, 0.9],
    ],
  };
  const rule = { id: 'stays', kind: 'loitering', purpose: 'safety', zone: zone.id };
  const config = configOf({ site: 's', box: 'box-1', zones: [zone], rules: [rule] }, 'replay');
  const env = ownAuthorisation(config, 'rtsp://10.0.0.2/1', dir, 'test');
  const authorisation = env['VIGIE_AUTHORISATION'] ?? '';
  const { createPublicKey } = await import('node:crypto');
  const authority = { authority: () => createPublicKey(readFileSync(env['VIGIE_AUTHORITY_KEY'] ?? '')) };
  const under = (change: object, nowMs = Date.now()): string | undefined =>
    hotspotRefusal({ ...config, authorisation, ...change }, authority, nowMs);
  t.match(under({}), /^order test-1 holds until .*use a cable$/);
  t.match(under({}, 0), /holds until/, 'a clock that is behind opens nothing');
  t.equal(under({}, Date.now() + 40 * 86_400_000), undefined, 'an expired order closes nothing');
  t.equal(under({ box: 'box-2' }), undefined, 'of another box');
  t.equal(under({ authorisation: join(dir, 'none') }), undefined);
  t.equal(hotspotRefusal(undefined, authority, 0), undefined, 'a box that is not configured yet');
});

const noNmcli =
  spawnSync('nmcli', ['--version']).status === 0 ? false : 'no nmcli: network-manager is not installed';
void t.test('NetworkManager’s own reader accepts the profile', { skip: noNmcli }, async (t) => {
  const profile = hotspotProfile('box-1', PASSPHRASE, 'wlan0');
  const read = (...args: string[]): Map<string, string> => {
    const { status, stdout, stderr } = spawnSync('nmcli', ['--offline', 'connection', ...args], {
      input: profile,
      encoding: 'utf8',
    });
    t.equal(status, 0, stderr);
    let section = '';
    const values = new Map<string, string>();
    for (const line of stdout.split('\n')) {
      section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
      const [, key, value] = /^([^=]+)=(.*)$/.exec(line) ?? [];
      if (key !== undefined) values.set(`${section}.${key}`, value ?? '');
    }
    return values;
  };
  const ownValues = read('modify', 'connection.autoconnect', 'no');
  const nmcliValues = read(
    ...['add', 'type', 'wifi', 'con-name', 'vigie-hotspot', 'ssid', 'box-1', 'autoconnect', 'no'],
    ...['wifi.mode', 'ap', 'wifi.band', 'bg', 'wifi-sec.key-mgmt', 'wpa-psk', 'wifi-sec.psk', PASSPHRASE],
    ...[
      'wifi-sec.proto',
      'rsn',
      'wifi-sec.pairwise',
      'ccmp',
      'wifi-sec.group',
      'ccmp',
      'wifi-sec.pmf',
      'optional',
    ],
    ...[
      'ifname',
      'wlan0',
      'ipv4.method',
      'manual',
      'ipv4.addresses',
      '10.42.0.1/24',
      'ipv6.method',
      'disabled',
    ],
    ...['ipv4.routing-rules', 'priority 1 from 0.0.0.0/0 iif wlan0 type prohibit'],
    ...['ipv6.routing-rules', 'priority 1 from ::/0 iif wlan0 type prohibit'],
  );
  for (const values of [ownValues, nmcliValues])
    for (const key of ['connection.uuid', 'ipv6.addr-gen-mode']) values.delete(key);
  t.strictSame(ownValues, nmcliValues, 'as nmcli would have written it');
});

void t.test('the passphrase is validated when it is read', async (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'page'));
  const file = join(dir, 'page', 'hotspot-key');
  writeFileSync(file, `${PASSPHRASE}\r\n`);
  t.equal(readHotspotKey(file), PASSPHRASE);
  t.ok(statSync(file).isFile());
  for (const text of ['short', 'x'.repeat(64), 'with a blank', 'ünicode-key', 'two\nlines-of-it', ''])
    t.match(
      hotspotKeyProblem(text),
      /is not a passphrase; must be one line of 8 to 63/,
      JSON.stringify(text),
    );
  writeFileSync(file, 'x'.repeat(300));
  t.throws(() => readHotspotKey(file), { kind: 'config', message: /is not a passphrase/ });
  t.throws(() => readHotspotKey(join(dir, 'none')), { kind: 'config', message: /cannot be read/ });
});

/** Makes a boot partition with a valid configuration. */
function card(t: Test): { from: string; to: string; take: () => Provisioned } {
  const dir = scratch(t);
  const [from, to] = [join(dir, 'vigie'), join(dir, 'etc')];
  for (const folder of [from, join(to, 'page')]) mkdirSync(folder, { recursive: true });
  const config = configOf({ site: 's', box: 'box-1' }, 'replay');
  writeFileSync(join(from, 'vigie.yaml'), 'site: s');
  const checks = { inspect: () => ({ config, problems: [] }), certificateProblems: () => [] };
  return { from, to, take: () => takeFromBootPartition({ from, to, now: new Date(), ...checks }) };
}

void t.test('the updater’s files are installed from the card', async (t) => {
  const { from, to, take } = card(t);
  const { settings, root } = DEFAULT_PLACES;
  t.strictSame(
    UPDATE_FILES.map((name) => updatePlace(settingsDir('/etc/vigie'), name)),
    [settings, root],
    'they go where root’s program reads them',
  );
  const etc = settingsDir(to);
  const writeRequest = (name: string, text: string): void => writeFileSync(join(from, name), text);
  const checkRefusal = (line: RegExp): unknown =>
    t.match(take(), { state: 'refused', lines: [/refused/, line] });
  writeRequest('update.yaml', 'url: https://releases.example/\n');
  checkRefusal(/^update\.yaml: this box has no .*vigie-root; install vigie-root/);
  mkdirSync(etc);
  checkRefusal(/^update-root\.json: must lie here too, beside update\.yaml/);
  writeRequest('update-root.json', '{}');
  checkRefusal(/^update-root\.json: is not a signed root; must be metadata\/root\.json/);
  writeRequest(
    'update-root.json',
    JSON.stringify({ signed: { _type: 'root', version: 1 }, signatures: [{}] }),
  );
  for (const [yaml, line] of [
    ['url: releases.example\n', /^update\.yaml: url: .*https/],
    ['rateKiBps: 70\n', /^update\.yaml: url: /],
    ['url: https://releases.example/\nrate: 7\n', /^update\.yaml: rate: Unexpected property/],
  ] as const) {
    writeRequest('update.yaml', yaml);
    checkRefusal(line);
  }
  t.strictSame(readdirSync(etc), [], 'no file is taken');
  writeRequest('update.yaml', 'url: https://releases.example/\nrateKiBps: 70\n');
  const { state, lines } = take();
  t.equal(state, 'installed', lines.join());
  t.strictSame(readdirSync(etc).sort(), ['root.json', 'update.yaml']);
  t.equal(statSync(join(etc, 'update.yaml')).mode & 0o777, 0o600, 'root’s alone');
  t.strictSame(readdirSync(from), ['result.txt'], 'and it is taken from the card');
});
