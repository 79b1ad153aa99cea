/** Tests a configuration on trial: its requester confirms it in time, or it is rolled back, also after a power cut. */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadConfig } from '../../agent/config/load.ts';
import { CONFIG_REPLY_BYTES_MAX } from '../../agent/contract/config-trial.ts';
import { authorisationFor } from '../lib/authority.ts';
import { ConfiguredBox } from '../lib/configured-box.ts';
import { PROPOSAL } from '../lib/proposal.ts';

const TRIANGLE = [
  [0, 0],
  [1, 0],
  [0, 1],
] as [number, number][];
const rule = { id: 'stay', kind: 'loitering', zone: 'yard', classes: ['person'], purpose: 'safety' } as const;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

void t.test('a configuration can be read, checked, tried, kept and reverted', async (t) => {
  const box = new ConfiguredBox(t);
  const read = await box.ask({ op: 'read' });
  t.match(read, { refused: null, problems: [], trial: null, sha256: sha256(box.initialText) });
  t.equal(read.installed?.cameraAddress, 'rtsp://10.0.0.2/main', 'without the login');
  t.match(await box.ask({ op: 'check', proposal: PROPOSAL }), { refused: null, problems: [], trial: null });
  t.equal(box.text, box.initialText, 'checked is not tried');

  const reply = await box.ask({ op: 'try', proposal: PROPOSAL });
  t.match(reply, {
    refused: null,
    problems: [],
    trial: { leftS: 120 },
    installed: { zones: PROPOSAL.zones },
  });
  t.equal(box.restarts, 1);
  t.match(box.text, /# where.*hunter2.*# behind the house\n {4}polygon: \[\[0, 0\.5\].*afterS: 3/s);
  t.equal(reply.sha256, sha256(box.text));
  t.equal(statSync(box.file).mode & 0o777, 0o640);
  t.strictSame(box.leftoverFiles, ['vigie.yaml.before-trial']);
  t.equal(
    statSync(join(box.dir, 'vigie.yaml.before-trial')).mode & 0o777,
    0o640,
    'the backup holds the password',
  );

  const id = reply.trial?.id ?? '';
  const other = { op: 'keep', trial: '0123456789abcdef' };
  t.match(await box.ask(other), { refused: /no such trial: another one runs/, trial: { id } });
  t.match(await box.ask({ op: 'try', proposal: PROPOSAL }), {
    refused: /on trial, for 120 s more/,
    trial: { id },
  });
  box.wallMs = 9e12;
  box.boottimeS += 119;
  t.match(await box.ask({ op: 'read' }), { trial: { id, leftS: 1 } }, 'the wall clock has no say');
  t.match(await box.ask({ op: 'keep', trial: id }), { refused: null, trial: null });
  t.strictSame(box.leftoverFiles, []);
  t.match(box.text, /afterS: 3/);
  t.match(await box.ask({ op: 'keep', trial: id }), { refused: /none runs/ }, 'once');

  const keptText = box.text;
  const second = await box.try({
    ...PROPOSAL,
    masks: [
      {
        id: 'm',
        polygon: [
          [0, 0],
          [1, 0],
          [0, 1],
        ],
      },
    ],
  });
  t.not(box.text, keptText);
  t.match(await box.ask({ op: 'revert', trial: second }), { refused: null, trial: null });
  t.equal(box.text, keptText);
  t.strictSame(box.leftoverFiles, []);
  t.equal(box.running, keptText);
});

void t.test('a file that someone replaced during a trial is not kept, and stays', async (t) => {
  const box = new ConfiguredBox(t);
  const { trial } = await box.ask({ op: 'try', proposal: PROPOSAL });
  const editedText = `${box.text}# by hand\n`;
  writeFileSync(box.file, editedText);
  const reply = await box.ask({ op: 'keep', trial: trial?.id });
  t.match(reply, {
    refused: /someone else has changed the configuration on the box meanwhile/,
    trial: null,
  });
  t.equal(box.text, editedText);
});

void t.test('a trial that is not kept in time is rolled back', async (t) => {
  const box = new ConfiguredBox(t);
  const id = await box.try();
  box.boottimeS += 121;
  t.match(await box.ask({ op: 'read' }), { trial: null }, 'over, though not rolled back yet');
  t.match(await box.ask({ op: 'keep', trial: id }), { refused: /its time is over/ }, 'too late');
  await box.assess();
  t.equal(box.text, box.initialText);
  t.equal(box.running, box.initialText);

  await box.try();
  const beganS = box.boottimeS;
  await box.assess();
  t.equal(box.text, box.initialText, 'by the judge');
  t.ok(box.boottimeS - beganS >= 120 && box.boottimeS - beganS < 123);
  await box.try();
  let keptAtS = 0;
  box.onSleep = async () => {
    box.onSleep = undefined;
    keptAtS = box.boottimeS;
    const { trial } = await box.ask({ op: 'read' });
    await box.ask({ op: 'keep', trial: trial?.id });
  };
  await box.assess();
  t.equal(box.boottimeS, keptAtS, 'the judge ends on confirmation');
  t.not(box.text, box.initialText);
  const keptText = box.text;
  await box.try({ ...PROPOSAL, zones: [{ ...PROPOSAL.zones[0], id: 'yard', polygon: TRIANGLE }] });
  t.not(box.text, keptText);
  await box.powerUp('second');
  t.equal(box.text, keptText, 'after a power cut');
  t.strictSame(box.leftoverFiles, []);
});

void t.test('a file that someone edits during a trial is not overwritten', async (t) => {
  const box = new ConfiguredBox(t);
  await box.try();
  const edited = `${box.text}# by hand\n`;
  writeFileSync(box.file, edited);
  await box.assess();
  t.equal(box.text, edited, 'is not overwritten');
  t.match(box.output.join('\n'), /was changed by someone else and stays; .*vigie\.yaml\.before$/m);
  t.equal(readFileSync(`${box.file}.before`, 'utf8'), box.initialText);
  t.strictSame(box.leftoverFiles, ['vigie.yaml.before']);

  const linked = new ConfiguredBox(t);
  renameSync(linked.file, join(linked.dir, 'elsewhere.yaml'));
  symlinkSync(join(linked.dir, 'elsewhere.yaml'), linked.file);
  t.match(await linked.ask({ op: 'try', proposal: PROPOSAL }), { refused: /not a file of its own/ });
  const missing = new ConfiguredBox(t);
  renameSync(missing.file, join(missing.dir, 'elsewhere.yaml'));
  t.match(await missing.ask({ op: 'read' }), { installed: null, sha256: null });
});

void t.test('a refusal by systemd ends a trial before it begins', async (t) => {
  const box = new ConfiguredBox(t);
  box.refuses = true;
  const reply = await box.ask({ op: 'try', proposal: PROPOSAL });
  t.match(reply, { refused: /systemd refuses/, trial: null, sha256: sha256(box.initialText) });
  t.strictSame(box.leftoverFiles, []);
});

void t.test('a wrong proposal is refused with a reason without passwords', async (t) => {
  const box = new ConfiguredBox(t);
  const checkProblem = async (
    proposal: object,
    path: string,
    message: RegExp,
    order = false,
  ): Promise<void> => {
    const reply = await box.ask({ op: 'try', proposal: { ...PROPOSAL, ...proposal } });
    t.match(reply, { refused: null, trial: null, sha256: sha256(box.initialText) });
    t.match(reply.problems, [{ path, message, order }], path);
  };
  const crossing = [
    [0, 0],
    [1, 1],
    [1, 0],
    [0, 1],
  ];
  await checkProblem({ zones: [{ id: 'yard', polygon: crossing }] }, 'zones[0].polygon', /cross/);
  await checkProblem({ zones: [] }, 'rules[0].zone', /no zone has this id/);
  t.match(await box.ask({ op: 'try', proposal: { ...PROPOSAL, source: 'http://a:geheim@b' } }), {
    refused: /not a request/,
  });
  await checkProblem({ source: 'file:' + 'a\u0007b' }, 'camera.source', /control character/);
  box.env = { VIGIE_CAMERA_SOURCE: 'test:pattern' };
  box.begin();
  await checkProblem({ source: 'rtsp://a:geheim@10.0.0.3/x' }, 'camera.source', /VIGIE_CAMERA_SOURCE/);
  box.env = { VIGIE_CAMERA_SUBSTREAM: 'rtsp://10.0.0.2/other' };
  box.begin();
  for (const substream of ['rtsp://a:geheim@10.0.0.2/sub', null])
    await checkProblem({ substream }, 'camera.substream', /VIGIE_CAMERA_SUBSTREAM/);
  box.env = {};
  box.begin();
  for (const substream of ['rtsp://a:geheim@10.0.0.3/sub', 'rtsp://a:geheim@10.0.0.2/main'])
    await checkProblem({ substream }, 'camera.substream', /another RTSP stream of the same host and port/);

  const config = loadConfig(box.file, { env: {}, mode: 'run' });
  box.authorisation = authorisationFor(config);
  await checkProblem(
    { source: 'rtsp://a:geheim@10.0.0.3/x' },
    'camera.source',
    /is for the camera rtsp:\/\/10\.0\.0\.2\/main/,
    true,
  );
  for (const source of ['rtsp://10.0.0.7:8554?@10.0.0.2/main', 'rtsp://10.0.0.7#@10.0.0.2/main'])
    await checkProblem({ source }, 'camera.source', /before the host|no #/);
  await checkProblem(
    { rules: [{ ...rule, classes: ['person'], afterS: 3, purpose: 'fun' }] },
    'rules[0]',
    /not fun/,
    true,
  );
  box.authorisation = authorisationFor(config, {
    notBefore: '2999-01-01T00:00:00.000Z',
    notAfter: '2999-02-01T00:00:00.000Z',
  });
  await checkProblem(
    { rules: [{ ...rule, classes: ['person'], afterS: 3, purpose: 'fun' }] },
    'rules[0]',
    /not fun/,
    true,
  );
  box.authorisation = authorisationFor(config, {
    notAfter: '2001-01-01T00:00:00.000Z',
    notBefore: '2000-01-01T00:00:00.000Z',
  });
  const fun = { ...PROPOSAL, rules: [{ ...rule, classes: ['person' as const], afterS: 3, purpose: 'fun' }] };
  t.match(
    (await box.ask({ op: 'check', proposal: fun })).problems,
    [],
    'an order that has ended covers nothing anyway',
  );
  box.authorisation = authorisationFor(config);
  await box.try({ ...PROPOSAL, source: 'rtsp://b:geheim@10.0.0.2/main' });
  t.match(box.text, /b:geheim@10/, 'a new login for the same camera');

  const idle = new ConfiguredBox(t, { content: box.initialText.replace('purpose: safety', 'purpose: fun') });
  idle.authorisation = authorisationFor(config);
  const movedProposal = {
    ...PROPOSAL,
    rules: [{ ...rule, classes: ['person' as const], afterS: 9, purpose: 'fun' }],
  };
  t.same(
    (await idle.ask({ op: 'check', proposal: movedProposal })).problems,
    [],
    'a rule that did not run may stay so',
  );

  const broken = new ConfiguredBox(t, { content: 'site: [' });
  t.match(await broken.ask({ op: 'try', proposal: PROPOSAL }), {
    installed: null,
    problems: [{ path: '', message: /not readable as YAML/ }],
  });
  const manyRules = {
    ...PROPOSAL,
    rules: Array.from({ length: 64 }, (_, i) => ({
      ...rule,
      id: `r${i}`,
      classes: [],
      afterS: -1,
      zone: 'n',
    })),
  };
  const reply = await new ConfiguredBox(t).ask({ op: 'check', proposal: manyRules });
  t.ok(JSON.stringify(reply).length < CONFIG_REPLY_BYTES_MAX);
  for (const line of ['', '{}', 'null', '{"op":"keep"}', '{"op":"try","proposal":{}}', '[', 'a'.repeat(99)])
    t.match(await box.requests.answer(line), { refused: /not a request/ }, line.slice(0, 20));
});
