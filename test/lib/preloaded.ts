/** Compiles a library for LD_PRELOAD, whose functions replace those of the C library. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Test } from 'tap';
import { scratch } from './paths.ts';

/** Returns the path of the library. */
export function preloaded(t: Test, source: string): string {
  const library = join(scratch(t), 'preloaded.so');
  execFileSync('cc', ['-shared', '-fPIC', '-x', 'c', '-o', library, '-', '-ldl'], { input: source });
  return library;
}
