/**
 * Tests the hotspot from the phone's side, on the image of a box. The phone gets an address, reaches the page and
 * nothing behind the box, and no setting for forwarding changes. The room's command opens it under an authorisation.
 *
 * Units, NetworkManager, dnsmasq, page and kernel are real. The radio is a pair of virtual cables (veth), so a stand-in
 * for nmcli(1) calls it a Wi-Fi and leaves the sections for Wi-Fi out of the profile. The phone is a container with
 * systemd-networkd.
 */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { makeSetupCode, setupCodeHash } from '../../agent/contract/setup-code.ts';
import { ownAuthorisation } from '../../scripts/lib/own-authorisation.ts';
import { configOf } from '../lib/agent.ts';
import { PATIENCE_MS } from '../lib/booted-box.ts';
import { makeSigner, searchCommand, signed } from '../lib/commands.ts';
import { bakedImage, mountedRoot } from '../lib/flash-images.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';

const NMCLI = `#!/bin/sh
case "$*" in
  *device*) /usr/bin/nmcli "$@" | sed 's/^wlan0:ethernet:/wlan0:wifi:/'; exit;;
  *load*) sed -i -e 's/^type=wifi$/type=ethernet/' -e '/^\\[wifi/,/^$/d' "$3";;
esac
exec /usr/bin/nmcli "$@"
`;
/** It has the radio only; the cable to the room is the test's. */
const NETWORK_MANAGER = '[main]\nno-auto-default=*\n[keyfile]\nunmanaged-devices=interface-name:eth0\n';
const ROOM_SERVER = "require('node:http').createServer((_, reply) => reply.end('room')).listen(80, '::')";
const SIGNER = makeSigner('desk', ['open-hotspot']);
const RULE = { id: 'stays', kind: 'loitering', purpose: 'safety', zone: 'square' };
const ZONE = {
  id: 'square',
  polygon: [
    [0.1, 0.1],
    [0.9, 0.1],
    [0.5, 0.9],
  ],
};
const FIELDS = { site: SITE, box: BOX, zones: [ZONE], rules: [RULE], commands: { keys: [SIGNER.config] } };

/** A network that programs of this machine are started in. */
interface Network {
  inNetwork(...command: readonly string[]): string[];
}

function program(t: Test, { inNetwork }: Network, ...command: string[]): Program {
  const [file = '', ...args] = inNetwork(...command);
  return start(t, file, args);
}

async function run(t: Test, network: Network, ...command: string[]): Promise<string> {
  const one = program(t, network, ...command);
  t.equal(await one.exit, 0, `${command.join(' ')} ${one.err}`);
  return one.out;
}

/** Returns what a request from this network is answered; empty if nothing arrives within two seconds. */
async function answer(t: Test, network: Network, url: string): Promise<string> {
  const one = program(t, network, 'curl', '--silent', '--insecure', '--max-time', '2', url);
  await one.exit;
  return one.out;
}

const networkOf = (container: Container): Network => ({
  inNetwork: (...command) => container.inNetwork(...command),
});

/** Returns a network without a machine; it ends with the test. */
async function emptyNetwork(t: Test): Promise<Network & { readonly pid: string }> {
  const sleeper = start(t, 'unshare', ['--net', 'sh', '-c', 'echo; exec sleep infinity']);
  await waitUntil(t, 'the network is there', () => sleeper.out !== '', PATIENCE_MS);
  const pid = String(sleeper.child.pid);
  return { pid, inNetwork: (...command) => ['nsenter', '-t', pid, '-n', '--', ...command] };
}

/** Boots the image of a box that has a label and no authorisation, and no radio yet. */
async function bootedBox(t: Test): Promise<Container> {
  const box = new Container(t, ownArch(), mountedRoot(t, bakedImage()));
  box.write('/usr/local/bin/nmcli', NMCLI, 0o755);
  box.write('/etc/NetworkManager/conf.d/test.conf', NETWORK_MANAGER);
  box.write('/etc/vigie/vigie.yaml', JSON.stringify(FIELDS));
  box.write('/etc/vigie/page/hotspot-key', 'k7qf93mx');
  const code = { version: 1, sha256: setupCodeHash(makeSetupCode()), made: '2026-11-24T00:00:00.000Z' };
  box.write('/etc/vigie/page/setup-code.json', JSON.stringify(code));
  await box.boot(t);
  return box;
}

async function bootedPhone(t: Test): Promise<Container> {
  const phone = new Container(t);
  phone.write('/etc/systemd/network/phone.network', '[Match]\nName=radio\n[Network]\nDHCP=ipv4\n');
  await phone.boot(t);
  phone.run('systemctl', 'start', 'systemd-networkd');
  return phone;
}

/** Settings for forwarding of all interfaces, as `name=value` lines. */
const forwarding = (box: Container): string =>
  box.run('sh', '-c', 'cd /proc/sys/net; grep -H . ipv4/ip_forward ipv[46]/conf/*/forwarding').out;

const netnsOf = (network: Network): string => `/proc/${network.inNetwork()[2]}/ns/net`;

void t.test(
  'a phone reaches the page, and nothing behind the box',
  { skip: Container.unavailable() },
  async (t) => {
    const [box, phone] = [await bootedBox(t), await bootedPhone(t)];
    const [ofBox, ofPhone, room] = [networkOf(box), networkOf(phone), await emptyNetwork(t)];
    const log = (): string => box.run('journalctl', '-u', 'vigie-hotspot', '-o', 'cat').out;
    const waitForLog = (pattern: RegExp): Promise<unknown> =>
      waitUntil(t, String(pattern), () => pattern.test(log()), PATIENCE_MS);
    const onBox = (...command: string[]): Promise<string> => run(t, ofBox, ...command);
    const onPhone = (...command: string[]): Promise<string> => run(t, ofPhone, ...command);
    const shell = (script: string): Promise<string> => onBox('sh', '-ec', script);

    await onBox('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'room', 'netns', netnsOf(room));
    await shell(
      'ip link set eth0 up; ip address add 192.0.2.1/24 dev eth0; ip address add fd00:1::1/64 dev eth0 nodad',
    );
    const roomSetup = `ip link set lo up; ip link set room up
ip address add 192.0.2.7/24 dev room; ip route add 10.42.0.0/24 via 192.0.2.1
ip address add fd00:1::7/64 dev room nodad; ip route add fd00:2::/64 via fd00:1::1`;
    await run(t, room, 'sh', '-ec', roomSetup);
    program(t, room, process.execPath, '-e', ROOM_SERVER);
    await waitForLog(/^waits for a radio: there is no Wi-Fi device$/m);

    await onBox(
      'ip',
      'link',
      'add',
      'wlan0',
      'type',
      'veth',
      'peer',
      'name',
      'radio',
      'netns',
      netnsOf(ofPhone),
    );
    const before = forwarding(box);
    t.match(before, /ip_forward:0\n(.*\n)*.*ipv6\/conf\/all\/forwarding:0/);
    await onPhone('ip', 'link', 'set', 'radio', 'up');
    await waitForLog(/^hotspot \S+ is open for 15 min: https:\/\/10\.42\.0\.1\/$/m);

    const addresses = (): string => phone.run('networkctl', 'status', 'radio').out;
    await waitUntil(t, 'the phone has an address', () => /10\.42\.0\.\d+ /.test(addresses()), PATIENCE_MS);
    t.equal(
      (await onPhone('ip', '-4', 'route')).match(/^\S+/gm)?.join(),
      '10.42.0.0/24',
      'no way out is offered',
    );
    await waitUntil(
      t,
      'the page serves',
      () => box.show('vigie-page', 'ActiveState') === 'active',
      PATIENCE_MS,
    );
    t.match(await answer(t, ofPhone, 'https://10.42.0.1/api/hello'), /"site":/, 'the page');
    t.equal(forwarding(box), before, 'no setting for forwarding has changed');

    const macOf = (link: string): string => /\s([0-9a-f:]{17})\s/.exec(link)?.[1] ?? '';
    const ownMac = macOf(await onBox('ip', '-brief', 'link', 'show', 'wlan0'));
    const phoneMac = macOf(await onPhone('ip', '-brief', 'link', 'show', 'radio'));
    const greedy = `ip route add default via 10.42.0.1; ip address add fd00:2::5/64 dev radio nodad
ip neighbour add fe80::1 lladdr ${ownMac} dev radio; ip -6 route add default via fe80::1 dev radio`;
    await onPhone('sh', '-ec', greedy);
    const reached = async (network: Network): Promise<string[]> => [
      await answer(t, network, 'http://192.0.2.7/'),
      await answer(t, network, 'http://[fd00:1::7]/'),
    ];
    t.strictSame(await reached(ofBox), ['room', 'room'], 'the box itself reaches the room');
    t.strictSame(await reached(ofPhone), ['', ''], 'nothing behind the box');
    await shell(`echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6; ip -6 route add fd00:2::/64 dev wlan0
ip neighbour add fd00:2::5 lladdr ${phoneMac} dev wlan0
echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding`);
    t.strictSame(await reached(ofPhone), ['', ''], 'nor if another program turns forwarding and IPv6 on');
    t.match(await answer(t, ofPhone, 'https://10.42.0.1/api/hello'), /"site":/, 'but still the page');
    await shell('ip -4 rule delete priority 1; ip -6 rule delete priority 1');
    t.strictSame(await reached(ofPhone), ['room', 'room'], 'without the rules it would (control)');

    await shell('echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding');
    box.run('systemctl', 'stop', 'vigie-hotspot');
    await testAfter(t, box, before);
    await testCommand(t, box, waitForLog);
    await testAfter(t, box, before);
  },
);

/** Tests that profile, rules, addresses and DHCP end with the hotspot. */
async function testAfter(t: Test, box: Container, before: string): Promise<void> {
  const dhcp = (): boolean => box.show('vigie-hotspot-dhcp@wlan0', 'ActiveState') === 'inactive';
  await waitUntil(t, 'no more addresses are given', dhcp, PATIENCE_MS);
  t.equal(box.run('nmcli', '-t', '-f', 'NAME', 'connection').out.includes('vigie-hotspot'), false);
  const rules = await run(t, networkOf(box), 'sh', '-ec', 'ip -4 rule; ip -6 rule; ip address show wlan0');
  t.notMatch(rules, /prohibit|10\.42\.0/);
  t.equal(forwarding(box), before, 'forwarding is as it was');
}

/** Tests that systemd carries the room's command from the agent's folder to root, which opens it for that long. */
async function testCommand(
  t: Test,
  box: Container,
  waitForLog: (pattern: RegExp) => Promise<unknown>,
): Promise<void> {
  const environment = ownAuthorisation(configOf(FIELDS, 'replay'), 'rtsp://10.0.0.2/1', scratch(t), 'test');
  const authorisation = '/etc/vigie/authorisation.dsse.json';
  box.write(authorisation, readFileSync(environment['VIGIE_AUTHORISATION'] ?? '', 'utf8'));
  box.write('/etc/vigie/vigie.yaml', JSON.stringify({ ...FIELDS, authorisation }));
  box.run('install', '-d', '-o', 'vigie', '-g', 'vigie', '-m', '0700', '/var/lib/vigie');
  const authority = readFileSync(environment['VIGIE_AUTHORITY_KEY'] ?? '', 'utf8');
  box.write('/var/lib/vigie-restraint/authority.pub', authority);
  const writeRequest = (bytes: Buffer): void => {
    box.write('/home/laid', bytes.toString());
    const to = '/var/lib/vigie/open-hotspot.dsse.json';
    box.run('runuser', '-u', 'vigie', '--', 'sh', '-c', `cp /home/laid ${to}.new && mv ${to}.new ${to}`);
  };
  const idle = (): boolean => box.show('vigie-hotspot', 'ActiveState') === 'inactive';
  box.run('systemctl', 'start', 'vigie-hotspot.service');
  await waitForLog(/no hotspot: order test-1 holds until/);
  await waitUntil(t, 'over', idle, PATIENCE_MS);
  writeRequest(Buffer.from('{}'));
  await waitForLog(/command is refused: not a DSSE envelope(.*\n)*.*the room has not requested it/);
  await waitUntil(t, 'over', idle, PATIENCE_MS);
  const command = signed(SIGNER, searchCommand({ op: 'open-hotspot', args: { minutes: 7 } }));
  writeRequest(command);
  await waitForLog(/the room opens the hotspot for 7 min\nhotspot \S+ is open for 7 min/);
  box.run('systemctl', 'stop', 'vigie-hotspot');
  writeRequest(command);
  await waitForLog(/command is refused: counter \d+ is not above/);
  t.equal(
    box.run('stat', '-c', '%U %a', '/var/lib/vigie-restraint/hotspot-counters.json').out.trim(),
    'root 600',
  );
}
