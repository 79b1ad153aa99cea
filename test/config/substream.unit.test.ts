/**
 * Tests `camera.substream`: accepted values, and that its credentials stay on the box like those of `camera.source`.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { coverageReport } from '../../agent/cli/coverage.ts';
import { editedText, proposableOf } from '../../agent/config/edit.ts';
import { inspectConfig, inspectText, problemText } from '../../agent/config/load.ts';
import { shownSha256, streamWithSecret, withoutSecrets, withSecretsOf } from '../../agent/config/secrets.ts';
import type { Config } from '../../agent/contract/config.ts';
import { watchedHash } from '../../agent/restraint/journal/watched.ts';
import { configOf as authorisableConfig } from '../lib/agent.ts';
import { authorised } from '../lib/authority.ts';
import { scratch } from '../lib/paths.ts';

const MAIN = 'rtsp://admin:hunter2@10.0.0.2/main';
const SUB = 'rtsp://admin:hunter2@10.0.0.2/sub';

const textOf = (source: string, substream?: string): string =>
  `site: s\nbox: b\ncamera:\n  source: "${source}" # by the door\n${
    substream === undefined ? '' : `  substream: "${substream}"\n`
  }  fps: 4\n`;

const inspected = (text: string, env: Record<string, string> = {}) =>
  inspectText(text, { env, mode: 'replay' });

function configOf(text: string): Config {
  const { config, problems } = inspected(text);
  if (config === undefined) throw new Error(problems.map((one) => problemText('x', one)).join('; '));
  return config;
}

void t.test('a second stream is another RTSP stream of the same host and port', async (t) => {
  t.equal(configOf(textOf(MAIN)).camera?.substream, undefined, 'off by default');
  t.equal(configOf(textOf(MAIN, SUB)).camera?.substream, SUB);
  const bySetting = inspected(textOf(MAIN), { VIGIE_CAMERA_SUBSTREAM: SUB }).config;
  t.equal(bySetting?.camera?.substream, SUB);
  const cases: [string, string, RegExp][] = [
    [MAIN, 'rtsp://admin:hunter2@10.0.0.2:8554/sub', /another .* same host and port as camera.source/],
    [MAIN, 'file:/a.mp4', /must be rtsp:\/\//],
    [MAIN, 'rtsp://admin:hunter2 10.0.0.2/sub', /printable ASCII/],
    ['v4l2:/dev/video0', SUB, /needs an RTSP stream in camera.source; leave it out/],
  ];
  for (const [source, substream, message] of cases) {
    const { config, problems } = inspected(textOf(source, substream));
    t.equal(config, undefined, substream);
    t.match(problems, [{ path: 'camera.substream', line: 5, message }], substream);
    t.equal(problems.length, 1, 'one line');
    t.notMatch(JSON.stringify(problems), /hunter2/, 'without its login');
  }
  const both = inspected(textOf('rtsp://h#x/main', SUB)).problems;
  t.match(both, [{ path: 'camera.source' }], 'a fault of the source alone is reported once');
  t.equal(both.length, 1);
});

void t.test('its login is hidden outside the box, and filled in from the same device alone', async (t) => {
  for (const text of [
    textOf(MAIN, SUB),
    textOf('rtsp://10.0.0.2/main', SUB),
    textOf(MAIN, 'rtsp://viewer:hunter2@10.0.0.2/sub?token=hunter2'),
    `{"camera": {"substream": "${SUB}", "source": "${MAIN}"}}\n`,
  ]) {
    const hiddenText = withoutSecrets(text) ?? '';
    t.notMatch(hiddenText, /hunter2/);
    const filled = withSecretsOf(hiddenText, text);
    t.strictSame(parse(filled), parse(text), 'and is what it was');
    t.equal(shownSha256(text.replaceAll('hunter2', 'other')), shownSha256(text), 'its hash tells no login');
    t.equal(streamWithSecret(hiddenText), undefined);
  }
  t.equal(streamWithSecret(textOf('rtsp://10.0.0.2/main', SUB)), 'substream');
  t.equal(streamWithSecret(textOf(MAIN, SUB)), 'source');

  const previous = textOf(MAIN);
  const added = textOf('rtsp://***@10.0.0.2/main', 'rtsp://***@10.0.0.2/sub');
  t.equal(withSecretsOf(added, previous), textOf(MAIN, SUB), 'a new one has the login of the source');
  const own = textOf(MAIN, 'rtsp://viewer:p@10.0.0.2/sub');
  t.equal(
    withSecretsOf(textOf('rtsp://***@10.0.0.2/main', 'rtsp://***@10.0.0.2/sub2'), own),
    textOf(MAIN, 'rtsp://viewer:p@10.0.0.2/sub2'),
    'or its own',
  );
  for (const foreignAddress of ['rtsp://***@10.0.0.3/sub', 'rtsp://***@10.0.0.2:8554/sub'])
    t.throws(
      () => withSecretsOf(textOf('rtsp://***@10.0.0.2/main', foreignAddress), textOf(MAIN, SUB)),
      /^camera.substream: the login .* of another camera/,
    );
  const shared = `camera: { source: "rtsp://10.0.0.2/main", substream: &s "rtsp://***@10.0.0.2/sub" }\nsite: *s\n`;
  t.throws(() => withSecretsOf(shared, textOf(MAIN, SUB)), /^camera.substream: .* through an alias/);
});

void t.test('a password in a file that everybody can read gives a warning', async (t) => {
  const file = join(scratch(t), 'vigie.yaml');
  writeFileSync(file, textOf('rtsp://10.0.0.2/main', SUB));
  chmodSync(file, 0o644);
  const { warnings } = inspectConfig(file, { env: {}, mode: 'replay' });
  t.match(warnings, [{ path: 'camera.substream', message: /every user can read/ }]);
});

void t.test('the second stream is part of the watched camera, without its login', async (t) => {
  const hash = (substream?: string): string => watchedHash(configOf(textOf(MAIN, substream)));
  t.equal(hash(SUB), hash('rtsp://other:x@10.0.0.2/sub'), 'another password is the same camera');
  t.not(hash(SUB), hash('rtsp://10.0.0.2/sub2'));
  t.not(hash(SUB), hash());
});

void t.test('a technician’s proposal keeps, sets or drops it', async (t) => {
  const text = textOf(MAIN, SUB);
  const shownProposal = proposableOf(configOf(text));
  t.equal(shownProposal.substreamAddress, 'rtsp://10.0.0.2/sub');
  t.notMatch(JSON.stringify(shownProposal), /hunter2/);
  t.notOk('substreamAddress' in proposableOf(configOf(textOf(MAIN))));
  const { cameraAddress, substreamAddress, ...otherFields } = shownProposal;
  const edited = (change: object, before = text): string =>
    editedText(before, { ...structuredClone(otherFields), ...change });

  t.equal(edited({}), text, 'absent: unchanged');
  t.equal(
    edited({ source: cameraAddress, substream: substreamAddress }),
    text,
    'proposed unchanged: with its login',
  );
  t.equal(edited({ substream: null }), textOf(MAIN), 'null: none');
  t.strictSame(parse(edited({ substream: SUB }, textOf(MAIN))), parse(text));
  for (const source of ['rtsp://a:b@10.0.0.3/main', 'rtsp://a:b@10.0.0.2/cam?channel=2', 'v4l2:/dev/video0'])
    t.equal(edited({ source }), textOf(source), 'another camera: the former stream goes');
  t.equal(
    edited({ source: 'rtsp://10.0.0.3/main', substream: 'rtsp://10.0.0.3/sub' }),
    textOf('rtsp://10.0.0.3/main', 'rtsp://10.0.0.3/sub'),
  );
  const [source, viewer] = ['rtsp://admin:new@10.0.0.2/main', 'rtsp://viewer:x@10.0.0.2/sub'];
  t.equal(
    edited({ source }),
    textOf(source, 'rtsp://admin:new@10.0.0.2/sub'),
    'the same login changes with it',
  );
  t.equal(edited({ source }, textOf(MAIN, viewer)), textOf(source, viewer), 'a login of its own stays');
});

const AUTHORISABLE = authorisableConfig(
  {
    site: 'lab',
    box: 'lab-1',
    camera: {
      source: 'rtsp://admin:hunter2@10.0.0.2/main',
      substream: 'rtsp://admin:hunter2@10.0.0.2/sub?x=hunter2',
    },
    lines: [{ id: 'kerb', from: [0, 0], to: [1, 1] }],
    rules: [{ id: 'over-kerb', kind: 'line-crossing', line: 'kerb', purpose: 'counting' }],
  },
  'replay',
);
const [ADDRESS, SUB_ADDRESS] = ['rtsp://10.0.0.2/main', 'rtsp://10.0.0.2/sub?x=hunter2'];

void t.test('an order that does not name the second stream is one line of advice', async (t) => {
  const { problem, warnings } = coverageReport(authorised(AUTHORISABLE, scratch(t)));
  t.equal(problem, undefined, 'and the order still applies');
  t.strictSame(warnings, [
    'camera.substream: authorisation 2026-77 does not name rtsp://10.0.0.2/sub?x=***, so the box runs without it; ask for an authorisation that names it as substream',
  ]);
});

void t.test('an order that names both streams gives no advice', async (t) => {
  for (const cameraFields of [
    { camera: ADDRESS, substream: SUB_ADDRESS },
    { camera: SUB_ADDRESS, substream: ADDRESS },
  ])
    t.strictSame(coverageReport(authorised(AUTHORISABLE, scratch(t), cameraFields)).warnings, []);
  const { substream: _, ...camera } = AUTHORISABLE.camera ?? { source: ADDRESS, fps: 5 };
  t.strictSame(coverageReport(authorised({ ...AUTHORISABLE, camera }, scratch(t))).warnings, []);
});
