/** Tests the labels of a box as a phone's camera reads them. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { wifiCode, writeLabel } from '../../scripts/programs/flash/label.ts';
import { scratch } from '../lib/paths.ts';
import { unlessAll } from '../lib/run.ts';

const LABEL = { site: 'marseille-1', box: 'canebiere-017', setupCode: 'ABCD-EFGH-JKLM-NPQR' };

const readCode = (file: string): string =>
  execFileSync('zbarimg', ['-q', '--raw', file], { stdio: ['ignore', 'pipe', 'ignore'] })
    .toString()
    .trim();

t.test('the Wi-Fi code escapes the signs of its format', async (t) => {
  t.equal(wifiCode('square-1', 'abcd2345'), 'WIFI:T:WPA;S:square-1;P:abcd2345;;');
  t.equal(wifiCode('a;b', 'x\\y;z,1:2"3'), 'WIFI:T:WPA;S:a\\;b;P:x\\\\y\\;z\\,1\\:2\\"3;;');
});

t.test(
  'a phone reads the Wi-Fi code and the address, each from a label of its own',
  { skip: unlessAll },
  async (t) => {
    for (const [name, hotspotKey] of [
      ['as flash makes it', 'abcdefghjkmnpqrs'],
      ['the longest, with signs', `${'w\\;,:"'.repeat(10)}abc`],
    ] as const) {
      const dir = scratch(t);
      await writeLabel({ ...LABEL, hotspotKey }, dir);
      t.strictSame(readdirSync(dir).sort(), ['label-wifi.png', 'label.pdf', 'label.png'], name);
      t.equal(readCode(join(dir, 'label-wifi.png')), wifiCode(LABEL.box, hotspotKey));
      t.equal(readCode(join(dir, 'label.png')), `https://${LABEL.box}.local/#${LABEL.setupCode}`);
      const text = execFileSync('pdftotext', ['-layout', join(dir, 'label.pdf'), '-']).toString();
      t.equal(text.split('\f').length - 1, 2, 'two labels in the PDF');
      t.ok(text.split('\f')[1]?.includes(LABEL.box), 'the second names the network');
    }
  },
);

t.test('a box whose passphrase is not known has no Wi-Fi label', async (t) => {
  const dir = scratch(t);
  await writeLabel(LABEL, dir);
  t.strictSame(readdirSync(dir).sort(), ['label.pdf', 'label.png']);
});
