/** A configuration on trial: kept by who asked for it in time, or else the former one again, whenever the power goes. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { loadConfig } from '../../agent/config/load.ts';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import { CONFIG_REPLY_BYTES_MAX, ConfigReply } from '../../agent/contract/config-trial.ts';
import { ConfigTrials } from '../../scripts/programs/root/configuration/config-trial.ts';
import { durableFiles, type TrialFiles } from '../../scripts/programs/root/configuration/trial-files.ts';
import { trialJudge } from '../../scripts/programs/root/configuration/trial-judge.ts';
import { orderFor } from '../lib/authority.ts';
import { cut, FailingPower } from '../lib/failing-power.ts';
import { scratch } from '../lib/paths.ts';
import { PROPOSAL } from '../lib/proposal.ts';

const FULL = process.env['VIGIE_TEST_FULL'] === '1';
const FORMER = `site: s # where
box: box-1
camera: { source: "rtsp://admin:hunter2@10.0.0.2/main" }
zones:
  - id: yard # behind the house
    polygon: [[0, 0], [1, 0], [1, 1]]
rules:
  - { id: stay, kind: loitering, zone: yard, afterS: 9, purpose: safety }
mqtt: { url: "mqtt://127.0.0.1:1", ack: broker }
`;
const rule = { id: 'stay', kind: 'loitering', zone: 'yard', classes: ['person'], purpose: 'safety' } as const;

class Box {
  readonly file: string;
  readonly dir: string;
  readonly said: string[] = [];
  readonly asked: string[] = [];
  boottimeS = 1000;
  boot = 'first';
  wallMs = 0;
  order: Authorisation | undefined;
  env: NodeJS.ProcessEnv = {};

  constructor(t: Test, content = FORMER) {
    this.dir = scratch(t);
    this.file = join(this.dir, 'vigie.yaml');
    writeFileSync(this.file, content);
    chmodSync(this.file, 0o640);
  }

  trials(files: TrialFiles = durableFiles, failing?: 'startTimer' | 'restart'): ConfigTrials {
    const act = (name: 'startTimer' | 'stopTimer' | 'restart') => () => {
      this.asked.push(name);
      if (name === failing) throw new AgentError('unavailable', 'systemd refuses');
    };
    return new ConfigTrials({
      file: this.file,
      judge: trialJudge({
        env: this.env,
        order: () => {
          if (this.order === undefined) throw new AgentError('config', 'none');
          return this.order;
        },
        wallMs: () => Date.now(),
      }),
      agent: { startTimer: act('startTimer'), stopTimer: act('stopTimer'), restart: act('restart') },
      say: (line) => this.said.push(line),
      clock: {
        boottimeS: () => this.boottimeS,
        bootId: () => this.boot,
        wallMs: () => this.wallMs,
      },
      files,
    });
  }

  ask(request: object, trials = this.trials()): ConfigReply {
    const reply = trials.answer(JSON.stringify(request));
    if (!Value.Check(ConfigReply, reply)) throw new Error(`no reply: ${JSON.stringify(reply)}`);
    if (/hunter2|geheim/.test(JSON.stringify([reply, this.said]))) throw new Error('a password is shown');
    return reply;
  }

  /** The id of the trial that has begun. */
  try(proposal = PROPOSAL): string {
    const { trial, refused, problems } = this.ask({ op: 'try', proposal });
    if (trial === null) throw new Error(`not tried: ${refused} ${JSON.stringify(problems)}`);
    return trial.id;
  }

  get text(): string {
    return readFileSync(this.file, 'utf8');
  }

  get files(): string[] {
    return readdirSync(this.dir).sort();
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

void t.test('read, check, try, keep, revert', async (t) => {
  const box = new Box(t);
  const read = box.ask({ op: 'read' });
  t.match(read, { refused: null, problems: [], trial: null, sha256: sha256(FORMER) });
  t.equal(read.installed?.cameraAddress, 'rtsp://10.0.0.2/main', 'without the login');
  t.match(box.ask({ op: 'check', proposal: PROPOSAL }), { refused: null, problems: [], trial: null });
  t.equal(box.text, FORMER, 'checked is not tried');

  const tried = box.ask({ op: 'try', proposal: PROPOSAL });
  t.match(tried, {
    refused: null,
    problems: [],
    trial: { leftS: 120 },
    installed: { zones: PROPOSAL.zones },
  });
  t.strictSame(box.asked, ['startTimer', 'restart']);
  t.match(box.text, /# where.*hunter2.*# behind the house\n {4}polygon: \[\[0, 0\.5\].*afterS: 3/s);
  t.equal(tried.sha256, sha256(box.text));
  t.equal(statSync(box.file).mode & 0o777, 0o640);
  t.strictSame(box.files, ['trial.json', 'vigie.yaml', 'vigie.yaml.before-trial']);
  t.equal(statSync(join(box.dir, 'vigie.yaml.before-trial')).mode & 0o777, 0o640, 'its password is in it');

  const id = tried.trial?.id ?? '';
  const other = { op: 'keep', trial: '0123456789abcdef' };
  t.match(box.ask(other), { refused: /no such trial: another one runs/, trial: { id } });
  t.match(box.ask({ op: 'try', proposal: PROPOSAL }), { refused: /on trial, for 120 s more/, trial: { id } });
  box.wallMs = 9e12;
  box.boottimeS += 119;
  t.match(box.ask({ op: 'read' }), { trial: { id, leftS: 1 } }, 'the wall clock has no say');
  t.equal(box.trials().settle(), 'nothing', 'a timer that comes early ends nothing');
  t.match(box.ask({ op: 'keep', trial: id }), { refused: null, trial: null });
  t.strictSame(box.files, ['vigie.yaml']);
  t.match(box.text, /afterS: 3/);
  t.match(box.ask({ op: 'keep', trial: id }), { refused: /none runs/ }, 'once');

  const kept = box.text;
  const second = box.try({
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
  t.not(box.text, kept);
  t.match(box.ask({ op: 'revert', trial: second }), { refused: null, trial: null });
  t.equal(box.text, kept);
  t.strictSame(box.files, ['vigie.yaml']);
  t.strictSame(box.asked.slice(-2), ['restart', 'stopTimer']);
});

void t.test('not kept in time', async (t) => {
  const box = new Box(t);
  const id = box.try();
  box.boottimeS += 121;
  t.match(box.ask({ op: 'read' }), { trial: null }, 'over, though nobody has put it back yet');
  t.match(box.ask({ op: 'keep', trial: id }), { refused: /its time is over/ }, 'too late');
  t.equal(box.text, FORMER);
  t.equal(box.asked.at(-1), 'restart');

  box.try();
  box.boottimeS += 121;
  t.equal(box.trials().settle(), 'of this boot', 'by the timer');
  t.equal(box.text, FORMER);
  box.try();
  box.boot = 'second';
  box.boottimeS = 5;
  t.equal(box.trials().settle(), 'of another boot', 'after a power cut');
  t.equal(box.text, FORMER);
  t.strictSame(box.files, ['vigie.yaml']);
  t.equal(box.trials().settle(), 'nothing');
});

void t.test('what somebody else does meanwhile', async (t) => {
  const box = new Box(t);
  box.try();
  const edited = `${box.text}# by hand\n`;
  writeFileSync(box.file, edited);
  box.boottimeS += 121;
  box.trials().settle();
  t.equal(box.text, edited, 'is not overwritten');
  t.match(box.said.at(-1), /was changed by somebody else and stays; .*vigie\.yaml\.before$/);
  t.equal(readFileSync(`${box.file}.before`, 'utf8'), FORMER);
  t.strictSame(box.files, ['vigie.yaml', 'vigie.yaml.before']);

  const damaged = new Box(t);
  damaged.try();
  writeFileSync(join(damaged.dir, 'trial.json'), '{');
  damaged.trials().settle();
  t.equal(damaged.text, FORMER, 'a damaged record: the former one');

  const linked = new Box(t);
  const link = join(linked.dir, 'link.yaml');
  symlinkSync(linked.file, link);
  const through = Object.assign(new Box(t), { file: link, dir: linked.dir });
  t.match(through.ask({ op: 'try', proposal: PROPOSAL }), { refused: /no file of its own/ });
  t.match(Object.assign(new Box(t), { file: '/nowhere/v.yaml' }).ask({ op: 'read' }), {
    installed: null,
    sha256: null,
  });
});

void t.test('where disk or systemd refuses, nothing is tried', async (t) => {
  for (const failing of ['startTimer', 'restart'] as const) {
    const box = new Box(t);
    const reply = box.ask({ op: 'try', proposal: PROPOSAL }, box.trials(durableFiles, failing));
    t.match(reply, { refused: 'systemd refuses', trial: null, sha256: sha256(FORMER) });
    t.strictSame(box.files, ['vigie.yaml']);
  }
  for (const name of ['vigie.yaml.before-trial', 'trial.json', 'vigie.yaml']) {
    const box = new Box(t);
    const full: TrialFiles = {
      ...durableFiles,
      write: (file, content, like) => {
        // The former one can be put back: it is there already, and no longer than what it replaces.
        if (file.endsWith(`/${name}`) && content !== FORMER && !FORMER.startsWith(content.toString()))
          throw new AgentError('unavailable', 'no space left');
        if (file.endsWith(`/${name}`) && name.endsWith('trial'))
          throw new AgentError('unavailable', 'no space left');
        durableFiles.write(file, content, like);
      },
    };
    const reply = box.ask({ op: 'try', proposal: PROPOSAL }, box.trials(full));
    t.match(reply, { refused: 'no space left', trial: null, sha256: sha256(FORMER) }, name);
    t.strictSame(box.files, ['vigie.yaml'], name);
  }
});

void t.test('the power goes at every step, and again while it is put back', async (t) => {
  let cuts = 0;
  for (const ending of ['keep', 'revert', 'timer'] as const) {
    for (let at = 0, cutOnce = true; cutOnce; at += 1) {
      for (let again = 0, cutTwice = true; cutTwice; again += 1) {
        const box = new Box(t);
        const trials = box.trials(new FailingPower(at));
        let keeping = false;
        let tried = '';
        cutOnce = cut(() => {
          const { trial } = box.ask({ op: 'try', proposal: PROPOSAL }, trials);
          tried = box.text;
          keeping = ending === 'keep';
          if (ending === 'timer') {
            box.boottimeS += 121;
            trials.settle();
          } else box.ask({ op: ending, trial: trial?.id }, trials);
        });
        const kept = keeping && !existsSync(join(box.dir, 'trial.json'));
        box.boot = 'second';
        // Each twofold cut costs a run of its own: of a trial that has begun all of them.
        const begun = ending === 'timer' && at === 6;
        cutTwice = cut(() => void box.trials(new FailingPower(again)).settle()) && (FULL || begun);
        box.boot = 'third';
        box.trials().settle();
        cuts += 1;
        const left = box.files.filter((name) => !name.endsWith('.new'));
        if (box.text !== (kept ? tried : FORMER) || left.length !== 1)
          t.fail(`${ending}, cut ${at}, then ${again}: ${left.join(' ')}\n${box.text}`);
      }
    }
  }
  t.ok(cuts > 30, `${cuts} cuts: the former configuration, or the new one once it was kept`);
});

void t.test('what is wrong with a proposal is said, without passwords, and not installed', async (t) => {
  const box = new Box(t);
  const wrong = (proposal: object, path: string, message: RegExp, order = false): void => {
    const reply = box.ask({ op: 'try', proposal: { ...PROPOSAL, ...proposal } });
    t.match(reply, { refused: null, trial: null, sha256: sha256(FORMER) });
    t.match(reply.problems, [{ path, message, order }], path);
  };
  const crossing = [
    [0, 0],
    [1, 1],
    [1, 0],
    [0, 1],
  ];
  wrong({ zones: [{ id: 'yard', polygon: crossing }] }, 'zones[0].polygon', /cross/);
  wrong({ zones: [] }, 'rules[0].zone', /no zone has this id/);
  t.match(
    box.ask({ op: 'try', proposal: { ...PROPOSAL, source: 'http://a:geheim@b' } }).refused,
    /not a request/,
  );
  wrong({ source: 'file:' + 'a\u0007b' }, 'camera.source', /control character/);
  box.env = { VIGIE_CAMERA_SOURCE: 'test:pattern' };
  wrong({ source: 'rtsp://a:geheim@10.0.0.3/x' }, 'camera.source', /VIGIE_CAMERA_SOURCE/);
  box.env = {};

  const config = loadConfig(box.file, { env: {}, mode: 'run' });
  box.order = orderFor(config);
  wrong(
    { source: 'rtsp://a:geheim@10.0.0.3/x' },
    'camera.source',
    /is for the camera rtsp:\/\/10\.0\.0\.2\/main/,
    true,
  );
  for (const source of ['rtsp://10.0.0.7:8554?@10.0.0.2/main', 'rtsp://10.0.0.7#@10.0.0.2/main'])
    wrong({ source }, 'camera.source', /before the host|no #/);
  wrong(
    { rules: [{ ...rule, classes: ['person'], afterS: 3, purpose: 'fun' }] },
    'rules[0]',
    /not fun/,
    true,
  );
  box.order = orderFor(config, {
    notBefore: '2999-01-01T00:00:00.000Z',
    notAfter: '2999-02-01T00:00:00.000Z',
  });
  wrong(
    { rules: [{ ...rule, classes: ['person'], afterS: 3, purpose: 'fun' }] },
    'rules[0]',
    /not fun/,
    true,
  );
  box.order = orderFor(config, {
    notAfter: '2001-01-01T00:00:00.000Z',
    notBefore: '2000-01-01T00:00:00.000Z',
  });
  const fun = { ...PROPOSAL, rules: [{ ...rule, classes: ['person' as const], afterS: 3, purpose: 'fun' }] };
  t.match(
    box.ask({ op: 'check', proposal: fun }).problems,
    [],
    'an order that has ended covers nothing anyway',
  );
  box.order = orderFor(config);
  box.try({ ...PROPOSAL, source: 'rtsp://b:geheim@10.0.0.2/main' });
  t.match(box.text, /b:geheim@10/, 'a new login for the same camera');

  const idle = new Box(t, FORMER.replace('purpose: safety', 'purpose: fun'));
  idle.order = orderFor(config);
  const moved = {
    ...PROPOSAL,
    rules: [{ ...rule, classes: ['person' as const], afterS: 9, purpose: 'fun' }],
  };
  t.same(idle.ask({ op: 'check', proposal: moved }).problems, [], 'a rule that did not run may stay so');

  const broken = new Box(t, 'site: [');
  t.match(broken.ask({ op: 'try', proposal: PROPOSAL }), {
    installed: null,
    problems: [{ path: '', message: /not readable as YAML/ }],
  });
  const many = {
    ...PROPOSAL,
    rules: Array.from({ length: 64 }, (_, i) => ({
      ...rule,
      id: `r${i}`,
      classes: [],
      afterS: -1,
      zone: 'n',
    })),
  };
  const reply = new Box(t).ask({ op: 'check', proposal: many });
  t.ok(JSON.stringify(reply).length < CONFIG_REPLY_BYTES_MAX);
  for (const line of ['', '{}', 'null', '{"op":"keep"}', '{"op":"try","proposal":{}}', '[', 'a'.repeat(99)])
    t.match(box.trials().answer(line), { refused: /not a request/ }, line.slice(0, 20));
});
