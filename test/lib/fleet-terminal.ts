/** The fleet's program at a terminal of its own, by script(1). */
import type { Test } from 'tap';
import { FLEET } from './fleet-keyholders.ts';
import { type Program, start } from './program.ts';

/** Time limit of a question, in ms, far above what one takes on a slow machine. */
const WITHIN_MS = 40_000;

/** Answers the questions in order; returns when the program has ended. */
export async function atTerminal(
  t: Test,
  args: readonly string[],
  answers: readonly (readonly [RegExp, string])[],
): Promise<Program> {
  const line = [process.execPath, FLEET, ...args].map((word) => `'${word}'`).join(' ');
  const program = start(t, 'script', ['-qefc', line, '/dev/null']);
  let readLength = 0;
  for (const [question, answer] of answers) {
    const untilMs = Date.now() + WITHIN_MS;
    while (!question.test(program.out.slice(readLength))) {
      if (program.code !== undefined || Date.now() > untilMs)
        throw new Error(`not asked ${question}: ${program.out}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    readLength = program.out.length;
    program.child.stdin?.write(answer);
  }
  await program.exit;
  return program;
}
