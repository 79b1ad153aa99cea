/**
 * Tests times in signed authorisations and commands: only existing times are accepted, and every reader reads the same
 * moment.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { SiteTime } from '../../agent/base/site-time.ts';
import { ReplayGuard } from '../../agent/command/replay-guard.ts';
import { CommandVerifier } from '../../agent/command/verifier.ts';
import { TIME_PATTERN } from '../../agent/contract/time.ts';
import { UPDATE_ORDER_TYPE } from '../../agent/contract/update.ts';
import { openOrder } from '../../agent/orders/room-order.ts';
import { checkedAuthorisation } from '../../agent/orders/signed-authorisation.ts';
import { configOf } from '../lib/agent.ts';
import { authorisationFor } from '../lib/authority.ts';
import { makeSigner, searchCommand, signed, updateOrder } from '../lib/commands.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { SEED } from '../lib/random.ts';
import { verdictOf } from '../lib/refusals.ts';
import { BOX, SITE } from '../lib/room.ts';

t.comment(`seed ${SEED} (VIGIE_TEST_SEED)`);

/** V8 reads each of the first five as a moment of the next day or month. */
const NO_TIMES = [
  '2026-02-30T00:00:00.000Z',
  '2026-02-29T00:00:00.000Z',
  '2100-02-29T00:00:00.000Z',
  '2026-04-31T00:00:00.000Z',
  '2026-12-31T24:00:00.000Z',
  '2026-06-30T23:59:60.000Z',
  '2026-13-01T00:00:00.000Z',
  '2026-00-01T00:00:00.000Z',
  '2026-01-00T00:00:00.000Z',
  '+02026-01-01T00:00:00.000Z',
  '2026-01-01T00:00:00.000',
  '2026-01-01T00:00:00Z',
  '2026-01-01t00:00:00.000z',
  '2026-01-01T00:00:00.000Z\n',
];
const TIMES = ['2028-02-29T00:00:00.000Z', '2400-02-29T23:59:59.999Z', '9999-12-31T23:59:59.999Z'];

const signer = makeSigner('desk', ['search', 'update']);
const clock = new HandClock();
/** A day earlier than the moments to which the invalid times roll over. */
clock.epochMs = Date.UTC(2026, 1, 28, 12);
const span = { notBefore: '2026-02-01T00:00:00.000Z', notAfter: '2027-03-01T00:00:00.000Z' };
const config = configOf(
  { site: SITE, box: BOX, camera: { source: 'rtsp://10.0.0.9/main' }, rules: [] },
  'replay',
);
const rules = [{ kind: 'loitering', zones: 'all', purpose: 'order', legalBasis: 'none' }];
const update = updateOrder({ rollout: 'r-1', site: SITE, box: BOX, counter: 1, seq: 2, version: '1.0.0' });

void t.test(
  'a command, an order and an authorisation with a time that does not exist are refused',
  async (t) => {
    const journal = { recordedState: { commands: new Map() }, enter: () => undefined };
    const guard = new ReplayGuard({ file: join(scratch(t), 'counters.json'), journal });
    const keys = [signer.config];
    const verifier = new CommandVerifier({ site: SITE, box: BOX, keys, guard, clock });
    const opens: Record<string, (times: object) => unknown> = {
      command: (times) => verifier.open(signed(signer, searchCommand(times, clock.epochMs))),
      order: (times) =>
        openOrder('update', signed(signer, { ...update, ...times }, UPDATE_ORDER_TYPE), {
          site: SITE,
          box: BOX,
          keys,
          wallMs: () => Number.POSITIVE_INFINITY,
        }),
      authorisation: (times) => checkedAuthorisation({ ...authorisationFor(config), rules, ...times }),
    };
    for (const [form, open] of Object.entries(opens)) {
      const verdict = (times: object) => verdictOf(() => open({ ...span, ...times }));
      t.equal(verdict({}), 'accepted', `${form}: times that exist`);
      for (const notAfter of TIMES) t.equal(verdict({ notAfter }), 'accepted', `${form} until ${notAfter}`);
      for (const time of NO_TIMES) {
        t.equal(verdict({ notBefore: time }), 'malformed', `${form} from ${time}`);
        t.equal(verdict({ notAfter: time }), 'malformed', `${form} until ${time}`);
      }
    }
  },
);

void t.test('a time of the pattern is read as written, and no other text is accepted', async (t) => {
  const pattern = new RegExp(TIME_PATTERN);
  for (const time of TIMES) t.match(time, pattern, time);
  for (const time of NO_TIMES) t.notMatch(time, pattern, time);
  const digits = (length: number, max: number) =>
    fc.integer({ min: 0, max }).map((value) => String(value).padStart(length, '0'));
  const parts = fc.tuple(
    ...[digits(4, 9999), digits(2, 13), digits(2, 32), digits(2, 25), digits(2, 61), digits(2, 61)],
    digits(3, 999),
  );
  fc.assert(
    fc.property(parts, ([year, month, day, hour, minute, second, ms]) => {
      const text = `${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`;
      const readMs = Date.parse(text);
      const exists = !Number.isNaN(readMs) && new Date(readMs).toISOString() === text;
      return pattern.test(text) === exists;
    }),
    { seed: SEED, numRuns: 20_000 },
  );
  const [min, max] = [new Date('0000-01-01T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z')];
  fc.assert(
    fc.property(fc.date({ min, max, noInvalidDate: true }), (date) => pattern.test(date.toISOString())),
    { seed: SEED, numRuns: 20_000 },
  );
});

void t.test('a typed time must exist too', async (t) => {
  const time = new SiteTime('Europe/Paris');
  const wrong = [
    ...['2026-02-30', '2026-02-30T00:00Z', '2026-02-28T24:00', '2026-02-28T12:60', '2026-02-28T12:00+99:00'],
  ];
  for (const text of wrong)
    t.throws(() => time.parse('--from', text), { message: /--from: invalid time ".*"/ }, text);
  t.equal(time.parse('--from', '2026-02-28T12:00+05:30'), Date.UTC(2026, 1, 28, 6, 30));
});
