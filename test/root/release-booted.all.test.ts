/**
 * Tests releases on a booted box, from the room's order to the end of probation: good and bad ones, and power cuts.
 *
 * Packages, units, broker, web server and signatures are real. VIGIE_TEST_RUN=full adds blind releases.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseManifest, verifyTree } from '../../scripts/lib/manifest.ts';
import { PATIENCE_MS } from '../lib/booted-box.ts';
import { BootedUpdates, type MadeRelease, type Times } from '../lib/booted-updates.ts';
import { BoxPrograms, releaseAsRoot, rootsCommands } from '../lib/box-programs.ts';
import { Container } from '../lib/nspawn.ts';
import { ROOT } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { FULL, unlessFull } from '../lib/run.ts';

/** A full run uses the times of a real box, where an unhealthy release takes ten minutes. */
const USUAL: Times = FULL ? { healthyS: 60, withinS: 600 } : { healthyS: 5, withinS: 60 };
/** Times for a release that can never be healthy. */
const HOPELESS: Times = FULL ? USUAL : { healthyS: 3, withinS: 20 };
const WITHIN_MS = FULL ? 900_000 : PATIENCE_MS;

const GUIDE = readFileSync(join(ROOT, 'docs/guide/fleet.md'), 'utf8');
const MAIN = 'dist/agent/cli/main.js';
const CRASHES = { [MAIN]: "#!/usr/bin/node\nthrow new Error('this release crashes');\n" };
/** Keeps the link open, and analyses no frame. */
const BLIND = { 'dist/agent/vision/main.js': 'setInterval(() => undefined, 1000);\n' };
/** Starts of vision in systemd's journal between the end of an agent and the start of the next. */
function visionsAlone(journal: readonly string[]): string[] {
  const starts = journal.filter((line) => line.startsWith('Starting vigie-vision.service'));
  if (starts.length < 2) return [`only ${starts.length} starts of vision in ${journal.length} lines`];
  let agentRuns = false;
  return journal.filter((line) => {
    if (line.startsWith('Starting vigie.service')) agentRuns = true;
    if (/^(?:Stopping vigie\.service|vigie\.service: Main process exited)/.test(line)) agentRuns = false;
    return line.startsWith('Starting vigie-vision.service') && !agentRuns;
  });
}

t.setTimeout(FULL ? 7_200_000 : 1_700_000);
const skip = Container.unavailable();

void t.test('a booted box carries out orders for releases', { skip }, async (t) => {
  const updates = await BootedUpdates.make(t);
  const { container, box, installed } = updates;
  const began = performance.now();
  updates.setHealthTimes(USUAL);
  const run = (...words: string[]): string => container.run(...words).out.trim();
  const nameOf = ({ seq, version }: MadeRelease): string => `${seq}-${version}`;
  const ofTree = (file: string): string => readFileSync(join(installed.tree, file), 'utf8');
  /** A harmless change that makes another release. */
  const better = (word: string): Record<string, string> => ({
    'dist/agent/main.js': `${ofTree('dist/agent/main.js')}// ${word}\n`,
  });
  let good = installed;

  await t.test('the installed release still equals what was signed after a run', async (t) => {
    const lies = join(container.root, 'usr/lib/vigie/releases', nameOf(installed));
    await t.resolves(verifyTree(lies, parseManifest(ofTree('MANIFEST'))));
  });

  await t.test('a good release is confirmed', async (t) => {
    const release = await updates.release(installed, {
      ...better('one'),
      'package.json': ofTree('package.json').replace(/"version": ".*"/, '"version": "7.7.7"'),
    });
    const before = box.agent;
    const [condition = ''] = /^ExecCondition=.*$/m.exec(GUIDE) ?? [];
    const unit = `[Service]\nType=oneshot\n${condition}\nExecStart=/usr/bin/touch /run/upgraded\n`;
    container.write('/etc/systemd/system/upgrade.service', unit);
    const upgrades = (): boolean =>
      run('sh', '-c', 'rm -f /run/upgraded; systemctl start upgrade; ls /run/upgraded') !== '';
    t.ok(upgrades(), 'Debian’s upgrade runs under the guide’s condition');
    const rollout = updates.order(release);
    await waitUntil(t, 'the probation begins', () => updates.phase === 'probation', WITHIN_MS);
    t.notOk(upgrades(), 'and not on trial');
    await updates.ends(rollout, 'confirmed', WITHIN_MS);
    t.equal(updates.current, nameOf(release));
    t.not(box.agent, before);
    t.equal(run('vigie', '--version'), '7.7.7', 'its program');
    t.equal(run('systemctl', 'is-enabled', 'vigie.service'), 'enabled');
    good = release;
  });

  for (const [name, files, reason, times, omitted] of [
    ['crashes at its start', CRASHES, /^it crashed: 3 restarts/, USUAL, false],
    ['sees nothing', BLIND, /it analyses no frame/, HOPELESS, unlessFull],
  ] as const) {
    await t.test(`a release that ${name} rolls back`, { skip: omitted }, async (t) => {
      updates.setHealthTimes(times);
      const release = await updates.release(good, files);
      t.match(await updates.ends(updates.order(release), 'rolled-back', WITHIN_MS), reason);
      t.equal(updates.current, nameOf(good));
      updates.setHealthTimes(USUAL);
    });
  }
  await box.watches('back');
  // The blind release's agent connected to a socket that nothing served; systemd must not answer it later.
  const units = ['-u', 'vigie.service', '-u', 'vigie-vision.service'];
  const journal = run('journalctl', '-t', 'systemd', ...units, '-o', 'cat', '--no-pager').split('\n');
  t.strictSame(visionsAlone(journal), [], 'no vision was started while no agent ran');

  await t.test('power cuts on the way lose nothing, and no code of a release runs as root', async (t) => {
    const programs = await BoxPrograms.watch(t, container);
    // A busy machine takes half a minute of this for a boot.
    if (!FULL) updates.setHealthTimes({ healthyS: 5, withinS: 180 });
    const release = await updates.release(good, {
      ...better('four'),
      'models/more.bin': randomBytes(400_000),
    });
    // Cuts of a real disk in every phase are in cuts.test.ts; here units and boots are real.
    const rollout = updates.order(release);
    await updates.cutWhen('it switches', () => updates.phase === 'switching');
    await updates.boot();
    t.ok(
      [good, release].map(nameOf).includes(updates.current),
      'one of the two, in the middle of the switch',
    );
    if (updates.phase !== 'probation') updates.goOn();
    await updates.cutWhen('it is on probation', () => updates.phase === 'probation');
    await updates.boot();
    await updates.ends(rollout, 'confirmed', WITHIN_MS);
    t.equal(updates.current, nameOf(release));
    await box.watches('the new one');
    const lies = join(container.root, 'usr/lib/vigie/releases', updates.current);
    await verifyTree(lies, parseManifest(readFileSync(join(lies, 'MANIFEST'), 'utf8')));
    const control = [
      '/usr/bin/node',
      `/usr/lib/vigie/current/${MAIN}`,
      'check',
      '--no-files',
      '/etc/vigie/vigie.yaml',
    ];
    container.run(...control);
    const commands = await programs.stop();
    t.strictSame(
      releaseAsRoot(commands),
      [`0,0,0,0: ${control.join(' ')}`],
      'only the typed commands (control)',
    );
    t.strictSame(
      ['boot', 'judge', 'restraint-folder', 'run'].filter(
        (command) => !rootsCommands(commands).includes(command),
      ),
      [],
      `root's own program ran: ${rootsCommands(commands).join(', ')}`,
    );
  });

  t.equal(run('sh', '-c', 'ls -A /usr/lib/vigie/releases | wc -l'), '2', 'two are kept');
  t.notOk(existsSync(join(container.root, 'usr/lib/vigie/current.new')));
  t.comment(`${((performance.now() - began) / 1000).toFixed(0)} s for all of it`);
});
