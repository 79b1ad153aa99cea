/** Proves that vision obeys a signed authorisation only: a client that holds its link gets no more than it allows. */
import { execFileSync } from 'node:child_process';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import type { TrackLogGrant } from '../../agent/contract/track-log.ts';
import { BOX_FILE, ownFolder, type RestraintFolder } from '../../agent/orders/restraint-folder.ts';
import { SUSPENSION_FILE, suspensionText } from '../../agent/orders/suspension.ts';
import { writeOwnFolder } from '../../agent/restraint/folder.ts';
import { permitUnder } from '../../agent/restraint/permit.ts';
import { VisionProcess } from '../../agent/supervisor/vision-process.ts';
import { type Allowed, allowed } from '../../agent/vision/authorisation/authorisation.ts';
import { configOf } from '../lib/agent.ts';
import { authorisationFor, authorised, signedAuthorisation, testKey } from '../lib/authority.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';
import { ALL } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';
import { BARE_PERMIT, bareSettings, useBundledVision } from '../lib/vision.ts';

const CAMERA = 'rtsp://admin:hunter2@10.0.0.2/main';
const MASK = {
  id: 'left',
  polygon: [
    [0, 0],
    [0.5, 0],
    [0.5, 1],
  ] as [number, number][],
};
const RECIPIENT = `age1${'q'.repeat(58)}`;

const config = configOf(
  { site: SITE, box: BOX, camera: { source: CAMERA, fps: 5 }, masks: [MASK] },
  'replay',
);

interface TestBox {
  /** Sends a request to vision, with these changes to the valid one. */
  ask(change?: {
    order?: string | null;
    source?: string;
    substream?: string;
    unit?: boolean;
    folder?: undefined;
    vehicleColours?: boolean;
  }): Allowed;
  authorisationText(change?: Partial<Authorisation>): string;
  readonly folder: RestraintFolder;
}

/** Writes the record of a suspension into the folder, as root does. */
function record(folder: RestraintFolder, suspended: boolean): void {
  const about = { id: 'a'.repeat(16), since: new Date().toISOString(), by: 'court' };
  writeFileSync(folder.path(SUSPENSION_FILE), suspensionText({ suspended, reason: 'by order', ...about }));
}

function box(t: Test): TestBox {
  const dir = scratch(t);
  writeOwnFolder(dir, authorised(config, join(dir, 'order')));
  const folder = ownFolder(dir);
  const authorisationText = (change: Partial<Authorisation> = {}): string => {
    const rules = [{ kind: 'loitering', zones: 'all' as const, purpose: 'none', legalBasis: 'none' }];
    return String(signedAuthorisation({ ...authorisationFor(config), rules, ...change }));
  };
  const ask: TestBox['ask'] = ({
    source = CAMERA,
    substream,
    unit = true,
    vehicleColours,
    ...change
  } = {}) => {
    const camera = { source, fps: 5, ...(substream && { substream }) };
    const settings = { camera, masks: [], ...(vehicleColours !== undefined && { vehicleColours }) };
    return allowed({ order: authorisationText(), folder, ...change, settings, unit });
  };
  return { ask, authorisationText, folder };
}

t.test(
  'root’s copy of the authority’s key opens an authorisation for this box, camera and day',
  async (t) => {
    const { ask, authorisationText, folder } = box(t);
    t.match(ask(), { masks: [MASK], sealTo: [] }, 'masks of the folder, though none were asked for');
    const windows = {
      ...MASK,
      id: 'windows',
      polygon: MASK.polygon.map(([x, y]) => [1 - x, y] as [number, number]),
    };
    t.same(
      ask({ order: authorisationText({ masks: [windows, MASK] }) }).masks,
      [MASK, windows],
      'and of the order',
    );
    t.same(
      ask({ order: authorisationText({ ageRecipients: [RECIPIENT] }) }).sealTo,
      [RECIPIENT],
      'keys of the order',
    );
    const yesterday = new Date(Date.now() - 1000).toISOString();
    const cases: [string, Parameters<TestBox['ask']>[0], RegExp][] = [
      ['no order', { order: null }, /without a signed authorisation/],
      ['no folder', { folder: undefined }, /no folder names the authority/],
      ['rubbish', { order: '{}' }, /./],
      [
        'another authority’s',
        { order: String(signedAuthorisation(authorisationFor(config), testKey())) },
        /no key/,
      ],
      ['another box’s', { order: authorisationText({ box: 'other' }) }, /is for other/],
      ['another camera', { source: 'rtsp://10.0.0.9/main' }, /camera.source is rtsp:\/\/10.0.0.9/],
      [
        'another channel',
        { source: `${CAMERA}?channel=2` },
        /camera.source is rtsp:\/\/10.0.0.2\/main\?channel=2/,
      ],
      [
        'another stream by a key',
        { source: `${CAMERA}?token=channel2` },
        /camera.source is rtsp:\/\/10.0.0.2\/main\?token=\*\*\*; token counts too/,
      ],
      [
        'the ordered one in the place of a login',
        { source: 'rtsp://10.0.0.7?@10.0.0.2/main' },
        /camera.source cannot be parsed/,
      ],
      ['behind a fragment', { source: 'rtsp://10.0.0.7#@10.0.0.2/main' }, /camera.source cannot be parsed/],
      ['ended', { order: authorisationText({ notAfter: yesterday }) }, /was valid until/],
    ];
    for (const [name, change, reason] of cases) {
      t.throws(() => ask(change), { kind: 'denied', message: reason }, name);
      t.throws(() => ask({ ...change, unit: false }), { message: reason }, `${name}, in a plain run`);
    }
    writeFileSync(folder.path(BOX_FILE), '{}');
    t.throws(() => ask(), { message: /is damaged/ });
  },
);

t.test('colours of vehicles are named only where the authorisation’s track log has them', async (t) => {
  const { ask, authorisationText } = box(t);
  const tracks = (colour?: boolean): TrackLogGrant => ({
    purpose: 'thefts of vehicles',
    legalBasis: 'none',
    grade: 'vehicles',
    zones: 'all',
    ...(colour !== undefined && { colour }),
    days: 7,
    spanHours: 24,
    budget: { case: 100, keyDay: 100, day: 100 },
  });
  for (const vehicleColours of [undefined, true]) {
    const request = vehicleColours === undefined ? {} : { vehicleColours };
    t.equal(ask(request).vehicleColours, false, 'an order without a log of tracks');
    for (const colour of [undefined, false])
      t.equal(
        ask({ ...request, order: authorisationText({ tracks: tracks(colour) }) }).vehicleColours,
        false,
        `${colour}`,
      );
  }
  const withColours = authorisationText({ tracks: tracks(true) });
  t.equal(ask({ order: withColours }).vehicleColours, true);
  t.equal(
    ask({ order: withColours, vehicleColours: false }).vehicleColours,
    true,
    'the authorisation decides',
  );
  const recorded = { order: null, source: 'test:pattern', unit: false } as const;
  t.equal(ask(recorded).vehicleColours, false, 'a recorded clip');
  t.equal(
    ask({ ...recorded, vehicleColours: true }).vehicleColours,
    true,
    'a recorded clip, where it is asked for',
  );
});

t.test('a second stream is opened only where the authorisation names it', async (t) => {
  const { ask, authorisationText } = box(t);
  const substream = 'rtsp://admin:hunter2@10.0.0.2/sub';
  const withSubstream = authorisationText({ substream: 'rtsp://10.0.0.2/sub' });
  t.equal(ask({ substream }).substream, undefined, 'an order without one');
  t.equal(ask({ substream, order: withSubstream }).substream, substream);
  t.equal(ask({ order: withSubstream }).substream, undefined, 'none is configured');
  for (const other of [
    'rtsp://10.0.0.2/third',
    'rtsp://10.0.0.9/sub',
    'rtsp://10.0.0.2/sub?channel=2',
    'nonsense',
  ])
    t.equal(ask({ substream: other, order: withSubstream }).substream, undefined, other);
  t.equal(ask({ source: substream, order: withSubstream }).substream, undefined, 'the main stream alone');
});

t.test('an ordered mask is black whatever folder and agent say; a suspension ends vision', async (t) => {
  useBundledVision(t);
  const dir = scratch(t);
  const bare = configOf({ site: SITE, box: BOX, camera: { source: 'test:pattern', fps: 5 } }, 'replay');
  const left = rectangle(0, 0, 0.5, 1);
  const installation = {
    installation: true,
    rules: [],
    notAfter: new Date(Date.now() - 1 + 3_600_000).toISOString(),
  };
  const from = { notBefore: new Date(Date.now() - 3_600_000).toISOString() };
  const masked = { ...installation, ...from, masks: [{ id: 'left', polygon: left }] };
  const config = authorised(bare, join(dir, 'order'));
  writeOwnFolder(dir, config);
  t.same(ownFolder(dir).box().masks, [], 'none in the folder');
  const cases = [
    ['with it', masked, true],
    ['without (control)', { ...installation, ...from }, false],
  ] as const;
  for (const [name, change, black] of ALL ? cases : cases.slice(0, 1)) {
    const jpeg = await picture(
      t,
      ownFolder(dir),
      String(signedAuthorisation(authorisationFor(bare, change))),
    );
    const { data, info } = await sharp(jpeg).greyscale().raw().toBuffer({ resolveWithObject: true });
    const mean = (fromX: number, toX: number): number => {
      let sum = 0;
      for (let y = 0; y < info.height; y += 1)
        for (let x = fromX; x < toX; x += 1) sum += data[y * info.width + x] as number;
      return sum / (info.height * (toX - fromX));
    };
    const half = info.width / 2;
    const [masked, open] = [mean(0, half - 16), mean(half + 16, info.width)];
    t.ok(open > 10 && masked < 1 === black, `${name}: ${masked} and ${open}`);
  }
});

/** The first picture of vision under an installation authorisation, not sealed. A suspension then ends the process. */
async function picture(t: Test, folder: RestraintFolder, authorisation: string): Promise<Buffer> {
  let jpeg: Buffer | undefined;
  let over = false;
  let hasAsked = false;
  const kinds: string[] = [];
  const vision = new VisionProcess({
    clock: systemClock,
    log: SILENT,
    restraintDir: folder.dir,
    onExit: () => {
      over = true;
    },
    onMessage: ({ message, binary }) => {
      kinds.push(message.kind === 'failed' ? `failed: ${message.message}` : message.kind);
      if (message.kind === 'snapshot') jpeg = Buffer.from(binary);
      if (message.kind !== 'frame') return;
      const { frame, atMs } = message.observation;
      const evidence = hasAsked ? [] : [{ request: 1, atMs, focus: [], seal: true }];
      hasAsked = true;
      vision.send({ kind: 'ack', frame, evidence });
    },
  });
  t.teardown(() => vision.stop());
  vision.start(permitUnder(authorisation, []), bareSettings('test:pattern', 5));
  await waitUntil(t, `a picture (${kinds.join(', ')})`, () => jpeg !== undefined, 30_000);
  t.notOk(kinds.includes('sealed'), 'no message is sealed');
  record(folder, true);
  await waitUntil(t, 'the suspended process ends', () => over, 20_000);
  t.ok(kinds.includes('failed: suspended: by order'), kinds.slice(-3).join(', '));
  rmSync(folder.path(SUSPENSION_FILE));
  return jpeg ?? Buffer.alloc(0);
}

t.test('a suspension or an expired authorisation ends vision while it runs', async (t) => {
  const { ask, authorisationText, folder } = box(t);
  const grant = ask();
  grant.stillHolds();
  record(folder, true);
  t.throws(() => grant.stillHolds(), { message: 'suspended: by order' });
  t.throws(() => ask(), { message: 'suspended: by order' });
  record(folder, false);
  grant.stillHolds();
  writeFileSync(folder.path(SUSPENSION_FILE), 'x');
  t.throws(() => grant.stillHolds(), { message: /^suspended: / }, 'a record that cannot be read');
  rmSync(folder.path(SUSPENSION_FILE));
  const short = ask({ order: authorisationText({ notAfter: new Date(Date.now() + 300).toISOString() }) });
  await systemClock.sleep(400);
  t.throws(() => short.stillHolds(), { message: /was valid until/ });
});

t.test('vision without an authorisation opens only a recorded clip or a test pattern', async (t) => {
  const { ask } = box(t);
  const dir = scratch(t);
  const clip = join(dir, 'clip.mp4');
  writeFileSync(clip, '');
  const recorded = (source: string, unit = false): Allowed => ask({ order: null, source, unit });
  t.same(recorded(`file:${clip}`).sealTo, [], 'without recipients of a seal');
  recorded('test:pattern');
  const [fifo, link] = [join(dir, 'fifo'), join(dir, 'link.mp4')];
  execFileSync('mkfifo', [fifo]);
  symlinkSync('/dev/null', link);
  const sources = [
    CAMERA,
    'v4l2:/dev/video0',
    'libcamera:',
    `file:${fifo}`,
    `file:${link}`,
    'file:/dev/null',
  ];
  for (const source of [...sources, `file://${fifo}`])
    t.throws(() => recorded(source), { message: /only a recorded clip/ }, source);
  for (const source of [`file:${clip}`, 'test:pattern'])
    t.throws(() => recorded(source, true), { message: /not by the service/ }, `${source}, in the unit`);
});

t.test('the vision process itself opens no camera without an authorisation', async (t) => {
  useBundledVision(t);
  const fifo = join(scratch(t), 'fifo');
  execFileSync('mkfifo', [fifo]);
  for (const source of ALL ? [CAMERA, 'v4l2:/dev/video0', `file:${fifo}`] : [CAMERA]) {
    const messages: { kind: string; message?: string }[] = [];
    let over = false;
    const vision = new VisionProcess({
      restraintDir: undefined,
      clock: systemClock,
      log: SILENT,
      onMessage: ({ message }) => messages.push(message),
      onExit: () => {
        over = true;
      },
    });
    t.teardown(() => vision.stop());
    vision.start(BARE_PERMIT, bareSettings(source, 5));
    await waitUntil(t, `${source}: it ends`, () => over, 20_000);
    t.match(messages.at(-1), { kind: 'failed', error: 'denied', message: /without a signed authorisation/ });
    t.notOk(
      messages.some(({ kind }) => kind === 'opened' || kind === 'frame'),
      'and has not opened a camera',
    );
  }
});
