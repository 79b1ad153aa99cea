/**
 * Starts of vision's program as one bundled file (bundled.ts), which takes less than half the CPU time. The supervisor
 * starts vision with the program that runs itself; a script takes its place and exchanges vision's main file.
 */
import { chmodSync, existsSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundled } from './bundled.ts';

const NODE = process.execPath;

/** Path of the script that runs node, with vision as its bundle. */
export function nodeForVision(): string {
  const bundle = bundled('agent/vision');
  const swap = `for word do shift; case $word in */dist/agent/vision/main.js) word='${bundle}';; esac; set -- "$@" "$word"; done`;
  const name = `node-${Buffer.from(NODE).toString('hex').slice(-16)}`;
  return written(join(dirname(bundle), name), `#!/bin/sh\n${swap}\nexec '${NODE}' "$@"\n`);
}

function written(file: string, text: string): string {
  if (existsSync(file)) return file;
  // Another test may write it at the same time.
  const newFile = `${file}.${process.pid}`;
  writeFileSync(newFile, text);
  chmodSync(newFile, 0o755);
  renameSync(newFile, file);
  return file;
}
