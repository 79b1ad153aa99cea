/** Tests the report: its figures equal the journal's, and a real browser shows its page completely. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { durationText, SiteTime } from '../../agent/base/site-time.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { rolloutText } from '../../scripts/products/oversight/report/rollouts.ts';
import { TimelineWriter } from '../../scripts/products/oversight/timeline/timeline.ts';
import { BoxLifetime, dayOf } from '../lib/box-lifetime.ts';
import { browserMissing, chromium, measured } from '../lib/browser.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { keyOf, openJournal } from '../lib/journal.ts';
import { scratch } from '../lib/paths.ts';
import { oversight } from '../lib/program.ts';
import { unlessAll } from '../lib/run.ts';
import { WarmProgram } from '../lib/warm-program.ts';

/** The program in a thread; it is started as a process too. */
const warm = new WarmProgram('scripts/products/oversight');
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

function timelineOf(box: BoxLifetime, from: string, to: string) {
  const writer = new TimelineWriter();
  box.entries.forEach((content, index) => {
    writer.add(index, content);
  });
  const time = new SiteTime('Europe/Paris');
  return writer.tell(time.parse('--from', from), time.parse('--to', to));
}

const durationMs = (timeline: ReturnType<typeof timelineOf>, state: string): number =>
  timeline.periods
    .filter((period) => period.state === state)
    .reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);

void t.test('periods cover every minute of the interval with the box’s state', async (t) => {
  const timeline = timelineOf(dayOf(), '2026-11-24', '2026-11-25');
  t.equal(durationMs(timeline, 'suspended'), 200 * MINUTE_MS);
  t.equal(durationMs(timeline, 'unauthorised'), 60 * MINUTE_MS);
  t.equal(durationMs(timeline, 'down'), 35 * MINUTE_MS);
  t.equal(durationMs(timeline, 'unproved'), 100 * MINUTE_MS, 'the silence, and after the last entry');
  const all = timeline.periods.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  t.equal(all, 24 * HOUR_MS);
  for (const [i, { fromMs }] of timeline.periods.entries()) {
    if (i > 0) t.equal(fromMs, timeline.periods[i - 1]?.toMs, 'each begins where the one before ends');
  }
  t.equal(timeline.frames.read, dayOf().counted.frames);
  t.equal(timeline.framesWhileOff, 0);
  t.equal(timeline.brokenOff.length, 1);
  t.equal(timeline.unsynced.length, 1);
});

void t.test('frames read during a suspension are found; those at the edges are not split', async (t) => {
  const box = new BoxLifetime('2026-11-24T00:00:00Z').start().live(60).mode('suspended', 'order').live(30);
  const last = box.entries.at(-1) as Extract<JournalContent, { type: 'heartbeat' }>;
  const laterFrames = { ...last.frames, read: last.frames.read + 7 };
  box.entries.push({ ...last, at: '2026-11-24T01:35:00.000Z', frames: laterFrames });
  t.equal(timelineOf(box, '2026-11-24', '2026-11-25').framesWhileOff, 7);
  const half = timelineOf(box, '2026-11-24T00:05Z', '2026-11-24T00:25Z');
  t.match(half, { frames: { read: 3000 }, framesAtEdges: 6000 });
  const quiet = new BoxLifetime('2026-11-24T00:00Z').start().live(60).quiet(60).mode('suspended', 'order');
  const { frames, framesWhileOff } = timelineOf(quiet, '2026-11-24', '2026-11-25');
  t.match({ frames, framesWhileOff }, { frames: { read: 21_600, watched: 14_400 }, framesWhileOff: 0 });
});

/** Entries of a real start: the previous state, then the mode. */
function startOf(box: BoxLifetime): BoxLifetime {
  return box.start().mode('active', 'order 2026-77');
}

void t.test('frames are taken from every entry that counts them, run by run', async (t) => {
  const box = startOf(new BoxLifetime('2026-11-24T08:00:00Z')).run(5);
  // Suspended before the first heartbeat, and killed during the suspension.
  box.suspend('5a'.repeat(8)).silence(3);
  startOf(box.resume('5a'.repeat(8)))
    .run(4)
    .stop()
    .silence(1);
  const stopped = timelineOf(box, '2026-11-24', '2026-11-25');
  t.match(stopped.frames, { read: 2700 }, 'before a suspension and before a stop');
  t.strictSame(stopped.uncounted, [], 'and there is no other');

  startOf(box).live(20).run(7).alerts(2);
  const alive = timelineOf(box, '2026-11-24', '2026-11-25');
  t.equal(alive.frames.read, 2700 + 6000);
  t.match(alive.uncounted, [{ why: 'end', toMs: Date.parse('2026-11-24T08:40:00Z') }], 'seven minutes');

  startOf(box.silence(30)).run(3).alerts(169).silence(5).start();
  const killed = timelineOf(box, '2026-11-24', '2026-11-25');
  t.equal(killed.frames.read, 2700 + 6000);
  t.match(
    killed.uncounted.map(({ why, alerts }) => ({ why, alerts })),
    [
      { why: 'killed', alerts: 2 },
      { why: 'killed', alerts: 169 },
    ],
  );
  const inside = timelineOf(box, '2026-11-24T08:13Z', '2026-11-24T08:33Z');
  t.strictSame(inside.uncounted, [], 'uncounted frames are outside of the interval');

  // Another run without its start in the journal: the time of its frames before its first count is unknown.
  t.match(box.entries.splice(0, 2), [{ type: 'start' }, { type: 'mode' }]);
  t.match(timelineOf(box, '2026-11-24', '2026-11-25'), { frames: { read: 7200 }, framesAtEdges: 1500 });
});

void t.test('the report says in words which frames it cannot count', { skip: unlessAll }, async (t) => {
  const box = startOf(new BoxLifetime('2026-11-24T08:00:00Z')).run(3).alerts(169).silence(5);
  const dir = scratch(t);
  const none = await makeReport(t, dir, box, '2026-11-24', '2026-11-25');
  t.match(none.text, /read frames of which no entry has a count, and raised 169 alerts\./);
  t.match(none.text, /24 Nov 2026, 09:00 to 09:03 \+01:00 {2}what it read .* is not counted.* 169 alerts/);
  startOf(box).live(20).run(4).suspend('5a'.repeat(8)).silence(20).start();
  const partial = await makeReport(t, scratch(t), box, '2026-11-24', '2026-11-25');
  t.match(partial.text, /read at least 7,200 frames, analysed at least 6,000 and raised 169 alerts\./);
  t.match(partial.html, /read at least 7,200 frames/);
  t.match(partial.json, { frames: { read: 7200 }, uncounted: [{ why: 'killed', alerts: 169 }] });
});

void t.test('the report describes the state at the last entry', { skip: unlessAll }, async (t) => {
  const active = startOf(new BoxLifetime('2026-11-24T08:00:00Z')).live(30).alerts(1);
  const alive = await completeReport(t, active);
  t.match(
    alive,
    /At its last entry, 24 Nov 2026, 09:30 \+01:00, the box was active, since 24 Nov 2026, 09:00/,
  );
  t.match(alive, /raised 1 alert\./, 'an alert that is the last entry');
  t.match(
    await completeReport(t, active.suspend('5a'.repeat(8))),
    /the box was suspended, since 24 Nov[\s\S]*suspended by desk: order\n/,
  );
  active.resume('5a'.repeat(8)).mode('active', 'order 2026-77').live(10).stop();
  t.match(await completeReport(t, active), /the box was down, since/);
});

/** Makes a report without an interval: the complete journal. */
async function completeReport(t: Test, box: BoxLifetime): Promise<string> {
  const dir = scratch(t);
  box.into(openJournal(dir));
  const run = await warm.run(['report', join(dir, 'journal'), '--key', keyOf(dir)]);
  t.equal(run.code, 0, run.err);
  return run.out;
}

void t.test('a suspension that ended without a resume is reported', async (t) => {
  const [one, two] = ['5a'.repeat(8), '5b'.repeat(8)];
  const missing = (box: BoxLifetime) =>
    timelineOf(box, '2026-11-24', '2026-11-25').missingResumes.map(({ suspension }) => suspension);
  const suspended = () => startOf(new BoxLifetime('2026-11-24T08:00:00Z')).live(30).suspend(one).live(20);
  t.strictSame(missing(suspended()), [], 'it is still suspended');
  t.strictSame(missing(suspended().silence(5).start().suspendedAgain(one)), [], 'after a restart too');
  t.strictSame(missing(suspended().resume(one).mode('active', 'order')), [], 'as it should be');
  t.strictSame(missing(suspended().mode('active', 'order')), [one], 'went on');
  t.strictSame(missing(startOf(suspended().silence(5))), [one], 'went on after a restart');
  t.strictSame(missing(suspended().resume(two).mode('active', 'order')), [one], 'a resume for another');
  t.strictSame(
    missing(
      suspended().resume(one).mode('active', 'order').live(10).suspendedAgain(one).mode('active', 'order'),
    ),
    [one],
    'one that was ended, restored, and never ended again',
  );
  t.strictSame(
    missing(suspended().suspendedAgain(two).resume(two).mode('active', 'order')),
    [one],
    'another in its place, and only that one is ended',
  );
  // The resume may be in the journal before its suspension has been carried out.
  const crossing = startOf(new BoxLifetime('2026-11-24T08:00:00Z')).live(10).resume(one).suspend(one);
  t.strictSame(missing(crossing.mode('active', 'order')), [], 'crossing each other');

  const dir = scratch(t);
  const life = suspended().mode('active', 'order').live(10);
  const { text, html, json } = await makeReport(t, dir, life, '2026-11-24', '2026-11-25');
  const says =
    /WENT ON WITHOUT A SIGNED RESUME: at 24 Nov 2026, 09:50 \+01:00 the box used its camera again, .*5a5a5a5a5a5a5a5a/;
  t.match(text, says);
  t.match(html, says);
  t.match(json, { missingResumes: [{ suspension: one, at: '2026-11-24T08:50:00.000Z' }] });
  const place = join(dir, 'journal');
  const verify = await warm.run(['verify', place, '--key', keyOf(dir)]);
  t.equal(verify.code, 0, 'the journal itself is intact');
  t.match(
    verify.out,
    /^warning: 2026-11-24T08:50:00.000Z: went on without a signed resume: .*5a5a5a5a5a5a5a5a/m,
  );
});

void t.test('a clock set back, an unknown kind and erased entries are harmless', async (t) => {
  const box = new BoxLifetime('2026-11-24T00:00:00Z').start().live(60).silence(-90);
  box.note({ type: 'clock-step', stepMs: -90 * MINUTE_MS }).live(30);
  box
    .note({ type: 'unsealing', case: '2026/77' } as never)
    .live(20)
    .alerts(1);
  const writer = new TimelineWriter();
  box.entries.forEach((content, index) => {
    writer.add(index, content.type === 'alert' ? undefined : content);
  });
  writer.add(99, {
    at: '2026-11-24T00:30:00.000Z',
    type: 'erase',
    entries: [box.entries.length - 1],
    why: 'retention',
    what: 'alert',
  });
  const timeline = writer.tell(Date.parse('2026-11-23T12:00Z'), Date.parse('2026-11-24T12:00Z'));
  t.equal(timeline.erased.get('alert'), 1);
  t.ok(timeline.periods.every(({ fromMs, toMs }) => toMs > fromMs));
});

void t.test('times are local to the site, also when the clocks change', async (t) => {
  const paris = new SiteTime('Europe/Paris');
  t.equal(new Date(paris.parse('--from', '2026-10-25')).toISOString(), '2026-10-24T22:00:00.000Z');
  t.equal(new Date(paris.parse('--from', '2026-10-26')).toISOString(), '2026-10-25T23:00:00.000Z');
  t.equal(new Date(paris.parse('--from', '2026-10-26T10:00Z')).toISOString(), '2026-10-26T10:00:00.000Z');
  t.equal(paris.rfc3339(Date.parse('2026-10-25T00:30:07.9Z')), '2026-10-25T02:30:07+02:00');
  t.equal(paris.rfc3339(Date.parse('2026-10-25T01:30:07.9Z')), '2026-10-25T02:30:07+01:00');
  t.equal(paris.text(Date.parse('2026-10-25T01:30Z')), '25 Oct 2026, 02:30 +01:00');
  const [before, after] = [Date.parse('2026-10-25T00:00Z'), Date.parse('2026-10-25T11:00Z')];
  t.equal(paris.span(before, after), '25 Oct 2026, 02:00 +02:00 to 12:00 +01:00');
  t.equal(paris.span(after, after + HOUR_MS), '25 Oct 2026, 12:00 to 13:00 +01:00');
  t.equal(new SiteTime('Asia/Kolkata').rfc3339(0), '1970-01-01T05:30:00+05:30');
  t.equal(new SiteTime('America/St_Johns').rfc3339(after), '2026-10-25T08:30:00-02:30');
  t.throws(() => paris.parse('--from', '2026-02-30'), /invalid time/);
  t.throws(() => new SiteTime('Europe/Pari'), /not a time zone/);
  const day = paris.ticks(paris.parse('', '2026-10-25'), paris.parse('', '2026-10-26'), 9);
  t.strictSame(
    day.map(({ label }) => label),
    ['25 Oct', '03:00', '06:00', '09:00', '12:00', '15:00', '18:00', '21:00', '26 Oct'],
  );
  for (const days of [1 / 24, 1, 3, 10, 40, 100, 366, 4000]) {
    const from = Date.parse('2026-03-01T00:00Z');
    const ticks = paris.ticks(from, from + days * 24 * HOUR_MS, 8);
    t.ok(ticks.length >= 2 && ticks.length <= 9, `${ticks.length} ticks in ${days} days`);
  }
  t.equal(durationText(26 * HOUR_MS), '1 d 2 h');
});

/** Checks that the page fits the window, and reads its summary. */
const LAYOUT_SCRIPT = `(() => {
  const root = document.documentElement;
  const shown = [...document.querySelectorAll('svg text')].filter((text) => text.getClientRects().length > 0);
  const frame = document.querySelector('svg').getBoundingClientRect();
  const boxes = shown.map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }));
  const outside = boxes.filter(({ box }) => box.left < frame.left - 1 || box.right > frame.right + 1);
  const overlapping = boxes.filter(({ box: a }, i) => boxes.some(({ box: b }, j) => i < j &&
    a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom));
  const named = (list) => list.map(({ text }) => text);
  return { width: innerWidth, beyond: root.scrollWidth - root.clientWidth,
    outside: named(outside), overlapping: named(overlapping), texts: shown.length,
    summary: document.querySelector('.summary').innerText };
})()`;

const layoutOf = (dir: string, html: string, width: number) =>
  measured(dir, html, width, LAYOUT_SCRIPT) as Record<string, unknown>;

async function makeReport(t: Test, dir: string, box: BoxLifetime, from: string, to: string) {
  const journal = openJournal(dir);
  box.into(journal);
  const out = join(dir, 'report.html');
  const args = ['report', join(dir, 'journal'), '--key', keyOf(dir), '--from', from, '--to', to];
  const text = await warm.run([...args, '--out', out]);
  t.equal(text.code, 0, text.err);
  const json = await warm.run([...args, '--json']);
  t.equal(json.code, 0, json.err);
  return {
    text: text.out,
    json: JSON.parse(json.out) as Record<string, unknown>,
    html: readFileSync(out, 'utf8'),
    out,
  };
}

void t.test('text, page and journal of a day agree', async (t) => {
  const dir = scratch(t);
  const box = dayOf();
  const { text, json, html, out } = await makeReport(t, dir, box, '2026-11-24', '2026-11-25');
  const { frames, alerts } = box.counted;
  t.match(json, { frames: { read: frames }, alerts: { present: alerts, erased: 0 } });
  // The day has a power cut, and no entry covers the minutes before it.
  const read = frames.toLocaleString('en-GB');
  const sentence = `the box read at least ${read} frames, analysed at least ${read} and raised ${alerts} alert`;
  t.ok(text.includes(sentence), sentence);
  t.ok(html.includes(`raised ${alerts} alert`), 'the page states the same');
  t.notMatch(html, /<script|https?:|@import|url\((?!#)/i, 'it needs nothing from elsewhere');
  await t.test('the page fits the window', { skip: unlessAll || browserMissing() }, async (t) => {
    for (const width of [360, 1100]) {
      const layout = layoutOf(dir, html, width);
      t.match(layout, { width, beyond: 0, outside: [], overlapping: [] }, `at a width of ${width}`);
      t.ok(String(layout['summary']).includes(sentence), 'with its summary');
    }
    const wide = html.replace('</h1>', `<i style="white-space:nowrap">${'wide '.repeat(100)}</i></h1>`);
    t.ok(Number(layoutOf(dir, wide, 360)['beyond']) > 0, 'an overflow would be detected (control)');
    const picture = join(dir, 'page.png');
    chromium(dir, '--window-size=1100,1700', `--screenshot=${picture}`, out);
    t.ok(statSync(picture).size > 20_000, 'it can be drawn');
  });
});

void t.test('a faulty journal is reported first, on the page too', async (t) => {
  const dir = scratch(t);
  dayOf().into(openJournal(dir));
  const contents = join(dir, 'journal/contents/000.jsonl');
  writeFileSync(
    contents,
    readFileSync(contents, 'utf8').replace('theft of a bicycle', 'theft <b>of</b> a tricycle'),
  );
  const out = join(dir, 'report.html');
  const run = oversight(t, 'report', join(dir, 'journal'), '--key', keyOf(dir), '--out', out);
  t.equal(await run.exit, 1, run.err);
  t.match(
    run.out,
    /^wrong: .*the content of entry \d+ does not fit its hash\nNOT intact: one error was found/,
  );
  const html = readFileSync(out, 'utf8');
  t.match(html, /class="verdict bad"[\s\S]*NOT intact/);
  t.notMatch(html, /tricycle/, 'an entry with a wrong hash is not shown');
  for (const [option, value, says] of [
    ['--from', 'yesterday', /--from: invalid time "yesterday"/],
    ['--to', '2020-01-01', /is not after/],
    ['--time-zone', 'Nowhere', /not a time zone/],
  ] as const) {
    const program = await warm.run(['report', join(dir, 'journal'), '--key', keyOf(dir), option, value]);
    t.equal(program.code, 2);
    t.match(program.err, says);
  }
});

void t.test('the report names who suspended, who resumed and who requested sealed stills', async (t) => {
  const box = new BoxLifetime('2026-11-24T08:00:00Z')
    .note({ type: 'authority', before: null, after: 'ab'.repeat(32) })
    .start()
    .note({
      type: 'authorisation',
      order: '2026-77',
      sha256: 'cd'.repeat(32),
      notBefore: '2026-11-01T00:00:00.000Z',
      notAfter: '2027-05-31T22:00:00.000Z',
    })
    .live(30)
    .suspend('s1')
    .run(1)
    .live(30)
    .resume('s1')
    .mode('active', 'order lifted')
    .live(10);
  box.unseal('2026/1234', true).live(10);
  const { text, html } = await makeReport(t, scratch(t), box, '2026-11-24', '2026-11-25');
  for (const says of [
    /authorisation 2026-77, valid 1 Nov 2026, 01:00 \+01:00 to 1 Jun 2027, 00:00 \+02:00/,
    /suspended by desk: order/,
    /suspended for 31 min \(/,
    /CONTRADICTION: the counters of frames moved by 300 while the box was suspended or not authorised/,
    /resumed by the keys prefect, mayor: order lifted/,
    /case 2026\/1234, by the key “judge-desk”: assault – event b00t-1: handed out sealed, SHA-256 efef/,
    /the authority’s key that the box accepts from now on: abab/,
  ]) {
    t.match(text, says);
    t.match(html, says);
  }
});

void t.test('text of others reaches the terminal and the page only escaped', async (t) => {
  const box = startOf(new BoxLifetime('2026-11-24T08:00:00Z')).live(10).search(HOSTILE);
  box.search('<img src=x onerror=alert(1)>"');
  box.note({
    type: 'suspend',
    id: HOSTILE,
    reason: HOSTILE,
    by: HOSTILE,
    framesRead: 3000,
    packetsWatched: 0,
  });
  box
    .mode('suspended', HOSTILE)
    .live(10)
    .note({ type: HOSTILE, [HOSTILE]: HOSTILE } as never);
  // Entries that a compromised box may sign as well.
  for (const entry of [7, [], {}, { type: 'suspend', id: 7 }, { type: 'resume', id: 's1', by: 'x' }])
    box.entries.push(entry as never);
  box.entries.push({ at: 'never', type: 'heartbeat', boot: '1', frames: null } as never);
  box.mode('active', HOSTILE).note({ type: 'resume', id: HOSTILE, reason: HOSTILE, by: [HOSTILE] });
  const dir = scratch(t);
  const { text, json, html } = await makeReport(t, dir, box, '2026-11-24', '2026-11-25');
  t.strictSame(forbiddenIn(text), []);
  t.strictSame(forbiddenIn(html), []);
  t.notMatch(html, /<img/);
  t.match(html, /&lt;img src=x onerror=alert\(1\)&gt;&quot;/, 'text on the page, never markup');
  t.match(text, /suspended by \\x1b\[2J/);
  t.notMatch(text, /^vigie: all is well/m);
  t.match(JSON.stringify(json['entries']), 'vigie: all is well', 'programs get it unchanged');
  const place = join(dir, 'journal');
  for (const extraArgs of [[], ['--json']]) {
    const verify = await warm.run(['verify', place, '--key', keyOf(dir), ...extraArgs]);
    t.equal(verify.code, 0);
    t.match(verify.out, /without a signed resume/);
    t.strictSame(forbiddenIn(verify.out), []);
    t.equal(verify.out.includes('\nvigie: all is well'), false);
  }
  t.match(text, /suspend, not of its form: \{"id":7\}/);
  t.match(text, /6 entries bear no time/);
  const bad = join(dir, 'bad.jsonl');
  writeFileSync(
    bad,
    `${JSON.stringify({ form: 'vigie-journal-export-1', checkpoint: `${HOSTILE}\n\n— ${HOSTILE}\n`, witnessed: null })}\n`,
  );
  const forged = await warm.run(['verify', bad, '--key', keyOf(dir)]);
  t.equal(forged.code, 1, forged.err);
  t.strictSame(forbiddenIn(forged.out + forged.err), []);
});

void t.test('changes of each kind are described in words, and an unknown kind by its name', (t) => {
  for (const [changeKind, phase, to, from, words] of [
    ['root', 'probation', '412-0.3.0', null, 'root’s program 412-0.3.0 runs, on probation'],
    [
      'root',
      'rolled-back',
      '412-0.3.0',
      '398-0.2.0',
      'root’s program 412-0.3.0 was rolled back, and root’s program 398-0.2.0 runs again',
    ],
    [
      'root',
      'failed',
      null,
      null,
      'root’s program of a release that is not named failed; nothing was changed',
    ],
    ['release', 'staged', '411', null, 'the release 411 was fetched and checked, and is ready'],
    [
      'configuration',
      'confirmed',
      'ab'.repeat(32),
      null,
      'the configuration abababababab… has proved itself and stays',
    ],
    ['constructor', 'confirmed', 'x', null, 'constructor x has proved itself and stays'],
  ]) {
    const times = { noted: '2026-11-26T02:01:00.000Z', at: '2026-11-26T02:02:00.000Z' };
    const entry = {
      type: 'rollout',
      what: changeKind,
      n: 1,
      phase,
      from,
      to,
      rollout: 'n-1',
      reason: null,
      ...times,
    };
    t.equal(rolloutText(entry as unknown as JournalContent), `${words} (rollout n-1)`);
  }
  t.end();
});
