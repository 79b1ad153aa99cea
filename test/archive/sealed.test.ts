/** Tests sealed stills from the camera to the authority: opened with Debian's age, requested over a real broker. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import sharp from 'sharp';
import t from 'tap';
import type { CommandReply } from '../../agent/contract/command.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { SizePx } from '../../agent/contract/geometry.ts';
import { SEALED_BYTES_MAX, UnsealResult } from '../../agent/contract/sealed-evidence.ts';
import { makeAgent, noStreet, streetConfig } from '../lib/agent.ts';
import { authorised } from '../lib/authority.ts';
import { makeSigner, searchCommand, signed } from '../lib/commands.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { roomProgram, start } from '../lib/program.ts';
import { BOX, clientOf, makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { openInbox } from '../lib/room-inbox.ts';
import { unlessAll } from '../lib/run.ts';
import { ageUnavailable, makeAuthority, openSealed, sealed, stillOf } from '../lib/sealing.ts';
import { deskOf } from '../lib/signer-desk.ts';
import { rectangle } from '../lib/street.ts';
import { WriteTrace } from '../lib/write-trace.ts';

const noAge = ageUnavailable();
const SMALL: SizePx = { widthPx: 320, heightPx: 240 };

async function pixelsOf(jpeg: Uint8Array): Promise<{ rgb: Buffer; size: SizePx }> {
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  return { rgb: data, size: { widthPx: info.width, heightPx: info.height } };
}

t.test('a sealed still opens with the authority’s key and with no other', { skip: noAge }, async (t) => {
  const dir = scratch(t);
  const [authority, court, otherAuthority] = ['authority', 'court', 'stranger'].map((n) =>
    makeAuthority(dir, n),
  );
  const recipients = [authority?.recipient ?? '', court?.recipient ?? ''];
  const still = await stillOf(SMALL);
  const evidence = await sealed(still, recipients);
  t.same(evidence.recipients, recipients);
  t.equal(
    Buffer.from(evidence.bytes)
      .toString('latin1')
      .match(/^-> X25519 /gm)?.length,
    2,
    'for no other key',
  );
  for (const { keyFile } of [authority, court].filter((one) => one !== undefined)) {
    const { content } = openSealed(evidence.bytes, keyFile);
    const [{ rgb, size }, before] = [await pixelsOf(content as Buffer), await pixelsOf(still.jpeg)];
    t.same(size, SMALL);
    const far = rgb.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (before.rgb[i] ?? 0))), 0);
    t.ok(far < 40, `the original still except for its second encoding (${far} levels)`);
    t.notOk(String(content).includes('exif-of-the-camera'), 'no metadata');
  }
  const wrongKey = openSealed(evidence.bytes, otherAuthority?.keyFile ?? '');
  t.equal(wrongKey.content, undefined);
  t.match(wrongKey.error, /no identity matched/);
  const bent = Buffer.from(evidence.bytes);
  bent[bent.length - 40] = (bent[bent.length - 40] as number) ^ 1;
  t.equal(openSealed(bent, authority?.keyFile ?? '').content, undefined, 'nor when a bit was changed');
  const second = await sealed(still, recipients);
  t.not(second.sha256, evidence.sha256, 'each file has a key of its own');
  await t.rejects(sealed(still, ['age1nobody']), { kind: 'config', message: /not an age public key/ });
});

t.test('masks are black before sealing, scaled down or not', { skip: noAge }, async (t) => {
  const { keyFile, recipient } = makeAuthority(scratch(t), 'authority');
  const polygon: [number, number][] = rectangle(0.25, 0.25, 0.5, 0.5);
  for (const [source, grain] of [
    [SMALL, 20],
    [{ widthPx: 2560, heightPx: 1440 }, 160],
  ] as const) {
    const evidence = await sealed(await stillOf(source, grain), [recipient], [{ id: 'window', polygon }]);
    t.ok(evidence.bytes.length <= SEALED_BYTES_MAX, `${evidence.bytes.length} bytes`);
    const { rgb, size } = await pixelsOf(openSealed(evidence.bytes, keyFile).content as Buffer);
    let brightest = 0;
    for (let y = Math.ceil(size.heightPx / 4); y < size.heightPx / 2; y += 1) {
      const row = (y * size.widthPx + Math.ceil(size.widthPx / 4)) * 3;
      for (const value of rgb.subarray(row, row + Math.floor(size.widthPx / 4) * 3)) {
        brightest = Math.max(brightest, value);
      }
    }
    // Black except for JPEG artefacts at the mask's edge.
    t.ok(brightest < 60, `${size.widthPx}×${size.heightPx}: ${brightest}`);
    t.ok((rgb[0] ?? 0) > 50, 'the rest is there');
  }
});

const noTrace = WriteTrace.unavailable() || noAge;
t.test('sealing writes no file on the way', { skip: unlessAll || noTrace }, async (t) => {
  const dir = scratch(t);
  const { recipient } = makeAuthority(dir, 'authority');
  const still = join(dir, 'still.jpg');
  writeFileSync(still, (await stillOf(SMALL)).jpeg);
  const program = [process.execPath, join(ROOT, 'dist/test/lib/sealing.js'), 'seal', still, recipient];
  const written = (extraArgs: string[]): string[] => {
    const trace = join(dir, 'trace');
    const calls = 'trace=open,openat,creat,memfd_create,rename,renameat2,link,linkat,mknod,mknodat';
    const args = ['-f', '-qq', '-e', calls, '-o', trace, ...program, ...extraArgs];
    const { status, stderr } = spawnSync('strace', args);
    t.equal(status, 0, String(stderr));
    return (
      readFileSync(trace, 'utf8')
        .split('\n')
        .filter((line) => /O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|creat\(|memfd|rename|link|mknod/.test(line))
        // /dev/shm is memory that other programs can read.
        .filter((line) => !/"\/(dev\/(?!shm\/)|proc\/|sys\/)|AT_SYMLINK| = -1 /.test(line))
    );
  };
  t.same(written([]), []);
  t.match(written([join(dir, 'out')]).join(), /\/out"/, 'the trace would show one');
});

const skip = noStreet || noAge;

t.test(
  'a sealed still is kept on the box, named in the event and released only on a signed request',
  { skip: unlessAll || skip },
  async (t) => {
    const room = await makeRoom(t);
    const dir = scratch(t);
    const authority = makeAuthority(dir, 'authority');
    const [judge, clerk] = [makeSigner('judge-desk', ['unseal']), makeSigner('clerk', ['search'])];
    const stateDir = join(dir, 'state');
    const config = streetConfig(room, { commands: { keys: [judge.config, clerk.config] } });
    const inbox = await openInbox(t, room);
    const asker = await clientOf(t, room, 'desk.asker');
    const alerts = (): VigieEvent[] =>
      inbox.events('line-crossing').filter(({ data }) => data.phase === 'start');
    // Without a recipient in its order a box seals nothing.
    const unsealing = makeAgent(t, config, stateDir);
    await unsealing.start();
    await waitUntil(t, 'an alert', () => alerts().some(({ data }) => data.evidence.snapshot), 60_000);
    await unsealing.stop();
    t.notOk(alerts().some(({ data }) => data.evidence.sealed));
    t.same(readdirSync(stateDir).includes('sealed') ? readdirSync(join(stateDir, 'sealed')) : [], []);
    const order = { ageRecipients: [authority.recipient] };
    const agent = makeAgent(t, authorised(config, `${stateDir}.order`, order), stateDir);
    await agent.start();
    const events = (): VigieEvent[] => alerts().filter(({ data }) => data.evidence.sealed !== undefined);
    await waitUntil(t, 'an alert with a sealed still', () => events().length > 0, 60_000);
    const event = events()[0] as VigieEvent;
    const file = join(stateDir, 'sealed', `${event.id}.age`);
    const bytes = readFileSync(file);
    t.equal(statSync(file).mode & 0o777, 0o600);
    t.equal(openSealed(bytes, authority.keyFile).content?.subarray(0, 2).toString('hex'), 'ffd8');
    t.same(event.data.evidence.sealed?.recipients, [authority.recipient]);
    const beforeAsking = inbox.packets.length;

    const ask = async (payload: Buffer): Promise<CommandReply> => {
      const token = `t${Math.random().toString(36).slice(2)}`;
      const responseTopic = `vigie/${SITE}/${BOX}/reply/${token}`;
      const replies = (): CommandReply[] => inbox.json<CommandReply>(new RegExp(`/${token}$`));
      const properties = { responseTopic };
      await asker.publishAsync(`vigie/${SITE}/${BOX}/cmd`, payload, { qos: 1, properties });
      await waitUntil(t, 'a reply', () => replies().length > 0, 20_000);
      return replies()[0] as CommandReply;
    };
    const args = { case: '2026/1234', reason: 'assault on the forecourt', event: event.id };
    const unseal = searchCommand({ op: 'unseal', args });
    t.match(await ask(signed(clerk, unseal)), { refused: { code: 'not-permitted' } });
    t.match(await ask(signed(makeSigner(), unseal)), { refused: { code: 'unknown-key' } });
    t.match(await ask(signed(judge, searchCommand({ op: 'unseal', args, box: '*' }))), { refused: {} });
    const { result } = await ask(signed(judge, searchCommand({ op: 'unseal', args })));
    t.ok(Value.Check(UnsealResult, result));
    const handed = result as UnsealResult;
    t.equal(handed.sha256, event.data.evidence.sealed?.sha256, 'the file that the event names');
    t.same(Buffer.from(handed.file, 'base64'), bytes);

    const desk = await deskOf(t, room, judge);
    const unsealTo = (out: string, id: string) => {
      const caseOptions = ['--case', '2026/1234', '--reason', 'assault'];
      const options = [...caseOptions, '--box', BOX, '--event', id, '--out', out];
      return start(t, process.execPath, [roomProgram('unseal'), ...desk.args, ...options]);
    };
    const out = join(dir, 'still.age');
    const unsealed = unsealTo(out, event.id);
    t.equal(await unsealed.exit, 0, unsealed.err);
    t.match(unsealed.out, /still\.age: \d+ bytes, SHA-256 .*\n.*case 2026\/1234 .*\n.*age --decrypt/);
    t.equal(statSync(out).mode & 0o777, 0o600);
    t.ok(openSealed(readFileSync(out), authority.keyFile).content, 'the authority opens it');
    const none = unsealTo(join(dir, 'none.age'), 'ffff-1');
    t.equal(await none.exit, 1);
    t.match(none.err, /^room: refused by .*: unavailable: no sealed still of event ffff-1 is held here\n$/);

    const journal = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8');
    t.match(journal, /"type":"unseal".*"case":"2026\/1234"/);
    t.equal(
      journal.match(/"type":"unseal"/g)?.length,
      3,
      'all requests by permitted keys, also the fruitless one',
    );
    const head = bytes.subarray(0, 21);
    const marks = [head.toString(), head.toString('base64').slice(0, 24)];
    const carriers = inbox.packets.filter(({ payload }) => marks.some((mark) => payload.includes(mark)));
    t.equal(carriers.length, 2, 'each asked for');
    t.ok(
      carriers.every(({ topic }) => topic.includes('/reply/')),
      'and in no other topic',
    );
    t.notOk(inbox.packets.slice(0, beforeAsking).some((packet) => carriers.includes(packet)));
    await agent.stop();
    const grep = spawnSync('grep', ['-rla', 'AGE-SECRET-KEY', stateDir], { encoding: 'utf8' });
    t.match(grep, { status: 1, stdout: '' }, 'no secret key on the box');
    t.ok(readdirSync(join(stateDir, 'sealed')).every((name) => name.endsWith('.age')));
  },
);
