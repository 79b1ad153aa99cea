/**
 * `room.js DIR MODULES` puts the programs of the room into DIR:
 * - the files that they import from this checkout's build, and the browser's files
 * - the packages that they need, with the compiled ones from MODULES/node_modules (of the target)
 * - a package.json that names these, and DIR/vigie-room.1.
 *
 * `modules.js` makes the packages small.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { build, type Metafile } from 'esbuild';
import { packageRoot, programVersion } from '../../../agent/base/package-root.ts';
import { manifestOf, neededBy } from './npm-package.ts';

const ROOM = 'dist/scripts/products/room';
/** Browser app, bundled by the build. */
const APP = join(ROOM, 'app');
/** Packages that are compiled for one kind of machine. */
const COMPILED = ['better-sqlite3'];

const [dir, compiled] = process.argv.slice(2);
if (dir === undefined || compiled === undefined) {
  process.stderr.write('room: give a folder, and one that holds node_modules of the target\n');
  process.exit(2);
}
const root = packageRoot();
const programs = readdirSync(join(root, ROOM)).filter((name) =>
  existsSync(join(root, ROOM, name, 'main.js')),
);
const { inputs } = await graph(programs.map((name) => join(ROOM, name, 'main.js')));
for (const file of Object.keys(inputs)) {
  for (const one of [file, `${file}.map`]) copied(join(root, one), join(dir, one));
}
if (existsSync(join(root, APP))) cpSync(join(root, APP), join(dir, APP), { recursive: true });
const packages = new Set(
  Object.values(inputs).flatMap(({ imports }) =>
    imports.flatMap(({ path, external }) => (external === true ? packageIn(path) : [])),
  ),
);
const takenPackages = new Set<string>();
for (const name of packages) take(name, root);
writeFileSync(
  join(dir, 'package.json'),
  `${JSON.stringify({
    name: 'vigie-room',
    version: programVersion(),
    type: 'module',
    dependencies: Object.fromEntries(
      [...packages].sort().map((name) => [name, manifestOf(join(root, 'node_modules', name)).version]),
    ),
  })}\n`,
);
writeFileSync(join(dir, 'vigie-room.1'), manPage());
process.stdout.write(
  `${programs.join(', ')}: ${Object.keys(inputs).length} files, ${takenPackages.size} packages\n`,
);

/** Returns the files of which the programs consist, including those loaded on demand. */
async function graph(entryPoints: readonly string[]): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...entryPoints],
    outdir: '.',
    bundle: true,
    write: false,
    metafile: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'warning',
  });
  return metafile;
}

function packageIn(specifier: string): string[] {
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return [];
  return [/^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier];
}

/** Takes a package of the top level and its dependencies there; nested packages come with it. */
function take(name: string, from: string): void {
  const nested = join(from, 'node_modules', name);
  if (from !== root && existsSync(nested)) {
    needs(nested);
    return;
  }
  const source = join(root, 'node_modules', name);
  if (takenPackages.has(name) || !existsSync(source)) return;
  takenPackages.add(name);
  const sourceDir = COMPILED.includes(name) ? join(String(compiled), 'node_modules', name) : source;
  copied(sourceDir, join(String(dir), 'node_modules', name));
  needs(source);
}

function needs(folder: string): void {
  for (const name of neededBy(manifestOf(folder))) take(name, folder);
}

function copied(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { recursive: true });
}

/** Builds the man page from the help of each program, as a terminal shows it. */
function manPage(): string {
  const usages = programs.flatMap((name) => {
    const text = helpOf(join(root, ROOM, name, 'main.js')).join('\n');
    // `scripts/room enrol` in the checkout is `vigie-room enrol` in the package; the archive is `scripts/room` alone.
    const help = text
      .replaceAll(`scripts/room ${name}`, `vigie-room ${name}`)
      .replaceAll('scripts/room', `vigie-room ${name}`);
    return [`.SS vigie\\-room ${name}`, '.nf', ...help.trimEnd().split('\n').map(escaped), '.fi'];
  });
  const lines = [
    `.TH VIGIE\\-ROOM 1 "" "Vigie ${programVersion()}" "User Commands"`,
    '.SH NAME',
    'vigie\\-room \\- programs of a room that receives the events of Vigie boxes',
    '.SH SYNOPSIS',
    '.B vigie\\-room',
    '.I program',
    '[options]',
    '.SH DESCRIPTION',
    'Units of systemd are archive, console, signer, metrics, readers (a broker) and enrol, which also has the commands to issue the',
    'certificates of boxes. With search, tracks and unseal a person queries boxes for a case.',
    '.SH PROGRAMS',
    ...usages,
    '.SH SEE ALSO',
    '.BR systemctl (1),',
    'file:///usr/share/doc/vigie\\-room/room.md,',
    'file:///usr/share/doc/vigie\\-room/console.md,',
    'file:///usr/share/doc/vigie\\-room/search.md',
  ];
  return `${lines.join('\n')}\n`;
}

/** Returns the --help output of the program at `main`, then of each of its commands, recursively. */
function helpOf(main: string, command: readonly string[] = []): string[] {
  const help = execFileSync(process.execPath, [main, ...command, '--help'], { encoding: 'utf8' });
  const commandList = /^Commands:\n((?: .*\n)+)/m.exec(help)?.[1] ?? '';
  const commands = [...commandList.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => String(name));
  return [help, ...commands.flatMap((name) => helpOf(main, [...command, name]))];
}

/** A backslash, a hyphen and a leading dot or quote have a meaning in groff. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&');
}
