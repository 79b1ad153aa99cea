/**
 * Tests the signed content of an authorisation besides names: places for zones and lines, black areas, its camera, and
 * the installation authorisation. The authority's key is read through the same descriptor as its owner and mode.
 */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import { configuredStream } from '../../agent/contract/camera-address.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { PointNorm } from '../../agent/contract/geometry.ts';
import { BOX_FILE, RestraintFolder } from '../../agent/orders/restraint-folder.ts';
import { authorisationRefusal, openAuthorisation } from '../../agent/orders/signed-authorisation.ts';
import { SUSPENSION_FILE } from '../../agent/orders/suspension.ts';
import { coverageOf, readAuthorityKey } from '../../agent/restraint/authorisation.ts';
import { Authority } from '../../agent/restraint/authority.ts';
import { writeAuthority } from '../../agent/restraint/folder.ts';
import { signResume } from '../../agent/restraint/resume.ts';
import { keep } from '../../agent/restraint/root-keeper.ts';
import { configOf } from '../lib/agent.ts';
import {
  AUTHORITY,
  authorisationFor,
  authorised,
  MAYOR,
  PREFECT,
  signedAuthorisation,
  testKey,
} from '../lib/authority.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { verdictOf } from '../lib/refusals.ts';
import { BOX, SITE } from '../lib/room.ts';
import { rectangle } from '../lib/street.ts';

const HOUR_MS = 3_600_000;
const START_MS = new HandClock().epochMs;
const iso = (ms: number): string => new Date(ms).toISOString();
const PLACE = { site: SITE, box: BOX, camera: configuredStream('rtsp://10.0.0.2/main') };

/** A courtyard around a house that is open to the street, at the picture's top. */
const COURT: PointNorm[] = [
  [0, 0],
  [0.3, 0],
  [0.3, 0.7],
  [0.7, 0.7],
  [0.7, 0],
  [1, 0],
  [1, 1],
  [0, 1],
];

function boxWith(
  zone: PointNorm[],
  line: readonly [PointNorm, PointNorm] = [
    [0.1, 0.9],
    [0.2, 0.9],
  ],
): Config {
  return configOf(
    {
      site: SITE,
      box: BOX,
      camera: { source: 'rtsp://admin:hunter2@10.0.0.2/main' },
      zones: [{ id: 'court', polygon: zone }],
      lines: [{ id: 'gate', from: line[0], to: line[1] }],
      rules: [
        { id: 'stays', kind: 'loitering', zone: 'court', purpose: 'order' },
        { id: 'enters', kind: 'line-crossing', line: 'gate', purpose: 'counting' },
      ],
    },
    'replay',
  );
}
const CONFIG = boxWith(rectangle(0.1, 0.8, 0.9, 0.9));

const authorisation = (change: Partial<Authorisation> = {}): Authorisation =>
  authorisationFor(CONFIG, change, START_MS);
const installation = (change: Partial<Authorisation> = {}): Authorisation =>
  authorisation({
    order: '2026-80-I',
    installation: true,
    rules: [],
    notBefore: iso(START_MS - HOUR_MS),
    notAfter: iso(START_MS + 23 * HOUR_MS),
    ...change,
  });

void t.test('a zone counts only where it lies inside the outline of its order', async (t) => {
  const isRefused = (zone: PointNorm[], polygon: PointNorm[]): boolean => {
    const [first] = coverageOf(authorisation({ outlines: [{ id: 'court', polygon }] }), boxWith(zone));
    return first?.grant === undefined;
  };
  const inner = rectangle(0.2, 0.2, 0.8, 0.8);
  const slanted: PointNorm[] = [
    [0.1, 0.137],
    [0.903, 0.211],
    [0.777, 0.871],
  ];
  const cases: [string, boolean, PointNorm[], PointNorm[]][] = [
    ['inside', true, rectangle(0.3, 0.3, 0.7, 0.7), inner],
    ['the outline itself', true, inner, inner],
    ['the outline itself, the other way round', true, [...inner].reverse(), inner],
    ['a slanted outline itself', true, slanted, slanted],
    ['touches it from inside', true, rectangle(0.2, 0.3, 0.5, 0.8), inner],
    ['off by less than can be drawn', true, rectangle(0.19999, 0.2, 0.8, 0.8), inner],
    ['a little wider', false, rectangle(0.199, 0.2, 0.8, 0.8), inner],
    ['moved half out of it', false, rectangle(0.5, 0.3, 0.9, 0.7), inner],
    ['elsewhere', false, rectangle(0.85, 0.85, 0.95, 0.95), inner],
    ['touches it from outside', false, rectangle(0.8, 0.2, 0.9, 0.8), inner],
    ['touches it with a corner', false, rectangle(0.8, 0.8, 0.9, 0.9), inner],
    ['all round it', false, rectangle(0.1, 0.1, 0.9, 0.9), inner],
    ['a cross over it: no corner inside, nor outside of the other', false, rectangle(0.3, 0, 0.7, 1), inner],
    ['in a court', true, rectangle(0.05, 0.75, 0.95, 0.95), COURT],
    ['in one wing of it', true, rectangle(0, 0, 0.3, 1), COURT],
    ['from wing to wing, over the house', false, rectangle(0.1, 0.1, 0.9, 0.2), COURT],
    ['from wing to wing along the street, all corners on the outline', false, rectangle(0, 0, 1, 1), COURT],
    ['the house alone, which the court surrounds', false, rectangle(0.3, 0, 0.7, 0.7), COURT],
    [
      'a wedge whose point reaches into the house',
      false,
      [
        [0, 1],
        [0.5, 0.69],
        [1, 1],
      ],
      COURT,
    ],
    [
      'a wedge whose point touches the house',
      true,
      [
        [0, 1],
        [0.5, 0.7],
        [1, 1],
      ],
      COURT,
    ],
  ];
  for (const [caseName, isCovered, zone, outline] of cases)
    t.equal(isRefused(zone, outline), !isCovered, caseName);
  t.equal(isRefused(rectangle(0.1, 0.1, 0.9, 0.9), COURT), true);
  const uncoveredRules = coverageOf(
    authorisation({
      outlines: [
        { id: 'court', polygon: inner },
        { id: 'gate', polygon: inner },
      ],
    }),
    boxWith(rectangle(0, 0, 0.1, 0.1)),
  );
  t.strictSame(
    uncoveredRules.map(({ reason }) => reason),
    ['zone court', 'line gate'].map(
      (place) =>
        `the ${place} does not lie inside the outline that authorisation 2026-77 gives for it; draw it inside that outline`,
    ),
  );
  const other = [{ id: 'other', polygon: rectangle(0, 0, 0.1, 0.1) }];
  t.ok(
    coverageOf(authorisation({ outlines: other }), CONFIG).every(({ grant }) => grant !== undefined),
    'no outline for it',
  );
});

void t.test('a line lies inside when both ends and all between them do', async (t) => {
  const isCovered = (from: PointNorm, to: PointNorm, polygon = COURT): boolean => {
    const config = boxWith(rectangle(0.1, 0.8, 0.9, 0.9), [from, to]);
    return coverageOf(authorisation({ outlines: [{ id: 'gate', polygon }] }), config)[1]?.grant !== undefined;
  };
  t.ok(isCovered([0.1, 0.8], [0.9, 0.8]));
  t.ok(isCovered([0, 0], [0, 1]), 'along the outline');
  t.ok(isCovered([0.3, 0.7], [0.7, 0.7]), 'along the house');
  t.notOk(isCovered([0.1, 0.1], [0.9, 0.1]), 'both ends inside, the house between them');
  t.notOk(isCovered([0, 0], [1, 0]), 'along the street, from corner to corner');
  t.notOk(isCovered([0.1, 0.8], [0.5, 0.5]), 'one end in the house');
  t.notOk(isCovered([0.4, 0.1], [0.6, 0.6]), 'in the house');
});

void t.test('an order accepts only valid outlines and masks', async (t) => {
  const wrong = (change: Partial<Authorisation>, message: RegExp): void => {
    t.throws(() => openAuthorisation(signedAuthorisation(authorisation(change)), AUTHORITY.publicKey), {
      code: 'malformed',
      message,
    });
  };
  const cross: PointNorm[] = [
    [0, 0],
    [1, 1],
    [1, 0],
    [0, 1],
  ];
  const square = rectangle(0, 0, 1, 1);
  wrong({ outlines: [{ id: 'court', polygon: cross }] }, /outlines: court: the side from corner \d crosses/);
  wrong({ masks: [{ id: 'windows', polygon: cross }] }, /masks: windows: the side from corner \d crosses/);
  wrong(
    { outlines: [square, square].map((polygon) => ({ id: 'court', polygon })) },
    /two of its outlines have the same id/,
  );
  wrong({ outlines: [{ id: 'court', polygon: square.slice(0, 2) }] }, /\/outlines\/0\/polygon/);
  wrong(
    { outlines: Array.from({ length: 129 }, (_, i) => ({ id: `z${i}`, polygon: square })) },
    /\/outlines/,
  );
  wrong({ masks: Array.from({ length: 65 }, (_, i) => ({ id: `z${i}`, polygon: square })) }, /\/masks/);

  // With every list at its limit it can still be handed over.
  const ring = Array.from({ length: 64 }, (_, i): PointNorm => {
    const angle = (2 * Math.PI * i) / 64;
    return [0.5 + 0.4 * Math.cos(angle), 0.5 + 0.4 * Math.sin(angle)].map((v) =>
      Number(v.toFixed(4)),
    ) as PointNorm;
  });
  const full = authorisation({
    outlines: Array.from({ length: 128 }, (_, i) => ({ id: `z${i}`, polygon: ring })),
    masks: Array.from({ length: 64 }, (_, i) => ({ id: `m${i}`, polygon: ring })),
  });
  t.same(openAuthorisation(signedAuthorisation(full), AUTHORITY.publicKey), full);
});

void t.test('a permit to install names no rule, seals nothing, and is valid for a day', async (t) => {
  const verdict = (bytes: Buffer, nowMs = START_MS) =>
    verdictOf(() => {
      const refusal = authorisationRefusal(openAuthorisation(bytes, AUTHORITY.publicKey), PLACE, nowMs);
      if (refusal !== undefined) throw refusal;
    });
  t.equal(verdict(signedAuthorisation(installation())), 'accepted');
  const wrong: [string, Partial<Authorisation>, RegExp][] = [
    ['rules', { rules: authorisation().rules }, /must not name rules/],
    ['recipients', { ageRecipients: [`age1${'q'.repeat(58)}`] }, /must not allow sealing/],
    ['25 hours', { notAfter: iso(START_MS + 24 * HOUR_MS) }, /at most 24 hours/],
    ['a millisecond too long', { notAfter: iso(START_MS + 23 * HOUR_MS + 1) }, /at most 24 hours/],
    ['no permit, and no rule', { installation: false }, /\/rules is empty/],
  ];
  for (const [caseName, change, message] of wrong) {
    t.throws(
      () => openAuthorisation(signedAuthorisation(installation(change)), AUTHORITY.publicKey),
      { message },
      caseName,
    );
  }
  t.throws(() => openAuthorisation(signedAuthorisation(authorisation({ rules: [] })), AUTHORITY.publicKey), {
    message: /\/rules/,
  });
  t.equal(verdict(signedAuthorisation(installation({ box: 'other' }))), 'wrong-box');
  t.equal(verdict(signedAuthorisation(installation({ camera: 'rtsp://10.0.0.9/main' }))), 'wrong-box');
  t.equal(verdict(signedAuthorisation(installation()), START_MS + 23 * HOUR_MS), 'expired');
  t.equal(verdict(signedAuthorisation(installation(), testKey())), 'unknown-key');
  const coverage = coverageOf(installation(), CONFIG);
  t.strictSame(
    coverage.map(({ grant, reason }) => [grant, reason]),
    Array(2).fill([undefined, '2026-80-I is an installation authorisation: no rule runs under it']),
  );
});

interface Placed {
  readonly clock: HandClock;
  /** Number of the authorisation that applies, or the reason for which none does. */
  ruling(): string;
  place(name: 'authorisation' | 'installation', content: Buffer | undefined): void;
}

function makePlaced(t: Test): Placed {
  const dir = scratch(t);
  const { authorisation: _, ...base } = authorised(CONFIG, join(dir, 'order'), authorisation());
  mkdirSync(join(dir, 'state'));
  const clock = new HandClock();
  let config: Config = base;
  const ruling = (): string => {
    const journalState = { authority: undefined, confirmedBeforeMs: undefined };
    const authority = new Authority({
      config,
      stateDir: join(dir, 'state'),
      clock,
      journal: { recordedState: journalState },
      onPinned: () => undefined,
    });
    authority.load();
    const now = authority.now();
    return 'reason' in now ? now.reason : now.content.order;
  };
  const place: Placed['place'] = (name, content) => {
    const { [name]: _gone, ...rest } = config;
    const file = join(dir, name);
    if (content !== undefined) writeFileSync(file, content);
    config = content === undefined ? rest : { ...rest, [name]: file };
  };
  return { clock, ruling, place };
}

void t.test('the order applies where it is valid, otherwise the permit to install', async (t) => {
  const { clock, ruling, place } = makePlaced(t);
  t.match(ruling(), /`authorisation` is not in the configuration/);
  place('installation', signedAuthorisation(installation()));
  t.equal(ruling(), '2026-80-I', 'a box without an order');
  place('authorisation', signedAuthorisation(authorisation()));
  t.equal(ruling(), '2026-77', 'the order goes first');
  place('authorisation', signedAuthorisation(authorisation({ box: 'other' })));
  t.equal(ruling(), '2026-80-I', 'an order that does not hold here');
  place('authorisation', Buffer.from('x'));
  t.equal(ruling(), '2026-80-I', 'one that cannot be read');
  clock.advance(24 * HOUR_MS);
  t.match(
    ruling(),
    /not JSON in UTF-8\); `vigie-oversight authorise` writes one; and the installation authorisation is not valid: authorisation 2026-80-I was valid until/,
    'both over',
  );
  place('authorisation', undefined);
  t.match(ruling(), /^the installation authorisation is not valid: authorisation 2026-80-I was valid until/);
  place('installation', signedAuthorisation(authorisation()));
  t.match(
    ruling(),
    /is not an installation authorisation; set it as `authorisation`/,
    'an order with rules in its place',
  );
  place('installation', signedAuthorisation(installation(), testKey()));
  t.match(ruling(), /no key .* in authorityKey/);
  const otherBox = makePlaced(t);
  otherBox.place('authorisation', signedAuthorisation(installation()));
  t.equal(otherBox.ruling(), '2026-80-I', 'a permit where the order would lie');
});

void t.test('root resumes a box that was suspended under a permit to install', async (t) => {
  const dir = scratch(t);
  const folder = new RestraintFolder(join(dir, 'record'));
  writeAuthority(folder, authorised(CONFIG, join(dir, 'order'), authorisation()));
  writeFileSync(folder.path(BOX_FILE), JSON.stringify({ version: 1, site: SITE, box: BOX, masks: [] }));
  const files = new Map<string, Buffer>();
  const ask = (request: object): string | null => {
    const readAuthorisation = (name: string): Buffer | undefined => files.get(name);
    return keep(JSON.stringify(request), { folder, nowMs: START_MS, readAuthorisation });
  };
  const suspension = 'ab'.repeat(8);
  t.equal(ask({ op: 'suspend', id: suspension, since: null, reason: 'by order', by: 'desk' }), null);
  const validity = { notBefore: iso(START_MS - 1000), notAfter: iso(START_MS + 1000) };
  const signed = signResume({ site: SITE, box: BOX, suspension, reason: 'lifted', ...validity }, [
    PREFECT.privateKey,
    MAYOR.privateKey,
  ]);
  t.match(ask({ op: 'resume', envelope: signed }), /`authorisation` is not in the configuration/);
  files.set('installation', signedAuthorisation(authorisation()));
  t.match(
    ask({ op: 'resume', envelope: signed }),
    /`authorisation` is not/,
    'an order with rules is not a permit',
  );
  files.set('installation', signedAuthorisation(installation({ notAfter: iso(START_MS) })));
  t.match(ask({ op: 'resume', envelope: signed }), /was valid until/);
  t.equal(folder.suspension()?.suspended, true, `${SUSPENSION_FILE} stands`);
  files.set('installation', signedAuthorisation(installation()));
  t.equal(ask({ op: 'resume', envelope: signed }), null);
  t.equal(folder.suspension()?.suspended, false);
});

void t.test(
  'an order names its camera in one form, one channel of a recorder, or two streams of one camera',
  async (t) => {
    const verdictFor = (change: Partial<Authorisation>, source: string) =>
      verdictOf(() => {
        const content = openAuthorisation(signedAuthorisation(authorisation(change)), AUTHORITY.publicKey);
        const refusal = authorisationRefusal(
          content,
          { ...PLACE, camera: configuredStream(source) },
          START_MS,
        );
        if (refusal !== undefined) throw refusal;
      });
    const channel = { camera: 'rtsp://10.0.0.9/cam/realmonitor?channel=1&subtype=0' };
    const at = (query: string): string => `rtsp://admin:p%40ss@10.0.0.9:554/cam/realmonitor${query}`;
    t.equal(verdictFor(channel, at('?channel=1&subtype=0')), 'accepted');
    for (const query of [
      '?channel=2&subtype=0',
      '?channel=1&subtype=1',
      '?channel=1',
      '',
      '?channel=1&subtype=0&x=1',
    ])
      t.equal(verdictFor(channel, at(query)), 'wrong-box', query);
    const both = { camera: 'rtsp://10.0.0.2/main', substream: 'rtsp://10.0.0.2/sub' };
    for (const path of ['main', 'sub'])
      t.equal(verdictFor(both, `rtsp://u:p@10.0.0.2/${path}`), 'accepted', path);
    t.equal(verdictFor(both, 'rtsp://10.0.0.2/other'), 'wrong-box');
    for (const substream of [
      'rtsp://10.0.0.3/sub',
      'rtsp://10.0.0.2:8554/sub',
      'rtsp://10.0.0.2/main',
      'v4l2:/dev/video0',
    ])
      t.equal(verdictFor({ ...both, substream }, 'rtsp://10.0.0.2/main'), 'malformed', substream);
    for (const camera of [
      'rtsp://10.0.0.2:554/main',
      'rtsp://admin:x@10.0.0.2/main',
      'rtsp://10.0.0.2/main?token=1',
      'rtsp://10.0.0.7?@10.0.0.2/main',
      'RTSP://10.0.0.2/main',
    ])
      t.equal(verdictFor({ camera }, 'rtsp://10.0.0.2/main'), 'malformed', camera);
    t.equal(
      verdictFor({}, 'rtsp://10.0.0.7:8554?@10.0.0.2/main'),
      'wrong-box',
      'never read as the ordered camera',
    );
  },
);

/** Readings of each file, so that many fall between the two looks at a switched link. */
const READS_MIN = 300;

void t.test('a key is never read through a link that is switched to a file of others', async (t) => {
  const dir = scratch(t);
  const [own, foreign] = [testKey(), testKey()];
  const file = (name: string, { publicKey }: typeof own, mode: number): string => {
    const path = join(dir, name);
    writeFileSync(path, publicKey.export({ type: 'spki', format: 'pem' }));
    chmodSync(path, mode);
    return path;
  };
  const [good, bad] = [file('good.pub', own, 0o644), file('bad.pub', foreign, 0o666)];
  const link = join(dir, 'authority.pub');
  symlinkSync(good, link);
  t.ok(readAuthorityKey(link).equals(own.publicKey));
  const turning = new Worker(
    `const { renameSync, symlinkSync } = require('node:fs');
     const { link, places } = require('node:worker_threads').workerData;
     for (let turn = 0; ; turn += 1) { symlinkSync(places[turn % 2], link + '.new'); renameSync(link + '.new', link); }`,
    { eval: true, workerData: { link, places: [bad, good] } },
  );
  const counts = { own: 0, foreign: 0, refused: 0 };
  while (counts.foreign === 0 && Math.min(counts.own, counts.refused) < READS_MIN) {
    try {
      counts[readAuthorityKey(link).equals(own.publicKey) ? 'own' : 'foreign'] += 1;
    } catch {
      counts.refused += 1;
    }
  }
  await turning.terminate();
  t.comment(JSON.stringify(counts));
  t.equal(counts.foreign, 0, 'the key that others may write was never accepted');
});
