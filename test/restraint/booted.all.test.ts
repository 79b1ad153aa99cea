/**
 * Tests a booted box under attack by its own agent's user, who may write the state folder, hold vision's link and query
 * root's record. Restraints stay active, and files put back, cut or removed are reported. VIGIE_TEST_RUN=full adds a folder
 * put back under a running agent, a vision that hangs, and a missing record.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { modelsDir } from '../../agent/base/package-root.ts';
import { loadConfig } from '../../agent/config/load.ts';
import { LOGS_SOCKET, LogsResult } from '../../agent/contract/diagnosis.ts';
import type { ToVision } from '../../agent/contract/link.ts';
import type { LocalMode } from '../../agent/contract/mode.ts';
import { LOCAL_MODE_FILE } from '../../agent/restraint/mode-files.ts';
import { permitReplay } from '../../agent/restraint/permit.ts';
import { visionSettings } from '../../agent/supervisor/vision-settings.ts';
import { logLines } from '../../scripts/products/fleet/ask/logs-text.ts';
import { authorisationFor, signedAuthorisation, testKey } from '../lib/authority.ts';
import { BootedBox, PATIENCE_MS } from '../lib/booted-box.ts';
import { boxPackages, provision } from '../lib/box-package.ts';
import { installedContainer } from '../lib/installed-root.ts';
import { LINK_THIEF } from '../lib/link-thief.ts';
import { Container, type Output, ownArch } from '../lib/nspawn.ts';
import { waitUntil } from '../lib/room.ts';
import { unlessFull } from '../lib/run.ts';

const skip = Container.unavailable();
const STATE = '/var/lib/vigie';
/** The left half of the picture. */
const MASK = 'masks:\n  - { id: left, polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }\n';
const RECIPIENT = `age1${'q'.repeat(58)}`;

interface Stolen {
  readonly said: readonly string[];
  readonly failed: string;
  readonly picture: string;
}

/** Sends one request and prints its answer on standard output. */
const ASK = `import { createConnection } from 'node:net';
const socket = createConnection(process.argv[3] ?? '/run/vigie-config/config.sock', () => socket.write(process.argv[2] + '\\n'));
socket.pipe(process.stdout);`;

type Start = Extract<ToVision, { kind: 'start' }>;

class Attacked {
  readonly container: Container;
  readonly box: BootedBox;

  constructor(t: Test, container: Container) {
    this.container = container;
    this.box = new BootedBox(t, container);
  }

  asVigie(...words: readonly string[]): Output {
    return this.container.run('runuser', '-u', 'vigie', '--', ...words);
  }

  /** Answer that the thief receives to this first message, while no one else holds the link. */
  steal(start: Start): Stolen {
    this.container.write('/home/thief.mjs', LINK_THIEF);
    this.container.write('/home/start.json', JSON.stringify(start));
    const { out, err } = this.asVigie(
      'node',
      '/home/thief.mjs',
      '/run/vigie/vision.sock',
      '/home/start.json',
    );
    if (out === '') throw new Error(`the thief has nothing: ${err}`);
    return JSON.parse(out) as Stolen;
  }

  /** Runs a command as the agent's user while no agent runs, then starts the agent. */
  async runBehind(script: string): Promise<void> {
    this.container.run('systemctl', 'stop', 'vigie');
    const { status, err } = this.asVigie('sh', '-c', script);
    if (status !== 0) throw new Error(`${script}: ${err}`);
    this.container.run('systemctl', 'start', 'vigie');
  }

  /** Settings that the agent would send vision, and the box's configuration. */
  settings() {
    const file = join(this.container.root, 'etc/vigie/vigie.yaml');
    const config = loadConfig(file, { env: {}, mode: 'check', files: false });
    const { camera } = config;
    if (camera === undefined) throw new Error('the box has a camera');
    const options = { modelDir: modelsDir(), mode: 'live', camera } as const;
    const settings = {
      ...visionSettings(config, permitReplay(config), options),
      modelDir: '/usr/lib/vigie/current/models',
    };
    return { config, settings };
  }

  /** Mode and reason of the running agent, as its commands on the box read them. */
  get localMode(): { mode: string; reason: string } {
    const file = `${STATE}/${LOCAL_MODE_FILE}`;
    const none = { mode: '', reason: '' };
    if (!existsSync(join(this.container.root, file))) return none;
    const { pid, statement } = JSON.parse(this.container.read(file)) as LocalMode;
    return pid === this.box.agent ? { mode: statement.mode, reason: statement.reason ?? '' } : none;
  }

  async waitForMode(t: Test, mode: string, reason: RegExp, label: string): Promise<void> {
    await waitUntil(t, `${label}: ${mode}`, () => this.localMode.mode === mode, PATIENCE_MS);
    t.match(this.localMode.reason, reason, `${label}: with the reason`);
    t.equal(this.box.vision, 0, `${label}: no vision`);
  }
}

void t.test('a booted box withstands its own agent’s user', { skip }, async (t) => {
  const container = await installedContainer(t, ...boxPackages(ownArch()));
  await provision(t, container, { more: MASK, fps: 1 });
  container.run('chown', '-R', 'mosquitto:', '/etc/mosquitto/pki');
  await container.boot(t);
  const attacked = new Attacked(t, container);
  const { box } = attacked;
  await box.watches('starts');
  const keep = (name: string): Output => container.run('cp', '-a', STATE, `/home/${name}`);

  await t.test('vision’s settings belong to root', async (t) => {
    const dir = '/var/lib/vigie-restraint';
    const hasHead = (): boolean => existsSync(join(container.root, dir, 'journal.json'));
    await waitUntil(t, 'root has the journal’s head', hasHead, PATIENCE_MS);
    t.equal(
      container.run('sh', '-c', `stat -c '%n %U %a' ${dir} ${dir}/*`).out.trim(),
      [
        `${dir} root 755`,
        ...['authority.pub', 'box.json', 'camera.json', 'journal.json'].map(
          (name) => `${dir}/${name} root 644`,
        ),
      ].join('\n'),
    );
    t.notMatch(attacked.asVigie('sh', '-c', `echo x >${dir}/authority.pub`), { status: 0 });
  });
  t.match(keep('before'), { status: 0 });

  await t.test('a holder of the link gets no more than the order allows', async (t) => {
    container.run('systemctl', 'stop', 'vigie');
    const { config, settings } = attacked.settings();
    const authorisation = container.read('/etc/vigie/authorisation.dsse.json');
    const denied = (start: Partial<Start>, reason: RegExp, label: string): void => {
      const got = attacked.steal({ kind: 'start', settings, order: authorisation, ...start });
      t.match(got.failed, reason, label);
      t.notOk(got.said.includes('frame') || got.said.includes('opened'), `${label}: no frame`);
      t.equal(got.picture, '', `${label}: no picture`);
    };
    denied(
      { order: null },
      /without a signed authorisation only a recorded clip .* not by the service/,
      'no order',
    );
    const forged = { ...authorisationFor(config), ageRecipients: [RECIPIENT] };
    denied(
      { order: signedAuthorisation(forged, testKey()).toString() },
      /no key .* in authorityKey/,
      'an order of its own',
    );
    const otherCamera = { ...settings, camera: { source: 'rtsp://10.0.0.9/other', fps: 5 } };
    denied({ settings: otherCamera }, /is for the camera/, 'another camera');
    denied(
      { order: signedAuthorisation(authorisationFor(config, { box: 'another' })).toString() },
      /is for another/,
      'another box’s order',
    );

    const got = attacked.steal({ kind: 'start', settings: { ...settings, masks: [] }, order: authorisation });
    t.not(got.picture, '', 'with the true order vision runs (control)');
    t.notOk(got.said.includes('sealed'), 'and seals to no one, as the order names no recipient');
    const { data, info } = await sharp(Buffer.from(got.picture, 'base64'))
      .greyscale()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const mean = (fromX: number, toX: number): number => {
      let sum = 0;
      for (let y = 0; y < info.height; y += 1)
        for (let x = fromX; x < toX; x += 1) sum += data[y * info.width + x] as number;
      return sum / (info.height * (toX - fromX));
    };
    const half = info.width / 2;
    const [left, right] = [mean(0, half - 16), mean(half + 16, info.width)];
    t.ok(left < 4 && right > 40, `masks that were left out are black all the same: ${left} and ${right}`);
    container.run('systemctl', 'start', 'vigie');
    await box.watches('again');
  });

  await t.test('the agent’s user cannot undo a suspension', async (t) => {
    const suspendRun = attacked.asVigie('vigie', 'suspend', '--reason', 'order of the court');
    t.match(suspendRun, { status: 0, out: /root has recorded the suspension/ });
    t.equal(box.vision, 0, 'vision has gone when it is answered');
    await attacked.waitForMode(t, 'suspended', /^order of the court$/, 'suspended');

    await attacked.runBehind(`cp /home/before/suspension.json ${STATE}/`);
    await attacked.waitForMode(t, 'suspended', /put back.*order of the court/, 'one file put back');
    // Includes the last head that root knows, so an older state shows that the folder was put back.
    container.run('systemctl', 'stop', 'vigie');
    t.match(keep('suspended'), { status: 0 });
    await attacked.runBehind(`rm -rf ${STATE}/* && cp -a /home/before/. ${STATE}/`);
    await attacked.waitForMode(
      t,
      'suspended',
      /put back.*root.*order of the court/,
      'the whole folder put back',
    );
    const fork = `const { Journal } = await import('/usr/lib/vigie/current/dist/agent/restraint/journal/journal.js');
      const journal = new Journal({ stateDir: '${STATE}', origin: 'vigie/site-1/box-1' });
      journal.start();
      journal.append({ at: new Date().toISOString(), type: 'clock-step', stepMs: 1 });`;
    container.write('/home/fork.mjs', fork);
    await attacked.runBehind(`rm -rf ${STATE}/* && cp -a /home/before/. ${STATE}/ && node /home/fork.mjs`);
    await attacked.waitForMode(t, 'suspended', /put back.*root/, 'a journal cut and signed again');
    await attacked.runBehind(`rm -rf ${STATE}/*`);
    await attacked.waitForMode(t, 'suspended', /put back, edited or removed.*root/, 'an emptied folder');

    container.run('systemctl', 'stop', 'vigie');
    const { settings } = attacked.settings();
    const authorisation = container.read('/etc/vigie/authorisation.dsse.json');
    t.match(attacked.steal({ kind: 'start', settings, order: authorisation }), {
      failed: /^suspended: order of the court/,
      picture: '',
    });

    await attacked.runBehind(`rm -rf ${STATE}/* && cp -a /home/suspended/. ${STATE}/`);
    await attacked.waitForMode(t, 'suspended', /order of the court/, 'as before');
    t.match(box.resume(), { err: '', status: 0, out: /resumed; the box is now active/ });
    await box.watches('resumed with two keys');
  });

  await t.test(
    'a folder put back while the box looks is detected, and root vouches for it',
    { skip: unlessFull },
    async (t) => {
      await attacked.runBehind(`rm -rf ${STATE}/* && cp -a /home/before/. ${STATE}/`);
      await attacked.waitForMode(t, 'unauthorised', /journal does not continue the head in root/, 'put back');
      t.match(
        attacked.asVigie('vigie', 'pin'),
        { status: 2, err: /sudo vigie-root pin/ },
        'its user cannot vouch',
      );
      const byRoot = container.run('vigie', 'pin');
      t.match(byRoot, { status: 2, err: /sudo vigie-root pin/ }, 'nor a release’s program that root starts');
      t.match(container.run('vigie-root', 'pin'), { status: 0, out: /this box obeys [0-9a-f]{64}/ });
      container.run('systemctl', 'restart', 'vigie');
      await box.watches('vouched for');
    },
  );

  await t.test(
    'a suspension is answered when vision has ended, even one that hangs',
    { skip: unlessFull },
    async (t) => {
      const vision = box.vision;
      box.signal('STOP', vision);
      const suspendRun = attacked.asVigie('vigie', 'suspend', '--reason', 'at once');
      t.match(suspendRun, { status: 0 });
      t.notOk(existsSync(join(container.root, 'proc', String(vision))), 'seen from inside');
      t.equal(container.run('kill', '-0', String(vision)).status, 1, 'no such process');
      t.match(box.resume(), { status: 0 });
      await box.watches('again');
    },
  );

  await t.test(
    'a suspension without root’s record warns, and is recorded later',
    { skip: unlessFull },
    async (t) => {
      container.run('systemctl', 'stop', 'vigie-restraint.socket');
      const suspendRun = attacked.asVigie('vigie', 'suspend', '--reason', 'no record');
      t.match(suspendRun, { status: 1, err: /agent’s own user could undo it/ });
      await attacked.waitForMode(t, 'suspended', /no record/, 'suspended all the same');
      container.run('systemctl', 'start', 'vigie-restraint.socket');
      const recorded = (): boolean =>
        /"suspended":true/.test(container.read('/var/lib/vigie-restraint/suspension.json'));
      await waitUntil(t, 'root has it on record', recorded, PATIENCE_MS);
      t.match(box.resume(), { status: 0 });
    },
  );

  await t.test('the agent may ask for lines of the log, and gets no more than those', async (t) => {
    container.write('/home/ask.mjs', ASK);
    const ask = (user: string): Output =>
      container.run('runuser', '-u', user, '--', 'node', '/home/ask.mjs', '{"bytesMax":100000}', LOGS_SOCKET);
    for (const user of ['vigie-page', 'vigie-vision', 'nobody'])
      t.match(ask(user), { out: '', err: /EACCES/ }, `${user} may not`);
    t.notMatch(attacked.asVigie('journalctl', '-u', 'vigie', '-q'), { out: /agent started/ }, 'nor directly');
    const answer: unknown = JSON.parse(ask('vigie').out);
    if (!Value.Check(LogsResult, answer)) throw new Error(JSON.stringify(answer));
    const lines = logLines(answer);
    t.ok(
      lines.some((line) => /node\[\d+\]: .*"name":"vigie"/.test(line)),
      lines.slice(-3).join('\n'),
    );
    t.equal(lines.length, answer.lines);
  });
});
