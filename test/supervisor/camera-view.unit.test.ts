/** Tests the camera's stored view: kept over restarts, and confirmed by a person. */
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CAMERA_FILES } from '../../agent/contract/camera-record.ts';
import type { CameraCondition } from '../../agent/contract/condition.ts';
import type { JournalEntry } from '../../agent/contract/journal.ts';
import type { EvidenceRequest, FromVision, KnownView, ToVision } from '../../agent/contract/link.ts';
import { CameraView } from '../../agent/supervisor/camera-view.ts';
import { REDACTION, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { vigie } from '../lib/program.ts';
import { observation } from '../lib/street.ts';

const VIEW: KnownView = { signature: Buffer.alloc(384, 7).toString('base64'), aspect: 1.5, moved: false };

/** A camera view with a clock of its own; collects its messages to vision. */
class Box {
  readonly sentMessages: ToVision[] = [];
  readonly requests: EvidenceRequest[] = [];
  readonly entries: JournalEntry[] = [];
  readonly view: CameraView;
  readonly dir: string;
  nowMs = 0;

  constructor(dir: string) {
    this.dir = dir;
    const clock = {
      nowMs: () => this.nowMs,
      wallMs: () => 1_790_000_000_000 + this.nowMs,
      sleep: () => Promise.resolve(),
    };
    this.view = new CameraView({
      stateDir: dir,
      clock,
      log: SILENT,
      snapshotsDays: () => 30,
      send: (m) => this.sentMessages.push(m) > 0,
      enter: (entry) => this.entries.push(entry),
      trackLog: { viewConfirmed: () => undefined },
    });
    this.view.start();
  }

  say(message: FromVision, binary = new Uint8Array(0)): boolean {
    return this.view.answer({ message, binary });
  }

  see(seconds: number, camera: CameraCondition[] = []): void {
    for (const endMs = this.nowMs + seconds * 1000; this.nowMs < endMs; this.nowMs += 1000) {
      this.requests.push(...this.view.observe(observation(this.nowMs, [], { camera })));
    }
  }

  /** Answers the requested pictures; returns their number. */
  answer(text: string): number {
    const requests = this.requests.splice(0);
    for (const { request, atMs } of requests) {
      const size = { sha256: '0'.repeat(64), widthPx: 1, heightPx: 1 };
      const header = { request, ...size, atMs, redaction: REDACTION };
      if (!this.say({ kind: 'snapshot', ...header }, Buffer.from(text)))
        throw new Error('taken for another’s');
    }
    return requests.length;
  }

  file(name: keyof typeof CAMERA_FILES): string {
    return join(this.dir, CAMERA_FILES[name]);
  }

  content(name: keyof typeof CAMERA_FILES): string | undefined {
    return existsSync(this.file(name)) ? readFileSync(this.file(name), 'utf8') : undefined;
  }
}

function movedBox(t: Test): Box {
  const box = new Box(scratch(t));
  box.view.learn(VIEW);
  box.see(2);
  t.equal(box.answer('as it was'), 1, 'a picture of the view is asked for');
  box.see(70);
  box.see(2, ['moved']);
  t.equal(box.answer('as it is'), 1, 'and one of the new view');
  return box;
}

t.test(
  'a moved camera keeps redacted stills of before and after, and stays moved over a restart until it is confirmed',
  async (t) => {
    const box = movedBox(t);
    t.equal(box.content('before'), 'as it was');
    t.equal(box.content('after'), 'as it is');
    t.same(box.view.settings, { knownView: { ...VIEW, moved: true } });
    const restarted = new Box(box.dir);
    t.same(restarted.view.settings, { knownView: { ...VIEW, moved: true } }, 'known after a restart');
    restarted.see(1, ['moved']);
    const movedSince = JSON.parse(restarted.content('record') ?? '').movedSince;
    const confirming = vigie(t, 'camera', 'confirm', '--yes', '--state', box.dir);
    const timer = setInterval(() => restarted.view.tick(), 50);
    t.teardown(() => clearInterval(timer));
    t.equal(await confirming.exit, 0);
    clearInterval(timer);
    t.match(
      confirming.out,
      new RegExp(`detected at ${movedSince}[^]*before.*camera-before.jpg[^]*after.*camera-after.jpg`),
    );
    t.match(confirming.out, 'Confirmed: the rules go on.');
    t.match(restarted.sentMessages, [{ kind: 'confirm-view' }]);
    const by = process.env['SUDO_USER'] ?? process.env['USER'] ?? null;
    t.same(restarted.entries, [{ type: 'view-confirmed', movedSince, by }], 'the journal names the person');
    t.same(restarted.view.settings, {}, 'the new view is learnt from nothing');
    t.same(new Box(box.dir).view.settings, {}, 'after another restart too');
    t.notOk(existsSync(box.file('confirmed')));
    t.match(restarted.view.counters, { camera_confirmed: 1, camera_files_failed: 0 });
  },
);

t.test('a confirmation given while the agent is stopped is applied when it starts', async (t) => {
  const box = movedBox(t);
  const confirming = vigie(t, 'camera', 'confirm', '--yes', '--state', box.dir);
  t.equal(await confirming.exit, 0);
  t.match(confirming.out, 'Confirmed: the rules go on when the agent runs.');
  const restarted = new Box(box.dir);
  restarted.view.tick();
  t.same(restarted.view.settings, {});
});

t.test('a confirmation of an earlier move is ignored', async (t) => {
  const box = movedBox(t);
  writeFileSync(box.file('confirmed'), '2020-01-01T00:00:00.000Z');
  box.view.tick();
  t.match(box.view.settings, { knownView: { moved: true } });
  t.notOk(existsSync(box.file('confirmed')), 'and is removed');
  t.same(box.entries, []);
});

t.test('a technician at the page confirms without a file', async (t) => {
  const box = movedBox(t);
  const { movedSince } = JSON.parse(box.content('record') ?? '') as { movedSince: string };
  t.equal(box.view.confirm('page 0123456789abcdef'), undefined);
  t.same(box.entries, [{ type: 'view-confirmed', movedSince, by: 'page 0123456789abcdef' }]);
  t.match(box.sentMessages, [{ kind: 'confirm-view' }]);
  t.same(new Box(box.dir).view.settings, {}, 'also after a restart');
  t.match(box.view.confirm('page 0123456789abcdef'), /has not moved, or was confirmed already/);
});

t.test('both stills are removed when snapshots expire', async (t) => {
  const box = movedBox(t);
  const wallMs = 1_790_000_000_000 + box.nowMs;
  for (const [name, days] of [
    ['before', 31],
    ['after', 29],
  ] as const) {
    const writtenS = wallMs / 1000 - days * 86_400;
    utimesSync(box.file(name), writtenS, writtenS);
  }
  box.view.tick();
  t.same([box.content('before'), box.content('after')], [undefined, 'as it is']);
  box.nowMs += 2 * 86_400_000;
  box.view.tick();
  t.equal(box.content('after'), undefined);
  t.match(box.view.counters, { camera_pictures_expired: 2, camera_files_failed: 0 });
});

t.test('a picture taken within a minute of a condition does not count as before', async (t) => {
  const box = new Box(scratch(t));
  box.see(2);
  box.answer('perhaps turned already');
  box.see(40);
  box.see(70, ['moved']);
  t.equal(box.content('before'), undefined);
  box.see(70);
  t.equal(JSON.parse(box.content('record') ?? '').movedSince, null, 'the old view is back: no longer moved');
});

t.test('a damaged record is moved aside', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, CAMERA_FILES.record), '{"signature": 5}');
  t.same(new Box(dir).view.settings, {});
  t.same(readdirSync(dir), [`${CAMERA_FILES.record}.damaged`]);
});
