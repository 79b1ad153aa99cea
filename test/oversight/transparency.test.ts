/** Tests the public page and the sign: their figures equal the journal's, and a real browser shows them completely. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfig } from '../../agent/config/load.ts';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import type { Config } from '../../agent/contract/config.ts';
import { keyIdOf } from '../../agent/orders/dsse.ts';
import { Journal } from '../../agent/restraint/journal/journal.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from '../../agent/restraint/journal/key.ts';
import { verifierKey } from '../../agent/restraint/journal/note.ts';
import { AUTHORITY, authorisationFor, authorised, signedAuthorisation, testKey } from '../lib/authority.ts';
import { BoxLifetime } from '../lib/box-lifetime.ts';
import { browserMissing, chromium, measured } from '../lib/browser.ts';
import { keyOf, openJournal } from '../lib/journal.ts';
import { scratch } from '../lib/paths.ts';
import { unlessAll } from '../lib/run.ts';
import { type Output, WarmProgram } from '../lib/warm-program.ts';

/** The program in a thread; oversight/report starts it as a process too. */
const warm = new WarmProgram('scripts/products/oversight');
const DAY_MIN = 24 * 60;
const URL = 'https://ville.example/cameras/canebiere-017';
const CONTACT = 'dpd@ville.example <le délégué>';
const ZONE = [
  [0.1, 0.5],
  [0.9, 0.5],
  [0.9, 1],
];

/** Four days up to this minute, of which the last one is suspended. */
function fourDays(): BoxLifetime {
  const box = new BoxLifetime(new Date(Date.now() - (4 * DAY_MIN + 5) * 60_000).toISOString()).start();
  box
    .note({ type: 'connected', camera: 'rtsp://10.0.0.2/main', to: 'rtsp://10.0.0.2:554', before: null })
    .live(2 * DAY_MIN)
    .alerts(3)
    .live(DAY_MIN)
    .alerts(4)
    .search('2026/1234');
  return box.mode('suspended', 'asked by Ms Somebody').live(DAY_MIN);
}

const makePages = (t: Test, change: Partial<Authorisation> = {}, ...more: string[]) =>
  madeOf(t, fourDays(), change, ...more);

async function madeOf(
  t: Test,
  box: BoxLifetime,
  change: Partial<Authorisation> = {},
  ...extraArgs: string[]
) {
  const dir = scratch(t);
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir);
  box.into(openJournal(stateDir));
  const file = join(dir, 'vigie.yaml');
  // JSON is YAML too.
  const write = (config: object): void => writeFileSync(file, JSON.stringify(config));
  write({
    site: 'marseille-1',
    box: 'canebiere-017',
    timeZone: 'Europe/Paris',
    camera: { source: 'rtsp://watcher:s3cret@10.0.0.2/main', fps: 5 },
    zones: [{ id: 'forecourt', polygon: ZONE }],
    masks: [{ id: 'window-2f', polygon: ZONE }],
    rules: [
      { id: 'cars', kind: 'vehicle-in-pedestrian-zone', zone: 'forecourt', purpose: 'pedestrian-safety' },
      { id: 'crowd', kind: 'crowd-gathering', zone: 'forecourt', purpose: 'public-order' },
      { id: 'rubbish', kind: 'illegal-dumping', zone: 'forecourt', purpose: 'cleanliness' },
    ],
  });
  const config = authorised(loadConfig(file, { env: {}, mode: 'check', files: false }), join(dir, 'order'), {
    rules: [
      {
        kind: 'vehicle-in-pedestrian-zone',
        zones: ['forecourt'],
        purpose: 'pedestrian-safety',
        legalBasis: 'Arrêté 2026-77 <du maire>',
      },
      {
        kind: 'crowd-gathering',
        zones: 'all',
        purpose: 'public-order',
        legalBasis: 'Loi 2023-380, art. 10',
        shadow: true,
      },
    ],
    retention: { eventsDays: 20, snapshotsDays: 3, sealedDays: 5 },
    ...change,
  });
  write(config);
  const out = join(dir, 'page');
  /** Runs the program again without the order. */
  const runAgain = (...args: string[]): Promise<Output> =>
    warm.run([
      ...['transparency', '--config', file, '--journal', join(stateDir, 'journal'), '--key', keyOf(stateDir)],
      ...['--out', out, '--url', URL, '--contact', CONTACT, ...args],
    ]);
  const authorisation = join(dir, 'order/authorisation.dsse.json');
  const run = await runAgain('--order', authorisation, ...extraArgs);
  t.equal(run.code, 0, run.err);
  const [page = '', sign = '', words = ''] = ['index.html', 'sign.html', 'sign.txt'].map((name) =>
    readFileSync(join(out, name), 'utf8'),
  );
  return { box, page, sign, words, file, authorisation, stateDir, out, err: run.err, runAgain };
}

const text = (html: string): string => html.replace(/<style>.*?<\/style>/s, '').replace(/<[^>]*>/g, ' ');

void t.test('the page states what the journal and the authorisation contain', async (t) => {
  const { box, page, sign, words } = await makePages(t, {}, '--language', 'en');
  t.match(text(page), /Suspended\s+since/);
  t.match(text(page), 'Authorisation 2026-77');
  t.match(text(page), 'Arrêté 2026-77 &lt;du maire&gt;', 'text, not markup');
  t.match(text(page), 'On trial: counted only');
  t.match(text(page), /A thing left on the ground\s+forecourt\s+Not authorised/);
  t.match(text(page), 'Texts of alerts: 20 days.');
  t.match(text(page), 'Stills, people replaced by drawn figures, vehicles in blocks: 3 days.');
  t.match(text(page), 'No still as the camera took it is kept or handed out.', 'no recipient to seal to');
  t.match(text(page), '1 part of the picture');
  // A row for each month: frames, alerts, searches, questions about passages, sealed stills.
  const columns = 5;
  const values = [...page.matchAll(/<td class="figure">([\d,]+)<\/td>/g)].map(([, n = '']) =>
    Number(n.replaceAll(',', '')),
  );
  const sum = (column: number): number =>
    values.filter((_, i) => i % columns === column).reduce((a, b) => a + b, 0);
  t.equal(sum(0), box.counted.frames, 'frames of all months');
  t.equal(sum(1), 7, 'alerts');
  t.equal(sum(2), 1, 'searches');
  t.equal(sum(3), 0, 'questions about passages');
  t.equal(sum(4), 0, 'sealed stills handed out');
  for (const content of [page, sign, words]) {
    t.notMatch(content, /s3cret|watcher|10\.0\.0\.2|rtsp/, 'no part of the camera’s address');
    t.notMatch(content, /Ms Somebody/, 'nor who asked for the suspension');
    t.notMatch(content, /<img|<script|@import|src=/i, 'no picture, nothing from elsewhere');
  }
  t.match(
    words,
    /A program alerts to:\n- A vehicle where only people on foot may be\n\n/,
    'shadow rules alert no one',
  );
});

void t.test(
  'an installation authorisation is named as one, in both languages',
  { skip: unlessAll },
  async (t) => {
    const installation = {
      installation: true,
      rules: [],
      notBefore: new Date(Date.now() - 3_600_000).toISOString(),
      notAfter: new Date(Date.now() + 3_600_000).toISOString(),
      masks: [{ id: 'door', polygon: [...ZONE].reverse() as [number, number][] }],
    };
    const { page, words } = await makePages(t, installation, '--language', 'en');
    t.match(
      text(page),
      'This is an installation authorisation: the program reads pictures so that the camera can be installed.',
    );
    t.match(text(page), 'No rule runs under it, and no one is alerted.');
    t.match(text(page), /A thing left on the ground\s+forecourt\s+Not authorised/);
    t.match(text(page), '2 parts of the picture', 'masks of configuration and order');
    t.match(words, 'No analysis is authorised here at present.');
    t.match(text((await makePages(t, installation)).page), 'C’est un permis d’installation');
  },
);

/** An hour of entries, starting `minutes` before now. */
const hourBefore = (minutes: number): BoxLifetime =>
  new BoxLifetime(new Date(Date.now() - (60 + minutes) * 60_000).toISOString())
    .start()
    .mode('active', 'order');

const ID = '5a'.repeat(8);

void t.test('the current state is the journal’s last one, or not proved', { skip: unlessAll }, async (t) => {
  const active = (): BoxLifetime => hourBefore(1 / 3).live(60);
  const cases: [string, BoxLifetime, RegExp][] = [
    ['20 s after a resume', active().suspend(ID).resume(ID).mode('active', 'order'), /Now\s+Active\s+since/],
    ['20 s after a suspension', active().suspend(ID), /Now\s+Suspended\s+since/],
    ['9 min after the stop', hourBefore(9).live(60).stop(), /Now\s+Down\s+since/],
    ['a day after the stop', hourBefore(DAY_MIN).live(60).stop(), /Now\s+Not proved\s+since/],
    [
      'a heartbeat of a suspended box is overdue',
      hourBefore(20).live(20).suspend(ID).live(40),
      /Now\s+Not proved\s+since/,
    ],
    ['an entry of a clock that was ahead', hourBefore(-180).live(60), /Now\s+Not proved\s+since/],
  ];
  for (const [name, box, says] of cases) {
    const { page } = await madeOf(t, box, {}, '--language', 'en');
    t.match(text(page), says, name);
  }
});

void t.test('incomplete figures are marked as minimum values', { skip: unlessAll }, async (t) => {
  const killed = hourBefore(120)
    .live(10)
    .run(5)
    .alerts(2)
    .silence(10)
    .start()
    .mode('suspended', 'order')
    .live(40);
  const { page } = await madeOf(t, killed.stop(), {}, '--language', 'en');
  const least = [...page.matchAll(/<td class="figure">(≥ )?([\d,]+)<\/td>/g)].filter(([, mark]) => mark);
  t.equal(
    least.reduce((sum, [, , figure = '']) => sum + Number(figure.replaceAll(',', '')), 0),
    3000,
    'at least what the heartbeat counted',
  );
  t.match(text(page), /≥: at least\. The program was cut off/);
});

void t.test('a box that went on without a signed resume is reported', async (t) => {
  const box = hourBefore(1).live(20).suspend(ID).live(20).mode('active', 'order').live(20);
  const { page } = await madeOf(t, box, {}, '--language', 'en');
  t.match(
    page,
    /class="alarm">On [^<]* the program read pictures again after a suspension, and no entry of the journal says/,
  );
});

void t.test(
  'statements on redaction and on the journal include their limits',
  { skip: unlessAll },
  async (t) => {
    const { page } = await makePages(t, {}, '--language', 'en');
    for (const sentence of [
      /at least 99\.997\s?% of the area of people/,
      /A person whom the program does not find and who does not move is not covered/,
      /What remains: where a person stood, how tall, with whom and when/,
      /after the last head that someone else has kept/,
      /It does not prove .* that no one else uses the pictures of the same camera/,
    ])
      t.match(text(page).replace(/\s+/g, ' '), sentence);
    t.notMatch(text(page), /unrecognisable|unnoticed/, 'no promise without limits');
  },
);

void t.test('the page says that nothing is analysed without a valid authorisation', async (t) => {
  const past = { notBefore: '2025-01-01T00:00:00.000Z', notAfter: '2025-02-01T00:00:00.000Z' };
  const { page, words, err, runAgain, out } = await makePages(t, past, '--language', 'en');
  t.match(text(page), 'No valid authorisation: nothing is analysed.');
  t.match(words, 'No analysis is authorised here at present.');
  t.match(
    err,
    /^vigie-oversight: the page says that there is no valid authorisation: authorisation 2026-77 was valid until 2025-02-01/,
  );

  const run = await runAgain('--language', 'en');
  t.equal(run.code, 0, run.err);
  t.match(
    run.err,
    /^vigie-oversight: the page says that there is no valid authorisation: --order is not given/,
  );
  t.match(
    text(readFileSync(join(out, 'index.html'), 'utf8')),
    'No valid authorisation: nothing is analysed.',
    'without an order too',
  );
});

void t.test(
  'the page describes sealed stills and their recipients, in French by default',
  { skip: unlessAll },
  async (t) => {
    const recipients = ['q', 'p'].map((letter) => `age1${letter.repeat(58)}`);
    const box = hourBefore(10)
      .live(20)
      .unseal('2026/77', true)
      .unseal('2026/78', true)
      .unseal('2026/79', false);
    const { page } = await madeOf(t, box.live(40), { ageRecipients: recipients });
    t.match(page, '<html lang="fr">');
    t.match(text(page), /Images scellées .*: 5 jours\./);
    for (const recipient of recipients) t.match(page, recipient, 'the keys that open them');
    t.match(text(page), /remises : 2\b/);
    const english = await madeOf(t, box, { ageRecipients: recipients }, '--language', 'en');
    t.match(text(english.page), /no part of it is covered but the hidden parts/);
    t.match(text(english.page), /Only these 2 keys open it:/);
    t.match(text(english.page), /handed out in the months below: 2\b/);
    const handed = [...english.page.matchAll(/<td class="figure">([\d,]+)<\/td>/g)].at(-1);
    t.equal(handed?.[1], '2', 'a request without a still hands out nothing');
  },
);

void t.test('a changed journal is reported on the page and by exit code 1', async (t) => {
  const { stateDir, runAgain, out } = await makePages(t);
  const contents = join(stateDir, 'journal/contents/000.jsonl');
  writeFileSync(contents, readFileSync(contents, 'utf8').replace('"read":3000,', '"read":2,'));
  const run = await runAgain();
  t.equal(run.code, 1);
  t.match(run.err, /^vigie-oversight: the journal is NOT intact.*`vigie-oversight verify` gives the reason/m);
  t.match(readFileSync(join(out, 'index.html'), 'utf8'), 'Le journal de ce boîtier n’est PAS en ordre');
});

/** Checks that the output is one line and that nothing was written. */
async function checkRefusal(t: Test, { code, err }: Output, says: RegExp): Promise<void> {
  t.equal(code, 2, err);
  t.match(err, says);
  t.equal(err.trim().split('\n').length, 1, err);
}

void t.test('bad input is reported in one clear line', { skip: unlessAll }, async (t) => {
  const { runAgain, stateDir, out } = await makePages(t);
  for (const [args, says] of [
    [['--url', 'ville.example'], /^vigie-oversight: --url: "ville.example" is not right; write the address/],
    [['--contact', ' '], /^vigie-oversight: --contact: empty/],
    [['--journal', join(stateDir, 'none')], /^vigie-oversight: .*none cannot be read/],
  ] as const) {
    await checkRefusal(t, await runAgain(...args), says);
  }
  const program = await runAgain('--out', join(out, 'sign.txt', 'page'));
  t.equal(program.code, 2, program.err);
  t.match(
    program.err,
    /^vigie-oversight: .*sign.txt\/page\/index.html cannot be written: .*; name another --out/m,
  );
});

void t.test(
  'an order, key or configuration of another box or authority is refused',
  { skip: unlessAll },
  async (t) => {
    const { runAgain, file, authorisation, out } = await makePages(t);
    rmSync(out, { recursive: true });
    const dir = scratch(t);
    const writeScratch = (name: string, content: string | Buffer): string => {
      writeFileSync(join(dir, name), content, { mode: 0o644 });
      return join(dir, name);
    };
    const config = JSON.parse(readFileSync(file, 'utf8')) as Config;
    const { authorityKey: _key, ...keyless } = config;
    const far = writeScratch(
      'far.yaml',
      JSON.stringify({ ...config, authorityKey: '/etc/vigie-none/authority.pub' }),
    );
    const other = testKey();
    const writeSigned = (name: string, content: object): string =>
      writeScratch(name, signedAuthorisation(content));
    const strange = 'vigie/marseille-1/canebiere-018';
    new Journal({ stateDir: dir, origin: strange }).start();
    const strangeKey = verifierKey(strange, readJournalKey(join(dir, JOURNAL_KEY_FILE)));
    for (const [args, says] of [
      [
        ['--order', writeScratch('by-another', signedAuthorisation(authorisationFor(config), other))],
        /: --order: authorisation .*by-another: /,
      ],
      [
        ['--order', writeSigned('for-another', authorisationFor({ ...config, box: 'canebiere-018' }))],
        /: --order: authorisation 2026-77 is for canebiere-018 at marseille-1; this is canebiere-017/,
      ],
      [
        ['--order', authorisation, '--config', writeScratch('keyless.yaml', JSON.stringify(keyless))],
        /: --order: `authorityKey` is not in the configuration; .* with --authority-key/,
      ],
      [
        ['--order', authorisation, '--config', far],
        /: authorityKey \/etc\/vigie-none\/authority.pub cannot be read.*; name another file with --authority-key/,
      ],
      [
        ['--key', strangeKey, '--journal', join(dir, 'journal')],
        /: --key: it is the key of box canebiere-018 at marseille-1, and --config that of box canebiere-017 at/,
      ],
    ] as const) {
      await checkRefusal(t, await runAgain(...args), says);
    }
    t.notOk(existsSync(out), 'nothing was written');
  },
);

void t.test('the authority’s key must be the one in the box’s journal', { skip: unlessAll }, async (t) => {
  const obeys = (after: string): BoxLifetime =>
    fourDays().note({ type: 'authority', before: null, after }).live(10);
  const keyid = keyIdOf(AUTHORITY.publicKey);
  const { page } = await madeOf(t, obeys(keyid), {}, '--language', 'en');
  t.match(text(page), 'Authorisation 2026-77');
  const { runAgain, authorisation, stateDir } = await madeOf(t, obeys(keyid));
  openJournal(stateDir).append({
    at: new Date().toISOString(),
    type: 'authority',
    before: keyid,
    after: 'ab'.repeat(32),
  });
  await checkRefusal(
    t,
    await runAgain('--order', authorisation),
    /authority\.pub: is the key .*, and by its journal the box obeys (ab){32}/,
  );
});

void t.test(
  'a browser shows page and sign at any width',
  { skip: unlessAll || browserMissing() },
  async (t) => {
    const { page, sign, out } = await makePages(t);
    const dir = scratch(t);
    const overflowScript =
      '{ beyond: document.documentElement.scrollWidth - innerWidth, shown: document.body.innerText }';
    for (const width of [320, 1100]) {
      const layout = measured(dir, page, width, overflowScript) as { beyond: number; shown: string };
      t.ok(layout.beyond <= 0, `nothing beyond a width of ${width}: ${layout.beyond}`);
      t.match(layout.shown, 'Ce qui donne l’alerte');
    }
    const svg = 'document.querySelector("svg").getBoundingClientRect().width';
    t.ok(Number(measured(dir, sign, 800, svg)) > 150, 'the code is large enough to be read');
    for (const name of ['index', 'sign']) {
      const picture = join(dir, `${name}.png`);
      chromium(dir, '--window-size=800,1400', `--screenshot=${picture}`, join(out, `${name}.html`));
      t.ok(statSync(picture).size > 20_000, `${name} can be drawn`);
    }
  },
);
