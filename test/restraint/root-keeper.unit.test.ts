/** Tests root's record under requests of any caller: any caller can add a restraint, and only signatures remove one. */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import {
  AUTHORITY_FILE,
  BOX_FILE,
  JOURNAL_FILE,
  RestraintFolder,
} from '../../agent/orders/restraint-folder.ts';
import { SUSPENSION_FILE } from '../../agent/orders/suspension.ts';
import { Journal } from '../../agent/restraint/journal/journal.ts';
import { signResume } from '../../agent/restraint/resume.ts';
import { keep } from '../../agent/restraint/root-keeper.ts';
import { configOf } from '../lib/agent.ts';
import {
  AUTHORITY,
  authorisationFor,
  MAYOR,
  PREFECT,
  signedAuthorisation,
  type TestKey,
  testKey,
} from '../lib/authority.ts';
import { anyCharacter } from '../lib/characters.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE } from '../lib/room.ts';
import { ALL } from '../lib/run.ts';
import { rectangle } from '../lib/street.ts';

const NOW_MS = Date.UTC(2026, 10, 25, 12);
const iso = (ms: number): string => new Date(ms).toISOString();
const ID = '0123456789abcdef';

class Record {
  readonly folder: RestraintFolder;
  readonly #dir: string;
  #authorisation: Buffer;

  constructor(t: Test) {
    this.#dir = scratch(t);
    const dir = join(this.#dir, 'record');
    mkdirSync(dir);
    this.folder = new RestraintFolder(dir);
    const pem = AUTHORITY.publicKey.export({ type: 'spki', format: 'pem' });
    writeFileSync(this.folder.path(AUTHORITY_FILE), pem);
    const box = { version: 1, site: SITE, box: BOX, masks: [] };
    writeFileSync(this.folder.path(BOX_FILE), JSON.stringify(box));
    this.#authorisation = this.authorise();
  }

  authorise(change: Partial<Authorisation> = {}, key: TestKey = AUTHORITY): Buffer {
    const rules = [{ id: 'a', kind: 'loitering', zone: 'z', purpose: 'p' }];
    const zones = [
      {
        id: 'z',
        polygon: rectangle(0, 0, 1, 1),
      },
    ];
    const mqtt = { url: 'mqtt://127.0.0.1' };
    const config = configOf({
      site: SITE,
      box: BOX,
      camera: { source: 'rtsp://camera/a' },
      mqtt,
      zones,
      rules,
    });
    this.#authorisation = signedAuthorisation(authorisationFor(config, change, NOW_MS), key);
    return this.#authorisation;
  }

  ask(request: object | string, nowMs = NOW_MS): string | null {
    const line = typeof request === 'string' ? request : JSON.stringify(request);
    return keep(line, { folder: this.folder, nowMs, readAuthorisation: () => this.#authorisation });
  }

  suspend(id = ID): string | null {
    return this.ask({ op: 'suspend', id, since: iso(NOW_MS), reason: 'by order', by: 'room' });
  }

  resume(suspension: string, keys: readonly TestKey[] = [PREFECT, MAYOR], nowMs = NOW_MS): string | null {
    const validity = { notBefore: iso(NOW_MS - 60_000), notAfter: iso(NOW_MS + 3_600_000) };
    const content = { site: SITE, box: BOX, suspension, reason: 'lifted', ...validity };
    const envelope = signResume(
      content,
      keys.map(({ privateKey }) => privateKey),
    );
    return this.ask({ op: 'resume', envelope }, nowMs);
  }

  get suspended(): string | undefined {
    const state = this.folder.suspension();
    return state?.suspended === true ? state.id : undefined;
  }
}

void t.test('any caller may suspend, and only two keys of the order end it', async (t) => {
  const record = new Record(t);
  t.equal(record.resume(ID), null, 'not suspended, so nothing to do');
  t.equal(record.suspend(), null);
  t.match(record.folder.suspension(), { suspended: true, id: ID, since: iso(NOW_MS), reason: 'by order' });
  t.equal(statSync(record.folder.path(SUSPENSION_FILE)).mode & 0o022, 0, 'no one else can write it');
  t.equal(record.suspend('f'.repeat(16)), null);
  t.equal(record.suspended, ID, 'a second one changes nothing');
  const refusals: [string | null, RegExp][] = [
    [record.resume(ID, [PREFECT, testKey()]), /no key/],
    [record.resume(ID, [PREFECT]), /2/],
    [record.resume(ID, [PREFECT, PREFECT]), /2/],
    [record.resume(ID, [AUTHORITY, MAYOR]), /no key/],
    [record.resume('f'.repeat(16)), /this one is/],
    [record.resume(ID, [PREFECT, MAYOR], NOW_MS + 3_600_001), /valid until/],
    [record.resume(ID, [PREFECT, MAYOR], NOW_MS - 60_001), /valid from/],
    [record.ask({ op: 'resume', envelope: '{}' }), /./],
  ];
  for (const [answer, reason] of refusals) t.match(answer, reason);
  record.authorise({ resumeKeys: [{ name: 'a', publicKey: testKey().line }] }, testKey());
  t.match(record.resume(ID), /no key/, 'another authority’s order');
  record.authorise({ box: 'other' });
  t.match(record.resume(ID), /other/, 'an order for another box');
  record.authorise({ notAfter: iso(NOW_MS - 1) });
  t.match(record.resume(ID), /was valid until/, 'an order that has ended');
  t.equal(record.suspended, ID);
  record.authorise();
  t.equal(record.resume(ID), null);
  t.match(record.folder.suspension(), { suspended: false, id: ID, by: 'prefect, mayor' });
});

void t.test('the signed end of one suspension ends no other', async (t) => {
  const record = new Record(t);
  record.suspend();
  t.equal(record.resume(ID), null);
  record.suspend();
  t.not(record.suspended, ID, 'an id that has ended cannot be used again');
  t.match(record.resume(ID), /this one is/, 'a signature for it is useless');
  const second = record.suspended ?? '';
  t.equal(record.resume(second), null);
  record.suspend(second);
  t.notOk([ID, second].includes(record.suspended ?? ID), 'nor are those before');
});

void t.test('the journal’s head only moves to one that continues it', async (t) => {
  const record = new Record(t);
  const stateDir = scratch(t);
  const journal = new Journal({ stateDir, origin: `vigie/${SITE}/${BOX}` });
  journal.start();
  const grow = (to: Journal, times: number): void => {
    for (let i = 0; i < times; i += 1) to.append({ at: iso(NOW_MS), type: 'clock-step', stepMs: i });
  };
  const sendHead = (source: Journal): string | null => {
    const provenHead = source.provenHeadSince(record.folder.journal()?.head) ?? source.provenHead(0);
    return record.ask({ op: 'keep-head', verifierKey: source.verifierKey, provenHead });
  };
  grow(journal, 3);
  t.equal(sendHead(journal), null);
  grow(journal, 300);
  t.equal(sendHead(journal), null);
  const head = readFileSync(record.folder.path(JOURNAL_FILE), 'utf8');
  const same = { op: 'keep-head', verifierKey: journal.verifierKey };
  t.match(record.ask({ ...same, provenHead: journal.provenHead(3) }), /does not continue/, 'another proof');

  const other = new Journal({ stateDir: scratch(t), origin: `vigie/${SITE}/${BOX}` });
  other.start();
  grow(other, 400);
  t.match(record.ask({ ...same, provenHead: other.provenHead(303) }), /./, 'another key');
  t.match(
    record.ask({ op: 'keep-head', verifierKey: other.verifierKey, provenHead: other.provenHead(303) }),
    /another one/,
    'another journal',
  );
  const otherJournal = new Journal({ stateDir: scratch(t), origin: `vigie/${SITE}/other` });
  otherJournal.start();
  const otherRecord = new Record(t);
  const otherHead = { verifierKey: otherJournal.verifierKey, provenHead: otherJournal.provenHead(0) };
  t.match(otherRecord.ask({ op: 'keep-head', ...otherHead }), /this is/, 'another box’s');
  t.equal(readFileSync(record.folder.path(JOURNAL_FILE), 'utf8'), head, 'no part of it was stored');
});

void t.test('an invalid request is refused, names no file and leaves nothing', async (t) => {
  const record = new Record(t);
  const before = ['authority.pub', 'box.json'];
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.string({ unit: anyCharacter }), fc.json()),
      (line) => record.ask(line) !== null,
    ),
    { numRuns: ALL ? 2000 : 300 },
  );
  const wrong = [
    { op: 'suspend', id: '../../x', since: null, reason: '', by: '' },
    { op: 'suspend', id: ID, since: 'yesterday', reason: '', by: '' },
    { op: 'suspend', id: ID, since: null, reason: 'x'.repeat(501), by: '' },
    { op: 'suspend', id: ID, since: null, reason: '', by: '', file: '/etc/passwd' },
    { op: 'stop-vision', unit: 'ssh' },
    { op: 'keep-head', verifierKey: 'x', provenHead: 'x' },
    { op: 'forget' },
  ];
  for (const request of wrong) t.type(record.ask(request), 'string', JSON.stringify(request));
  t.same(
    ['authority.pub', 'box.json', SUSPENSION_FILE, JOURNAL_FILE].filter((name) =>
      existsSync(record.folder.path(name)),
    ),
    before,
  );
});

void t.test('a damaged record restrains the box', async (t) => {
  const record = new Record(t);
  for (const text of ['', '{}', '{"version":2,"suspended":false}', 'x']) {
    writeFileSync(record.folder.path(SUSPENSION_FILE), text);
    t.equal(record.folder.suspension()?.suspended, true, text);
  }
  writeFileSync(record.folder.path(JOURNAL_FILE), '{}');
  t.throws(() => record.folder.journal(), { message: /is damaged/ });
  writeFileSync(record.folder.path(BOX_FILE), '{}');
  t.throws(() => record.folder.box(), { message: /is damaged/ });
  chmodSync(record.folder.dir, 0o755);
});
