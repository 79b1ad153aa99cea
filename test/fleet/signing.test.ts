/** Tests keyholders' signing: edited files are refused, differences need agreement, and keys are encrypted. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { unlockKey } from '../../scripts/products/fleet/release/keyholder-key.ts';
import { publishReleases, publishRoot } from '../../scripts/products/fleet/release/publish.ts';
import {
  addSignature,
  readSigningFile,
  writeSigningFile,
} from '../../scripts/products/fleet/release/signing-file.ts';
import { FLEET, Fleet, fleet, keyPair, PASSPHRASE, rootDigest } from '../lib/fleet-keyholders.ts';
import { atTerminal } from '../lib/fleet-terminal.ts';
import { scratch } from '../lib/paths.ts';
import { unlessAll } from '../lib/run.ts';
import type { Output } from '../lib/warm-program.ts';

const YEAR_2099 = '2099-01-01T00:00:00Z';

/** The `signed` part of a proposed root, to be changed in place. */
interface RootJson {
  version: number;
  expires: string;
  spec_version: string;
  consistent_snapshot: boolean;
  keys: Record<
    string,
    { keytype: string; scheme: string; keyval: { public: string }; 'x-vigie-holder': string }
  >;
  roles: Record<string, { keyids: string[]; threshold: number }>;
  [other: string]: unknown;
}

/** Changes the content of a signing file, as a person who carries it between keyholders could. */
function edit<T>(file: string, change: (signed: T) => void): void {
  const content = JSON.parse(readFileSync(file, 'utf8')) as { metadata: { signed: T } };
  change(content.metadata.signed);
  writeFileSync(file, JSON.stringify(content));
}

const pemOf = (hex: string): string =>
  createPublicKey({
    key: Buffer.from(`302a300506032b6570032100${hex}`, 'hex'),
    format: 'der',
    type: 'spki',
  })
    .export({ type: 'spki', format: 'pem' })
    .toString();

/** Id and content of a keyholder's key in a role. */
function keyOf(root: RootJson, role: string, keyholder: string): [string, RootJson['keys'][string]] {
  const id = root.roles[role]?.keyids.find((one) => root.keys[one]?.['x-vigie-holder'] === keyholder) ?? '';
  const key = root.keys[id];
  if (key === undefined) throw new Error(`${keyholder} has no key of ${role}`);
  return [id, key];
}

/** Adds Anna's own key again, as Dora's. */
function doraIsAnna(root: RootJson, role: string, id: string, encoded: (hex: string) => string): void {
  const [, { keyval, ...key }] = keyOf(root, role, 'anna');
  root.keys[id] = { ...key, keyval: { public: encoded(keyval.public) }, 'x-vigie-holder': 'dora' };
  root.roles[role]?.keyids.push(id);
}

const EDITED_ROOTS: readonly (readonly [string, (root: RootJson) => void, RegExp])[] = [
  [
    'a root key under a second name and id',
    (root) => doraIsAnna(root, 'root', 'f'.repeat(64), (hex) => hex),
    /root: anna and dora, fingerprint [0-9a-f]{32}, have one and the same key; each keyholder must/,
  ],
  [
    'a targets key as PEM',
    (root) => doraIsAnna(root, 'targets', 'f'.repeat(64), pemOf),
    /targets: anna and dora, .* one and the same key/,
  ],
  [
    'a key of targets that is one of root too',
    (root) => {
      const [, { keyval }] = keyOf(root, 'root', 'anna');
      doraIsAnna(root, 'targets', 'f'.repeat(64), () => keyval.public);
    },
    /is not written as|dora has one key for root and targets/,
  ],
  [
    'the online key among the keys of targets',
    (root) => void root.roles['targets']?.keyids.push(root.roles['timestamp']?.keyids[0] ?? ''),
    /targets: the online key lies on a machine with a network/,
  ],
  [
    'consistent snapshots off',
    (root) => void Object.assign(root, { consistent_snapshot: false }),
    /consistent_snapshot off; it must be on/,
  ],
  [
    'an expiry of 2099',
    (root) => void Object.assign(root, { expires: YEAR_2099 }),
    /good until 2099-.*at most 366 days from now/,
  ],
  [
    'an expiry in the past',
    (root) => void Object.assign(root, { expires: '2020-01-01T00:00:00Z' }),
    /is stale: it ended on 2020-/,
  ],
  [
    'an expiry that is none',
    (root) => void Object.assign(root, { expires: 'never' }),
    /expires: "never" is not a time in UTC/,
  ],
  [
    'a fifth role',
    (root) =>
      void Object.assign(root.roles, { mirrors: { keyids: [keyOf(root, 'root', 'anna')[0]], threshold: 1 } }),
    /has a role "mirrors"; there must be root, targets, snapshot, timestamp and no other/,
  ],
  [
    'one signature for releases',
    (root) => void Object.assign(root.roles['targets'] ?? {}, { threshold: 1 }),
    /targets: 1 must sign; it must be 2/,
  ],
  [
    'a second key for the timestamp',
    (root) => void root.roles['timestamp']?.keyids.push(keyOf(root, 'root', 'ben')[0]),
    /timestamp: must have one key/,
  ],
  [
    'a key that is not there',
    (root) => void root.roles['root']?.keyids.push('e'.repeat(64)),
    /root: names a key that is not there/,
  ],
  [
    'a key that no role names',
    (root) =>
      void Object.assign(root.keys, {
        ['e'.repeat(64)]: { ...keyOf(root, 'root', 'ben')[1], keyval: { public: 'a'.repeat(64) } },
      }),
    /has a key that no role names/,
  ],
  [
    'a holder’s name twice',
    (root) => void Object.assign(keyOf(root, 'root', 'ben')[1], { 'x-vigie-holder': 'carl' }),
    /3 different keyholders/,
  ],
  [
    'a key under an id of its own',
    (root) => {
      const [id, key] = keyOf(root, 'root', 'carl');
      delete root.keys[id];
      root.keys['d'.repeat(64)] = key;
      const { keyids = [] } = root.roles['root'] ?? {};
      keyids[keyids.indexOf(id)] = 'd'.repeat(64);
    },
    /key of carl is not written as/,
  ],
  [
    'an unknown field',
    (root) => void Object.assign(root, { 'x-also': 'y' }),
    /holds fields that `fleet root` does not make/,
  ],
  [
    'a number left out',
    (root) => void Object.assign(root, { version: 9 }),
    /is root 9, and the next one is 2/,
  ],
  [
    'another specification',
    (root) => void Object.assign(root, { spec_version: '1.0.99' }),
    /names version 1\.0\.99 of the specification/,
  ],
];

/** The message of an error, which is one line for people. */
async function messageFrom(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof AgentError) return error.message;
    throw error;
  }
  return '';
}

/** Signs for both keyholders unseen, by a program of their own. */
function signBlindly(f: Fleet, file: string, role: string): void {
  const content = readSigningFile(file);
  for (const signer of ['anna', 'ben']) addSignature(content, f.unlocked(f.key(signer, role)));
  writeSigningFile(file, content);
}

void t.test('an edited root is neither signed nor published', async (t) => {
  const f = new Fleet(scratch(t));
  await f.beginQuickly();
  const rootFile = join(f.dir, 'root2.json');
  t.match(f.inRepository('root', 'rotate', '--out', rootFile), { code: 0 });
  const proposed = readFileSync(rootFile);
  const file = join(f.dir, 'room/root2.json');
  const online = [createPrivateKey(readFileSync(f.onlineKey))];
  const publish = () =>
    publishRoot(f.repository, file, { online, nowMs: Date.now(), agreed: rootDigest(file) });
  for (const [name, change, reason] of EDITED_ROOTS) {
    writeFileSync(file, proposed);
    edit(file, change);
    t.match(f.signQuickly('root', file, 'anna'), { code: 1, err: reason }, `${name}: not signed`);
    signBlindly(f, file, 'root');
    const refusal = await messageFrom(publish);
    t.match(refusal, reason, `${name}: not published`);
    t.notMatch(refusal, /[\n\r]/, `${name}: one line`);
  }
  t.equal(f.repository.root().signed.version, 1, 'nothing was published');
  writeFileSync(file, proposed);
  edit(file, EDITED_ROOTS[0]?.[1] ?? (() => undefined));
  t.match(
    f.sign('root', file, 'anna'),
    { code: 1, err: /anna and dora, fingerprint .*, have one and the same key/ },
    'by the program',
  );
  const secondRotation = f.inRepository(
    'root',
    'rotate',
    '--root-key',
    `dora=${f.key('anna', 'root')}.pub`,
    '--out',
    file,
  );
  t.match(
    secondRotation,
    { code: 2, err: /--root-key.*: root: anna and dora, .*one and the same key/ },
    'and is not made',
  );
  writeFileSync(file, proposed);
  signBlindly(f, file, 'root');
  await t.resolves(publish(), 'the unchanged one is published');
});

void t.test('an edited list of releases is neither signed nor published', async (t) => {
  const f = new Fleet(scratch(t));
  await f.beginQuickly();
  const file = join(f.dir, 'room/release.json');
  const targets = { _type: 'targets', spec_version: '1.0.31', version: 1, expires: '', targets: {} };
  const write = (over: object): void => {
    const expires = new Date(Date.now() + 30 * 86_400_000).toISOString().replace(/\.\d+Z$/, 'Z');
    const roots = f.repository.roots().map((root) => root.toJSON());
    const metadata = { signed: { ...targets, expires, ...over }, signatures: [] };
    writeFileSync(
      file,
      JSON.stringify({ form: 'vigie-signing-1', roots, published: null, metadata, note: '' }),
    );
  };
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ expires: YEAR_2099 }, /would be good until 2099-.*at most 91 days from now .* for targets/],
    [{ delegations: { keys: {}, roles: [] } }, /gives releases to another role \(delegations\)/],
    [{ 'x-also': 1 }, /holds fields that `fleet release` does not make/],
    [{ version: Number.MAX_SAFE_INTEGER }, /the highest number that is accepted now is 101/],
    [{ spec_version: '1.0.30' }, /holds fields that/],
  ];
  for (const [over, reason] of cases) {
    write(over);
    t.match(f.signQuickly('release', file, 'anna'), { code: 1, err: reason });
    signBlindly(f, file, 'targets');
    const options = { online: [createPrivateKey(readFileSync(f.onlineKey))], nowMs: Date.now() };
    t.match(await messageFrom(() => publishReleases(f.repository, file, options)), reason);
  }
  write({});
  t.match(f.signQuickly('release', file, 'anna'), { code: 0 });
});

void t.test('each difference of a root needs agreement', { skip: unlessAll }, async (t) => {
  const f = new Fleet(scratch(t));
  await f.beginQuickly();
  mkdirSync(join(f.dir, 'dora'));
  keyPair(f.key('dora', 'root'));
  const rootFile = join(f.dir, 'root2.json');
  const change = ['--root-key', `dora=${f.key('dora', 'root')}.pub`, '--drop-root', 'carl'];
  const rotated = f.inRepository('root', 'rotate', ...change, '--out', rootFile);
  t.match(
    rotated.out,
    new RegExp(`SHA-256 of this root: ${rootDigest(rootFile)}`),
    'the digest to agree to is shown',
  );
  const sign = ['root', 'sign', rootFile, '--key', f.key('anna', 'root')];
  t.match(fleet(...sign), {
    code: 2,
    err: /agreeing to each difference needs a terminal.*--agree SHA256/,
  });
  t.match(fleet(...sign, '--yes'), { code: 2, err: /unknown option '--yes'/ });
  t.match(fleet(...sign, '--agree', 'a'.repeat(64)), { code: 1, err: /--agree: names another root than/ });
  t.match(f.inRepository('root', 'publish', rootFile, '--online-key', f.onlineKey), {
    code: 1,
    err: /not enough have signed/,
  });

  const differences = [
    /root: \+ dora, fingerprint .*do you agree\?/,
    /root: - carl, .*do you agree\?/,
    /expires: .*do you agree\?/,
  ] as const;
  const [dora, carl, expires] = differences;
  const no = await atTerminal(t, sign, [
    [dora, 'y\n'],
    [carl, 'n\n'],
  ]);
  t.equal(no.code, 1);
  t.match(no.out, /not agreed to; nothing was done/);
  const yes = await atTerminal(t, sign, [
    [dora, 'y\n'],
    [carl, 'y\n'],
    [expires, 'y\n'],
    [/Passphrase of .*: /, `${PASSPHRASE}x\x7f\r`],
  ]);
  t.equal(yes.code, 0, yes.out);
  t.match(yes.out, /signed by anna/);
  t.notMatch(yes.out, /correct|battery/, 'the passphrase is not shown');
  for (const signer of ['ben', 'dora']) t.match(f.signQuickly('root', rootFile, signer), { code: 0 });

  const publish = ['root', 'publish', rootFile, '--online-key', f.onlineKey];
  t.match(
    f.inRepository(...publish),
    { code: 2, err: /agreeing to each difference needs a terminal/ },
    'the publisher agrees too',
  );
  t.match(f.inRepository(...publish, '--agree', 'b'.repeat(64)), { code: 1, err: /names another root/ });
  const swapped = { online: [], nowMs: Date.now(), agreed: 'c'.repeat(64) };
  t.match(
    await messageFrom(() => publishRoot(f.repository, rootFile, swapped)),
    /has changed since its differences were agreed to/,
  );
  t.match(f.inRepository(...publish, '--agree', rootDigest(rootFile)), { code: 0, out: /published: root 2/ });
});

/** Runs the program as a process, with a text in its descriptor 3. */
function withSecret(secret: string, ...args: readonly string[]): Output {
  const { status, stdout, stderr } = spawnSync(
    'bash',
    ['-c', 'exec "$@" 3< <(printf "%s\\n" "$SECRET_OF_TEST")', 'bash', process.execPath, FLEET, ...args],
    { encoding: 'utf8', env: { ...process.env, SECRET_OF_TEST: secret } },
  );
  return { code: status, out: stdout, err: stderr };
}

/** Runs the program in a thread, with a text behind the descriptor that `--passphrase-fd` names. */
function withSecretInThread(f: Fleet, secret: string, ...args: readonly string[]): Output {
  const file = join(f.dir, 'secret');
  writeFileSync(file, `${secret}\n`);
  const fd = openSync(file, 'r');
  const output = fleet(...args, '--passphrase-fd', String(fd));
  closeSync(fd);
  return output;
}

void t.test('keys of keyholders are encrypted', { skip: unlessAll }, async (t) => {
  const f = new Fleet(scratch(t));
  const file = join(f.dir, 'new.key');
  const keygen = ['release', 'keygen', file];
  t.match(fleet(...keygen), { code: 2, err: /typing it needs a terminal; .*--passphrase-fd/ });
  t.match(withSecretInThread(f, 'short', ...keygen), {
    code: 2,
    err: /5 characters; use at least 12/,
  });
  t.match(withSecret('', ...keygen, '--passphrase-fd', '3'), {
    code: 2,
    err: /--passphrase-fd 3: its first line is empty/,
  });
  t.match(fleet(...keygen, '--passphrase-fd', '77'), { code: 2, err: /--passphrase-fd 77: cannot be read/ });
  t.match(withSecret(PASSPHRASE, ...keygen, '--passphrase-fd', '3'), { code: 0, out: /fingerprint: / });
  const pem = readFileSync(file, 'utf8');
  t.match(pem, /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  t.ok(unlockKey({ file, pem }, PASSPHRASE));
  t.throws(() => unlockKey({ file, pem }, `${PASSPHRASE}.`), {
    kind: 'denied',
    message: /does not open with this passphrase/,
  });
  const publicPem = execFileSync(
    'openssl',
    ['pkey', '-in', file, '-passin', `pass:${PASSPHRASE}`, '-pubout'],
    {
      encoding: 'utf8',
    },
  );
  t.equal(publicPem, readFileSync(`${file}.pub`, 'utf8'), 'openssl opens it too');
  const parts = execFileSync('openssl', ['asn1parse', '-in', file], { encoding: 'utf8' }).replace(
    /\s+/g,
    ' ',
  );
  t.match(parts, /PBES2.*scrypt.* :4000 .*:08 .*:10 .*aes-256-cbc/);

  const typed = join(f.dir, 'typed.key');
  const mistyped = await atTerminal(
    t,
    ['release', 'keygen', typed],
    [
      [/New passphrase/, `${PASSPHRASE}\r`],
      [/same again/, 'another one here\r'],
    ],
  );
  t.match(mistyped, { code: 2, out: /the second one differs from the first; no key was made/ });
  const generated = await atTerminal(
    t,
    ['release', 'keygen', typed],
    [
      [/New passphrase/, `${PASSPHRASE}\r`],
      [/same again/, `${PASSPHRASE}\r`],
    ],
  );
  t.equal(generated.code, 0, generated.out);
  t.ok(unlockKey({ file: typed, pem: readFileSync(typed, 'utf8') }, PASSPHRASE));

  await f.beginQuickly();
  const root2 = join(f.dir, 'root2.json');
  f.inRepository('root', 'rotate', '--out', root2);
  const plain = keyPair(join(f.dir, 'anna/plain.key'), false);
  const words = (key: string) => ['root', 'sign', root2, '--key', key, '--agree', rootDigest(root2)];
  const sign = (key: string, secret = PASSPHRASE) => withSecretInThread(f, secret, ...words(key));
  const refusal = sign(plain);
  t.match(refusal, {
    code: 2,
    err: /--key: .*plain.key is not encrypted; encrypt it, then destroy the old file: openssl pkcs8 /,
  });
  const [, command = ''] = /(openssl pkcs8 .*\.new)/.exec(refusal.err) ?? [];
  execFileSync('bash', ['-c', `${command} -passout 'pass:${PASSPHRASE}'`]);
  t.match(
    sign(`${plain}.new`),
    { code: 1, err: /may not sign root/ },
    'the line that it says makes a key that opens',
  );
  t.match(sign(f.key('anna', 'root'), 'another passphrase'), {
    code: 1,
    err: /does not open with this passphrase/,
  });
  const signed = withSecret(PASSPHRASE, ...words(f.key('anna', 'root')), '--passphrase-fd', '3');
  t.match(signed, { code: 0, out: /signed by anna/ });

  const online = join(f.dir, 'online2.key');
  t.match(fleet('release', 'keygen', online, '--online'), { code: 0 });
  t.match(
    readFileSync(online, 'utf8'),
    /^-----BEGIN PRIVATE KEY-----\n/,
    'the room’s own key is for programs',
  );
});
