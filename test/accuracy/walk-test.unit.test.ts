/** Tests walk tests on a real record, with a scripted technician and a clock that moves when it is asked to sleep. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { RECORD_FILE, RecordStore } from '../../agent/accuracy/store.ts';
import { WalkTest } from '../../agent/accuracy/walk-test.ts';
import type { WalkResult } from '../../agent/contract/accuracy.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import type { Technician, WalkAnswer, WalkEvent } from '../../agent/contract/walk-test.ts';
import { KERB, LONG_STAY, seeingBox } from '../lib/accuracy.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

/** Clock on which sleeping advances the time at once and runs the actions that have become due. */
class HurryingClock extends HandClock {
  #plans: { atMs: number; action: () => void }[] = [];

  in(s: number, action: () => void): void {
    this.#plans.push({ atMs: this.monoMs + s * 1000, action });
  }

  override async sleep(delayMs: number): Promise<void> {
    this.advance(delayMs);
    const due = this.#plans.filter(({ atMs }) => atMs <= this.monoMs);
    this.#plans = this.#plans.filter(({ atMs }) => atMs > this.monoMs);
    for (const { action } of due) action();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Street and box; `agent` writes through a connection of its own, as the real agent does. */
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

  /** Records an alert that began `agoS` seconds ago. */
  alert(rule: RuleConfig, { agoS = 0, over = true } = {}): string {
    this.#alerts += 1;
    const episode = `b-e${this.#alerts}`;
    const wallMs = this.clock.wallMs() - agoS * 1000;
    this.agent.raise({ episode, event: `b-${this.#alerts}`, rule: rule.id, wallMs });
    if (over) this.agent.end(episode, wallMs);
    return episode;
  }

  /** Records an alert in `s` seconds. */
  alertIn(s: number, rule: RuleConfig, options: { agoS?: number; over?: boolean } = {}): void {
    this.clock.in(s, () => this.alert(rule, options));
  }

  statistics(rule: RuleConfig): ReturnType<RecordStore['statistics']>[number] {
    const [line] = this.agent.statistics([rule.id]);
    if (line === undefined) throw new Error('no line');
    return line;
  }
}

type Step = readonly [answer: WalkAnswer, before?: () => void];

/** Runs a walk test that answers each question with the next step, then aborts. */
async function runWalkTest(
  street: Street,
  rule: RuleConfig,
  passes: number,
  steps: readonly Step[],
  { signal = new AbortController().signal, isOn = (): boolean => true } = {},
): Promise<{ result: WalkResult | undefined; error: unknown; events: WalkEvent[]; askedSteps: number }> {
  const events: WalkEvent[] = [];
  let step = 0;
  const ask = async (): Promise<WalkAnswer> => {
    const next = steps[step];
    step += 1;
    next?.[1]?.();
    return next === undefined || signal.aborted ? 'abort' : next[0];
  };
  const technician: Technician = {
    tell: (event) => void events.push(event),
    ready: ask,
    keep: ask,
    watching: () => undefined,
  };
  const { store, clock } = street;
  const outcome = await new WalkTest({ store, rule, passes, technician, clock, signal, isOn }).run().then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => ({ result: undefined, error }),
  );
  return { ...outcome, events, askedSteps: step };
}

const codesOf = (events: readonly WalkEvent[]): string[] => events.map(({ code }) => code);

void t.test(
  'a walk test counts seen, missed and repeated passes and leaves precision unchanged',
  async (t) => {
    const street = new Street(t);
    street.alert(LONG_STAY);
    const { result, error, events } = await runWalkTest(street, LONG_STAY, 3, [
      ['go', () => street.alertIn(13, LONG_STAY)],
      ['go'],
      ['repeat'],
      ['go', () => street.alertIn(12.5, LONG_STAY)],
      ['go', () => street.alertIn(40, LONG_STAY)],
      ['go'],
    ]);
    t.equal(error, undefined);
    t.match(result, { passes: 3, seen: 3, repeated: 1, recall: 1, low: 0.439, high: 1 });
    t.strictSame(codesOf(events), ['seen', 'missed', 'seen', 'seen']);
    t.match(events[0], { seconds: Number });
    t.ok(events[0]?.code === 'seen' && events[0].seconds >= 13 && events[0].seconds < 14, 'the time it took');
    t.match(street.statistics(LONG_STAY), { alerts: 1, walk: { passes: 3, seen: 3, repeated: 1 } });

    const next = await runWalkTest(street, LONG_STAY, 2, [
      ['go'],
      ['go', () => street.alertIn(20, LONG_STAY)],
      ['go'],
    ]);
    t.match(next.result, { passes: 2, seen: 1, recall: 0.5, low: 0.095, high: 0.905 });
    t.match(
      street.statistics(LONG_STAY),
      { alerts: 1, walk: { passes: 2, seen: 1 } },
      'the last one is shown',
    );
  },
);

void t.test('a pass ignores alerts of other rules, from before it, or after its time limit', async (t) => {
  const street = new Street(t);
  street.alert(KERB);
  const { result } = await runWalkTest(street, KERB, 3, [
    ['go', () => street.alertIn(5, LONG_STAY)],
    // It began before the pass and waited for its snapshot.
    ['go', () => street.alertIn(1, KERB, { agoS: 2 })],
    ['go', () => street.alertIn(31, KERB)],
    ['go'],
  ]);
  t.match(result, { passes: 3, seen: 0, recall: 0, low: 0 });
  t.match(street.statistics(LONG_STAY), { alerts: 1 }, 'another rule’s alert stays what it is');
});

void t.test('a pass is void if the box does not see', async (t) => {
  const street = new Street(t);
  const { agent, clock } = street;
  const seesAgainWhenAsked = (): void => agent.setBox(seeingBox());
  const { result, events } = await runWalkTest(street, KERB, 2, [
    ['go', () => clock.in(2, () => agent.setBox(seeingBox({ sees: false })))],
    [
      'go',
      () => {
        seesAgainWhenAsked();
        street.alertIn(3, KERB);
      },
    ],
    ['go', () => street.alertIn(3, KERB)],
    ['go'],
  ]);
  t.match(result, { passes: 2, seen: 2, repeated: 0 });
  t.strictSame(codesOf(events), ['blind', 'seen', 'seen']);
});

void t.test('the next pass starts only after the last incident has ended', async (t) => {
  const street = new Street(t);
  let episode = '';
  const { result, events } = await runWalkTest(street, LONG_STAY, 2, [
    [
      'go',
      () =>
        street.clock.in(13, () => {
          episode = street.alert(LONG_STAY, { over: false });
        }),
    ],
    ['go'],
    [
      'go',
      () => {
        street.agent.end(episode, street.clock.wallMs());
        street.alertIn(12, LONG_STAY, { over: false });
      },
    ],
    // The last incident may still be active when the result is saved.
    ['go'],
  ]);
  t.match(result, { passes: 2, seen: 2 });
  t.equal(codesOf(events).filter((code) => code === 'still-standing').length, 1);

  // An alert that came too late for its pass may still be active; the technician may then continue.
  const late = new Street(t);
  const other = await runWalkTest(late, LONG_STAY, 2, [
    ['go'],
    ['go', () => late.alert(LONG_STAY, { over: false })],
    ['go', () => late.alertIn(12, LONG_STAY)],
    ['go'],
  ]);
  t.strictSame(codesOf(other.events), ['missed', 'still-standing', 'seen']);
  t.match(other.result, { passes: 2, seen: 1 });
});

void t.test('a cancelled walk test saves nothing', async (t) => {
  const stopping = new AbortController();
  const ways: [string, Step[], AbortSignal?][] = [
    ['before the first pass', [['abort']]],
    ['when all are done', [['go'], ['go'], ['abort']]],
    ['no more answers', [['go']]],
    ['stopped at a question', [['go'], ['go', () => stopping.abort()]], stopping.signal],
  ];
  for (const [name, steps, signal] of ways) {
    const street = new Street(t);
    for (const s of [3, 40]) street.alertIn(s, KERB);
    const { result, error } = await runWalkTest(street, KERB, 2, steps, signal && { signal });
    t.equal(result, undefined, name);
    t.match(error, { kind: 'unavailable', message: /cancelled; nothing was kept/ });
    t.equal(street.statistics(KERB).walk, null);
    t.equal(street.statistics(KERB).alerts, street.agent.lastId(), 'the alerts stay alerts');
  }
  const street = new Street(t);
  const during = new AbortController();
  const plan = (): void => street.clock.in(2, () => during.abort());
  const { error } = await runWalkTest(street, KERB, 2, [['go', plan]], { signal: during.signal });
  t.match(error, { message: /cancelled/ }, 'stopped while a pass is watched');
});

void t.test('a rule that its schedule switches off ends the test', async (t) => {
  const street = new Street(t);
  street.alertIn(5, KERB);
  const untilMs = street.clock.monoMs + 20_000;
  const isOn = (): boolean => street.clock.monoMs < untilMs;
  const { error, events } = await runWalkTest(street, KERB, 3, [['go'], ['go'], ['go']], { isOn });
  t.match(error, { message: /rule kerb is off by its schedule now; nothing was kept/ });
  t.strictSame(codesOf(events), ['seen'], 'the hours ended while a pass was watched');
});
