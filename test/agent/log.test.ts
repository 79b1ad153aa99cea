/**
 * Tests that the log never contains credentials, keys or pictures, with the whole program at debug level. Tests also that
 * foreign text cannot move a cursor, begin a line, reverse or hide text.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { scrubbed, terminalLine } from '../../agent/base/log.ts';
import { printable, printableJson, printableLine } from '../../agent/base/printable.ts';
import { JOURNAL_KEY_FILE } from '../../agent/restraint/journal/key.ts';
import { escaped, html } from '../../scripts/lib/html.ts';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { streetConfig } from '../lib/agent.ts';
import { authorised } from '../lib/authority.ts';
import { anyCharacter } from '../lib/characters.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { start, VIGIE } from '../lib/program.ts';
import { BOX, clientOf, makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { RtspServer, rtspMissing } from '../lib/rtsp-server.ts';
import { unlessAll } from '../lib/run.ts';

const PASSWORD = 'Kx7-canebiere';
const WRONG_PASSWORD = 'Zw3-joliette';

/** The secret lines of a PEM file: its body. */
function bodyOf(pem: string): string[] {
  return readFileSync(pem, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('-----'));
}

t.test(
  'the log at debug level holds no secret through a wrong password, alerts and a lost stream',
  { skip: unlessAll || rtspMissing() },
  async (t) => {
    const room = await makeRoom(t);
    const dir = scratch(t);
    const stateDir = join(dir, 'state');
    const server = await RtspServer.start({ user: 'admin', password: PASSWORD });
    t.teardown(() => server.kill());

    const client = await clientOf(t, room, 'archive.inbox');
    let snapshots = 0;
    client.on('message', () => {
      snapshots += 1;
    });
    await client.subscribeAsync(`vigie/${SITE}/${BOX}/snap/+`, { qos: 1 });
    let log = '';
    const run = async (source: string, over: () => boolean): Promise<void> => {
      const config = join(dir, 'vigie.json');
      const metrics = { port: await freePort() };
      const content = streetConfig(room, { camera: { source, fps: 5 }, metrics });
      writeFileSync(config, JSON.stringify(authorised(content, join(dir, 'order'))), { mode: 0o600 });
      // GStreamer would write past the log if it received this variable.
      const env = ['VIGIE_LOG=debug', 'GST_DEBUG=2', 'GST_DEBUG_NO_COLOR=1', process.execPath];
      const args = [VIGIE, 'run', '--config', config, '--state', stateDir, '--log', 'debug'];
      const agent = start(t, 'env', [...env, ...args]);
      const before = log;
      await waitUntil(
        t,
        'the log has lines',
        () => {
          log = before + agent.out + agent.err;
          return over();
        },
        60_000,
      );
      agent.child.kill('SIGTERM');
      await agent.exit;
      log = before + agent.out + agent.err;
    };
    await run(server.url(`admin:${WRONG_PASSWORD}`), () => /refuses the user or password/.test(log));
    let killed: Promise<void> | undefined;
    await run(server.url(`admin:${PASSWORD}`), () => {
      if (log.includes('camera opened')) killed ??= server.kill();
      return killed !== undefined && log.split('camera lost').length > 2;
    });
    if (existsSync(STREET_CLIP)) await run(`file:${STREET_CLIP}`, () => snapshots > 0);
    else t.comment('no street clip, so no snapshot: run scripts/setup');
    t.match(log, /"level":20/, 'it was talkative');
    t.notMatch(log, /\d:\d\d:\d\d\.\d{9} +\d+ 0x/, 'GStreamer does not log on its own');
    t.match(log, '"name":"vision"', 'vision too');
    const secrets = {
      'the camera’s password': [PASSWORD],
      'a wrong password': [WRONG_PASSWORD],
      'the key of the box': bodyOf(room.config.key ?? ''),
      'the key of the journal': bodyOf(join(stateDir, JOURNAL_KEY_FILE)),
      'the certificate’s armour': ['PRIVATE KEY'],
      'a picture': ['/9j/', 'iVBORw0KGgo', '\xff\xd8\xff'],
    };
    for (const [secretKind, texts] of Object.entries(secrets)) {
      t.ok(texts.length > 0, `${secretKind} is known`);
      for (const text of texts) t.notOk(log.includes(text), `${secretKind} is not in the log`);
    }
    const lines = log.split('\n').filter((line) => line.startsWith('{'));
    t.ok(lines.length > 5, `${lines.length} lines`);
    for (const line of lines) {
      t.match(JSON.parse(line), { level: Number, time: Number, name: String, msg: String });
      t.ok(line.length < 2000, 'no line is long');
    }
    for (const file of readdirSync(stateDir, { recursive: true })) {
      const path = join(stateDir, String(file));
      if (!existsSync(path) || String(file) === JOURNAL_KEY_FILE) continue;
      t.notOk(contentOfPath(path).includes(PASSWORD), `the password is not in ${String(file)}`);
    }
  },
);

function contentOfPath(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EISDIR') return '';
    throw error;
  }
}

t.test('no line of the log holds a secret that was passed to it', async (t) => {
  const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(300, 7)]).toString(
    'base64',
  );
  const line = (value: unknown): string => JSON.stringify({ level: 30, name: 'vigie', value, msg: 'x' });
  const hidden: [string, string][] = [
    ['rtsp://admin:s3cret@10.0.0.2/main', 's3cret'],
    ['cannot open rtsps://admin:a@s3cret@10.0.0.2:554/x?y=1', 's3cret'],
    ['mqtts://user:s3cret@room.example', 's3cret'],
    ['http://camera/cgi?user=admin&password=s3cret', 's3cret'],
    ['http://camera/user=admin_password=s3cret_channel=1', 's3cret'],
    ['http://camera/x?token=s3cret', 's3cret'],
    ['-----BEGIN PRIVATE KEY-----\nMC4s3cret\n-----END PRIVATE KEY-----\n', 's3cret'],
    ['-----BEGIN EC PRIVATE KEY-----\ncut off s3cret', 's3cret'],
    [`MC4CAQAwBQYDK2VwBCIEI${'A'.repeat(42)}9=`, 'AAAA9'],
    [jpeg, jpeg.slice(40, 80)],
  ];
  for (const [text, secret] of hidden) {
    t.ok(line(text).includes(secret), 'it would be in the line');
    for (const value of [text, { deep: [{ text }] }]) {
      const written = scrubbed(line(value));
      t.notOk(written.includes(secret), written);
      t.match(JSON.parse(written), { level: 30, name: 'vigie' }, 'and the line is JSON still');
      const timed = line(value).replace('{', '{"time":1764349200000,');
      const terminalText = terminalLine(`${timed}\n`);
      t.match(terminalText, /^2025-\S+ info {2}vigie: x value=/);
      t.notOk(terminalText.includes(secret), 'nor on a terminal');
    }
  }
  for (const text of [
    'rtsp://10.0.0.2/main',
    'mail@example.org',
    'mqtts://room.example:8883',
    'token bucket',
  ]) {
    t.equal(scrubbed(line(text)), line(text), 'other text stays');
  }
});

t.test('a field named like one of the log’s own does not break the line', async (t) => {
  t.equal(terminalLine('{"level":30,"time":1,"name":"vigie","time":"x","msg":"m"}\n').trim().at(0), '{');
});

t.test('a log line is text on a terminal and JSON in a pipe', async (t) => {
  const program = `import { makeLogger } from ${JSON.stringify(new URL('../../agent/base/log.js', import.meta.url).href)};
const log = makeLogger('vigie', 'debug');
log.warn({ url: 'rtsp://admin:s3cret@10.0.0.2/main', code: 7, why: 'two words' }, 'camera lost');
log.error({ why: '\\u001b[2J\\u202e' }, 'evil \\u001b[31m\\nlevel=50');`;
  const file = join(scratch(t), 'log.mjs');
  writeFileSync(file, program);
  const run = (...command: string[]): string => {
    const [name = '', ...args] = command;
    const { stdout, stderr } = spawnSync(name, args, {
      env: { ...process.env, TZ: 'Europe/Paris' },
      encoding: 'utf8',
    });
    return `${stdout}${stderr}`;
  };
  // script(1) of util-linux provides a terminal and copies everything shown to standard output.
  const output = run('script', '-qefc', `'${process.execPath}' '${file}'`, '/dev/null').replaceAll(
    '\r\n',
    '\n',
  );
  const lines = output.trimEnd().split('\n');
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0[12]:00/;
  t.equal(lines.length, 2, 'one line each, whatever its content');
  for (const one of lines) t.match(one, time, 'local time and its offset');
  t.equal(
    lines[0]?.replace(time, ''),
    ' warn  vigie: camera lost url=rtsp://***@10.0.0.2/main code=7 why="two words"',
  );
  t.match(lines[1], / ERROR vigie: evil \\x1b\[31m\\x0alevel=50 why="?\\/);
  t.notMatch(output, /s3cret/);
  t.notOk(output.includes('\x1b') || output.includes('\u202e'), 'no character that a terminal obeys');
  const piped = run(process.execPath, file).trimEnd().split('\n');
  t.match(JSON.parse(piped[0] ?? ''), {
    level: 40,
    time: Number,
    name: 'vigie',
    msg: 'camera lost',
    code: 7,
  });
});

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
  const text = fc.array(fc.oneof(nasty, fc.string({ unit: anyCharacter, maxLength: 3 })), { maxLength: 40 });
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
    { numRuns: 1000 },
  );
  t.pass('1000 texts');
});

void t.test('pages and logs escape hostile text too', async (t) => {
  t.equal(html`<p>${'<b>\u202e\u001b[1m'}</p>`.text, '<p>&lt;b&gt;\\u202e\\x1b[1m</p>');
  t.equal(escaped('two\nlines'), 'two\nlines');
  const line = `${JSON.stringify({ msg: HOSTILE })}\n`;
  t.strictSame(forbiddenIn(scrubbed(line)), []);
  t.same(JSON.parse(scrubbed(line)), { msg: HOSTILE }, 'a log says the same');
});
