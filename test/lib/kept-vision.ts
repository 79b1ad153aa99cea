/**
 * `COMMAND...`: takes vision's place while a clip is replayed, with the agent's link as file descriptor 3. The first
 * time, it runs the command, which is the real vision, and keeps what it says in `.cache/replayed/`. From then on it
 * says the same again, as long as the agent says the same too.
 *
 * INVARIANT: what is kept belongs to the same clip, settings and models, and to the same compiled code of vision and of
 * all that it imports. A change to any of them has another name.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Type } from '@sinclair/typebox';
import { LinkDecoder } from '../../agent/base/link-frame.ts';
import type { ToVision } from '../../agent/contract/link.ts';
import { ROOT } from './paths.ts';

const KEPT_DIR = join(ROOT, '.cache', 'replayed');
const AGENT = fileURLToPath(new URL('../../agent', import.meta.url));

/** The messages of both sides. */
interface Talk {
  /** Messages of the agent after the first one, as JSON. */
  readonly requests: string[];
  /** Bytes of vision in base64, each with the number of the agent's messages before it. */
  readonly replies: [number, string][];
}

type Start = Extract<ToVision, { kind: 'start' }>;

const [command = '', ...args] = process.argv.slice(2);
const link = new Socket({ fd: 3, readable: true, writable: true });
link.on('error', () => process.exit(1));
const decoder = new LinkDecoder(Type.Unknown());
/** Takes each message of the agent; replaced by the first. */
let take = (message: unknown, chunk: Buffer): void => begin(message as Start, chunk);
let forward: ((chunk: Buffer) => void) | undefined;

link.on('data', (chunk: Buffer) => {
  forward?.(chunk);
  for (const { message } of decoder.push(chunk)) take(message, chunk);
});
link.on('close', () => process.exit(0));

function begin(start: Start, chunk: Buffer): void {
  const file = join(KEPT_DIR, `${nameOf(start)}.gz`);
  const oldTalk = keptTalk(file);
  if (oldTalk === undefined) record(file, chunk);
  else play(oldTalk, file);
}

/** Says what is kept, each part once the agent has sent what it sent then; ends with an error where it has not. */
function play({ requests, replies }: Talk, file: string): void {
  let count = 0;
  let next = 0;
  const sayAll = (): void => {
    for (; next < replies.length && (replies[next]?.[0] ?? 0) <= count; next += 1)
      link.write(Buffer.from(replies[next]?.[1] ?? '', 'base64'));
    if (next === replies.length) link.end();
  };
  take = (message) => {
    if (JSON.stringify(message) !== requests[count]) {
      rmSync(file, { force: true });
      process.exit(1);
    }
    count += 1;
    sayAll();
  };
  sayAll();
}

/** Runs the real vision and keeps what both say, if vision ends well. */
function record(file: string, first: Buffer): void {
  const talk: Talk = { requests: [], replies: [] };
  const child = spawn(command, args, { stdio: ['ignore', 2, 2, 'pipe'] });
  const vision = child.stdio[3] as Socket;
  vision.on('error', () => undefined);
  vision.on('data', (chunk: Buffer) => {
    talk.replies.push([talk.requests.length, chunk.toString('base64')]);
    link.write(chunk);
  });
  forward = (chunk) => void vision.write(chunk);
  take = (message) => void talk.requests.push(JSON.stringify(message));
  forward(first);
  child.once('close', (code) => {
    if (code === 0) keep(file, talk);
    link.end(() => process.exit(code ?? 1));
  });
}

function keep(file: string, talk: Talk): void {
  mkdirSync(KEPT_DIR, { recursive: true });
  // Two tests may replay the same clip at once, so each moves a complete file into place.
  const newFile = `${file}.${process.pid}`;
  writeFileSync(newFile, gzipSync(JSON.stringify(talk)));
  renameSync(newFile, file);
}

function keptTalk(file: string): Talk | undefined {
  try {
    return JSON.parse(gunzipSync(readFileSync(file)).toString()) as Talk;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function nameOf({ settings, order }: Start): string {
  const { camera, modelDir, ...otherSettings } = settings;
  const { source, ...cameraSettings } = camera;
  const hash = createHash('sha256');
  hash.update(JSON.stringify({ settings: { ...otherSettings, camera: cameraSettings }, order }));
  const models = readdirSync(modelDir).sort();
  const code = ['vision', 'contract', 'base', 'orders'].flatMap((folder) =>
    readdirSync(join(AGENT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => extname(name) === extname(fileURLToPath(import.meta.url)))
      .sort()
      .map((name) => join(AGENT, folder, name)),
  );
  for (const file of [
    source.replace(/^file:/, ''),
    fileURLToPath(import.meta.url),
    join(ROOT, 'package-lock.json'),
    ...models.map((name) => join(modelDir, name)),
    ...code,
  ])
    hash.update(createHash('sha256').update(readFileSync(file)).digest());
  return hash.digest('hex');
}
