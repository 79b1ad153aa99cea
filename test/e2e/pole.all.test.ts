/**
 * Tests a technician's way from a blank card to the first alert. The card is flashed, the box boots and gets its
 * certificate from the room, and a phone is paired. Zone and line are drawn by touch, tried, applied and walked
 * through, and the alert reaches the broker. Only two parts are replaced: the street is a clip, and the card is a file.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BootedBox, PATIENCE_MS } from '../lib/booted-box.ts';
import { boxPackages } from '../lib/box-package.ts';
import { browserMissing, CHROMIUM } from '../lib/browser.ts';
import { bakedImage, cardImage, copyFat, FLASH, mountedRoot, siteFolder } from '../lib/flash-images.ts';
import { installedContainer } from '../lib/installed-root.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { oversight } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';
import { FULL } from '../lib/run.ts';
import { openBrowser, Phone } from '../page/phone.ts';

const SITE = 'marseille-1';
const BOX = 'canebiere-017';
const ROOM = join(ROOT, 'dist/scripts/products/room/enrol/main.js');
/** Below /usr, the only part of the disk that vision can read. */
const CLIP = '/usr/share/vigie-test/street.avi';
const FIRMWARE = '/boot/firmware';

/** Configuration that the room gives a new box without drawn zones and lines. */
const YAML = `# ${BOX}, on the lamp post at the corner
site: ${SITE}
box: ${BOX}
alertsPerHour: 3600
camera:
  source: file:${CLIP}
  fps: 2
authorisation: /etc/vigie/authorisation.dsse.json
authorityKey: /etc/vigie/authority.pub
mqtt:
  url: mqtts://localhost:8883
  ca: /etc/vigie/pki/ca.crt
  cert: /etc/vigie/pki/box.crt
  key: /etc/vigie/pki/box.key
  ack: broker # no archive in this room
`;

/** The authorisation allows one rule, in a zone within the right two thirds of the picture, and masks the windows. */
const AUTHORISATION = {
  rules: [{ kind: 'loitering', zones: ['lawn'], purpose: 'public-safety', legalBasis: 'Code de test' }],
  outlines: [{ id: 'lawn', polygon: rectangle(0, 0.25, 1, 1) }],
  masks: [{ id: 'windows', polygon: rectangle(0.42, 0.04, 0.76, 0.16) }],
};

function rectangle(x1: number, y1: number, x2: number, y2: number): [number, number][] {
  return [
    [x1, y1],
    [x2, y1],
    [x2, y2],
    [x1, y2],
  ];
}

const skip =
  Container.unavailable() ||
  browserMissing() ||
  (existsSync(STREET_CLIP) ? false : 'no street clip (scripts/setup)');

t.setTimeout(900_000);

void t.test('a technician gets from a blank card to the first alert', { skip }, async (t) => {
  const dir = scratch(t);
  // A full bake takes more than a minute, so an ordinary run installs the package in the container instead.
  const image = FULL ? bakedImage() : cardImage(dir);
  const debs = boxPackages(ownArch());
  const began = performance.now();
  const took = (step: string): void =>
    t.comment(`${((performance.now() - began) / 1000).toFixed(0)} s: ${step}`);
  const room = join(dir, 'room');
  program(ROOM, ['init', '--dir', room]);
  const { folder } = await siteFolder(dir, { site: SITE, box: BOX, yaml: YAML, change: AUTHORISATION });
  copyFileSync(join(room, 'ca.crt'), join(folder, 'ca.crt'));

  const card = join(dir, 'card.img');
  const cardOptions = ['--site', folder, '--box', BOX, '--image', image, '--to-file', card];
  program(FLASH, ['card', ...cardOptions, '--room', 'https://localhost:8443', '--room-dir', room]);
  took('card written and read back');
  const label = execFileSync('zbarimg', ['-q', '--raw', join(dir, 'label.png')], { encoding: 'utf8' }).trim();
  t.match(
    label,
    new RegExp(`^https://${BOX}\\.local/#[0-9A-Z-]{19}$`),
    'the label leads a phone to the page',
  );

  const container = FULL
    ? new Container(t, ownArch(), mountedRoot(t, card))
    : await installedContainer(t, ...debs);
  container.write(CLIP, readFileSync(STREET_CLIP));
  copyFat(card, join(container.root, FIRMWARE));
  t.notOk(privateKeyIn(join(container.root, FIRMWARE)), 'no private key on the card');
  await container.boot(t);
  took('booted');
  roomIn(t, container, { dir, room });
  const box = new BootedBox(t, container);
  await waitUntil(t, 'the box has its certificate and runs', () => box.agent > 0, PATIENCE_MS);
  took('enrolled, the agent runs');
  t.match(
    container.read(`${FIRMWARE}/vigie/result.txt`),
    new RegExp(`host name: ${BOX}[^]*enrol`),
    'the card says so',
  );
  t.notOk(privateKeyIn(join(container.root, FIRMWARE)), 'and still holds no private key');
  await box.watches('under its order');

  const heardAlerts = alertsIn(t, container);
  const phone = await phoneAt(t, container, dir, label);
  await atThePole(t, phone, took);
  await waitUntil(t, 'an alert is at the broker', () => heardAlerts().length > 0, PATIENCE_MS);
  took('first alert at the broker');
  const [alert] = heardAlerts();
  t.match(alert, /"kind":"loitering"/, 'by the drawn rule');
  t.match(
    container.read('/etc/vigie/vigie.yaml'),
    /# no archive in this room/,
    'the file’s comments are still there',
  );
  t.match(
    container.run('runuser', '-u', 'vigie', '--', 'sh', '-c', 'echo >>/etc/vigie/vigie.yaml').err,
    /[Pp]ermission denied/,
    'the agent’s user cannot write its configuration',
  );
  const key = container.run('vigie', 'journal', 'key').out.trim();
  const journalReport = oversight(t, 'report', join(container.root, 'var/lib/vigie/journal'), '--key', key);
  await journalReport.exit;
  const timeline = `${journalReport.out}${journalReport.err}`;
  t.match(timeline, /preview|redacted/i, 'the journal reports the preview of redacted pictures');
  t.match(timeline, /lawn/, 'and where the zone lies now');
  t.strictSame(phone.pageErrors, [], 'the browser complains of nothing');
});

/** Pairs the phone, draws, tries, applies and walks; counts the touches other than drawing. */
async function atThePole(t: Test, phone: Phone, took: (step: string) => void): Promise<void> {
  const problems: string[] = [];
  let [taps, typed] = [0, 0];
  const tap = async (selector: string): Promise<void> => {
    taps += 1;
    await phone.tap(selector);
  };
  const next = async (screen: string): Promise<void> => {
    await tap('#next');
    await phone.untilTrue(screen, `document.querySelector("[data-screen=${screen}]") !== null`);
  };
  const check = async (name: string): Promise<void> =>
    void problems.push(...(await phone.check(`pole-${name}`)));
  await tap('#pair');
  await phone.untilTrue(
    'paired',
    'document.querySelector("[data-screen=aim], [data-screen=camera]") !== null',
  );
  took('paired');
  // On a busy machine the picture may be missing at this moment, which costs a touch that the procedure itself does not
  // need.
  if ((await phone.page.$('[data-screen=camera]')) !== null) {
    await phone.tap('#next');
    await phone.untilTrue('aim', 'document.querySelector("[data-screen=aim]") !== null');
  }
  await phone.picture();
  await check('aim');
  await next('zones');
  await phone.picture();
  await tap('[data-add=zone]');
  await phone.drag([0.3, 0.3], [0.02, 0.4]);
  await phone.drag([0.6, 0.3], [0.95, 0.4]);
  await phone.drag([0.6, 0.6], [0.98, 0.98]);
  await phone.drag([0.3, 0.6], [0.02, 0.98]);
  await check('zone');
  t.equal(await phone.page.$('.shape.bad'), null, 'inside of the order’s outline');
  await next('rules');
  await tap('#add-rule');
  await phone.type('[name=afterS]', '2');
  typed += 1;
  await next('fires');
  await phone.untilTrue('a person stays', 'document.querySelector("[data-watch][data-fires=true]") !== null');
  await check('fires');
  await next('try');
  await phone.untilTrue('on trial', 'document.querySelector(".trial") !== null');
  took('on trial');
  await phone.untilTrue(
    'it runs',
    'document.querySelector("[aria-live] .notice.good") !== null',
    PATIENCE_MS,
  );
  took('the new configuration runs');
  await check('trial');
  await tap('#keep');
  await phone.untilTrue('kept', 'document.querySelector("[data-fate=kept]") !== null');
  took('kept');
  await phone.untilTrue('the next step', 'document.querySelector("[data-screen=walk]") !== null');
  await phone.type('input[type=number]', '1');
  typed += 1;
  await phone.page.select('[name=walk-delay]', '0');
  await tap('#walk-start');
  await phone.untilTrue('seen', 'document.querySelector("#walk[data-phase=done]") !== null', PATIENCE_MS);
  await check('walk');
  await tap('#walk-keep');
  took('walk test kept');
  await next('go');
  await phone.untilTrue('a verdict', 'document.querySelector("#verdict") !== null');
  await check('go');
  await next('receipt');
  t.match(await receiptOf(phone), /^%PDF/, 'a receipt');
  t.same(problems, [], 'nothing that a screen reader, a thumb or the sun would miss');
  t.comment(`${taps} taps besides drawing, ${typed} numbers typed`);
  t.ok(taps <= 12, `${taps} taps`);
}

/** First bytes of the receipt as the phone receives it. */
async function receiptOf({ page }: Phone): Promise<string> {
  const fetchReceipt = `fetch(document.querySelector('#download').href).then((answer) => answer.text())`;
  return String(await page.evaluate(fetchReceipt)).slice(0, 8);
}

function program(file: string, words: readonly string[]): string {
  return execFileSync(process.execPath, [file, ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function privateKeyIn(folder: string): boolean {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).some(
    (entry) =>
      entry.isFile() && /PRIVATE KEY/.test(readFileSync(join(entry.parentPath, entry.name), 'latin1')),
  );
}

/** Starts a program of this machine in the container's network, so that both share the loopback. */
function startInside(t: Test, container: Container, ...words: string[]): ChildProcess {
  const [program = '', ...args] = container.inNetwork(...words);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

/** Starts the room: the enrolment server, and the broker that boxes reach with their certificates. */
function roomIn(t: Test, container: Container, { dir, room }: { dir: string; room: string }): void {
  const pki = join(dir, 'broker');
  mkdirSync(pki);
  const [key, request, cert] = [join(pki, 'key.pem'), join(pki, 'csr.pem'), join(pki, 'cert.pem')];
  const openssl = (...words: string[]): Buffer => execFileSync('openssl', words, { stdio: 'pipe' });
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', ...kind, '-keyout', key, '-out', request, ...name);
  const ca = ['-CA', join(room, 'ca.crt'), '-CAkey', join(room, 'ca.key')];
  openssl('x509', '-req', '-in', request, ...ca, '-days', '2', '-copy_extensions', 'copy', '-out', cert);
  const conf = join(pki, 'mosquitto.conf');
  writeFileSync(
    conf,
    `user root
listener 8883 127.0.0.1
cafile ${join(room, 'ca.crt')}
certfile ${cert}
keyfile ${key}
require_certificate true
use_identity_as_username true
listener 18830 127.0.0.1
allow_anonymous true
`,
  );
  startInside(t, container, 'mosquitto', '-c', conf);
  startInside(t, container, process.execPath, ROOM, 'serve', '--dir', room);
}

/** Collects the alerts that reach the broker. */
function alertsIn(t: Test, container: Container): () => string[] {
  const broker = ['-h', '127.0.0.1', '-p', '18830'];
  const child = startInside(t, container, 'mosquitto_sub', ...broker, '-t', `vigie/${SITE}/${BOX}/evt/#`);
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  return () => output.split('\n').filter((line) => /"severity":"alert"/.test(line));
}

async function phoneAt(t: Test, container: Container, dir: string, label: string): Promise<Phone> {
  const wrapper = join(dir, 'chromium');
  writeFileSync(wrapper, `#!/bin/sh\nexec ${container.inNetwork(CHROMIUM).join(' ')} "$@"\n`, {
    mode: 0o755,
  });
  const browser = await openBrowser(join(dir, 'profile'), {
    program: wrapper,
    args: [`--host-resolver-rules=MAP ${BOX}.local 127.0.0.1`],
  });
  t.teardown(() => browser.close());
  const { origin, hash } = new URL(label);
  return Phone.open(browser, origin, ['fr', 'light'], `/${hash}`);
}
