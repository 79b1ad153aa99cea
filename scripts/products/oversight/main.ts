/** The program `vigie-oversight` for the oversight of boxes; its exit codes are those of run-program.ts. */
import { runProgram } from '../../../agent/cli/run-program.ts';
import { makeProgram } from './program.ts';

await runProgram('vigie-oversight', () => makeProgram().parseAsync());
