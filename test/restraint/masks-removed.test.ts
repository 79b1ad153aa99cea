/** Tests that a privacy mask removed from the configuration, or made smaller, is reported to the room by its name. */
import t from 'tap';
import type { Config } from '../../agent/contract/config.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { authorisationFor } from '../lib/authority.ts';
import { boxWith, fits, live } from '../lib/config-lives.ts';
import { scratch } from '../lib/paths.ts';

t.test('a mask that is removed or gets smaller is an event of its own, sent at least once', async (t) => {
  const stateDir = scratch(t);
  const mask = (id: string, left: number, right: number): Config['masks'][number] => ({
    id,
    polygon: [
      [left, 0.1],
      [right, 0.1],
      [right, 0.4],
      [left, 0.4],
    ],
  });
  const masked = (...masks: Config['masks']): Config => boxWith({ masks });
  const removalsOf = (config: Config, options: Parameters<typeof live>[2] = {}): object[] => {
    const all = live(stateDir, config, options).messages.filter(({ kind }) => kind === 'mask-removed');
    for (const { cause } of all) t.ok(fits('mask-removed', 'cause', cause), 'fits the published schema');
    const { severities } = EVENT_KINDS.find(({ kind }) => kind === 'mask-removed') ?? {};
    t.strictSame(severities, ['system']);
    return all.filter(({ phase }) => phase === 'start').map(({ cause }) => cause);
  };
  t.strictSame(
    removalsOf(masked(mask('windows', 0, 0.4), mask('garden', 0.5, 0.9))),
    [],
    'the first start of all',
  );
  t.strictSame(removalsOf(masked(mask('panes', 0, 0.4), mask('garden', 0.5, 1))), [], 'renamed, and larger');
  t.strictSame(
    removalsOf(masked(mask('panes-1', 0, 0.2), mask('panes-2', 0.2, 0.4), mask('garden', 0.5, 1))),
    [],
    'in two',
  );

  const less = masked(mask('garden', 0.5, 0.8));
  t.strictSame(removalsOf(less, { isKilled: true }), [], 'killed before it could tell');
  t.match(removalsOf(less), [
    {
      masks: [
        { id: 'panes-1', change: 'removed' },
        { id: 'panes-2', change: 'removed' },
        { id: 'garden', change: 'smaller' },
      ],
      removed: 'panes-1, panes-2',
      smaller: 'garden',
      by: 'box',
      reason:
        'mask panes-1 removed on the box itself; mask panes-2 removed on the box itself; mask garden smaller on the box itself',
    },
  ]);
  t.strictSame(removalsOf(less), [], 'and once');

  live(stateDir, less, { isKilled: true });
  live(stateDir, masked(mask('garden', 0.5, 0.7)), { isKilled: true });
  t.match(
    removalsOf(masked()),
    [{ masks: [{ id: 'garden', change: 'removed' }] }],
    'two changes that were not reported yet',
  );

  const maskedConfig = masked(mask('windows', 0, 0.4));
  live(stateDir, maskedConfig);
  const authorisation = authorisationFor(masked(), {
    masks: [mask('ordered', 0, 0.2), mask('ordered-2', 0.2, 0.5)],
  });
  t.strictSame(removalsOf(masked(), { authorisation }), [], 'the order has it black');
  live(stateDir, maskedConfig);
  const part = authorisationFor(masked(), { masks: [mask('ordered', 0, 0.3)] });
  t.match(removalsOf(masked(mask('windows', 0.31, 0.4)), { authorisation: part }), [
    { masks: [{ id: 'windows', change: 'smaller' }] },
  ]);

  live(stateDir, masked(mask('windows', 0, 0.2), mask('garden', 0.5, 0.9)), { by: 'technician' });
  live(stateDir, masked(mask('garden', 0.5, 0.9)), { by: 'technician', isKilled: true });
  t.match(
    removalsOf(masked(), { by: 'order' }),
    [
      {
        by: 'several',
        reason:
          'mask windows removed by a technician at the page; mask garden removed by an order of the room',
      },
    ],
    'each with its origin, also if it is reported later',
  );
});
