/**
 * `flash card`: makes one box's card, image file or stick.
 *
 * INVARIANTS:
 * - Everything that can be checked is checked before anything is overwritten.
 * - The room issues its one-time token last.
 * - The remains of a failed run do not boot.
 */
import { randomBytes } from 'node:crypto';
import { constants, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { type Adapter, adapterFiles } from './adapters.ts';
import { BAKED_FILE } from './baked.ts';
import { codeFiles, enrolFile, makeCodes } from './boot-files.ts';
import { type OpenDisk, openDisk } from './disk.ts';
import { type BootFile, Fat } from './fat.ts';
import { type Layout, readLayout } from './image.ts';
import { fingerprintOf, writeLabel } from './label.ts';
import { readSite, type Site } from './site.ts';
import { checkSum } from './sum.ts';
import { tool } from './tool.ts';
import { mediumError, type Progress, type Source, type Target, writeVerified } from './write.ts';

export interface CardOptions {
  readonly site: string;
  readonly box: string;
  readonly image?: string;
  readonly device?: string;
  readonly toFile?: string;
  readonly stick?: string;
  readonly adapter: Adapter;
  readonly room?: string;
  readonly token?: string;
  readonly roomDir?: string;
  readonly confirm?: string;
  readonly out?: string;
  readonly pageFingerprint?: string;
}

export interface Surroundings {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  say(line: string): void;
}

/** Size of a stick's file system: enough for a package and a box's files, and quick to write. */
const STICK_MIB = 128;
const STICK_LABEL = 'VIGIE';

/** @throws AgentError with one clear line, or every error of the configuration */
export async function card(options: CardOptions, context: Surroundings): Promise<void> {
  const fingerprint = options.pageFingerprint && fingerprintOf(options.pageFingerprint);
  const site = readSite(options.site, options.box, Date.now());
  for (const warning of site.warnings) context.say(`warning: ${warning}`);
  const work = mkdtempSync(join(tmpdir(), 'vigie-flash-'));
  try {
    const codes = makeCodes();
    const files = async (): Promise<BootFile[]> => [
      ...site.files,
      ...codeFiles(codes, new Date()),
      ...(await enrolment(options, site, context)),
    ];
    const placement = await put(options, { site, files, work }, context);
    const { box, site: name } = site.config;
    const label = { site: name, box, ...codes, pageFingerprint: fingerprint || undefined };
    const written = await writeLabel(label, options.out ?? placement.labels);
    context.say(`${box} at ${name}: ${placement.text}`);
    context.say(`label: ${written.join(', ')} (they hold the box's codes; print them and delete them)`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface Load {
  readonly site: Site;
  /** Called at the last moment, because it uses up a token. */
  files(): Promise<BootFile[]>;
  /** Folder for temporary files. */
  readonly work: string;
}

interface Put {
  readonly text: string;
  /** Default folder for labels. */
  readonly labels: string;
}

async function put(options: CardOptions, load: Load, context: Surroundings): Promise<Put> {
  const { device, toFile, stick, image } = options;
  if (stick !== undefined) {
    if (image !== undefined)
      throw new AgentError('config', '--stick takes no --image: the board has its own');
    return stick.startsWith('/dev/') ? stickDevice(stick, options, load, context) : stickFolder(stick, load);
  }
  if (image === undefined) throw new AgentError('config', '--image is missing; `flash bake` makes one');
  const layout = await readLayout(image);
  if ((await new Fat(image, layout.boot.start).read(BAKED_FILE)) === undefined) {
    throw new AgentError(
      'config',
      `${image} does not contain Vigie; \`flash bake --image ${image}\` installs it`,
    );
  }
  await checkSum(image);
  if (device !== undefined) {
    const disk = await openDisk(device, layout.bytes, options.confirm, context.signal);
    try {
      const source = await composed(image, layout, options, load);
      const text = await write(source, { handle: disk.handle, name: device, sparse: false }, context);
      return { text: `${text}; take it out`, labels: `label-${options.box}` };
    } finally {
      await disk.handle.close();
    }
  }
  const file = String(toFile);
  return {
    text: await toNewFile(file, await composed(image, layout, options, load), context),
    labels: dirname(resolve(file)),
  };
}

/** Returns the image, and its boot partition with the files of the box. */
async function composed(image: string, layout: Layout, options: CardOptions, load: Load): Promise<Source> {
  const { boot, bytes } = layout;
  const file = join(load.work, 'boot.fat');
  const range = [`skip=${boot.start}`, `count=${boot.bytes}`, 'iflag=skip_bytes,count_bytes', 'bs=4M'];
  await tool('dd', [`if=${image}`, `of=${file}`, ...range, 'conv=sparse', 'status=none']);
  const fat = new Fat(file, 0);
  if ((await fat.read('vigie/vigie.yaml')) !== undefined) {
    throw new AgentError('config', `${image} already contains the files of a box; use the baked image`);
  }
  const { box } = load.site.config;
  const host = {
    hostname: box,
    technicians: load.site.technicians,
    instance: `vigie-${box}-${randomBytes(8).toString('hex')}`,
  };
  const cmdline = (await fat.read('cmdline.txt'))?.toString();
  const adapted = adapterFiles(options.adapter, host, cmdline);
  await fat.write([...adapted, ...(await load.files())]);
  return { image, bytes, replacement: { file, start: boot.start, bytes: boot.bytes } };
}

async function write(source: Source, target: Target, { progress, signal }: Surroundings): Promise<string> {
  const began = Date.now();
  const sum = await writeVerified(source, target, { progress, signal });
  const seconds = ((Date.now() - began) / 1000).toFixed(0);
  const megabytes = (source.bytes / 1e6).toFixed(0);
  return `${megabytes} MB on ${target.name}, written and read back in ${seconds} s (SHA-256 ${sum})`;
}

async function toNewFile(file: string, source: Source, context: Surroundings): Promise<string> {
  if (existsSync(file)) throw new AgentError('config', `${file} is there already; name a new file`);
  // If other users could read this file of root's, they would get the hotspot's key and the token.
  const handle = await open(file, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600).catch(
    (error: unknown) => {
      throw mediumError(error, file);
    },
  );
  try {
    await handle.truncate(source.bytes).catch((error: unknown) => {
      throw mediumError(error, file);
    });
    return await write(source, { handle, name: file, sparse: true }, context);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

async function stickDevice(
  device: string,
  options: CardOptions,
  load: Load,
  context: Surroundings,
): Promise<Put> {
  const bytes = STICK_MIB * 1024 * 1024;
  const disk: OpenDisk = await openDisk(device, bytes, options.confirm, context.signal);
  try {
    const image = join(load.work, 'stick.fat');
    await tool('mkfs.vfat', ['-n', STICK_LABEL, '-C', image, String(STICK_MIB * 1024)]);
    await new Fat(image, 0).write(await load.files());
    const text = await write({ image, bytes }, { handle: disk.handle, name: device, sparse: false }, context);
    return { text: `${text}; take it out`, labels: `label-${options.box}` };
  } finally {
    await disk.handle.close();
  }
}

/** Writes to a mounted stick, or to a folder that is copied onto one. */
async function stickFolder(folder: string, load: Load): Promise<Put> {
  if (!existsSync(folder)) throw new AgentError('config', `${folder}: no such folder`);
  if (existsSync(join(folder, 'vigie'))) {
    throw new AgentError(
      'config',
      `${join(folder, 'vigie')} already exists; remove the files of the other box first`,
    );
  }
  const files = await load.files();
  for (const { path, content } of files) {
    const file = join(folder, path);
    try {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content, { mode: 0o600, flush: true });
    } catch (error) {
      throw mediumError(error, folder);
    }
    if (!(await readFile(file)).equals(content)) {
      throw new AgentError('corrupt', `${file}: its content differs from what was written`);
    }
  }
  return {
    text: `${files.length} files in ${folder}; the stick’s label must be ${STICK_LABEL}`,
    labels: '.',
  };
}

async function enrolment(options: CardOptions, { config }: Site, context: Surroundings): Promise<BootFile[]> {
  const { room, token, roomDir } = options;
  const { site, box } = config;
  if (room === undefined) {
    if (token !== undefined || roomDir !== undefined) {
      throw new AgentError('config', '--token and --room-dir need --room, the address of the control room');
    }
    context.say('warning: no --room: the box does not enrol; its certificate must come to it by hand');
    return [];
  }
  if (roomDir === undefined) {
    if (token === undefined) context.say('warning: no token: the room must accept this box by hand');
    return [enrolFile({ site, box, url: room, token: token ?? null })];
  }
  const program = join(packageRoot(), 'scripts', 'room');
  const output = await tool(program, ['enrol', 'token', site, box, '--dir', roomDir]);
  return [enrolFile({ site, box, url: room, token: output.toString().trim() })];
}
