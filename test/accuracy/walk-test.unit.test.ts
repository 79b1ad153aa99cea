/** Walk tests against a real record, with a technician who types without a terminal and a clock that hurries. */
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { sceneOf } from '../../agent/accuracy/scene.ts';
import { RECORD_FILE, RecordStore } from '../../agent/accuracy/store.ts';
import { WalkTest, watchingBox, windowS } from '../../agent/accuracy/walk-test.ts';
import { PunctualTechnician, TypingTechnician } from '../../agent/cli/walktest/technician.ts';
import { EXAMPLE } from '../../agent/config/example.ts';
import { inspectText } from '../../agent/config/load.ts';
import type { WalkResult } from '../../agent/contract/accuracy.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import { KERB, LONG_STAY, seeingBox } from '../lib/accuracy.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

/** Sleeping takes no time; what is planned happens when its time has come. */
class HurryingClock extends HandClock {
  #plans: { atMs: number; act: () => void }[] = [];

  in(s: number, act: () => void): void {
    this.#plans.push({ atMs: this.monoMs + s * 1000, act });
  }

  override async sleep(delayMs: number): Promise<void> {
    this.advance(delayMs);
    const due = this.#plans.filter(({ atMs }) => atMs <= this.monoMs);
    this.#plans = this.#plans.filter(({ atMs }) => atMs > this.monoMs);
    for (const { act } of due) act();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The street and the box: `agent` writes as the agent does, through a connection of its own. */
class Street {
  readonly clock = new HurryingClock();
  readonly agent: RecordStore;
  readonly store: RecordStore;
  #alerts = 0;

  constructor(t: Test) {
    const file = join(scratch(t), RECORD_FILE);
    this.agent = RecordStore.make(file);
    this.agent.setBox(seeingBox());
    this.store = RecordStore.open(file);
    t.teardown(() => {
      this.store.close();
      this.agent.close();
    });
  }

  /** An alert now, or one that arose `agoS` ago and is recorded only now. */
  alert(rule: RuleConfig, { agoS = 0, over = true } = {}): string {
    this.#alerts += 1;
    const episode = `b-e${this.#alerts}`;
    const wallMs = this.clock.wallMs() - agoS * 1000;
    this.agent.raise({ episode, event: `b-${this.#alerts}`, rule: rule.id, wallMs });
    if (over) this.agent.end(episode, wallMs);
    return episode;
  }

  /** In `s` seconds. */
  alertIn(s: number, rule: RuleConfig, options: { agoS?: number; over?: boolean } = {}): void {
    this.clock.in(s, () => this.alert(rule, options));
  }

  figures(rule: RuleConfig): ReturnType<RecordStore['figures']>[number] {
    const [line] = this.agent.figures([rule.id]);
    if (line === undefined) throw new Error('no line');
    return line;
  }
}

type Step = readonly [answer: string, before?: () => void];

/** Answers each question with the next step, as somebody at the keyboard does; then goes away. */
async function typed(
  street: Street,
  rule: RuleConfig,
  passes: number,
  steps: readonly Step[],
  signal = new AbortController().signal,
): Promise<{ result: WalkResult | undefined; error: unknown; said: string }> {
  const input = new PassThrough();
  const output = new PassThrough();
  const technician = new TypingTechnician(input, output, signal);
  let said = '';
  let step = 0;
  output.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    if (!/\[Enter[^\n]*\] $/.test(said)) return;
    const next = steps[step];
    step += 1;
    next?.[1]?.();
    if (next === undefined) input.end();
    else input.write(`${next[0]}\n`);
  });
  const { store, clock } = street;
  store.readOnly(true);
  const test = new WalkTest({
    store,
    rule,
    passes,
    technician,
    clock,
    signal,
    unattended: false,
    isOn: () => true,
  });
  const outcome = await test.run().then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => ({ result: undefined, error }),
  );
  technician.close();
  return { ...outcome, said };
}

void t.test('seen, missed, repeated, kept; and its alerts are not in the precision', async (t) => {
  const street = new Street(t);
  street.alert(LONG_STAY);
  const { result, error, said } = await typed(street, LONG_STAY, 3, [
    ['', () => street.alertIn(13, LONG_STAY)],
    [''],
    ['r'],
    ['what?'],
    ['', () => street.alertIn(12.5, LONG_STAY)],
    ['', () => street.alertIn(40, LONG_STAY)],
    [''],
  ]);
  t.equal(error, undefined);
  t.match(result, { passes: 3, seen: 3, repeated: 1, recall: 1, low: 0.439, high: 1 });
  t.match(said, /Pass 1 of 3: stay in zone forecourt as a person for at least 12 s\.\n/);
  t.match(said, /seen after 13\.\d s\. Now leave zone forecourt\.\n/);
  t.match(said, /missed: no alert within 42 s\./);
  t.equal(said.match(/Pass 2 of 3/g)?.length, 3, 'asked again after what was no answer');
  t.match(street.figures(LONG_STAY), { alerts: 1, walk: { passes: 3, seen: 3, repeated: 1 } });

  const next = await typed(street, LONG_STAY, 2, [[''], ['', () => street.alertIn(20, LONG_STAY)], ['']]);
  t.match(next.result, { passes: 2, seen: 1, recall: 0.5, low: 0.095, high: 0.905 });
  t.match(street.figures(LONG_STAY), { alerts: 1, walk: { passes: 2, seen: 1 } }, 'the last one is shown');
});

void t.test('what does not count for a pass', async (t) => {
  const street = new Street(t);
  street.alert(KERB);
  const { result } = await typed(street, KERB, 3, [
    ['', () => street.alertIn(5, LONG_STAY)],
    // Arose before the pass, and waited for its snapshot.
    ['', () => street.alertIn(1, KERB, { agoS: 2 })],
    ['', () => street.alertIn(31, KERB)],
    [''],
  ]);
  t.match(result, { passes: 3, seen: 0, recall: 0, low: 0 });
  t.match(street.figures(LONG_STAY), { alerts: 1 }, 'another rule’s alert stays what it is');
});

void t.test('a box that does not see, or is started anew, makes a pass void', async (t) => {
  const street = new Street(t);
  const { agent, clock } = street;
  const seesAgainWhenAsked = (): void => agent.setBox(seeingBox());
  const { result, said } = await typed(street, KERB, 2, [
    ['', () => clock.in(2, () => agent.setBox(seeingBox({ sees: false })))],
    [
      '',
      () => {
        seesAgainWhenAsked();
        clock.in(2, () => agent.setBox(seeingBox({ started: '1' })));
      },
    ],
    [
      '',
      () => {
        seesAgainWhenAsked();
        clock.in(2, () => agent.setBox(seeingBox({ pid: null })));
      },
    ],
    [
      '',
      () => {
        seesAgainWhenAsked();
        street.alertIn(3, KERB);
      },
    ],
    ['', () => street.alertIn(3, KERB)],
    [''],
  ]);
  t.match(result, { passes: 2, seen: 2, repeated: 0 });
  t.equal(said.match(/does not count/g)?.length, 3);
});

void t.test('the next pass waits until the last scene is over', async (t) => {
  const street = new Street(t);
  let episode = '';
  const { result, said } = await typed(street, LONG_STAY, 2, [
    [
      '',
      () =>
        street.clock.in(13, () => {
          episode = street.alert(LONG_STAY, { over: false });
        }),
    ],
    [''],
    [
      '',
      () => {
        street.agent.end(episode, street.clock.wallMs());
        street.alertIn(12, LONG_STAY, { over: false });
      },
    ],
    // The last scene may stand when the result is kept.
    [''],
  ]);
  t.match(result, { passes: 2, seen: 2 });
  t.equal(said.match(/still sees the last scene: leave zone forecourt\./g)?.length, 1);

  // What came too late for its pass stands as well; and somebody who knows better may go on.
  const late = new Street(t);
  const other = await typed(late, LONG_STAY, 2, [
    [''],
    ['', () => late.alert(LONG_STAY, { over: false })],
    ['', () => late.alertIn(12, LONG_STAY)],
    [''],
  ]);
  t.match(
    other.said,
    /missed: .*\s+.*\s+.*The box still sees the last scene: leave zone forecourt\. Or start all the same\./,
  );
  t.match(other.result, { passes: 2, seen: 1 });
});

void t.test('given up: nothing is kept', async (t) => {
  const stopping = new AbortController();
  const ways: [string, Step[], AbortSignal?][] = [
    ['before the first pass', [['a']]],
    ['when all are done', [[''], [''], ['a']]],
    ['standard input ends', [['']]],
    ['Ctrl-C at a question', [[''], ['', () => stopping.abort()]], stopping.signal],
  ];
  for (const [name, steps, signal] of ways) {
    const street = new Street(t);
    for (const s of [3, 40]) street.alertIn(s, KERB);
    const { result, error } = await typed(street, KERB, 2, steps, signal);
    t.equal(result, undefined, name);
    t.match(error, { kind: 'unavailable', message: /given up; nothing was kept/ });
    t.equal(street.figures(KERB).walk, null);
    t.equal(street.figures(KERB).alerts, street.agent.lastId(), 'the alerts that came stay alerts');
  }
  const street = new Street(t);
  const during = new AbortController();
  const plan = (): void => street.clock.in(2, () => during.abort());
  const { error } = await typed(street, KERB, 2, [['', plan]], during.signal);
  t.match(error, { message: /given up/ }, 'Ctrl-C while a pass is watched');
});

async function punctual(
  street: Street,
  rule: RuleConfig,
  passes: number,
  isOn = (): boolean => true,
): Promise<{ result: WalkResult | undefined; error: unknown; said: string }> {
  const output = new PassThrough();
  let said = '';
  output.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const { store, clock } = street;
  const { signal } = new AbortController();
  const technician = new PunctualTechnician(output, 60, clock, signal);
  const test = new WalkTest({ store, rule, passes, technician, clock, signal, unattended: true, isOn });
  return await test.run().then(
    (result) => ({ result, error: undefined, said }),
    (error: unknown) => ({ result: undefined, error, said }),
  );
}

void t.test('passes that start by themselves', async (t) => {
  const street = new Street(t);
  for (const s of [5, 65, 125]) street.alertIn(s, KERB);
  const { result, said } = await punctual(street, KERB, 4);
  t.match(result, { passes: 4, seen: 3, recall: 0.75 });
  t.match(said, /^Pass 1 of 4: cross line kerb as a car or bus, from its right to its left .*: now\.\n/);
  t.notMatch(said, '\r', 'no progress where there is no terminal');

  const blind = new Street(t);
  blind.clock.in(1, () => blind.agent.setBox(seeingBox({ sees: false })));
  t.match((await punctual(blind, KERB, 4)).error, {
    message: /blind in 3 passes in a row; nothing was kept/,
  });

  const stands = new Street(t);
  stands.alertIn(13, LONG_STAY, { over: false });
  const { error } = await punctual(stands, LONG_STAY, 2);
  t.match(error, { message: /still stands after 120 s; nothing was kept/ });

  const evening = new Street(t);
  evening.alertIn(5, KERB);
  const untilMs = evening.clock.monoMs + 70_000;
  const off = await punctual(evening, KERB, 3, () => evening.clock.monoMs < untilMs);
  t.match(off.error, { message: /rule kerb is off by its schedule now; nothing was kept/ });
  t.match(off.said, /Pass 2 of 3/, 'the hours ended while a pass was watched');
});

void t.test('a hundred tests are kept, the last one counts', async (t) => {
  const { agent } = new Street(t);
  for (let i = 0; i < 150; i += 1) {
    agent.keepWalkTest({ rule: 'kerb', wallMs: i, passes: 200, seen: i, repeated: 0, afterId: 0 });
  }
  t.match(agent.figures(['kerb', 'other']), [{ walk: { seen: 149 } }, { walk: null }]);
  const none = { rule: 'kerb', wallMs: 0, passes: 0, seen: 0, repeated: 0, afterId: 0 };
  t.throws(() => agent.keepWalkTest(none), { message: /CHECK|CONSTRAINT/ });
});

void t.test('a test needs a box that runs and sees', async (t) => {
  const { agent, store } = new Street(t);
  t.match(watchingBox(store, '/state'), { sees: true });
  for (const over of [{ pid: null }, { pid: 2 ** 22 + 1 }, { started: '1' }]) {
    agent.setBox(seeingBox(over));
    t.throws(() => watchingBox(store, '/state'), { message: /no agent runs with the state in \/state/ });
  }
  agent.setBox(seeingBox({ sees: false }));
  t.throws(() => watchingBox(store, '/state'), { message: /no frames from its camera/ });
});

void t.test('every kind of rule has its scene', async (t) => {
  const { config } = inspectText(EXAMPLE, { env: {}, mode: 'check', files: false });
  const scenes = Object.fromEntries((config?.rules ?? []).map((rule) => [rule.kind, sceneOf(rule)]));
  t.match(scenes['illegal-parking'], {
    act: 'park a car, truck, bus or motorcycle in zone forecourt and do not move it for at least 60 s',
    clear: 'drive out of zone forecourt',
    needS: 60,
  });
  t.match(scenes['wrong-way']?.act, /the wrong way, in the picture to the left, over at least 10 % /);
  t.match(
    scenes['illegal-dumping']?.act,
    /a thing of at least 0\.05 % of the picture down in zone forecourt/,
  );
  t.match(scenes['crowd-gathering'], { act: /with 10 people/, needS: 32 });
  t.match(scenes['graffiti'], { needS: 35 });
  t.equal(Object.keys(scenes).length, 8);
  for (const { act } of Object.values(scenes)) t.notMatch(act, /undefined|NaN|\.$/);
  t.equal(windowS(LONG_STAY), 42);
});
