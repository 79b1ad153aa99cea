/**
 * Unit tests of configurations for many boxes: selection, changes, displayed differences, skipped and refused boxes.
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { redactedText } from '../../agent/base/redacted-text.ts';
import { sha256Of } from '../../agent/base/sha256.ts';
import { inspectText } from '../../agent/config/load.ts';
import { shownSha256, withoutSecrets, withSecretsOf } from '../../agent/config/secrets.ts';
import type { UpdateReport } from '../../agent/contract/update.ts';
import { chooseChanges } from '../../scripts/products/fleet/config/change-selection.ts';
import { Copies } from '../../scripts/products/fleet/config/copies.ts';
import { diffLines } from '../../scripts/products/fleet/config/diff.ts';
import { patched, patchOf } from '../../scripts/products/fleet/config/patch.ts';
import { selected } from '../../scripts/products/fleet/config/selector.ts';
import { Authorisations } from '../../scripts/products/fleet/config/validation.ts';
import type { BoxRow } from '../../scripts/products/fleet/store.ts';
import { authorisationFor, signedAuthorisation } from '../lib/authority.ts';
import { cpuMsSince } from '../lib/cpu-time.ts';
import { scratch } from '../lib/paths.ts';
import { ALL } from '../lib/run.ts';

const FILE = `# made for the crossing
site: lyon
box: BOX
camera: { source: "rtsp://***@10.0.0.2/main" } # behind the school
zones:
  - id: yard # not the pavement
    polygon: [[0, 0], [1, 0], [1, 1]]
masks:
  - { id: door, polygon: [[0, 0], [0.2, 0], [0.2, 0.2]] }
rules:
  - { id: stay, kind: loitering, zone: yard, afterS: 9, purpose: safety }   # two spaces more
  - id: crowd
    kind: crowd-gathering
    zone: yard
    minCount: 8 # asked by the mayor
    purpose: safety
timeZone: Europe/Paris
mqtt: { url: "mqtt://127.0.0.1:1", ack: broker }
`;
const fileOf = (box: string): string => FILE.replace('BOX', box);

function rowOf(site: string, box: string, text: string | null, overrides: Partial<BoxRow> = {}): BoxRow {
  const config = {
    sha256: text === null ? null : shownSha256(text),
    phase: 'idle',
    rollout: null,
    revision: 3,
  };
  const updater = box.endsWith('5') ? { board: 'rpi5' } : null;
  const report = { config, updater } as unknown as UpdateReport;
  return { site, box, other: null, revoked_at: null, report, ...overrides } as BoxRow;
}

void t.test('secrets are removed from a configuration, and restored when it comes back', async (t) => {
  const texts = [
    'camera: { source: "rtsp://admin:hunter2@10.0.0.2/main" } # was rtsp://x:hunter2@h/, password: hunter2\n',
    'camera:\n  source: rtsp://admin:hunter2@10.0.0.2/user=admin_password=hunter2?a=hunter2 # c\n  fps: 3\n',
    'camera:\n  source: >-\n    rtsp://admin:hunter2@10.0.0.2/main\n  fps: 3\n',
    "zones: &z []\ncamera:\n  source: &s 'rtsp://admin:hunter2@10.0.0.2/main'\nx: *z\n",
    'camera: { source: "test:pattern" } # rtsp://admin:my hunter2@h/x rtsp://h/x?p=hunter2\n# password hunter2, pw: hunter2\n',
    'camera: { source: " rtsp://admin:hunter2@10.0.0.2/main" }\n',
    '{"camera": {"source": "rtsp://admin:hunter2@10.0.0.2/main"}}\n',
    '# token= hunter2 \ncamera: { source: "test:pattern" }\n',
  ];
  for (const text of texts) {
    const shownText = withoutSecrets(text) ?? '';
    t.notMatch(shownText, /hunter2/, text);
    t.equal(withoutSecrets(shownText), shownText, 'shown again it stays');
    const filled = withSecretsOf(shownText, text);
    t.equal(withoutSecrets(filled), shownText);
    t.strictSame(parse(filled), parse(text), 'and equals the original');
    t.equal(
      shownSha256(text.replaceAll('hunter2', 'other')),
      shownSha256(text),
      'its hash does not depend on the login',
    );
  }
  t.equal(withoutSecrets('camera: ['), undefined);
  const [previous = ''] = texts;
  const sub = withSecretsOf('camera: { source: "rtsp://***@10.0.0.2/sub" }\n', previous);
  t.match(sub, /rtsp:\/\/admin:hunter2@10\.0\.0\.2\/sub/, 'another path of the same camera');
  for (const source of ['rtsp://***@10.0.0.3/main', 'rtsps://***@10.0.0.2/main', 'rtsp://***@10.0.0.2/x?***'])
    t.throws(
      () => withSecretsOf(`camera: { source: "${source}" }\n`, previous),
      /login .* of another camera/,
    );
  t.equal(
    withSecretsOf('camera: { source: "test:pattern" }\n', previous),
    'camera: { source: "test:pattern" }\n',
  );
});

void t.test('a login in a log line of another program is redacted', (t) => {
  for (const line of [
    'rtspsrc: could not open rtsp://admin:my hunter2@10.0.0.2/main',
    'rtsp://admin:"hunter2@10.0.0.2/main',
    'rtsp:\\/\\/admin:hunter2@10.0.0.2\\/main',
    'GET /?u=rtsp%3A%2F%2Fadmin%3Ahunter2%4010.0.0.2',
    'password: "my hunter2"',
    '"password":"my \\"hunter2"',
    'curl --password hunter2 x',
    'Authorization: Digest username="admin", response="hunter2"',
    'age: AGE-SECRET-KEY-1HUNTER2'.replace('HUNTER2', 'HUNTER2'.repeat(8)),
    'rtsp://admin:a:b/c@hunter2@10.0.0.2/x',
  ])
    t.notMatch(redactedText(`before ${line} after\nnext`), /hunter2/i, line);
  t.equal(
    redactedText('a\nrtsp://***@h/x fps 5\nmail me@example.org'),
    'a\nrtsp://***@h/x fps 5\nmail me@example.org',
  );
  const before = process.cpuUsage();
  const count = ALL ? 40_000 : 10_000;
  for (const piece of ['rtsp://', 'password="', 'rtsp%3A%2F%2F']) redactedText(piece.repeat(count));
  t.ok(cpuMsSince(before) < 5000, 'in time, whatever is written');
  t.end();
});

void t.test('a selector names boxes by name, site and board', async (t) => {
  const boxes = [
    rowOf('lyon', 'a-1', ''),
    rowOf('lyon', 'a-5', ''),
    rowOf('nice', 'b-1', ''),
    rowOf('nice', 'a-1', ''),
  ];
  const names = (selector: string): string[] =>
    selected(selector, boxes).map(({ site, box }) => `${site}/${box}`);
  t.strictSame(names('all').length, 4);
  t.strictSame(names('site:nice'), ['nice/b-1', 'nice/a-1']);
  t.strictSame(names('board:rpi5,b-1, lyon/a-1'), ['lyon/a-1', 'lyon/a-5', 'nice/b-1']);
  t.throws(() => names('a-1'), /box a-1 at 2 sites: lyon\/a-1 or nice\/a-1/);
  t.throws(() => names('site:paris'), /no box is at site:paris; sites are lyon, nice/);
  t.throws(() => names('board:x'), /boards are generic, rpi5/);
  t.throws(() => names('c-9'), /knows no box "c-9"/);
  t.throws(() => selected('all', []), /knows no box yet/);
});

void t.test('a change keeps all text that it does not concern', async (t) => {
  const file = fileOf('a-1');
  const change = (text: string | undefined, set: string[] = [], unset: string[] = []): string =>
    patched(file, patchOf(text, set, unset));
  const lines = (text: string): string[] => {
    const before = file.split('\n');
    return text.split('\n').filter((line) => !before.includes(line));
  };
  t.strictSame(lines(change(undefined, ['rules[stay].afterS=5', 'rules[crowd].minCount=12'])), [
    '  - { id: stay, kind: loitering, zone: yard, afterS: 5, purpose: safety }   # two spaces more',
    '    minCount: 12 # asked by the mayor',
  ]);
  t.strictSame(lines(change('zones: [{ id: yard, polygon: [[0, 0.5], [1, 0], [1, 1]] }]')), [
    '    polygon: [[0, 0.5], [1, 0], [1, 1]]',
  ]);
  t.strictSame(lines(change('{ timeZone: Europe/Madrid, mqtt: { url: "mqtt://127.0.0.1:2" } }')), [
    'timeZone: "Europe/Madrid"',
    'mqtt: { url: "mqtt://127.0.0.1:2", ack: broker }',
  ]);
  const changedText = change(
    'rules: [{ id: new, kind: loitering, zone: yard, afterS: 3, purpose: safety }]\nretention: { eventsDays: 9 }',
  );
  for (const comment of file.match(/#.*/g) ?? []) t.match(changedText, comment, comment);
  t.match(parse(changedText), {
    retention: { eventsDays: 9 },
    rules: [{ id: 'stay' }, { id: 'crowd' }, { id: 'new' }],
  });
  t.strictSame(parse(change(undefined, [], ['rules[stay]', 'timeZone'])).rules.length, 1);
  t.notOk('timeZone' in parse(change('timeZone: null')));
  t.match(
    parse(change(undefined, ['retention.outboxMiB=8'])),
    { retention: { outboxMiB: 8 } },
    'a group is made',
  );
  t.equal(
    change(undefined, ['rules[stay].afterS=9'], ['bridges']),
    file,
    'a change without effect is not made',
  );
  t.match(JSON.parse(patched('{"a": {"b": 1}, "c": []}', patchOf('a: { d: 2 }', [], []))), {
    a: { b: 1, d: 2 },
  });
  for (const [words, reason] of [
    [['rules[no].afterS=1'], /rules\[no\]\.afterS: rules has no item no/],
    [['afterS'], /give path=value/],
    [['rules[stay.x=1'], /a path is keys with dots/],
    [['timeZone.x=1'], /timeZone is not a group/],
    [['timeZone=['], /is not YAML/],
  ] as const)
    t.throws(() => change(undefined, [...words]), reason);
  t.throws(() => change(undefined), /no change is given/);
  t.throws(() => change('- a'), /the patch is not a mapping/);
  t.throws(() => patched('a: &x 1\nb: *x\n', patchOf('b: 2', [], [])), /b is an alias/);
  const twoAnchors = 'a: &x 1\nb: &x 2\nc: *x\n';
  for (const [text, change, name] of [
    [twoAnchors, patchOf(undefined, [], ['b']), 'an alias that would mean another anchor'],
    [twoAnchors, patchOf('b: [3]', [], []), 'the same, of a value in its place'],
    ['a: &x 1\nb: *x\n', patchOf(undefined, [], ['a']), 'one that would mean none'],
    ['a: &x { y: 1 }\nb: *x\n', patchOf('a: { y: 2 }', [], []), 'one that would change with its anchor'],
  ] as const)
    t.throws(() => patched(text, change), { kind: 'config', message: /aliases/ }, name);
  t.equal(patched('a: &x 1\nb: *x\nc: 2\n', patchOf('c: 3', [], [])), 'a: &x 1\nb: *x\nc: 3\n');
});

void t.test('a change is sent, skipped or refused for each box', async (t) => {
  const dir = scratch(t);
  const copies = new Copies(dir);
  const [one, two, edited, none, trial] = ['a-1', 'a-2', 'a-3', 'a-4', 'a-6'].map((box) =>
    rowOf('lyon', box, fileOf(box)),
  ) as [BoxRow, BoxRow, BoxRow, BoxRow, BoxRow];
  for (const box of [one, two, trial]) t.ok(copies.keep(box, fileOf(box.box)));
  copies.keep(edited, `${fileOf('a-3')}# before\n`);
  Object.assign(trial.report?.config ?? {}, { phase: 'probation', rollout: 'r7' });
  const boxes = [
    one,
    two,
    edited,
    none,
    trial,
    rowOf('lyon', 'a-7', null),
    rowOf('lyon', 'a-8', '', { report: undefined }),
  ];
  const choose = (set: string[], authorisations = new Authorisations([]), candidates = boxes) =>
    chooseChanges({
      boxes: candidates,
      copies,
      authorisations,
      nowMs: Date.now(),
      change: (text) => patched(text, patchOf(undefined, set, [])),
    });
  const choice = choose(['rules[stay].afterS=5']);
  t.strictSame(
    choice.changes.map(({ box }) => box),
    ['a-1', 'a-2'],
  );
  t.match(
    choice.leftOut.map(({ box, reason }) => `${box.box}: ${reason}`),
    [
      /a-3: its file was changed on the box/,
      /a-4: there is no copy/,
      /a-6: .*on trial \(r7\)/,
      /a-7: .*cannot be read/,
      /a-8: it has not reported/,
    ],
  );
  t.strictSame(diffLines(choice.changes, false).slice(0, 2), [
    '2 boxes: lyon/a-1, lyon/a-2',
    '@@ -8,7 +8,7 @@',
  ]);
  const painted = diffLines(choice.changes, true).map((line) => line.replaceAll('\u001b', 'ESC'));
  t.ok(painted.some((line) => /^ESC\[31m- {2}- \{ id: stay.*afterS: 9.*ESC\[0m$/.test(line)));
  t.ok(painted.some((line) => /^ESC\[32m\+ {2}- \{ id: stay.*afterS: 5.*ESC\[0m$/.test(line)));
  t.equal(choose(['rules[stay].afterS=9']).upToDate.length, 2);

  const checkRefusal = (set: string[], reason: RegExp, authorisations?: Authorisations): void => {
    const { changes, validationErrors } = choose(set, authorisations, [one]);
    t.equal(changes.length, 0, set.join());
    t.match(validationErrors[0]?.lines[0], reason, set.join());
  };
  checkRefusal(['rules[stay].zone=yrad'], /^rules\[0\]\.zone: no zone has this id/);
  checkRefusal(['site=nice'], /^site: must stay lyon/);
  checkRefusal(['masks=[]'], /mask door .*no order of this box was given \(--order\)/);
  checkRefusal(['camera.source=rtsp://admin:geheim@10.0.0.2/main'], /^camera.source: a login is not sent/);
  checkRefusal(
    ['camera.substream=rtsp://admin:geheim@10.0.0.2/sub'],
    /^camera.substream: a login is not sent/,
  );
  checkRefusal(
    ['camera.substream=rtsp://***@10.0.0.3/sub'],
    /^camera.substream: must be another RTSP stream/,
  );
  const { config } = inspectText(fileOf('a-1'), { env: {}, mode: 'run', files: false });
  if (config === undefined) throw new Error('the test’s file is a configuration');
  const folder = join(dir, 'orders');
  mkdirSync(folder);
  writeFileSync(join(folder, 'a-1.dsse.json'), signedAuthorisation(authorisationFor(config)));
  const orders = new Authorisations([folder]);
  checkRefusal(['rules[stay].purpose=fun'], /^rules\[0\]: authorisation 2026-77 .*not fun/, orders);
  checkRefusal(['camera.source=test:pattern'], /authorisation 2026-77 is for the camera/, orders);
  t.equal(choose(['rules[stay].afterS=4'], orders, [one]).changes.length, 1);
  t.throws(() => new Authorisations([join(dir, 'nowhere')]), /no such file/);
  writeFileSync(join(dir, 'x.json'), '{}');
  t.throws(() => new Authorisations([join(dir, 'x.json')]), /--order: .*x\.json: not a DSSE envelope/);
});

void t.test('the room’s copies follow the boxes’ confirmed configurations', async (t) => {
  const dir = scratch(t);
  const copies = new Copies(dir);
  const place = { site: 'lyon', box: 'a-1' };
  const [first, second] = [fileOf('a-1'), fileOf('a-1').replace('afterS: 9', 'afterS: 5')];
  const copy = (): string => readFileSync(copies.file(place), 'utf8');
  t.equal(copies.current(place, sha256Of(first)), undefined);
  t.ok(copies.keep(place, first));
  copies.pushed(place, first, second);
  t.equal(copy(), first, 'pushed is not there yet');
  t.equal(copies.current(place, sha256Of(first)), first, 'a box that rolled back');
  t.equal(copies.current(place, sha256Of(second)), second);
  t.equal(copy(), second, 'and one that confirmed it');
  writeFileSync(copies.file(place), `${second}# being edited\n`);
  t.equal(copies.current(place, sha256Of(second)), second);
  t.notOk(copies.keep(place, first), 'a file that is being edited is not overwritten');
  t.match(copy(), /being edited/);
  t.equal(copies.current(place, sha256Of(first)), first);
  const own = { site: 'lyon', box: 'a-2' };
  mkdirSync(join(dir, 'configs/lyon'), { recursive: true });
  writeFileSync(copies.file(own), fileOf('a-2').replace('***', 'admin:hunter2'));
  t.equal(copies.current(own, sha256Of(fileOf('a-2'))), fileOf('a-2'), 'the file that it was set up with');
  t.notOk(existsSync(join(dir, 'configs/nice')));
});
