/**
 * Tests the manifest of a release: it reads back as written, mtree(8) accepts it, and hostile manifests are refused.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  changedPaths,
  manifestText,
  parseManifest,
  scanTree,
  verifyTree,
} from '../../scripts/lib/manifest.ts';
import { scratch } from '../lib/paths.ts';

// A tree has folders of 0755 and files of 0644, also where an ordinary user has umask 0002.
process.umask(0o022);

const HASH = 'a'.repeat(64);

function writeTree(dir: string): string {
  mkdirSync(join(dir, 'dist/agent'), { recursive: true });
  mkdirSync(join(dir, 'dist/agent-old'), { recursive: true });
  writeFileSync(join(dir, 'dist/agent/main.js'), 'main');
  writeFileSync(join(dir, 'dist/agent-old/main.js'), '');
  chmodSync(join(dir, 'dist/agent/main.js'), 0o755);
  mkdirSync(join(dir, 'node_modules/@scope/a~b'), { recursive: true });
  writeFileSync(join(dir, 'node_modules/@scope/a~b/x+y,z.js'), 'x'.repeat(300_000));
  symlinkSync('../dist/agent', join(dir, 'node_modules/agent'));
  writeFileSync(join(dir, 'MANIFEST'), 'not in it');
  return dir;
}

void t.test('a manifest reads back as written, and mtree(8) accepts the tree', async (t) => {
  const dir = writeTree(join(scratch(t), 'tree'));
  const entries = await scanTree(dir);
  const text = manifestText(entries.toReversed());
  t.equal(text.split('\n')[0], '#mtree');
  t.match(text, /\n\.\/dist\/agent-old\/main\.js type=file mode=0644 size=0 sha256digest=e3b0c442/);
  t.match(text, /\n\.\/dist\/agent\/main\.js type=file mode=0755 size=4 sha256digest=[0-9a-f]{64}\n/);
  t.match(text, /\n\.\/node_modules\/agent type=link link=\.\.\/dist\/agent\n/);
  t.notMatch(text, /MANIFEST/);
  t.strictSame(parseManifest(text), entries);

  writeFileSync(join(dir, 'MANIFEST'), text);
  const mtree = (): string => execFileSync('mtree', ['-f', 'MANIFEST', '-p', '.'], { cwd: dir }).toString();
  t.equal(mtree(), 'extra: MANIFEST\n', 'Debian’s mtree finds the same tree');
  await verifyTree(dir, entries);
  writeFileSync(join(dir, 'dist/agent/main.js'), 'mean');
  t.throws(mtree, 'and would find another');
});

void t.test('a tree that differs from its manifest is refused', async (t) => {
  const dir = writeTree(join(scratch(t), 'tree'));
  const entries = await scanTree(dir);
  const differs = async (change: () => void, undo: () => void, message: RegExp): Promise<void> => {
    change();
    await t.rejects(verifyTree(dir, entries), { kind: 'corrupt', message });
    undo();
    await verifyTree(dir, entries);
  };
  const main = join(dir, 'dist/agent/main.js');
  const link = join(dir, 'node_modules/agent');
  const extra = join(dir, 'dist/extra');
  const write = (text: string) => () => writeFileSync(main, text);
  await differs(write('maim'), write('main'), /agent\/main\.js .*sha256digest/);
  await differs(
    () => chmodSync(main, 0o4755),
    () => chmodSync(main, 0o755),
    /mode=04755 .*should have .*mode=0755/,
  );
  await differs(
    () => chmodSync(join(dir, 'dist'), 0o777),
    () => chmodSync(join(dir, 'dist'), 0o755),
    /dist type=dir mode=0777/,
  );
  await differs(
    () => writeFileSync(extra, ''),
    () => rmSync(extra),
    /dist\/extra should not be there/,
  );
  await differs(
    () => {
      rmSync(link);
      symlinkSync('../dist', link);
    },
    () => {
      rmSync(link);
      symlinkSync('../dist/agent', link);
    },
    /link=\.\.\/dist, and should/,
  );
  await differs(
    () => chmodSync(dir, 0o700),
    () => chmodSync(dir, 0o755),
    /tree has mode 0700, and should have 0755/,
  );
  await differs(
    () => rmSync(main),
    () => {
      writeFileSync(main, 'main');
      chmodSync(main, 0o755);
    },
    /dist\/agent\/main\.js is missing/,
  );
  await differs(
    () => execFileSync('mkfifo', [extra]),
    () => rmSync(extra),
    /dist\/extra is neither a file/,
  );
  await differs(
    () => writeFileSync(join(dir, 'a\nb'), ''),
    () => rmSync(join(dir, 'a\nb')),
    /a\\x0ab has a name/,
  );
  if (process.getuid?.() === 0)
    await differs(
      () => chownSync(main, 1, 1),
      () => chownSync(main, 0, 0),
      /belongs to user 1/,
    );
});

void t.test('a hostile manifest is refused', (t) => {
  const good = [
    './a type=dir mode=0755',
    `./a/b type=file mode=0644 size=1 sha256digest=${HASH}`,
    './a/c type=link link=b',
    './a/d type=link link=../a/b',
  ];
  const text = (...lines: string[]): string =>
    `#mtree\n. type=dir mode=0755\n${lines.map((line) => `${line}\n`).join('')}`;
  t.equal(parseManifest(text(...good)).length, 4, 'the good one');
  const file = (path: string, mode = '0644', size = '1', hash = HASH): string =>
    `./${path} type=file mode=${mode} size=${size} sha256digest=${hash}`;
  const bad: Record<string, string> = {
    'no first line': `${good.join('\n')}\n`,
    'no tree itself': text(...good).replace(/\n\. .*/, ''),
    'another mode of the tree': text(...good).replace('0755', '0777'),
    'no end of the last line': text(...good).slice(0, -1),
    'carriage returns': text(...good).replaceAll('\n', '\r\n'),
    'an empty line': text('', ...good),
    'a comment': text('# x', ...good),
    'a default': text('/set type=file', ...good),
    upwards: text(file('..')),
    'upwards further in': text('./a type=dir mode=0755', file('a/../../etc')),
    itself: text(file('./x')),
    absolute: text(file('/etc/passwd')),
    'absolute without a dot': text(file('x').slice(1)),
    empty: text(file('')),
    twice: text(file('x'), file('x')),
    'twice with other types': text('./x type=dir mode=0755', './x type=link link=y'),
    'wrong order': text(file('y'), file('x')),
    'a file below a link': text('./x type=link link=y', file('x/z')),
    'a file below a file': text(file('x'), file('x/z')),
    'a file below nothing': text(file('x/z')),
    'control characters': text(file('x\u0007')),
    'a direction of text': text(file('x\u202ey')),
    'an escape of mtree': text(file('x\\040y')),
    'a space': text(file('x y')),
    setuid: text(file('x', '04755')),
    'writable by all': text(file('x', '0666')),
    'a folder that is writable by all': text('./x type=dir mode=0777'),
    'a device': text('./x type=char device=1,3'),
    'no hash': text('./x type=file mode=0644 size=1'),
    'a short hash': text(file('x', '0644', '1', 'abc')),
    'a negative size': text(file('x', '0644', '-1')),
    'a size that is no number': text(file('x', '0644', '1e3')),
    'an owner': text(`${file('x')} uid=0`),
    'a link out': text('./x type=link link=../y'),
    'a link out by a detour': text(good[0] ?? '', './a/x type=link link=b/../../../y'),
    'an absolute link': text('./x type=link link=/etc/passwd'),
    'a link upwards only': text(good[0] ?? '', './a/x type=link link=..'),
    'the manifest itself': text(file('MANIFEST')),
    'a long name': text(file('x'.repeat(300))),
    'a long path': text(file('x')).replace('./x', `./${'x/'.repeat(600)}x`),
  };
  for (const [name, hostile] of Object.entries(bad))
    t.throws(
      () => parseManifest(hostile),
      { kind: 'corrupt', message: /^manifest, line \d+: [^\n]+$/ },
      name,
    );
  const setuid = { path: 'x', type: 'file', mode: 0o4755, size: 1, sha256: HASH } as const;
  t.throws(() => manifestText([setuid]), { kind: 'config', message: /line 3/ }, 'nor is one written');
  t.end();
});

void t.test('changed paths of two trees are listed', async (t) => {
  const dir = writeTree(join(scratch(t), 'tree'));
  const from = await scanTree(dir);
  t.strictSame(changedPaths(from, from), { write: [], remove: [] });
  rmSync(join(dir, 'dist/agent-old'), { recursive: true });
  writeFileSync(join(dir, 'dist/agent-old'), 'a file now');
  rmSync(join(dir, 'node_modules/agent'));
  mkdirSync(join(dir, 'node_modules/agent'));
  writeFileSync(join(dir, 'node_modules/agent/main.js'), 'new');
  linkSync(join(dir, 'dist/agent/main.js'), join(dir, 'dist/agent/second.js'));
  chmodSync(join(dir, 'node_modules/@scope/a~b/x+y,z.js'), 0o755);
  t.strictSame(changedPaths(from, await scanTree(dir)), {
    write: [
      'dist/agent-old',
      'dist/agent/second.js',
      'node_modules/@scope/a~b/x+y,z.js',
      'node_modules/agent',
      'node_modules/agent/main.js',
    ],
    remove: ['node_modules/agent', 'dist/agent-old/main.js', 'dist/agent-old'],
  });
});
