/**
 * Tests that a technician's proposal is written into the configuration text: it reads back as proposed, and comments
 * stay.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { editedText, proposableOf } from '../../agent/config/edit.ts';
import { inspectText } from '../../agent/config/load.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { Proposal } from '../../agent/contract/proposal.ts';
import { ROOT } from '../lib/paths.ts';
import { SEED } from '../lib/random.ts';
import { ALL, FULL } from '../lib/run.ts';

const RUNS = FULL ? 5000 : ALL ? 300 : 30;

function load(text: string): Config {
  const { config, problems } = inspectText(text, {
    env: { VIGIE_MQTT_URL: 'mqtt://127.0.0.1:1' },
    mode: 'replay',
  });
  if (config === undefined)
    throw new Error(`${problems.map(({ path, message }) => `${path}: ${message}`).join('; ')}\n${text}`);
  return config;
}

function asIs(text: string): Proposal {
  const { cameraAddress: _, ...proposal } = proposableOf(load(text));
  return structuredClone(proposal);
}

const demo = readFileSync(join(ROOT, 'scripts/workshop/demo/config.yaml'), 'utf8');

t.test('an edit changes only the proposed lines', async (t) => {
  t.equal(editedText(demo, asIs(demo)), demo, 'to the byte');
  const proposal = asIs(demo);
  proposal.zones = proposal.zones.map((zone): Config['zones'][number] =>
    zone.id === 'lawn'
      ? {
          id: 'lawn',
          polygon: [
            [0, 0.5],
            [1, 0.5],
            [0.25, 1],
          ],
        }
      : zone,
  );
  proposal.rules = proposal.rules.flatMap((rule): Config['rules'] =>
    rule.id === 'coming-in' ? [] : rule.kind === 'loitering' ? [{ ...rule, afterS: 7 }] : [rule],
  );
  const text = editedText(demo, proposal);
  const changedLines = text.split('\n').filter((line) => !demo.split('\n').includes(line));
  t.strictSame(changedLines, [
    '    polygon: [[0, 0.5], [1, 0.5], [0.25, 1]]',
    '    afterS: 7',
    '    afterS: 7',
  ]);
  t.match(text, /# across the road on the right/);
  t.notMatch(text, /coming-in/);
});

t.test('blanks inside brackets stay where no value changes', async (t) => {
  const rule = (afterS: number): string =>
    `{ id: stay, kind: loitering, zone: lawn, afterS: ${afterS}, purpose: demo }`;
  const text = `site: s
box: b
zones:
  - id: lawn
    polygon: [[0.00, 0.46], [0.20, 0.48], [0.50, 0.62]]
rules:
  - ${rule(2)}
  - ${rule(2).replace('stay', 'other')} # as agreed
commands:
  keys:
    - { name: ops, publicKey: MCowBQYDK2VwAyEAfwhMNyKeO172yAMR3PXxWMisnLWr5A+eMoN/JH/JKYc=, may: [ update, configure ] }
`;
  t.equal(editedText(text, asIs(text)), text, 'to the byte');
  const proposal = asIs(text);
  const rules = proposal.rules.map((one) =>
    one.id === 'stay' && one.kind === 'loitering' ? { ...one, afterS: 7 } : one,
  );
  const edited = editedText(text, { ...proposal, rules });
  const originalLines = text.split('\n');
  const changedLines = edited.split('\n').filter((line) => !originalLines.includes(line));
  t.strictSame(changedLines, ['  - {id: stay, kind: loitering, zone: lawn, afterS: 7, purpose: demo}']);
});

t.test('the camera’s login is hidden, and stays where the source is unchanged', async (t) => {
  const text = (source: string): string => `site: s\nbox: b\ncamera:\n  source: "${source}" # by the door\n`;
  const withLogin = text('rtsp://admin:hunter2@10.0.0.2/main?token=1');
  const shownProposal = proposableOf(load(withLogin));
  t.equal(shownProposal.cameraAddress, 'rtsp://10.0.0.2/main?token=***', 'is not shown');
  t.notMatch(JSON.stringify(shownProposal), /hunter2|token=1/);
  const proposal = asIs(withLogin);
  t.equal(editedText(withLogin, proposal), withLogin, 'stays where no source is proposed');
  const same = editedText(withLogin, { ...proposal, source: shownProposal.cameraAddress });
  t.equal(same, withLogin, 'and where the source is the one that was shown');
  const other = editedText(withLogin, { ...proposal, source: 'rtsp://a:b@10.0.0.3/main' });
  t.equal(other, text('rtsp://a:b@10.0.0.3/main'));
  const none = 'site: s\nbox: b\n';
  t.equal(
    load(editedText(none, { ...proposal, source: 'v4l2:/dev/video0' })).camera?.source,
    'v4l2:/dev/video0',
  );
});

t.test('a ground plane is set, kept or removed', async (t) => {
  const people = [
    { feet: [0.5, 0.9], head: [0.5, 0.5] },
    { feet: [0.5, 0.5], head: [0.5, 0.4] },
  ] as NonNullable<Config['groundPlane']>['people'];
  const marked = editedText(demo, { ...asIs(demo), groundPlane: { people } });
  t.strictSame(load(marked).groundPlane, { people });
  const lens = editedText(marked, { ...asIs(marked), groundPlane: { people, hfovDeg: 80 } });
  t.strictSame(load(lens).groundPlane, { people, hfovDeg: 80 });
  const { groundPlane: _, ...rest } = asIs(lens);
  t.equal(editedText(lens, rest), lens, 'absent: unchanged');
  t.equal(editedText(lens, { ...rest, groundPlane: null }), demo, 'null: none');
});

t.test('JSON, aliases and unusual texts are edited correctly or refused', async (t) => {
  const json = JSON.stringify({ site: 's', box: 'b', zones: [] });
  const triangle = (y: number): [number, number][] => [
    [0, 0],
    [1, 0],
    [y, 1],
  ];
  const zones: Config['zones'] = [{ id: 'a', polygon: triangle(1) }];
  const edited = editedText(json, { ...asIs(json), zones });
  t.match(JSON.parse(edited), { site: 's', zones }, 'JSON stays JSON');
  const aliases =
    'site: s\nbox: b\nzones:\n  - &a { id: a, polygon: [[0, 0], [1, 0], [1, 1]] }\nmasks:\n  - *a\n';
  t.equal(editedText(aliases, asIs(aliases)), aliases);
  t.throws(() => editedText(aliases, { ...asIs(aliases), zones: [] }), {
    kind: 'config',
    message: /anchors/,
  });
  const movedText = editedText(aliases, { ...asIs(aliases), masks: [{ id: 'a', polygon: triangle(0) }] });
  t.strictSame(load(movedText).zones, zones, 'the alias keeps its value');
  for (const text of ['', '[]', 'site: [', 'a', '['.repeat(5000)]) {
    t.throws(
      () => editedText(text, asIs(demo)),
      { kind: 'config', message: /./ },
      `refused: ${text.slice(0, 10)}`,
    );
  }
});

const id = fc.constantFrom(...'abcdefgh');
const ratio = fc.double({ min: 0, max: 1, noNaN: true }).map(Math.abs);
const point = fc.tuple(ratio, ratio);
/** Number of places on a circle for corners, far enough apart that every polygon is thick enough to be accepted. */
const CORNERS = 36;
/** Corners on a circle in order, so that the outline does not cross itself. */
const polygon = fc
  .uniqueArray(fc.integer({ min: 0, max: CORNERS - 1 }), { minLength: 3, maxLength: 8 })
  .map((corners) =>
    corners
      .sort((a, b) => a - b)
      .map((corner): [number, number] => {
        const angle = (corner / CORNERS) * 2 * Math.PI;
        return [0.5 + 0.4 * Math.cos(angle), 0.5 + 0.4 * Math.sin(angle)];
      }),
  );
t.test('an alias outside of the proposal keeps its value, or the edit is refused', async (t) => {
  const rule = (purpose: string) => `{ id: r, kind: loitering, zone: a, purpose: ${purpose} }`;
  const text = [
    'site: &p lab\nbox: b',
    'zones:\n  - { id: a, polygon: [[0, 0], [1, 0], [1, 1]] }',
    `rules:\n  - ${rule('&p order')}`,
    'commands:\n  keys:\n    - { name: *p, publicKey: MCowBQYDK2VwAyEAWh7pHwb5SsVUlDV37ritzFu2O3yVXFX1+gBlShJeX9I=, may: [search] }\n',
  ].join('\n');
  t.equal(load(text).commands.keys[0]?.name, 'order');
  for (const rules of [[], [{ ...asIs(text).rules[0], purpose: 'other' } as Config['rules'][number]]]) {
    t.throws(() => editedText(text, { ...asIs(text), rules }), { kind: 'config', message: /anchors/ });
  }
  t.equal(load(editedText(text, asIs(text))).commands.keys[0]?.name, 'order');
});

const listOf = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<(T & { id: string })[]> =>
  fc
    .uniqueArray(fc.tuple(id, item), { selector: ([name]) => name, maxLength: 6 })
    .map((pairs) => pairs.map(([name, rest]) => ({ id: name, ...rest })));
const purpose = fc.constantFrom('demo', 'yes', '1e3', 'a: b #c', 'it’s "so"', '- x', 'null');
const places = fc.record({
  zones: listOf(fc.record({ polygon })),
  lines: listOf(fc.record({ from: point, to: point })),
  masks: listOf(fc.record({ polygon })),
});
const afterS = fc.double({ min: 0, max: 86_400, noNaN: true }).map(Math.abs);

/** Arbitrary rules in existing places. */
function rulesIn({ zones, lines }: Pick<Config, 'zones' | 'lines'>): fc.Arbitrary<Config['rules']> {
  const ids = (list: readonly { id: string }[]) => fc.constantFrom(...list.map((place) => place.id));
  const classes = fc.constantFrom(['person'], ['person', 'bicycle', 'car', 'motorcycle', 'bus', 'truck']);
  const kinds: fc.Arbitrary<object>[] = [];
  if (lines.length > 0) {
    const direction = fc.constantFrom('both', 'left');
    kinds.push(
      fc.record({ kind: fc.constant('line-crossing'), line: ids(lines), classes, direction, purpose }),
    );
  }
  if (zones.length > 0) {
    const zone = ids(zones);
    const person = fc.constant(['person']);
    const schedule = fc.constant([{ days: ['mon' as const], from: '07:00', to: '12:00' }]);
    const parking = { classes: fc.constant(['car', 'truck']), afterS: fc.constantFrom(60, 61), schedule };
    kinds.push(
      fc.record({ kind: fc.constant('loitering'), zone, classes: person, afterS, purpose }),
      fc.record({
        kind: fc.constant('illegal-parking'),
        zone,
        ...parking,
        moveTolerance: fc.constant(0.25),
        purpose,
      }),
    );
  }
  if (kinds.length === 0) return fc.constant([]);
  return listOf(fc.oneof(...kinds)) as unknown as fc.Arbitrary<Config['rules']>;
}

const proposals = places
  .filter(({ lines }) => lines.every(({ from, to }) => from[0] !== to[0] || from[1] !== to[1]))
  .chain((shapes) => rulesIn(shapes).map((rules): Proposal => ({ ...shapes, rules })));

/** Writes it as text with a comment before and beside each item, as a person would. */
function commentedText({ zones, lines, masks, rules }: Proposal, flow: boolean): string {
  const list = (name: string, items: readonly object[]): string[] => {
    if (items.length === 0) return flow ? [`${name}: [] # none of ${name}`] : [];
    return [
      `${name}: # all ${name}`,
      ...items.flatMap((item) => {
        const { id: itemId, ...rest } = item as { id: string };
        const note = `${name}-${itemId}.`;
        if (flow) return [`  # before ${note}`, `  - ${JSON.stringify(item)} # beside ${note}`];
        const keys = Object.entries(rest).map(([key, value]) => `    ${key}: ${JSON.stringify(value)}`);
        return [`  # before ${note}`, `  - id: ${itemId} # beside ${note}`, ...keys];
      }),
    ];
  };
  return [
    '# the head',
    'site: s # where',
    'box: b',
    ...list('zones', zones),
    ...list('lines', lines),
    ...list('masks', masks),
    'alertsPerHour: 7 # few',
    ...list('rules', rules),
    '# the end',
    '',
  ].join('\n');
}

t.test('an edited text reads back as proposed and keeps the comments of unchanged parts', async (t) => {
  const seed = SEED;
  fc.assert(
    fc.property(proposals, proposals, fc.boolean(), (before, proposal, flow) => {
      const old = commentedText(before, flow);
      const text = editedText(old, proposal);
      const { zones, lines, masks, rules, alertsPerHour } = load(text);
      const expected = JSON.stringify({ zones, lines, masks, rules: rules.map(sortedKeys) });
      const should = JSON.stringify({ ...proposal, rules: proposal.rules.map(sortedKeys) });
      if (expected !== should) throw new Error(`${expected}\n${should}\n${text}`);
      if (alertsPerHour !== 7) throw new Error('another key was changed');
      const keptItems = (['zones', 'lines', 'masks', 'rules'] as const).flatMap((name) => {
        const proposed = new Set(proposal[name].map((item) => item.id));
        return before[name].filter((item) => proposed.has(item.id)).map((item) => `${name}-${item.id}.`);
      });
      const ofItems = keptItems.flatMap((item) => [`# before ${item}`, `# beside ${item}`]);
      for (const note of ['# the head', '# where', '# few', '# the end', ...ofItems])
        if (!text.includes(note)) throw new Error(`${note} is gone:\n${old}\n${text}`);
    }),
    // Shrinking these cases can take indefinitely.
    { seed, numRuns: RUNS, interruptAfterTimeLimit: 120_000 },
  );
  t.pass(`${RUNS} pairs, seed ${seed}`);
});

/** Sorts the keys of a rule, because their order comes from the file. */
function sortedKeys(rule: object): object {
  return Object.fromEntries(Object.entries(rule).sort(([a], [b]) => (a < b ? -1 : 1)));
}
