#!/usr/bin/env -S node --max-semi-space-size=2 --optimize-for-size --no-opt --no-sparkplug --max-lazy
/**
 * The program `vigie`. Its exit codes are those of run-program.ts.
 * The flags above keep its memory small; docs/design/005-benchmark.md lists their cost.
 */
import { makeProgram } from './program.ts';
import { runProgram } from './run-program.ts';

await runProgram('vigie', () => makeProgram().parseAsync());
