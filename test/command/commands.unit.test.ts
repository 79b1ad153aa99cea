/** Tests the verifier of commands: only an exactly valid command passes, and each refusal states its reason. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import t from 'tap';
import { CommandDispatcher } from '../../agent/command/dispatcher.ts';
import { ReplayGuard } from '../../agent/command/replay-guard.ts';
import { CommandVerifier } from '../../agent/command/verifier.ts';
import {
  COMMAND_TYPE,
  type Command,
  CommandRefused,
  CommandReply,
  type IncomingCommand,
} from '../../agent/contract/command.ts';
import type { JournalEntry } from '../../agent/contract/journal.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { keyIdOf } from '../../agent/orders/dsse.ts';
import { makeSigner, NO_HANDLERS, searchCommand, signed } from '../lib/commands.ts';
import { counterValue } from '../lib/counters.ts';
import { HandClock, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { SEED } from '../lib/random.ts';
import {
  flips,
  mutations,
  noneAccepted,
  REFUSAL_RUNS,
  REFUSAL_TIMEOUT_S,
  type Verdict,
  verdictOf,
  type Wrong,
} from '../lib/refusals.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';

t.setTimeout(REFUSAL_TIMEOUT_S * 1000);

const signer = makeSigner();
const clock = new HandClock();
const command = (change: Partial<Command> = {}): Command => searchCommand(change, clock.epochMs);

function makeVerifier(file: string, keys = [signer.config], commands = new Map<string, number>()) {
  const guard = new ReplayGuard({ file, journal: { recordedState: { commands }, enter: () => undefined } });
  return new CommandVerifier({ site: SITE, box: BOX, keys, guard, clock });
}

const verdict = (verifier: CommandVerifier, bytes: Uint8Array): Verdict =>
  verdictOf(() => verifier.open(bytes));

void t.test('no single-bit flip is accepted; the original is, once', async (t) => {
  const verifier = makeVerifier(join(scratch(t), 'counters.json'));
  const original = signed(signer, command());
  const outcomes = flips(original, (bytes) => verdict(verifier, bytes));
  t.notOk(outcomes.has('accepted'), `${original.length * 8} flips: ${JSON.stringify([...outcomes])}`);
  t.ok(
    (outcomes.get('bad-signature') ?? 0) > 100 && (outcomes.get('malformed') ?? 0) > 100,
    'the flips reach far',
  );
  t.equal(verdict(verifier, original), 'accepted');
  t.equal(verdict(verifier, original), 'replayed');
});

void t.test(
  `none of ${REFUSAL_RUNS} mutated, replayed, expired and wrong-box commands is accepted`,
  async (t) => {
    const verifier = makeVerifier(join(scratch(t), 'counters.json'));
    const unknownSigner = makeSigner('stranger');
    const accepted = signed(signer, command());
    t.equal(verdict(verifier, accepted), 'accepted');
    const iso = (ms: number): string => new Date(ms).toISOString();
    const wrong: fc.Arbitrary<Wrong>[] = [
      ...mutations(accepted),
      fc.jsonValue().map((value) => ({ bytes: signed(signer, value), codes: ['malformed' as const] })),
      fc.integer({ min: 1, max: 1e15 }).map((ms) => ({
        bytes: signed(signer, command({ notAfter: iso(clock.epochMs - 1 - (ms % 1e12)) })),
        codes: ['expired' as const],
      })),
      fc.integer({ min: 1, max: 1e12 }).map((ms) => ({
        bytes: signed(signer, command({ notBefore: iso(clock.epochMs + ms) })),
        codes: ['not-yet-valid' as const],
      })),
      fc
        .stringMatching(/^[a-z0-9-]{1,32}$/)
        .filter((name) => name !== BOX)
        .map((box) => ({ bytes: signed(signer, command({ box })), codes: ['wrong-box' as const] })),
      fc
        .stringMatching(/^[a-z0-9-]{1,32}$/)
        .filter((name) => name !== SITE)
        .map((site) => ({
          bytes: signed(signer, command({ site, box: '*' })),
          codes: ['wrong-box' as const],
        })),
      fc.constant({ bytes: accepted, codes: ['replayed' as const] }),
      fc.nat(1_000_000).map((less) => ({
        bytes: signed(signer, command({ counter: Math.max(1, Date.now() - 1e9 - less) })),
        codes: ['replayed' as const],
      })),
      fc
        .constant(0)
        .map(() => ({ bytes: signed(unknownSigner, command()), codes: ['unknown-key' as const] })),
      fc
        .stringMatching(/^[a-z-]{1,32}$/)
        .filter((op) => op !== 'search')
        .map((op) => ({
          bytes: signed(signer, command({ op })),
          codes: ['not-permitted' as const],
        })),
      fc.constant(0).map(() => {
        const stolen = JSON.parse(String(signed(unknownSigner, command())));
        stolen.signatures[0].keyid = keyIdOf(signer.privateKey);
        return { bytes: Buffer.from(JSON.stringify(stolen)), codes: ['bad-signature' as const] };
      }),
      fc.constantFrom('application/json', `${COMMAND_TYPE} `).map((type) => ({
        bytes: signed(signer, command(), type),
        codes: ['malformed' as const],
      })),
    ];
    noneAccepted(t, wrong, (bytes) => verdict(verifier, bytes));
    t.equal(
      verdict(verifier, signed(signer, command())),
      'accepted',
      'the verifier still opens for what is right',
    );
  },
);

void t.test('a file of counters that is lost or was put back obeys nothing twice', async (t) => {
  const file = join(scratch(t), 'counters.json');
  const journal = new Map<string, number>();
  const guarded = (journalState: { commands: ReadonlyMap<string, number> } | undefined) => {
    const enter = (entry: JournalEntry): void => {
      if (entry.type === 'command') journal.set(entry.keyid, entry.counter);
    };
    const guard = new ReplayGuard({ file, journal: { recordedState: journalState, enter } });
    return new CommandVerifier({ site: SITE, box: BOX, keys: [signer.config], guard, clock });
  };
  const [first, second] = [signed(signer, command()), signed(signer, command())];
  t.equal(verdict(guarded({ commands: journal }), first), 'accepted');
  const older = readFileSync(file);
  t.equal(verdict(guarded({ commands: journal }), second), 'accepted');
  rmSync(file);
  t.equal(
    verdict(guarded({ commands: new Map() }), second),
    'accepted',
    'a box that knows nothing (control)',
  );
  rmSync(file);
  for (const captured of [first, second])
    t.equal(verdict(guarded({ commands: journal }), captured), 'replayed', 'gone');
  writeFileSync(file, older);
  t.equal(verdict(guarded({ commands: journal }), second), 'replayed', 'put back');
  rmSync(file);
  t.equal(
    verdict(guarded(undefined), signed(signer, command())),
    'unavailable',
    'while the journal is not read',
  );
  t.notOk(existsSync(file), 'and no file is created again');
});

void t.test(
  'counters survive the process, the key and the verifier; without them no command is obeyed',
  async (t) => {
    const file = join(scratch(t), 'counters.json');
    const first = signed(signer, command());
    const second = signed(signer, command());
    t.equal(verdict(makeVerifier(file), second), 'accepted');
    t.equal(verdict(makeVerifier(file), first), 'replayed', 'an earlier counter, after a restart');
    const other = makeSigner('police-desk');
    t.equal(verdict(makeVerifier(file, [other.config]), signed(other, command({ counter: 1 }))), 'accepted');
    t.equal(verdict(makeVerifier(file), second), 'replayed', 'taken out of the configuration and put back');
    t.same(Object.values(JSON.parse(readFileSync(file, 'utf8')) as object).length, 2);

    for (const damage of ['', '{"a":1}', '[]', '{"', JSON.stringify({ [keyIdOf(signer.privateKey)]: '7' })]) {
      writeFileSync(file, damage);
      t.equal(verdict(makeVerifier(file), signed(signer, command())), 'unavailable', `damaged: ${damage}`);
    }
    const nowhere = makeVerifier(join(file, 'below-a-file.json'));
    t.equal(verdict(nowhere, signed(signer, command())), 'unavailable', 'a counter that cannot be stored');
    t.equal(verdict(makeVerifier(file, []), signed(signer, command())), 'unknown-key', 'no key, no command');
  },
);

void t.test('a command for all boxes must be a search for the whole site', async (t) => {
  const verifier = makeVerifier(join(scratch(t), 'counters.json'));
  t.equal(verdict(verifier, signed(signer, command({ box: '*' }))), 'accepted');
  t.equal(verdict(verifier, signed(signer, command({ box: '*', op: 'suspend' }))), 'not-permitted');
  for (const notAfter of ['2026-13-45T99:00:00.000Z', '2026-02-30T10:00:00.000Z'])
    t.not(verdict(verifier, signed(signer, command({ notAfter }))), 'accepted', notAfter);
});

void t.test('answers go below the box’s own topics only', async (t) => {
  const { replyTo } = topicsOf(SITE, BOX);
  t.equal(replyTo(`vigie/${SITE}/${BOX}/reply/a-1_B`), `vigie/${SITE}/${BOX}/reply/a-1_B`);
  t.equal(replyTo(`vigie/${SITE}/all/reply/a1`), `vigie/${SITE}/${BOX}/reply/a1`);
  for (const foreignTopic of [
    undefined,
    '',
    `vigie/${SITE}/other/reply/a`,
    `vigie/${SITE}/${BOX}/status`,
    `vigie/${SITE}/${BOX}/reply/`,
    `vigie/${SITE}/${BOX}/reply/a/b`,
    `vigie/${SITE}/${BOX}/reply/#`,
    `vigie/${SITE}/${BOX}/reply/${'a'.repeat(65)}`,
    `vigie/other/${BOX}/reply/a`,
  ])
    t.equal(replyTo(foreignTopic), undefined, String(foreignTopic));
});

void t.test(
  'the dispatcher survives any bytes, answers few unsigned commands and all signed ones',
  async (t) => {
    const replies: CommandReply[] = [];
    const own = new HandClock();
    own.sleep = () => Promise.resolve();
    let obeyed = 0;
    const dispatcher = new CommandDispatcher({
      site: SITE,
      box: BOX,
      verifier: makeVerifier(join(scratch(t), 'counters.json')),
      handlers: {
        ...NO_HANDLERS,
        search: ({ args }) => {
          if (args.case === 'refuse') throw new CommandRefused('rate-limited', 'later', { retryAfterS: 7 });
          obeyed += 1;
          return { events: [], matches: obeyed, next: null, kept: { days: 30, oldest: null } };
        },
      },
      clock: own,
      log: SILENT,
    });
    const reply = (payload: string): boolean => {
      const answer: unknown = JSON.parse(payload);
      if (!Value.Check(CommandReply, answer)) throw new Error(`not a reply: ${payload}`);
      replies.push(answer);
      return true;
    };
    const incoming = (payload: Uint8Array, change: Partial<IncomingCommand> = {}): IncomingCommand => ({
      payload,
      broadcast: false,
      reply,
      ...change,
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => dispatcher.hear(incoming(bytes))),
      { numRuns: 500, seed: SEED },
    );
    dispatcher.hear(incoming(Buffer.alloc(1_000_000, 0x20)));
    t.equal(counterValue(dispatcher, 'commands_refused'), 501);
    t.equal(replies.length, 20, 'twenty received a reply');
    t.match(replies[0], { site: SITE, box: BOX, refused: { code: 'malformed' } });
    t.match(replies[0]?.refused?.message, /JSON|envelope/);

    dispatcher.hear(incoming(signed(signer, command()), { reply: undefined }));
    t.equal(obeyed, 0, 'nothing without a place to answer');
    const args = { ...command().args, case: 'refuse' };
    dispatcher.hear(incoming(signed(signer, command({ args }))));
    t.match(replies.at(-1), { op: 'search', refused: { code: 'rate-limited', retryAfterS: 7 } });
    dispatcher.hear(incoming(signed(signer, command({ args: { ...args, case: ' ' } }))));
    dispatcher.hear(incoming(signed(signer, command({ args: { ...args, more: 1 } }))));
    t.match(
      replies.slice(-2).map(({ refused: refusal }) => refusal),
      [
        { code: 'bad-arguments', message: /^search: \/case: must hold/ },
        { code: 'bad-arguments', message: /^search: \/more: / },
      ],
      'arguments are checked before a handler has them',
    );
    dispatcher.hear(incoming(signed(signer, command({ box: '*' })), { broadcast: true }));
    t.equal(obeyed, 0, 'the answer to a broadcast waits for its moment');
    await waitUntil(t, 'obeyed', () => obeyed === 1);
    t.match(replies.at(-1), { op: 'search', result: { matches: 1 } });
    t.equal(counterValue(dispatcher, 'commands_accepted'), 1);
    await dispatcher.stop();
  },
);

void t.test('commands waiting at a stop are answered before it ends, slow results too', async (t) => {
  const replies: CommandReply[] = [];
  const slow = new HandClock();
  const may = { ...signer.config, may: ['suspend' as const] };
  const { notBefore } = command();
  const dispatcher = new CommandDispatcher({
    site: SITE,
    box: BOX,
    clock: slow,
    log: SILENT,
    verifier: makeVerifier(join(scratch(t), 'counters.json'), [may]),
    handlers: {
      ...NO_HANDLERS,
      suspend: ({ args: { reason } }) => {
        const counts = { framesRead: 0, packetsWatched: 0 };
        const result = { ...counts, mode: 'suspended' as const, since: notBefore, reason, suspension: null };
        return new Promise((resolve) => setTimeout(() => resolve(result), 100));
      },
    },
  });
  const reply = (text: string): boolean => replies.push(JSON.parse(text) as CommandReply) > 0;
  const payload = signed(signer, command({ op: 'suspend', box: '*', args: { reason: 'order' } }));
  dispatcher.hear({ payload, broadcast: true, reply });
  await dispatcher.stop();
  t.match(replies, [{ op: 'suspend', result: { mode: 'suspended' } }]);
});
