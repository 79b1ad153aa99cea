/**
 * Walks through the operator's guide in a browser, in its order and with its keys, in both languages.
 * WRITE_SCREENS=1 writes the guide's pictures.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import type { Archive } from '../../scripts/products/room/archive/archive.ts';
import { dayHourOf } from '../../scripts/products/room/database/day-hour.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { TIME_ZONE } from '../lib/console.ts';
import { addIncidents, addPictured, type Columns, insert, putCamera } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { alertOf } from '../lib/room-alerts.ts';
import { appRoom, browserOf, LIVE, type OpenConsole, openConsole } from '../lib/room-browser.ts';
import { cityMapFile } from '../lib/room-city.ts';

const GUIDE = readFileSync(join(ROOT, 'docs/guide/operator.md'), 'utf8');
const PICTURES_DIR = join(ROOT, 'docs/guide/operator');
const DESK = { width: 1400, height: 860 };
const SMALL_DESK = { width: 1280, height: 640 };
const CAMERAS = 60;
const DAY_MS = 86_400_000;
const PATROLS = [
  { name: 'Patrouille du port', sites: ['bellecour'], webhook: undefined },
  { name: 'Îlotage centre', sites: [], webhook: undefined },
];
/** Camera whose rule raises a storm, which later rain continues. */
const NOISY = { site: 'gerland', box: 'cam-0018', kind: 'line-crossing', rule: 'east-road' } as const;

type Language = 'en' | 'fr';

t.test(
  'the operator’s guide is right, step by step',
  { skip: browserMissing(), timeout: 240_000 },
  async (t) => {
    const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
    const browser = await browserOf(t);
    for (const language of ['fr', 'en'] as const)
      await t.test(`a shift from login to shift report, ${language}`, (t) =>
        walk(t, { browser, jpeg, language }),
      );
  },
);

interface Parts {
  readonly browser: Browser;
  readonly jpeg: Buffer;
  readonly language: Language;
}

interface Shift extends OpenConsole {
  readonly t: Test;
  readonly archive: Archive;
  readonly language: Language;
  /** Waits until this text is on the screen. */
  readonly read: (text: string) => Promise<void>;
  /** Writes a picture of the guide. */
  readonly show: (name: string, isForBoth?: boolean) => Promise<void>;
}

async function walk(t: Test, { browser, jpeg, language }: Parts): Promise<void> {
  const { address, open } = await DATABASES.sqlite(t);
  const archive = await open();
  const plan = join(scratch(t), 'city.geojson');
  writeFileSync(plan, JSON.stringify(cityMapFile(CAMERAS)));
  const room = await appRoom(t, {
    address,
    settings: { patrols: PATROLS, plan },
    fill: (db) => fill(db, jpeg),
  });
  const shift = async (user: string): Promise<Shift> => {
    const tab = await openConsole(t, browser, { room, look: [language, 'light'], size: DESK, user: null });
    const { page, waitUntil } = tab;
    await page.waitForSelector(`[data-account=${user}]`);
    await page.click(`[data-account=${user}]`);
    await waitUntil(LIVE);
    const read = (text: string): Promise<void> =>
      waitUntil(`document.body.textContent.includes(${JSON.stringify(text)})`);
    const show = async (name: string, isForBoth = false): Promise<void> => {
      if (process.env['WRITE_SCREENS'] !== '1' || (language === 'fr' && !isForBoth)) return;
      mkdirSync(PICTURES_DIR, { recursive: true });
      // A still has more detail than the rest, so a picture with one is of a smaller screen.
      const hasStill = await page.evaluate(HAS_PICTURE);
      if (hasStill === true) await page.setViewport(SMALL_DESK);
      await sharp(await page.screenshot())
        .png({ palette: true, colours: 64, effort: 10, dither: 0 })
        .toFile(join(PICTURES_DIR, `${name}-${language}.png`));
      if (hasStill === true) await page.setViewport(DESK);
    };
    return { ...tab, t, archive, language, read, show };
  };
  const operator = await shift('Nadia');
  await logIn(operator);
  await judge(operator);
  await judgeMany(operator);
  await dispatch(operator);
  await suppress(operator);
  await readClosed(operator);
  const supervisor = await shift('Omar');
  await supervise(supervisor);
  for (const { pageErrors } of [operator, supervisor]) t.strictSame(pageErrors, []);
}

const SELECTED = 'document.querySelector(".row[aria-selected=true]")';
const OPEN_NO = 'document.querySelector(".incident")?.dataset.incident';
const HAS_PICTURE = 'document.querySelector(".pictures img:not([hidden])")?.naturalWidth > 0';
const TOAST = 'document.querySelector(".toasts .undo")';

/** Selects the line of an incident, or the storm with `storm`, from the top. */
async function select({ page, press, t }: Shift, target: number | 'storm'): Promise<void> {
  const isSelected =
    target === 'storm' ? `${SELECTED}?.matches(".storm")` : `${SELECTED}?.dataset.no === "${target}"`;
  await press('PageUp');
  for (let presses = 0; presses < 20; presses++) {
    if (await page.evaluate(isSelected)) return;
    await press('j');
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
  }
  t.fail(`j does not lead to ${target}`);
}

async function logIn(shift: Shift): Promise<void> {
  const { t, page, press, read, show, waitUntil, language } = shift;
  await read(language === 'fr' ? 'en direct' : 'live');
  await read(language === 'fr' ? 'Alarme coupée' : 'Alarm off');
  await page.click('#alarm');
  await read(language === 'fr' ? 'Alarme activée' : 'Alarm on');
  await page.waitForSelector('.toast.bad');
  await page.click('.toast.bad .button');
  await press('?');
  await page.waitForSelector('.keys');
  const shownKeys = (await page.$$eval('.keys dt', (terms) =>
    terms.map((term) => [...term.childNodes].map(({ textContent }) => textContent).join(' ')),
  )) as string[];
  const guideKeys = [...GUIDE.matchAll(/^\| ((?:`[^`]+` ?)+)\|/gm)].map(([, keys]) =>
    String(keys).replaceAll('`', '').trim(),
  );
  t.strictSame(
    shownKeys.filter((keys) => !guideKeys.includes(keys)),
    [],
    'the guide has every key',
  );
  await press('Escape');
  await page.waitForSelector('.queue-map .d-alarm');
  const order = await page.$$eval('.queue .row', (rows) =>
    rows.map((row) => row.className.replaceAll(/\b(row|p\d)\b/g, '').trim()),
  );
  t.comment(order.join(' | '));
  const rowCount = Number(await page.evaluate('document.querySelectorAll(".queue .row").length'));
  await select(shift, 'storm');
  await press('Enter');
  await waitUntil(`document.querySelectorAll(".queue .row").length === ${rowCount + 6}`);
  await press('Enter');
  await waitUntil(`document.querySelectorAll(".queue .row").length === ${rowCount}`);
  await read(language === 'fr' ? 'Alarme activée' : 'Alarm on');
  await show('queue', true);
  await press('/');
  await page.keyboard.type('lawn');
  await page.waitForFunction('document.querySelector(".row.storm") === null');
  await press('Escape', 'Escape');
  await page.waitForSelector('.row.storm');
}

async function judge(shift: Shift): Promise<void> {
  const { t, page, room, press, read, show, waitUntil, language } = shift;
  await select(shift, 2);
  await press('Enter');
  await waitUntil(HAS_PICTURE);
  await press('c');
  await page.waitForSelector('.incident .mark.claimed');
  await show('incident');
  await press('v');
  await page.waitForSelector('dialog.picture-dialog[open]');
  await press('+', 'ArrowLeft', 'Escape');
  await waitUntil('document.querySelector("dialog[open]") === null');
  await press('n');
  await page.keyboard.type(language === 'fr' ? 'Camion de livraison.' : 'A delivery van.');
  await press('Enter');
  await read(language === 'fr' ? 'Inscrit à la main courante.' : 'The note is saved.');
  await press('t');
  await waitUntil(`${TOAST} !== null && ${OPEN_NO} !== "2"`);
  t.not(await page.evaluate(OPEN_NO), undefined, 'the next incident opens');
  await press('z');
  await read(language === 'fr' ? 'Annulé.' : 'Undone.');
  await press('Escape');
  await waitUntil('document.querySelector(".incident") === null');
  await select(shift, 3);
  await press('f');
  await page.waitForSelector('dialog[open]');
  await read(language === 'fr' ? 'Rendre un verdict sans voir l’image ?' : 'Give a verdict without looking?');
  await press('Enter');
  await waitUntil(`${OPEN_NO} === "3" && ${HAS_PICTURE}`);
  await press('Escape');
  t.strictSame(
    (await room.record('claim', 'note', 'judge', 'undo')).map(({ act }) => act),
    ['claim', 'note', 'judge', 'undo'],
  );
}

async function judgeMany(shift: Shift): Promise<void> {
  const { t, page, room, press, show, waitUntil, language } = shift;
  await select(shift, 'storm');
  await press('Enter', 'j', 'x', 'J', 'J');
  await waitUntil('document.querySelector(".bulk-count b")?.textContent.startsWith("3 ")');
  await press('X');
  await waitUntil('!document.querySelector(".bulk-count b")?.textContent.startsWith("3 ")');
  await show('bulk');
  await press('f');
  await page.waitForSelector('#judge-unseen');
  await page.click('#judge-unseen');
  await waitUntil(`${TOAST} !== null && document.querySelector(".bulk") === null`);
  await show('undo');
  await press('z');
  await waitUntil('document.querySelector(".row.storm") !== null');
  t.equal((await room.record('undo')).length, 7, `each is undone, ${language}`);
  await press('Escape');
}

async function dispatch(shift: Shift): Promise<void> {
  const { page, press, read, language } = shift;
  await select(shift, 3);
  await press('Enter');
  await page.waitForSelector('.incident .act.dispatch');
  await press('d');
  await page.waitForSelector('dialog[open] .option');
  await press('Enter', '1');
  await read(language === 'fr' ? 'pas encore de réponse' : 'no answer yet');
  await page.waitForSelector('.incident .act.answer');
  await press('d');
  await page.waitForSelector('dialog[open] .option');
  await press('3');
  await read(language === 'fr' ? 'Délai d’arrivée' : 'Time to arrival');
  await press('t');
  await page.waitForFunction(`${OPEN_NO} !== "3"`);
  await press('Escape');
  await page.waitForFunction('document.querySelector(".incident") === null');
}

async function suppress(shift: Shift): Promise<void> {
  const { t, page, archive, press, show, waitUntil, language } = shift;
  await select(shift, 'storm');
  await press('s');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.type(language === 'fr' ? 'Soleil bas dans l’objectif' : 'The sun is low in the lens');
  await press('Enter');
  await page.waitForSelector('.suppression');
  await archive.store([1, 2, 3].map(() => alertOf(NOISY, Date.now())));
  await waitUntil('document.querySelector(".suppression .small")?.textContent.startsWith("3 ")');
  await show('suppression');
  await press('m');
  await waitUntil('document.querySelector(".queue-map")?.checkVisibility() !== true');
  await press('m');
  await waitUntil('document.querySelector(".queue-map").checkVisibility()');
  await page.click('.suppression .end');
  await waitUntil('document.querySelector(".suppression") === null');
  t.ok(await page.$('.row.storm'));
}

async function readClosed(shift: Shift): Promise<void> {
  const { t, page, press, show, waitUntil, read, language } = shift;
  await press('g', 'l');
  await waitUntil('document.querySelectorAll(".closed-list .row").length > 8');
  await page.select('select[name=verdict]', 'false-alarm');
  await waitUntil('document.querySelectorAll(".closed-list .row").length === 8');
  t.equal(await page.evaluate('location.search'), '?verdict=false-alarm');
  await press('j', 'Enter');
  await waitUntil(HAS_PICTURE);
  await show('closed');
  await read(language === 'fr' ? 'Clôturés par moi' : 'Closed by me');
  for (const key of ['w', 'h', 'a']) {
    await press('g', key);
    t.ok(await page.$('.closed-list'), 'week, shift report and audit log are the supervisor’s');
  }
  await page.click('#logout');
  await page.waitForSelector('[data-account]');
}

async function supervise(shift: Shift): Promise<void> {
  const { page, press, show, waitUntil, read, language } = shift;
  await press('g', 'w');
  await waitUntil('document.querySelector(".d-week-sums") !== null');
  await press('ArrowLeft');
  await waitUntil('document.querySelector(".d-precision") !== null');
  await show('week');
  await press('g', 'h');
  await waitUntil('document.querySelector(".d-hand-over article") !== null');
  await read(language === 'fr' ? 'Soleil bas dans l’objectif' : 'The sun is low in the lens');
  await read(language === 'fr' ? 'Imprimer' : 'Print');
  await press('g', 'l');
  await waitUntil('document.querySelectorAll(".closed-list .row").length > 8');
  await press('j', 'o');
  await read(language === 'fr' ? 'Rouvert sous le numéro' : 'Reopened as number');
  await press('z');
  await page.waitForFunction(
    `document.body.textContent.includes(${JSON.stringify(language === 'fr' ? 'Annulé.' : 'Undone.')})`,
  );
}

/** Fills an afternoon of a small city, with its closed incidents and the figures of the last week. */
async function fill(db: Sql, jpeg: Buffer): Promise<void> {
  const nowMs = Date.now();
  const alert = (no: number, agoS: number, box: string, change: Columns) => ({
    ...LOITERING,
    received: iso(nowMs - agoS * 1000),
    ended_at: agoS > 60 ? iso(nowMs - (agoS - 8) * 1000) : null,
    ...change,
    no,
    box,
    episode: `e-${no}`,
  });
  const at = (agoS: number): string => iso(nowMs - agoS * 1000);
  const omars = { claimed_by: 'Omar', claimed_until: at(-110) };
  const { site, box, kind, rule } = NOISY;
  const bySite: Readonly<Record<string, Parameters<typeof addPictured>[3]>> = {
    cathedrale: [alert(1, 140, 'cam-0005', CROWD)],
    bellecour: [alert(2, 75, 'cam-0000', {})],
    confluence: [alert(3, 22, 'cam-0009', {})],
    'croix-rousse': [alert(4, 260, 'cam-0012', { state: 'claimed', ...omars })],
    fourviere: [
      alert(5, 900, 'cam-0015', {
        ...omars,
        state: 'dispatched',
        dispatched_by: 'Omar',
        dispatched_at: at(700),
      }),
    ],
    [site]: Array.from({ length: 6 }, (_, n) => alert(20 + n, 40 - n * 4, box, { ...CROSSING, kind, rule })),
    saxe: Array.from({ length: 12 }, (_, n) =>
      alert(100 + n, 3000 + n * 900, 'cam-0056', {
        state: 'closed',
        verdict: n % 3 === 0 ? 'confirmed' : 'false-alarm',
        verdict_by: n % 2 === 0 ? 'Nadia' : 'Omar',
        claimed_first: at(2980 + n * 900),
        closed_at: at(2900 + n * 890),
      }),
    ),
  };
  for (const [name, incidents] of Object.entries(bySite)) await addPictured(db, jpeg, name, incidents);
  await addIncidents(db, lastWeek(nowMs));
  await putCamera(db, 'cam-0003', nowMs, { site: 'brotteaux', conditions: '["covered"]' });
  for (let day = 0; day < 14; day++) await addFigures(db, nowMs - day * DAY_MS, day);
}

const LOITERING = {
  kind: 'loitering',
  rule: 'lawn',
  place: 'zone/lawn',
  objects: '[{"label":"person","track":94371}]',
  cause: '{"dwellS":12.4}',
};
const CROSSING = {
  place: 'line/east-road',
  cause: '{"direction":"right"}',
};
const CROWD = {
  priority: 1,
  kind: 'crowd-gathering',
  rule: 'crowd',
  place: 'zone/steps',
  cause: '{"count":14,"dwellS":45}',
};

/** Alerts that were claimed and closed in the last week, and a camera that was out of service. */
function lastWeek(nowMs: number): Columns[] {
  const rows: Columns[] = Array.from({ length: 40 }, (_, at) => {
    const receivedMs = nowMs - 7 * DAY_MS + at * 3_600_000;
    return {
      site: 'bellecour',
      box: 'cam-0000',
      received: iso(receivedMs),
      state: 'closed',
      verdict: 'confirmed',
      verdict_by: 'Nadia',
      claimed_first: iso(receivedMs + (at + 2) * 1500),
      closed_at: iso(receivedMs + (at + 10) * 4000),
    };
  });
  const fromMs = nowMs - 7 * DAY_MS;
  const outage = { severity: 'system', priority: 3, kind: 'covered', site: 'brotteaux', box: 'cam-0003' };
  return [
    ...rows,
    { ...outage, received: iso(fromMs), started_at: iso(fromMs), ended_at: iso(fromMs + 9_000_000) },
  ];
}

async function addFigures(db: Sql, atMs: number, n: number): Promise<void> {
  const { day } = dayHourOf(atMs, TIME_ZONE);
  const place = { site: 'bellecour', box: 'cam-0000', rule: 'lawn', kind: 'loitering' };
  const alerts = 3 + ((n * 5) % 9);
  const verdicts = { confirmed: alerts - 2, false_alarms: 1, unclear: 0 };
  await insert(db, 'day_figure', {
    day,
    hour: 14,
    ...place,
    alerts,
    ...verdicts,
    claims: alerts,
    claim_s: alerts * 17,
  });
}
