/** Tests cards, sticks and labels: written, read back, refused. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { setupCodeHash } from '../../agent/contract/setup-code.ts';
import { type CardOptions, card, type Surroundings } from '../../scripts/products/flash/card.ts';
import { newLabel } from '../../scripts/products/flash/new-label.ts';
import { writeVerified } from '../../scripts/products/flash/write.ts';
import { findFiles } from '../../scripts/products/root/card/found-files.ts';
import { testKey } from '../lib/authority.ts';
import {
  BOOT_START,
  cardImage,
  copyFat,
  FLASH,
  makeImage,
  putOnFat,
  type SiteFolder,
  siteFolder,
} from '../lib/flash-images.ts';
import { scratch, scratchOnDisk } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { unlessAll } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';

// A user who is not root has no sbin in the path.
process.env['PATH'] = process.env['PATH']?.replace(/[^:]*\/sbin:?/g, '') ?? '';

const BOX = 'canebiere-017';
const ROOM = 'https://room.example:8443';
const TOKEN = 'a'.repeat(32);

interface Bench {
  readonly dir: string;
  readonly image: string;
  readonly site: SiteFolder;
}

async function bench(t: Test): Promise<Bench> {
  const dir = scratch(t);
  return { dir, image: cardImage(dir), site: await siteFolder(dir) };
}

interface Outcome {
  readonly lines: readonly string[];
  readonly error: unknown;
}

/** Runs in this process, since starting the program takes a second each time. */
async function attempt(work: (surroundings: Surroundings) => Promise<void>): Promise<Outcome> {
  const lines: string[] = [];
  const surroundings = {
    say: (line: string) => void lines.push(line),
    progress: () => undefined,
    signal: new AbortController().signal,
  };
  try {
    await work(surroundings);
    return { lines, error: undefined };
  } catch (error) {
    return { lines, error };
  }
}

const cardOf = ({ site, image }: Bench, options: Partial<CardOptions>): Promise<Outcome> =>
  attempt((surroundings) =>
    card(
      {
        site: site.folder,
        box: BOX,
        adapter: 'none',
        ...(options.stick === undefined && { image }),
        ...options,
      },
      surroundings,
    ),
  );

/** Checks that the output is one clear line. */
function checkRefusal(t: Test, { lines, error }: Outcome, line: RegExp, name: string): void {
  t.match(error, { name: 'AgentError', message: line }, `${name}: refused`);
  t.notMatch(error, { kind: 'bug' });
  t.notMatch(error instanceof Error ? error.message : '', '\n', 'in one line');
  t.strictSame(
    lines.filter((each) => !each.startsWith('warning: ')),
    [],
    'and no success is claimed',
  );
}

void t.test('a card image is written, read back, and accepted by provisioning', async (t) => {
  const setup = await bench(t);
  const { dir, image, site } = setup;
  writeFileSync(join(site.folder, 'boxes', BOX, 'vigie_0.1.0_arm64.deb'), randomBytes(300_000));
  const before = createHash('sha256').update(readFileSync(image)).digest('hex');
  const target = join(dir, 'card.img');
  writeFileSync(join(site.folder, 'update.yaml'), 'url: https://releases.example/\n');
  checkRefusal(
    t,
    await cardOf(setup, { toFile: target }),
    /update\.yaml and update-root\.json go together/,
    'one',
  );
  writeFileSync(join(site.folder, 'update-root.json'), '{}');
  const fingerprint = new X509Certificate(readFileSync(join(site.folder, 'ca.crt'))).fingerprint256;
  const args = ['card', '--site', site.folder, '--box', BOX, '--image', image, '--to-file', target];
  const enrol = ['--room', ROOM, '--token', TOKEN, '--page-fingerprint', fingerprint];
  const program = start(t, process.execPath, [FLASH, ...args, ...enrol]);
  t.equal(await program.exit, 0);
  t.equal(program.err, '', 'quiet in a pipe');
  const sum = createHash('sha256').update(readFileSync(target)).digest('hex');
  t.match(program.out, `SHA-256 ${sum}`, 'the sum is that of the file');
  t.equal(createHash('sha256').update(readFileSync(image)).digest('hex'), before, 'the image is unchanged');
  t.equal(statSync(target).mode & 0o777, 0o600, 'for its owner: it holds a token and a passphrase');

  const boot = join(dir, 'boot');
  copyFat(target, boot);
  t.strictSame(
    readdirSync(boot, { recursive: true, encoding: 'utf8' }).sort(),
    [
      'cmdline.txt',
      'vigie',
      'vigie-files',
      'vigie-files/baked.json',
      'vigie-files/vigie_0.1.0_arm64.deb',
      ...['authorisation.dsse.json', 'authority.pub', 'enrol.json', 'hotspot-key', 'pki', 'pki/ca.crt'].map(
        (name) => `vigie/${name}`,
      ),
      ...['setup-code.json', 'update-root.json', 'update.yaml', 'vigie.yaml'].map((name) => `vigie/${name}`),
    ].sort(),
  );
  const cardFiles = findFiles(join(boot, 'vigie'));
  t.match(cardFiles, { problems: [], strays: [] }, 'provisioning finds nothing wrong with names and sizes');
  for (const name of ['vigie.yaml', 'authorisation.dsse.json']) {
    t.strictSame(
      readFileSync(join(boot, 'vigie', name)),
      readFileSync(join(site.folder, 'boxes', BOX, name)),
    );
  }
  t.strictSame(JSON.parse(readFileSync(join(boot, 'vigie/enrol.json'), 'utf8')), {
    version: 1,
    site: 'marseille-1',
    box: BOX,
    url: ROOM,
    token: TOKEN,
  });
  t.notMatch(program.out + program.err, TOKEN, 'the token is not printed');
  const content = readFileSync(target).subarray(BOOT_START);
  t.notOk(content.includes('PRIVATE KEY'), 'no private key anywhere');

  await t.test('the label is readable for a phone and a person', async (t) => {
    const [png, pdf] = [join(dir, 'label.png'), join(dir, 'label.pdf')];
    t.equal(statSync(png).mode & 0o777, 0o600);
    t.equal(statSync(pdf).mode & 0o777, 0o600);
    const url = execFileSync('zbarimg', ['-q', '--raw', png], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
    const [, code = ''] =
      /^https:\/\/canebiere-017\.local\/#((?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4})$/.exec(url) ??
      [];
    t.not(code, '', url);
    const { sha256 } = JSON.parse(readFileSync(join(boot, 'vigie/setup-code.json'), 'utf8')) as {
      sha256: string;
    };
    t.equal(setupCodeHash(code), sha256, 'the card has the hash of the label’s code');
    for (const file of [boot, site.folder]) {
      t.equal(spawnSync('grep', ['-rq', code, file]).status, 1, 'and the code is on the label alone');
    }
    const text = execFileSync('pdftotext', ['-layout', pdf, '-']).toString();
    const key = readFileSync(join(boot, 'vigie/hotspot-key'), 'utf8').trim();
    t.match(key, /^[0-9a-z]{16}$/);
    for (const part of [BOX, 'marseille-1', code, key, `https://${BOX}.local`]) t.match(text, part);
    const groups = fingerprint.replaceAll(':', '').match(/.{16}/g) ?? [];
    for (const group of groups) t.match(text.replaceAll(' ', ''), group, 'the whole fingerprint fits');
    t.match(execFileSync('pdfinfo', [pdf]).toString(), /Page size: +175\.7\d* x 82\.2\d* pts/, '62 × 29 mm');
  });
  checkRefusal(
    t,
    await cardOf(setup, { toFile: target }),
    /card\.img is there already/,
    'the same file again',
  );
  const copyOfCard = { ...setup, image: target };
  const second = await cardOf(copyOfCard, { toFile: join(dir, 'second.img') });
  checkRefusal(
    t,
    second,
    /already contains the files of a box; use the baked image/,
    'another box’s card as the image',
  );
});

void t.test('an invalid image is refused', { skip: unlessAll }, async (t) => {
  const setup = await bench(t);
  const { dir, image } = setup;
  const target = join(dir, 'card.img');
  const tryIt = (file: string): Promise<Outcome> => cardOf({ ...setup, image: file }, { toFile: target });
  const copy = (name: string): string => {
    const file = join(dir, name);
    cpSync(image, file);
    return file;
  };
  const short = copy('short.img');
  truncateSync(short, 20 * 1024 * 1024);
  checkRefusal(
    t,
    await tryIt(short),
    /short\.img is truncated: 20971520 bytes.*fetch or bake it again/,
    'truncated',
  );
  writeFileSync(join(dir, 'text.img'), 'a page that says 404\n'.repeat(200));
  checkRefusal(
    t,
    await tryIt(join(dir, 'text.img')),
    /not a disk image: the partition table is missing/,
    'a page',
  );
  writeFileSync(join(dir, 'packed.img'), execFileSync('xz', ['-0', '-c', short], { maxBuffer: 1e8 }));
  checkRefusal(t, await tryIt(join(dir, 'packed.img')), /is compressed; unpack it first: unxz/, 'compressed');
  const plain = join(dir, 'plain.img');
  makeImage(plain, { fatMib: 12, rootMib: 8, root: join(dir, 'some-root'), label: 'gpt' });
  checkRefusal(t, await tryIt(plain), /does not contain Vigie; `flash bake/, 'not baked');
  putOnFat(plain, 'vigie-files/baked.json', '{}');
  t.match(await tryIt(plain), { error: undefined }, 'and with it (control; a GPT this time)');
  rmSync(target);
  writeFileSync(`${image}.sha256`, `${'0'.repeat(64)}  baked.img\n`);
  checkRefusal(t, await tryIt(image), /is damaged: its SHA-256 is not that in/, 'a sum that differs');
  t.notOk(existsSync(target), 'and no card was begun');
});

void t.test('an invalid site folder is refused', { skip: unlessAll }, async (t) => {
  const setup = await bench(t);
  const { dir, site } = setup;
  const own = join(site.folder, 'boxes', BOX);
  let count = 0;
  const tryIt = (): Promise<Outcome> => {
    count += 1;
    return cardOf(setup, { toFile: join(dir, `card-${count}.img`) });
  };
  const pem = testKey().privateKey.export({ type: 'pkcs8', format: 'pem' });
  const withFile = async (file: string, content: string | Buffer, line: RegExp): Promise<void> => {
    const before = existsSync(file) ? readFileSync(file) : undefined;
    writeFileSync(file, content);
    checkRefusal(t, await tryIt(), line, file.slice(dir.length));
    if (before === undefined) rmSync(file);
    else writeFileSync(file, before);
  };
  await withFile(
    join(own, 'notes.txt'),
    `the key:\n${pem}`,
    /notes\.txt: holds a private key; no key goes onto a card/,
  );
  await withFile(
    join(site.folder, 'ca.crt'),
    'nothing',
    /ca\.crt: does not contain a certificate in PEM form/,
  );
  await withFile(join(site.folder, 'technician.pub'), 'hello\n', /must hold public keys of OpenSSH/);
  await withFile(join(own, 'vigie.yaml.txt'), 'x', /vigie\.yaml\.txt: the box reads vigie\.yaml alone/);
  await withFile(
    join(own, 'vigie.yaml'),
    readFileSync(site.yaml, 'utf8').replace('fps: 5', 'fps: fast'),
    /vigie\.yaml:3:\d+ camera\.fps: .*fast/,
  );
  await withFile(
    join(own, 'vigie.yaml'),
    readFileSync(site.yaml, 'utf8').replace('box: c', 'box: d'),
    /box is danebiere-017, but its folder/,
  );
  await withFile(
    join(own, 'vigie.yaml'),
    readFileSync(site.yaml, 'utf8').replace('pki/box.key', 'box.key'),
    /mqtt\.key must be \/etc\/vigie\/pki\/box\.key/,
  );
  await withFile(site.authorisation, 'nothing', /authorisation\.dsse\.json: /);
  const other = await siteFolder(join(dir, 'other'), { box: 'another' });
  cpSync(join(other.folder, 'authority.pub'), join(site.folder, 'authority.pub'));
  await withFile(
    site.authorisation,
    readFileSync(other.authorisation),
    /authorisation 2026-77 is for another at marseille-1; this is canebiere-017/,
  );
  const [dayMs, nowMs] = [86_400_000, Date.now()];
  const at = (ms: number): string => new Date(ms).toISOString();
  const early = await siteFolder(join(dir, 'early'), { change: { notBefore: at(nowMs + dayMs) } });
  writeFileSync(site.authorisation, readFileSync(early.authorisation));
  const warned = await tryIt();
  t.match(warned, { error: undefined }, 'an order that begins tomorrow');
  t.match(warned.lines.join('\n'), /^warning: authorisation 2026-77 begins .*; nothing runs before/);
  for (const name of ['vigie.yaml', 'authorisation.dsse.json']) {
    renameSync(join(own, name), join(dir, 'away'));
    checkRefusal(t, await tryIt(), new RegExp(`${name}: no such file`), `no ${name}`);
    renameSync(join(dir, 'away'), join(own, name));
  }
  checkRefusal(
    t,
    await cardOf(setup, { site: dir, stick: dir }),
    /boxes\/canebiere-017: no such folder/,
    'no site',
  );
  const roomless = await cardOf(setup, { toFile: join(dir, 'x.img'), token: TOKEN });
  checkRefusal(t, roomless, /need --room/, 'a token without a room');
  const badToken = await cardOf(setup, { toFile: join(dir, 'y.img'), room: ROOM, token: 'secret' });
  checkRefusal(t, badToken, /--token: 27 to 64/, 'a token that is none');
  t.notMatch(String(badToken.error), 'secret', 'and is not repeated');
});

void t.test('a failing medium is detected', { skip: unlessAll }, async (t) => {
  const setup = await bench(t);
  const { dir } = setup;
  await t.test('a card that changes its content is detected', async (t) => {
    // dd reads the target back: this one acts as a card that has lost a bit before.
    const bin = join(dir, 'bin');
    mkdirSync(bin);
    const target = join(dir, 'worn.img');
    const dd = execFileSync('sh', ['-c', 'command -v dd']).toString().trim();
    writeFileSync(
      join(bin, 'dd'),
      `#!/bin/sh\ncase "$*" in *if=*) ;; *) printf x | ${dd} of=${target} bs=1 seek=9000000 conv=notrunc,fsync status=none ;; esac\nexec ${dd} "$@"\n`,
    );
    chmodSync(join(bin, 'dd'), 0o755);
    const path = process.env['PATH'];
    process.env['PATH'] = `${bin}:${path}`;
    const outcome = await cardOf(setup, { toFile: target });
    process.env['PATH'] = path;
    checkRefusal(t, outcome, /content differs from what was written.*replace it/, 'read back differs');
    t.notOk(existsSync(target), 'no file is left that looks like a card');
    t.notOk(existsSync(join(dir, 'label.pdf')), 'and there is no label for it');
  });
  const unavailable = SmallDisk.unavailable();
  await t.test('a full disk leaves nothing', { skip: unavailable }, async (t) => {
    const disk = new SmallDisk(scratch(t), 8);
    disk.mount();
    t.teardown(() => disk.unmount());
    // Zeros take no space, so the root contains something.
    const full = join(dir, 'full.img');
    cpSync(setup.image, full);
    execFileSync('dd', [
      'if=/dev/urandom',
      `of=${full}`,
      'bs=1M',
      'seek=17',
      'count=7',
      'conv=notrunc',
      'status=none',
    ]);
    appendFileSync(join(setup.site.folder, 'boxes', BOX, 'more.deb'), randomBytes(2_000_000));
    const outcome = await cardOf({ ...setup, image: full }, { toFile: join(disk.dir, 'card.img') });
    checkRefusal(t, outcome, /card\.img is full: it is smaller than the image/, 'too small');
    t.strictSame(readdirSync(disk.dir), ['lost+found'], 'nothing is left');
  });
  await t.test('a signal leaves a card without a partition table', async (t) => {
    const handle = await open(join(dir, 'cut'), 'wx+');
    t.teardown(() => handle.close());
    const abort = new AbortController();
    const source = { image: setup.image, bytes: statSync(setup.image).size };
    const cutWrite = writeVerified(
      source,
      { handle, name: 'cut', sparse: false },
      { signal: abort.signal, progress: () => abort.abort() },
    );
    await t.rejects(cutWrite, { message: /interrupted; it does not boot/ });
    const head = readFileSync(join(dir, 'cut')).subarray(0, 512);
    t.ok(
      head.every((byte) => byte === 0),
      'no partition table before the end',
    );
  });
});

void t.test('a stick is written, and a label for a lost code', { skip: unlessAll }, async (t) => {
  const setup = await bench(t);
  const { dir, site } = setup;
  // A path below /dev counts as a device, and so does a scratch folder in memory.
  const stick = join(scratchOnDisk(t), 'stick');
  mkdirSync(stick);
  const options = { stick, out: join(dir, 'labels') };
  const outcome = await cardOf(setup, options);
  t.match(outcome, { error: undefined });
  t.match(
    outcome.lines.join('\n'),
    /warning: no --room.*\n.*files in .*stick; the stick’s label must be VIGIE/,
  );
  t.match(findFiles(join(stick, 'vigie')), { problems: [], strays: [] });
  t.strictSame(readdirSync(join(dir, 'labels')).sort(), ['label-wifi.png', 'label.pdf', 'label.png']);
  checkRefusal(t, await cardOf(setup, options), /stick\/vigie already exists/, 'a stick of another box');
  const out = join(dir, 'new');
  const result = await attempt((surroundings) =>
    newLabel({ site: site.folder, box: BOX, codeOut: out }, surroundings),
  );
  t.match(result, { error: undefined });
  const url = execFileSync('zbarimg', ['-q', '--raw', join(out, 'label.png')], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { sha256 } = JSON.parse(readFileSync(join(out, 'setup-code.json'), 'utf8')) as { sha256: string };
  t.equal(setupCodeHash(url.toString().split('#')[1] ?? ''), sha256);
});

void t.test('the program refuses what is not a card', { skip: unlessAll }, async (t) => {
  const { image, site } = await bench(t);
  const args = ['card', '--site', site.folder, '--box', BOX, '--image', image, '--device', '/dev/null'];
  const program = start(t, process.execPath, [FLASH, ...args, '--confirm', '1 x']);
  t.equal(await program.exit, 1);
  t.match(program, {
    out: '',
    err: /^flash: \/dev\/null: not a block device; use --to-file to write an image file\n$/,
  });
});
