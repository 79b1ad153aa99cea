/** Tests how a box gets and renews its certificate under faults of the room, network, card, clock and power. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import t, { type Test } from 'tap';
import { type Authority, OpensslAuthority } from '../../scripts/products/room/enrol/authority.ts';
import { certsOnly } from '../../scripts/products/room/enrol/request.ts';
import { EnrolFiles } from '../../scripts/products/root/enrolment/enrol-files.ts';
import { renewBox, renewPage } from '../../scripts/products/root/enrolment/renew.ts';
import { rootProgram } from '../lib/bundled.ts';
import { BOX, csrOf, keysBelow, NewBox, newKey, SITE, ssl, TestRoom } from '../lib/enrolment.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { unlessAll } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';

const VIGIE_ROOT = rootProgram();

const SILENT = { say: () => undefined };
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

async function startedRoom(t: Test): Promise<TestRoom> {
  const room = new TestRoom(t);
  await room.start();
  return room;
}

void t.test('a token gives one certificate by one request, without typing', async (t) => {
  const room = await startedRoom(t);
  const box = new NewBox(t, room, room.token());
  writeFileSync(
    join(box.card, 'result.txt'),
    '2026-01-01T00:00:00.000Z installed\r\nvigie.yaml is now there\r\n',
  );
  t.equal(await box.enrol(), 'enrolled');
  t.strictSame(box.waits, []);
  t.match(box.certificate, `subject=CN = ${BOX}`.replaceAll(' = ', '='));
  t.strictSame([modeOf(box.file('box.key')), modeOf(box.file('box.crt'))], ['640', '640']);
  t.notOk(existsSync(join(box.etc, 'enrol.json')), 'the request is gone, with its token');
  t.strictSame(keysBelow(box.card), [], 'no private key is on the card');
  t.strictSame(keysBelow(box.etc), [box.file('box.key')], 'and one on the box');
  t.equal(await box.enrol(), 'nothing', 'once');
  t.equal(room.store.certificates().length, 1);

  const files = new EnrolFiles(box.etc);
  const common = { files, boxClock: SILENT, signal: new AbortController().signal };
  t.match(await renewPage(common), { state: 'renewed' }, 'the page has one too');
  const page = ssl([
    'x509',
    '-in',
    join(box.etc, 'page/page.crt'),
    '-noout',
    '-ext',
    'subjectAltName,extendedKeyUsage',
  ]);
  t.match(page.toString(), new RegExp(`DNS:${BOX}\\.local`));
  t.notMatch(page.toString(), /Client/, 'and it opens no broker');
  t.equal(await renewPage(common), undefined, 'and keeps it');

  t.equal(await renewBox(common), undefined, 'not due');
  const { pem } = room.authority.issue(csrOf(box.file('box.key'), BOX), { ...CLIENT, days: 0.4 }, Date.now());
  writeFileSync(box.file('box.crt'), pem);
  t.match(
    await renewBox(common),
    { state: 'refused', reason: /not one that was given here/ },
    'due; unknown here',
  );
  t.equal(readFileSync(box.file('box.crt'), 'utf8'), pem, 'the old one stays');
});

void t.test('an unavailable or busy room is asked again until it answers', { skip: unlessAll }, async (t) => {
  const room = await startedRoom(t);
  const box = new NewBox(t, room, room.token());
  await room.stop();
  const state = await box.enrol(async () => {
    t.match(box.status, { state: 'waiting', reason: /ECONNREFUSED/ });
    t.match(box.result, /^enrolment: waiting: .*ECONNREFUSED/m, 'the card says it too');
    if (box.waits.length === 8) await room.start();
    return undefined;
  });
  t.equal(state, 'enrolled');
  t.equal(box.waits.length, 8);
  t.ok((box.waits[0] ?? 0) <= 2000 && (box.waits[7] ?? 0) > 100_000, 'its pauses grow');
  t.equal(box.output.filter((line) => line.includes('waiting')).length, 1, 'reported once');
});

void t.test('a refused token is reported, and asked again each hour', async (t) => {
  const room = await startedRoom(t);
  const cases: [string, (box: NewBox) => string, RegExp][] = [
    ['wrong', () => 'x'.repeat(32), /401 the token is not one for this box/],
    ['of another box', () => room.token('other-1'), /401 the token is not one for this box/],
    [
      'used',
      () => {
        const token = room.token();
        room.store.byToken(token, {
          box: BOX,
          key: 'f'.repeat(64),
          nowMs: Date.now(),
          issue: () => room.authority.issue(csrOf(newKey(join(room.dir, 'x.key')), BOX), CLIENT, Date.now()),
        });
        return token;
      },
      /401 the token has been used/,
    ],
    [
      'ended',
      () => {
        room.aheadMs = -15 * 86_400_000;
        const token = room.token();
        room.aheadMs = 0;
        return token;
      },
      /401 the token ended on /,
    ],
  ];
  for (const [name, token, reason] of cases) {
    const box = new NewBox(t, room, 'unset'.padEnd(32, '-'));
    box.request(room, token(box));
    const state = await box.enrol((waitMs) => {
      t.ok(waitMs >= 3_600_000, `${name}: an hour`);
      t.match(box.status, { state: 'refused', reason }, name);
      t.match(box.result, /^enrolment: refused: .*\(\S+Z\)\r$/m);
      box.request(room, room.token());
      return undefined;
    });
    t.equal(state, 'enrolled', `${name}: another token works`);
  }
  t.notMatch(room.log.join('\n'), /xxxxx|unset/, 'no token in the room’s log');
});

const CLIENT = { use: 'client', commonName: BOX, days: 365 } as const;

void t.test(
  'a box without a token waits on the list until it is accepted or refused',
  { skip: unlessAll },
  async (t) => {
    const room = await startedRoom(t);
    const box = new NewBox(t, room);
    const state = await box.enrol((waitMs) => {
      t.match(box.status, { state: 'pending' });
      t.ok(waitMs >= 30_000 && waitMs <= 60_000, `${waitMs} ms, as the room asks`);
      const [row] = room.store.waiting.rows();
      t.match(box.result, row?.key.slice(0, 16) ?? 'none', 'the card and the list name the same key');
      // The box is restarted in between.
      if (box.waits.length === 1) return false;
      room.store.accept(SITE, BOX, row?.key.slice(0, 16));
      return undefined;
    });
    t.equal(state, 'stopped');
    const second = await box.enrol(() => {
      t.equal(room.store.waiting.count, 1, 'the same key after a restart');
      room.store.accept(SITE, BOX);
      return undefined;
    });
    t.equal(second, 'enrolled');
    t.equal(room.store.waiting.count, 0);

    const other = new NewBox(t, room);
    await other.enrol((waitMs) => {
      if (other.status.state === 'refused') {
        t.ok(waitMs >= 3_600_000);
        return false;
      }
      room.store.refuse(BOX);
      return undefined;
    });
    t.match(other.status, { state: 'refused', reason: /403 the room has refused this box/ });
    t.notOk(existsSync(other.file('box.crt')));
  },
);

void t.test('a room’s answer is validated before it is installed', async (t) => {
  const room = await startedRoom(t);
  const box = new NewBox(t, room, room.token());
  const unknownKey = newKey(join(room.dir, 'stranger.key'));
  const own = (): string => box.file('box.key.next');
  const otherRoom = scratch(t);
  OpensslAuthority.make(otherRoom, 'another room');
  const now = Date.now();
  const issuePem = (authority: Authority, key: string, commonName: string, options = {}) =>
    certsOnly(authority.issue(csrOf(key, commonName), { ...CLIENT, commonName, ...options }, now).pem);
  const answers: [string, () => Promise<string> | string, RegExp][] = [
    ['nothing', () => '', /the answer is empty; must be a certificate/],
    ['rubbish', () => '<html>\u001b[2J welcome</html>', /does not contain a certificate/],
    ['too much', () => 'A'.repeat(100_000), /more than 65536 bytes/],
    [
      'another name',
      () => issuePem(room.authority, own(), 'other-1'),
      /is for CN=other-1; must be for CN=canebiere-017/,
    ],
    ['another key', () => issuePem(room.authority, unknownKey, BOX), /for another key/],
    [
      'another authority',
      () => issuePem(new OpensslAuthority(otherRoom), own(), BOX),
      /not good for pki\/ca\.crt/,
    ],
    [
      'ended',
      () => issuePem(room.authority, own(), BOX, { days: -0.5 }),
      /not good for pki\/ca\.crt.*expired/,
    ],
  ];
  let step = 0;
  const server = createServer({ ...room.server('liar'), minVersion: 'TLSv1.3' }, (request, response) => {
    request.resume();
    void Promise.resolve(answers[step]?.[1]() ?? issuePem(room.authority, own(), BOX)).then((body) =>
      response.end(body),
    );
  });
  server.listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const liar = { url: `https://localhost:${(server.address() as AddressInfo).port}` } as TestRoom;
  box.request(liar, room.token());
  const state = await box.enrol(() => {
    const [name = '', , reason = /./] = answers[step] ?? [];
    t.match(box.status, { state: 'waiting', reason }, name);
    t.notMatch(box.status.reason, /[^\P{Cc}]/u, `${name}: nothing that a terminal obeys`);
    t.notOk(existsSync(box.file('box.crt')), `${name}: not installed`);
    step += 1;
    return undefined;
  });
  t.equal(state, 'enrolled', 'and a good one is taken');
  t.equal(step, answers.length);

  const foreign = new NewBox(t, room, room.token());
  writeFileSync(foreign.file('ca.crt'), readFileSync(join(otherRoom, 'ca.crt')));
  await foreign.enrol();
  t.match(
    foreign.status,
    { state: 'waiting', reason: /not of the authority in pki\/ca\.crt/ },
    'a room of others',
  );
  t.equal(room.log.length, 0, 'and that room has seen neither token nor request');
});

void t.test('a power cut at any moment ends with one certificate', { skip: unlessAll }, async (t) => {
  const room = await startedRoom(t);
  const token = room.token();
  const box = new NewBox(t, room, token);
  await room.stop();
  await box.enrol();
  await room.start();
  // The room has issued the certificate, and the answer is lost.
  box.request(room, token);
  const key = ssl(['pkey', '-in', box.file('box.key.next'), '-pubout']).toString();
  const state = await box.enrol();
  t.equal(state, 'enrolled');
  t.equal(
    ssl(['x509', '-in', box.file('box.crt'), '-noout', '-pubkey']).toString(),
    key,
    'the key from before',
  );
  const certificate = box.certificate;
  // Installed, and the request still exists.
  box.request(room, token);
  t.equal(await box.enrol(), 'enrolled');
  t.equal(box.certificate, certificate);
  // The key was renamed, the certificate was not.
  renameSync(box.file('box.crt'), box.file('box.crt.next'));
  box.request(room, token);
  t.equal(await box.enrol(), 'enrolled');
  t.equal(box.certificate, certificate);
  // Requested and issued, but never read: everything since the request is lost.
  renameSync(box.file('box.key'), box.file('box.key.next'));
  rmSync(box.file('box.crt'));
  box.request(room, token);
  t.equal(await box.enrol(), 'enrolled');
  t.equal(box.certificate, certificate, 'the room gives the same again');
  t.equal(room.store.certificates().length, 1, 'one certificate for one token');
});

void t.test(
  'a renewal replaces key and certificate together, and a refusal keeps both',
  { skip: unlessAll },
  async (t) => {
    const room = await startedRoom(t);
    const box = new NewBox(t, room, room.token());
    await box.enrol();
    const options = {
      files: new EnrolFiles(box.etc),
      boxClock: SILENT,
      signal: new AbortController().signal,
    };
    const key = readFileSync(box.file('box.key'), 'utf8');
    await room.stop();
    t.match(await renewBox({ ...options, force: true }), { state: 'unavailable', reason: /ECONNREFUSED/ });
    await room.start();
    const before = box.certificate;
    t.match(await renewBox({ ...options, force: true }), { state: 'renewed' });
    t.not(readFileSync(box.file('box.key'), 'utf8'), key, 'another key');
    t.not(box.certificate, before);
    t.notOk(existsSync(box.file('box.key.next')));

    // Between the two renames: as found by a start of the agent, and by the unit that repairs it.
    const pair = [readFileSync(box.file('box.crt')), readFileSync(box.file('box.key'))];
    writeFileSync(box.file('box.crt.next'), readFileSync(box.file('box.crt')));
    writeFileSync(box.file('box.crt'), room.store.certificates()[0]?.pem ?? '');
    const repair = start(t, process.execPath, [VIGIE_ROOT, 'certificates', '--to', box.etc]);
    t.equal(await repair.exit, 0, repair.err);
    t.match(repair.out, /was cut off is finished/);
    t.strictSame([readFileSync(box.file('box.crt')), readFileSync(box.file('box.key'))], pair);
    writeFileSync(box.file('box.crt.next'), String(pair[0]).slice(0, 300));
    t.match(await start(t, process.execPath, [VIGIE_ROOT, 'certificates', '--to', box.etc]).exit, 0);
    t.notOk(existsSync(box.file('box.crt.next')), 'a certificate without a key here is discarded');

    room.store.revoke(BOX, Date.now());
    t.match(await renewBox({ ...options, force: true }), {
      state: 'refused',
      reason: /403 the certificate is revoked/,
    });
    t.strictSame(
      [readFileSync(box.file('box.crt')), readFileSync(box.file('box.key'))],
      pair,
      'the old pair stays',
    );
  },
);

const noMounts = SmallDisk.unavailable();
void t.test(
  'a read-only or removed card does not stop the enrolment',
  { skip: noMounts || unlessAll },
  async (t) => {
    const room = await startedRoom(t);
    const readOnly = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"';
    for (const card of ['read-only', 'pulled']) {
      const box = new NewBox(t, room, room.token());
      const command = ['enrol', '--from', card === 'pulled' ? '/nonexistent/vigie' : box.card];
      const folders = ['--to', box.etc, '--status', box.statusFile];
      const words = [
        '-m',
        'sh',
        '-c',
        readOnly,
        'sh',
        box.card,
        process.execPath,
        VIGIE_ROOT,
        ...command,
        ...folders,
      ];
      const program = start(t, 'unshare', words);
      t.equal(await program.exit, 0, program.err);
      t.match(program.out, /result\.txt cannot be written \(.*(EROFS|ENOENT).*reported here only/, card);
      t.match(box.status, { state: 'enrolled', reason: null }, card);
      t.equal(modeOf(box.statusFile), '644', 'readable for all users');
    }
  },
);

const FAKETIME = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu']
  .map((lib) => join(lib, 'faketime', 'libfaketime.so.1'))
  .find((file) => existsSync(file));
const noFaketime = FAKETIME === undefined && 'no faketime: apt-get install faketime';

void t.test('a clock of 1970 is raised before TLS is used', { skip: noFaketime || unlessAll }, async (t) => {
  const room = await startedRoom(t);
  const box = new NewBox(t, room, room.token());
  const dir = scratch(t);
  const offset = join(dir, 'offset');
  writeFileSync(offset, `-${Math.floor(Date.now() / 1000) - 3600}\n`);
  mkdirSync(join(dir, 'bin'));
  // This machine's clock is not the box's: setting it changes the offset of faketime.
  const script = `#!/bin/sh
unset LD_PRELOAD
printf '%+d\\n' $(( \${2#--set=@} - $(/usr/bin/date +%s) )) >${offset}.new && mv ${offset}.new ${offset}
`;
  writeFileSync(join(dir, 'bin/date'), script, { mode: 0o755 });
  const program = start(t, 'env', [
    `PATH=${join(dir, 'bin')}${delimiter}${process.env['PATH'] ?? ''}`,
    `LD_PRELOAD=${FAKETIME ?? ''}`,
    `FAKETIME_TIMESTAMP_FILE=${offset}`,
    'FAKETIME_NO_CACHE=1',
    'FAKETIME_DONT_FAKE_MONOTONIC=1',
    ...[process.execPath, VIGIE_ROOT, 'enrol', '--from', box.card],
    ...['--to', box.etc, '--status', box.statusFile],
  ]);
  t.equal(await program.exit, 0, program.err);
  t.match(
    program.out,
    /the clock was behind \(1970-01-01T.*\) and is raised to 20\d\d-.*when this image was made/,
  );
  t.match(box.status, { state: 'enrolled' }, 'TLS and the certificate are good then');
  const behindS = Math.abs(Number(readFileSync(offset, 'utf8')));
  const raised = program.out.includes('the room’s time');
  t.ok(
    behindS < 2 * 86_400,
    `${behindS} s beside the room’s clock, ${raised ? 'raised by it' : 'within a minute'}`,
  );
});

void t.test('an invalid enrol.json ends with one line', { skip: unlessAll }, async (t) => {
  const room = new TestRoom(t);
  const box = new NewBox(t, room);
  writeFileSync(join(box.etc, 'enrol.json'), `{"version":1,"site":"${SITE}"}`);
  const words = ['enrol', '--from', box.card, '--to', box.etc, '--status', box.statusFile];
  const program = start(t, process.execPath, [VIGIE_ROOT, ...words]);
  t.equal(await program.exit, 2);
  t.match(box.status, {
    state: 'refused',
    reason: /enrol\.json: is not an enrolment request; must be JSON with/,
  });
});
