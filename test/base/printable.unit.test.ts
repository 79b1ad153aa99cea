/**
 * Tests that foreign text cannot move a cursor, begin a line, reverse or hide text, and that every character of it is
 * shown.
 */
import fc from 'fast-check';
import t from 'tap';
import { scrubbed } from '../../agent/base/log.ts';
import { printable, printableJson, printableLine } from '../../agent/base/printable.ts';
import { escaped, html } from '../../scripts/lib/html.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';

void t.test('characters that no terminal should receive are shown as escapes', async (t) => {
  t.equal(printableLine('a\u001b[31m\tb\n'), 'a\\x1b[31m\\x09b\\x0a');
  t.equal(
    printableLine('\u009b\u007f\u202e\u200b\u2028\ufeff\u{e0041}'),
    '\\x9b\\x7f\\u202e\\u200b\\u2028\\ufeff\\u{e0041}',
  );
  t.equal(printableLine('half of a pair: \ud83d'), 'half of a pair: \\ud83d');
  t.equal(printableLine('Ünïcødé 漢字 😀 «l’été» a  b'), 'Ünïcødé 漢字 😀 «l’été» a  b', 'text stays');
  t.equal(printable(`a${' '.repeat(300)}\u00a0\tb`), 'a b', 'white space is one space');
  t.equal(printable('x'.repeat(300), 10), 'xxxxxxxxxx…');
  t.equal(printable('😀'.repeat(10), 3), '😀\\ud83d…', 'cut within a pair');
  t.ok(printableLine('x'.repeat(1e6)).length < 5000);
});

void t.test('no input leaves a forbidden character', async (t) => {
  const nasty = fc.constantFrom(...Array.from(HOSTILE), '\u2066', '\u061c', '\u3164', '\u00ad', ' ', 'a');
  const text = fc.array(fc.oneof(nasty, fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 40 });
  fc.assert(
    fc.property(
      text.map((parts) => parts.join('')),
      (from) => {
        for (const line of [printable(from), printableLine(from)]) {
          if (/\n/.test(line) || forbiddenIn(line).length > 0) throw new Error(JSON.stringify(line));
        }
        const value = { [from]: [from, { deep: from }] };
        const json = printableJson(value, 2);
        if (forbiddenIn(json).length > 0) throw new Error(json);
        if (JSON.stringify(JSON.parse(json)) !== JSON.stringify(value)) throw new Error('another value');
        if (forbiddenIn(escaped(from).replaceAll('\t', '')).length > 0) throw new Error(escaped(from));
      },
    ),
    { numRuns: 5000 },
  );
  t.pass('5000 texts');
});

void t.test('pages and logs escape hostile text too', async (t) => {
  t.equal(html`<p>${'<b>\u202e\u001b[1m'}</p>`.text, '<p>&lt;b&gt;\\u202e\\x1b[1m</p>');
  t.equal(escaped('two\nlines'), 'two\nlines');
  const line = `${JSON.stringify({ msg: HOSTILE })}\n`;
  t.strictSame(forbiddenIn(scrubbed(line)), []);
  t.same(JSON.parse(scrubbed(line)), { msg: HOSTILE }, 'a log says the same');
});
