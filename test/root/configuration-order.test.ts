/** Tests a configuration order: validated, tried, then confirmed or rolled back, despite lies and power cuts. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { sha256Of } from '../../agent/base/sha256.ts';
import { loadConfig } from '../../agent/config/load.ts';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import type { MaskConfig } from '../../agent/contract/config.ts';
import { previousFile } from '../../agent/contract/config-trial.ts';
import { FIRST_TRIAL } from '../../scripts/products/root/change/record.ts';
import { authorisationFor } from '../lib/authority.ts';
import { makeSigner } from '../lib/commands.ts';
import { ConfiguredBox } from '../lib/configured-box.ts';

const SKY = 'masks: [{ id: sky, polygon: [[0, 0], [1, 0], [1, 0.4], [0, 0.4]] }]\n';
const EVERYTHING: MaskConfig[] = [
  {
    id: 'all',
    polygon: [
      [0, 0],
      [1, 0],
      [1, 1],
      [0, 1],
    ],
  },
];
const DAY_MS = 86_400_000;
const iso = (ms: number): string => new Date(ms).toISOString();

void t.test('an order is carried out once, and confirmed when the agent is healthy with it', async (t) => {
  const box = new ConfiguredBox(t);
  await box.follow();
  const { sha256 } = box.writeRequest();
  await box.follow();
  t.equal(box.text, box.targetText);
  t.match(box.text, /# where\nbox: box-1\ncamera: \{ source: "rtsp:\/\/admin:hunter2@.*# behind the house/s);
  t.match(box.status, { phase: 'confirmed', rollout: /^r/, revision: 7, sha256, reason: null });
  t.notMatch(JSON.stringify(box.status) + box.output.join(), /hunter2/);
  t.equal(statSync(box.file).mode & 0o777, 0o640, 'for the agent to read');
  t.strictSame(box.leftoverFiles, []);
  const { n } = box.status;
  await box.follow();
  t.equal(box.restarts, 1, 'once');
  const order = box.writeRequest({ yaml: box.changedText() });
  await box.follow();
  t.match(box.status, { phase: 'confirmed', reason: 'it ran already' });
  t.equal(box.restarts, 1);
  t.ok(box.status.n >= n);

  // The agent stores an older order again.
  box.writeRequest({ counter: order.counter - 1 });
  await box.follow();
  t.match(box.output.at(-1), /replayed: the counter \d+ is below/, 'replayed');
  box.writeRequest({ counter: order.counter, yaml: box.changedText((text) => `${text}# other\n`) });
  await box.follow();
  t.equal(box.text, box.targetText, 'the same counter is the same order');
  box.writeRequest({ yaml: box.changedText((text) => text.replace('10.0.0.2', '10.0.0.66')) });
  await box.follow();
  t.match(box.status, { phase: 'failed', reason: /login .* of another camera/ }, 'a login goes nowhere else');
});

void t.test('an order that this box must not carry out is refused', async (t) => {
  const box = new ConfiguredBox(t);
  const checkRefusal = async (name: string, message: RegExp): Promise<void> => {
    await box.follow();
    t.match(box.output.at(-1), message, name);
    t.equal(box.text, box.initialText, name);
  };
  box.writeRequest({}, makeSigner('mine', ['configure']));
  await checkRefusal('another key', /no key/);
  for (const bytes of ['{}', '\u0000', 'x'.repeat(600_000)]) {
    box.writeBytes(Buffer.from(bytes));
    await checkRefusal('rubbish', /refused/);
  }
  const checkFailure = async (
    name: string,
    change: Parameters<typeof box.writeRequest>[0],
    reason: RegExp,
  ) => {
    box.writeRequest(change);
    await box.follow();
    t.match(box.status, { phase: 'failed', reason }, name);
    t.equal(box.text, box.initialText, name);
  };
  await checkFailure('another text', { sha256: 'a'.repeat(64) }, /sha256 is not that of its text/);
  await checkFailure('no configuration', { yaml: 'site: [' }, /YAML/);
  const yaml = (change: (text: string) => string) => ({ yaml: box.changedText(change) });
  await checkFailure(
    'a mistake',
    yaml((text) => text.replace('zone: yard', 'zone: yrad')),
    /rules\[0\]\.zone: no zone/,
  );
  await checkFailure(
    'two',
    yaml((text) => text.replace('9', '-9').replace('zone: yard', 'zone: y')),
    /and 1 more/,
  );
  await checkFailure(
    'site',
    yaml((text) => text.replace('site: s', 'site: t')),
    /^site: must stay s/,
  );
  await checkFailure(
    'box',
    yaml((text) => text.replace('box-1', 'box-2')),
    /^box: must stay box-1/,
  );
  const { publicKey } = makeSigner('night').config;
  const night = (may: string) =>
    yaml((text) =>
      text.replace(
        'may: [configure] }]',
        `may: [configure] }, { name: night, publicKey: ${publicKey}, may: [${may}] }]`,
      ),
    );
  await checkFailure(
    'a right that the key has not',
    night('configure, update'),
    /^commands\.keys\[1\]\.may: night would be allowed update/,
  );
  await checkFailure(
    'to itself',
    yaml((text) => text.replace('may: [configure]', 'may: [configure, resume]')),
    /^commands\.keys\[0\]\.may: desk would be allowed resume/,
  );
  const missing = yaml((text) =>
    text.replace('"mqtt://127.0.0.1:1"', 'mqtts://r:1, ca: /no, cert: /no, key: /no'),
  );
  await checkFailure('files that are not there', missing, /mqtt\.ca: no such file/);
  t.equal(box.restarts, 0);
});

void t.test(
  'a cut between an order’s text and its record does not install it as another order',
  async (t) => {
    const box = new ConfiguredBox(t);
    const window = { tz: 'Europe/Paris', days: ['fri' as const], from: '02:00', to: '04:00' };
    box.writeRequest({ window });
    await box.follow();
    t.match(box.status, { phase: 'waiting' });
    // The text of the next order is on the disk; its record is not, and the order itself is gone.
    writeFileSync(
      join(box.own, 'ordered-configuration.yaml'),
      box.changedText((text) => text.replace('9', '8')),
    );
    box.wallMs = Date.parse('2026-11-27T01:30:00.000Z');
    await box.follow();
    t.match(box.status, { phase: 'failed', reason: /the ordered configuration has disappeared/ });
    t.equal(box.text, box.initialText);
    box.writeRequest();
    await box.follow();
    t.match(box.status, { phase: 'confirmed' }, 'another order is carried out');
    t.equal(box.text, box.targetText);
  },
);

void t.test('a switch that a cut has undone leaves no previous file beside a waiting order', async (t) => {
  const box = new ConfiguredBox(t);
  const window = { tz: 'Europe/Paris', days: ['fri' as const], from: '02:00', to: '04:00' };
  box.writeRequest({ window });
  await box.follow();
  const { configuration } = box.store.state;
  const files = { former: sha256Of(box.initialText), tried: sha256Of(box.targetText) };
  const trial = { ...FIRST_TRIAL, started: ['vigie.service'], files };
  // Cut after the previous file was saved, and before the new one has replaced it.
  box.store.put('configuration', { ...configuration, phase: 'switching', trial });
  writeFileSync(`${box.file}.next`, box.targetText);
  writeFileSync(previousFile(box.file), box.initialText);
  await box.powerUp('after the cut');
  await box.follow();
  t.match(box.status, { phase: 'staged', reason: /waiting for the window/ });
  t.strictSame(box.leftoverFiles, ['vigie.yaml.next']);
  // An edit from now on stays, whatever happens to the record.
  const edited = `${box.initialText}# by hand\n`;
  writeFileSync(box.file, edited);
  writeFileSync(join(box.own, 'state.json'), '');
  await box.powerUp('another one');
  t.equal(box.text, edited);
});

void t.test('the camera’s login stays in its place', async (t) => {
  const box = new ConfiguredBox(t);
  // A rule's purpose is in events, and in the reason of a refusal.
  const shared = (text: string): string =>
    text.replace('source: "', 'source: &cam "').replace('purpose: safety', 'purpose: *cam');
  const within = (text: string): string =>
    text.replace('camera: {', 'camera: &all {').replace('purpose: safety', 'purpose: *all');
  const editComment = (text: string): string =>
    text
      .replace('site: s # where', 'mqtt: { url: &cam "rtsp://***@10.0.0.2/main", ack: broker }\nsite: s')
      .replace(/source: "[^"]*"/, 'source: *cam')
      .replace(/\nmqtt: .*127.*\n/, '\n');
  for (const change of [shared, within, editComment]) {
    box.writeRequest({ yaml: box.changedText(change) });
    await box.follow();
    t.match(box.status, {
      phase: 'failed',
      reason: /camera\.source: the login \(\*\*\*\) would appear in two places/,
    });
    t.equal(box.text, box.initialText);
    t.notMatch(JSON.stringify(box.status) + box.output.join(), /hunter2/);
  }
});

void t.test('an order obeys the authorisation, and masks may not shrink', async (t) => {
  const box = new ConfiguredBox(t, { extraLines: SKY });
  const config = loadConfig(box.file, { env: {}, mode: 'check', files: false });
  const under = (change: Partial<Authorisation> = {}): void => {
    box.authorisation = authorisationFor(config, change, box.wallMs);
  };
  const tryChange = async (name: string, change: (text: string) => string, reason: RegExp | null) => {
    const { text } = box;
    box.writeRequest({ yaml: box.changedText(change) });
    await box.follow();
    if (reason === null) t.match(box.status, { phase: 'confirmed' }, name);
    else t.match(box.status, { phase: 'failed', reason }, name);
    if (reason !== null) t.equal(box.text, text, name);
    writeFileSync(box.file, box.initialText);
  };
  under();
  const fun = (text: string): string => text.replace('purpose: safety', 'purpose: fun');
  await tryChange('a purpose that it does not name', fun, /rules\[0\]: authorisation 2026-77 .* not fun/);
  const otherCamera = (text: string): string => text.replace('"rtsp://***@10.0.0.2/main"', '"test:pattern"');
  await tryChange(
    'another camera',
    otherCamera,
    /camera\.source: authorisation 2026-77 is for the camera rtsp/,
  );
  const bare = (text: string): string => text.replace(SKY, '');
  await tryChange('a mask taken away', bare, /masks: the mask sky is removed or smaller/);
  const smaller = (text: string): string => text.replace('[1, 0.4], [0, 0.4]', '[1, 0.4], [0, 0.39]');
  await tryChange('a smaller one', smaller, /mask sky/);
  const halves = (text: string): string =>
    text.replace(
      SKY,
      'masks: [{ id: a, polygon: [[0, 0], [0.6, 0], [0.6, 0.4], [0, 0.4]] }, { id: b, polygon: [[1, 0], [1, 0.5], [0.5, 0]] }]\n',
    );
  await tryChange('two that leave a gap', halves, /mask sky/);
  const together = (text: string): string => halves(text).replace('[0.5, 0]', '[0, 0.5], [0.5, 0]');
  await tryChange('two that cover it together', together, null);
  box.blackened = [
    {
      id: 'door',
      polygon: [
        [0.4, 0.6],
        [0.6, 0.6],
        [0.5, 0.9],
      ],
    },
  ];
  await tryChange('what vision goes by counts, too', (text) => `${text}# same\n`, /mask door/);
  box.blackened = [];
  under({ masks: EVERYTHING });
  await tryChange('the authorisation alone blackens it', bare, null);
  under({
    masks: EVERYTHING,
    notBefore: iso(box.wallMs - 9),
    notAfter: iso(box.wallMs - 1),
  });
  await tryChange('an expired authorisation guarantees no mask', bare, /mask sky/);
});

void t.test('an unhealthy agent rolls the configuration back', async (t) => {
  for (const [mark, reason, withinS] of [
    ['# crash', /crashed: 3 restarts/, 5],
    ['# blind', /analyses no frame/, 120],
    ['# mute', /does not answer/, 120],
    ['# lockout', /broker is not reached/, 120],
    ['# unauthorised', /its mode was active and is unauthorised/, 120],
  ] as const) {
    const box = new ConfiguredBox(t);
    box.writeRequest({ yaml: box.changedText((text) => `${text}${mark}\n`) });
    const beganS = box.boottimeS;
    await box.follow();
    t.match(box.status, { phase: 'rolled-back', reason }, mark);
    t.equal(box.text, box.initialText);
    t.equal(box.running, box.initialText, 'and the agent runs with it');
    t.ok(box.boottimeS - beganS <= withinS + 30, `${mark}: ${box.boottimeS - beganS} s`);
    t.strictSame(box.leftoverFiles, []);
    await box.follow();
  }
  const stuck = new ConfiguredBox(t);
  stuck.refuses = true;
  stuck.writeRequest();
  await stuck.follow();
  t.match(stuck.status, { phase: 'rolled-back', reason: /systemd refuses/ });
  t.equal(stuck.text, stuck.initialText);
  t.strictSame(stuck.leftoverFiles, []);
});

void t.test('an order for a suspended box is installed, and tried when it resumes', async (t) => {
  for (const [mode, mark, phase] of [
    ['suspended', '', 'confirmed'],
    ['unauthorised', '', 'confirmed'],
    ['suspended', '# blind\n', 'rolled-back'],
  ] as const) {
    const box = new ConfiguredBox(t);
    box.mode = mode;
    box.writeRequest({ yaml: box.changedText((text) => `${text}# new\n${mark}`) });
    await box.follow();
    t.match(box.status, { phase: 'awaits-resume' }, mode);
    t.equal(box.running, box.text);
    t.not(box.text, box.initialText);
    await box.powerUp('months later');
    await box.follow();
    t.match(box.status, { phase: 'awaits-resume' });
    const { restarts } = box;
    box.mode = 'active';
    await box.follow();
    t.match(box.status, { phase }, `${mode} ${mark}`);
    t.equal(box.text === box.initialText, phase === 'rolled-back');
    t.equal(box.running, box.text);
    t.equal(box.restarts, phase === 'confirmed' ? restarts : restarts + 1);
    t.strictSame(box.leftoverFiles, []);
  }
  const waitingBox = async (): Promise<ConfiguredBox> => {
    const box = new ConfiguredBox(t);
    box.mode = 'suspended';
    box.writeRequest();
    await box.follow();
    return box;
  };
  const locked = new ConfiguredBox(t);
  locked.mode = 'suspended';
  locked.writeRequest({ yaml: locked.changedText((text) => `${text}# lockout\n`) });
  await locked.follow();
  t.match(locked.status, { phase: 'rolled-back', reason: /broker/ }, 'validated as far as possible');

  const second = await waitingBox();
  second.mode = 'active';
  second.onSleep = () => {
    second.mode = 'suspended';
  };
  await second.follow();
  t.match(second.status, { phase: 'awaits-resume' }, 'suspended once more, it waits on');
  second.writeRequest({ action: 'withdraw' });
  await second.follow();
  t.match(second.status, { phase: 'rolled-back', reason: /withdrawn/ });
  t.equal(second.running, second.initialText);

  const next = await waitingBox();
  next.writeRequest({
    revision: 8,
    yaml: next.changedText((text) => text.replace('afterS: 9', 'afterS: 4')),
  });
  await next.follow();
  t.match(next.status, { phase: 'awaits-resume', revision: 8 }, 'another order takes its place');
  next.mode = 'active';
  await next.follow();
  t.match(next.text, /afterS: 4/);

  const edited = await waitingBox();
  writeFileSync(edited.file, `${edited.text}# by hand\n`);
  await edited.follow();
  t.match(edited.status, { phase: 'failed', reason: /someone else/ });
  t.match(edited.text, /by hand/, 'a manual change by root stays');
  t.equal(readFileSync(`${edited.file}.before`, 'utf8'), edited.initialText);
});

void t.test('an order respects a technician’s trial and a manual edit', async (t) => {
  const box = new ConfiguredBox(t);
  const trial = await box.try();
  box.writeRequest();
  await box.machine.run(() => undefined);
  t.match((await box.ask({ op: 'read' })).trial, { id: trial }, 'a technician’s trial is not disturbed');
  await box.ask({ op: 'revert', trial });
  await box.follow();
  t.match(box.status, { phase: 'confirmed', revision: 7 }, 'and the order comes after it');

  const waiting = new ConfiguredBox(t);
  const { counter } = waiting.writeRequest({ notBefore: iso(waiting.wallMs + DAY_MS / 4) });
  await waiting.follow();
  t.match(waiting.status, { phase: 'waiting' });
  const trialId = await waiting.try();
  await waiting.ask({ op: 'keep', trial: trialId });
  await waiting.follow();
  t.match(waiting.status, { phase: 'waiting', revision: 7 }, 'an order that waited goes on waiting');
  waiting.writeRequest({ counter: counter - 1 });
  await waiting.follow();
  t.match(waiting.status.refusal, /replayed/);
  waiting.writeRequest({ counter: counter + 1 });
  await waiting.follow();
  t.match(waiting.status, { phase: 'confirmed' });

  const edited = new ConfiguredBox(t);
  edited.writeRequest();
  edited.onSleep = () => writeFileSync(edited.file, `${edited.initialText}# by hand\n`);
  await edited.follow();
  t.match(edited.status, { phase: 'failed', reason: /someone else/ });
  t.match(edited.text, /by hand/);
  t.equal(edited.running, edited.text, 'the agent runs with the file on the disk');
});

void t.test('a restart on trial or a lost record rolls back', async (t) => {
  for (const damage of ['power', 'lost', 'folder'] as const) {
    const box = new ConfiguredBox(t);
    box.writeRequest();
    await box.machine.run(() => undefined);
    t.match(box.status, { phase: 'probation' });
    t.equal(box.text, box.targetText);
    const record = join(box.own, 'state.json');
    if (damage !== 'power') rmSync(record);
    if (damage === 'folder') mkdirSync(record);
    if (damage !== 'power') rmSync(join(box.own, 'history.jsonl'));
    await box.powerUp('second');
    t.match(
      box.status,
      { phase: 'rolled-back', reason: damage === 'power' ? /restarted while/ : /was lost/ },
      damage,
    );
    t.equal(box.text, box.initialText);
    t.strictSame(box.leftoverFiles, []);
  }
});
