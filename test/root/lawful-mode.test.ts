/**
 * Tests a probation during which the mode of the box changes: only a change that root itself can verify is lawful. The
 * agent that reports the mode is made up; root's program, its record and the signatures are real.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import { SUSPEND_FILE } from '../../agent/contract/mode.ts';
import { newSuspensionId, SUSPENSION_FILE, suspensionText } from '../../agent/orders/suspension.ts';
import { makeSigner, searchCommand, signed } from '../lib/commands.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';
import { UpdatingBox } from '../lib/updating-box.ts';

const skip = process.geteuid?.() === 0 ? false : 'not root: what root trusts must be root’s';
const NOW = new Date().toISOString();

class ModeBox {
  readonly box: UpdatingBox;
  readonly #t: Test;
  readonly #signer = makeSigner('desk', ['update', 'suspend']);

  static async make(t: Test, authorisation: Partial<Authorisation> = {}): Promise<ModeBox> {
    return new ModeBox(t, await UpdatingBox.make(t, { healthyS: 1, withinS: 6 }), authorisation);
  }

  private constructor(t: Test, box: UpdatingBox, change: Partial<Authorisation>) {
    this.#t = t;
    this.box = box;
    const { publicKey } = this.#signer.config;
    const content = {
      site: SITE,
      box: BOX,
      camera: { source: 'test:pattern' },
      commands: { keys: [{ name: 'desk', may: ['update', 'suspend'] as const, publicKey }] },
      mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' as const },
    };
    box.configure(JSON.stringify({ ...content, ...box.authorise(change) }));
    // The network has set the clock.
    mkdirSync(join(box.dir, 'run/systemd/timesync'), { recursive: true });
    writeFileSync(join(box.dir, 'run/systemd/timesync/synchronized'), '');
  }

  /** Writes root's record of a suspension, or of its end, which root takes from the agent only with signatures. */
  record(suspended: boolean): void {
    const state = { suspended, id: newSuspensionId(), since: NOW, reason: 'by order', by: 'desk' };
    writeFileSync(join(this.box.folder, SUSPENSION_FILE), suspensionText(state));
  }

  /** Passes a command of the room on to root, as the agent does. */
  command(op: string, nowMs = Date.now(), signer = this.#signer): void {
    const command = searchCommand({ op, args: { reason: 'by order' } }, nowMs);
    writeFileSync(join(this.box.agentState, SUSPEND_FILE), signed(signer, command));
  }

  /** Begins a trial of release 2, and resolves once it is judged. */
  async begin(): Promise<{ readonly exit: Promise<unknown> }> {
    this.box.order({}, this.#signer);
    await this.box.run('run');
    this.#t.equal(this.box.record.phase, 'probation', this.box.record.reason ?? '');
    return this.box.start('judge');
  }

  get end(): string {
    const { phase, reason } = this.box.record;
    return reason === null ? phase : `${phase}: ${reason}`;
  }
}

/** Acts after the switch, and how the trial ends. */
const SUSPENSIONS: readonly (readonly [string, (box: ModeBox) => void, RegExp])[] = [
  ['a command of the room', (box) => box.command('suspend'), /^confirmed$/],
  ['no command', () => undefined, /^rolled-back: .*its mode was active and is suspended/],
  ['a command that has expired', (box) => box.command('suspend', Date.now() - 3_600_000), /^rolled-back/],
  [
    'a command by an unknown key',
    (box) => box.command('suspend', Date.now(), makeSigner('other', ['suspend'])),
    /^rolled-back/,
  ],
  ['another command', (box) => box.command('search'), /^rolled-back/],
];

void t.test(
  'a suspension during a probation counts with the command that ordered it',
  { skip },
  async (t) => {
    t.jobs = SUSPENSIONS.length;
    for (const [name, act, end] of SUSPENSIONS)
      void t.test(name, { buffered: true }, async (t) => {
        const box = await ModeBox.make(t);
        const judging = await box.begin();
        box.record(true);
        act(box);
        box.box.report.mode = 'suspended';
        await judging.exit;
        t.match(box.end, end);
      });
  },
);

void t.test(
  'an agent that reports a suspension of which root has no record is rolled back',
  { skip },
  async (t) => {
    const box = await ModeBox.make(t);
    const judging = await box.begin();
    box.command('suspend');
    box.box.report.mode = 'suspended';
    await judging.exit;
    t.match(box.end, /^rolled-back/);
  },
);

void t.test('a resumption begins the healthy time again, with analysed frames', { skip }, async (t) => {
  for (const frames of [true, false]) {
    const box = await ModeBox.make(t);
    box.record(true);
    Object.assign(box.box.report, { mode: 'suspended', frames: false });
    box.box.setHealthTimes({ healthyS: 3, withinS: 8 });
    const judging = await box.begin();
    const beganS = box.box.record.trial?.beganS ?? 0;
    box.record(false);
    Object.assign(box.box.report, { mode: 'active', frames });
    await waitUntil(t, 'the change is recorded', () => box.box.record.trial?.before?.mode === 'active', 5000);
    t.ok((box.box.record.trial?.beganS ?? 0) > beganS, 'and the limit begins again');
    await judging.exit;
    t.match(box.end, frames ? /^confirmed$/ : /^rolled-back: .*it analyses no frame/);
  }
});

void t.test('a box loses its authorisation lawfully only at the end of it', { skip }, async (t) => {
  for (const [leftMs, end] of [
    [4000, /^confirmed$/],
    [3_600_000, /^rolled-back: .*its mode was active and is unauthorised/],
  ] as const) {
    const endMs = Date.now() + leftMs;
    const box = await ModeBox.make(t, { notAfter: new Date(endMs).toISOString() });
    box.box.setHealthTimes({ healthyS: 5, withinS: 12 });
    const judging = await box.begin();
    if (leftMs < 10_000) await waitUntil(t, 'the end', () => Date.now() > endMs, 10_000);
    box.box.report.mode = 'unauthorised';
    await judging.exit;
    t.match(box.end, end);
  }
});

void t.test('a journal counts as far as root has recorded it', { skip }, async (t) => {
  const box = await ModeBox.make(t);
  const judging = await box.begin();
  box.box.report.journal = false;
  await judging.exit;
  t.match(box.end, /^rolled-back: .*root’s record of its journal does not grow/);
});
