/** What programs of scripts/ say to --help, as files: their wrappers answer before anything is built. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Folders of the programs whose arguments commander reads; the others' wrappers hold their usage themselves. */
export const PROGRAMS = [
  'bench',
  'evaluate',
  'flash',
  'fleet',
  'room/archive',
  'room/console',
  'room/enrol',
  'room/metrics',
  'room/signer',
  'soak',
] as const;

/** The program's help, then that of each of its commands, and of theirs. */
export function usageOf(program: (typeof PROGRAMS)[number]): string {
  const main = fileURLToPath(new URL(`../${program}/main.js`, import.meta.url));
  const help = (command: readonly string[]): string[] => {
    const whole = execFileSync(process.execPath, [main, ...command, '--help'], { encoding: 'utf8' });
    const listed = /^Commands:\n((?: .*\n)+)/m.exec(whole)?.[1] ?? '';
    const commands = [...listed.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => String(name));
    return [whole, ...commands.flatMap((name) => help([...command, name]))];
  };
  return help([]).join('\n');
}
