/**
 * `fleet suspend`, `resume`, `reset-time`, `open-hotspot`: control analysis, the clock and a technician's access on one
 * box.
 */

import type { Command } from '@commander-js/extra-typings';
import { Value } from '@sinclair/typebox/value';
import { AgentError } from '../../../../agent/base/errors.ts';
import { integerUpTo } from '../../../../agent/cli/commands/options.ts';
import { print, printNote } from '../../../../agent/cli/print.ts';
import { resumeKeys } from '../../../../agent/cli/signing-key.ts';
import type { CommandArgs, CommandResult } from '../../../../agent/contract/commands.ts';
import { SuspendArgs } from '../../../../agent/contract/mode.ts';
import { signResume } from '../../../../agent/restraint/resume.ts';
import { type AskOptions, ask, asking, namedBox } from './box-command.ts';

interface SuspendOptions extends AskOptions {
  readonly reason: string;
}

interface ResumeOptions extends SuspendOptions {
  readonly key: readonly string[];
  readonly suspension: string;
}

/** Validity of a resume command on each side of the present time, ms. Keyholders sign it for immediate use. */
const VALID_MS = 3_600_000;

export function restraintCommands(program: Command): void {
  asking(program, 'suspend', 'suspends the analysis; answered when the vision process has ended')
    .requiredOption('--reason <text>', 'reason; published and stored in the journal')
    .action(async (name: string, options: SuspendOptions) => {
      const { reason } = checked(options);
      const target = namedBox(name, options.dir);
      tell(target.box, await ask(target, options, 'suspend', { reason }));
    });
  asking(
    program,
    'resume',
    'resumes the analysis; signed by two keys of the authorisation, for one suspension',
  )
    .requiredOption('--reason <text>', 'reason; published and stored in the journal')
    .requiredOption('--key <file...>', 'private keys of two of the authorisation’s resumeKeys, PEM')
    .requiredOption('--suspension <id>', 'id of the suspension that ends, from the answer to suspend')
    .action(resume);
  asking(program, 'reset-time', 'the box’s clock is right now, whatever it has said before').action(
    async (name: string, options: AskOptions) => {
      const target = namedBox(name, options.dir);
      const result = await ask(target, options, 'reset-time', {});
      print(
        `${target.box}: validity is now checked against ${result.after}, no longer against ${result.before}`,
      );
    },
  );
  asking(
    program,
    'open-hotspot',
    'opens the box’s own Wi-Fi for a technician, although its authorisation is valid; `journalctl -u vigie-hotspot` there says whether it is open',
  )
    .option('--minutes <n>', 'for how long, 1 to 60', integerUpTo(60), 15)
    .action(async (name: string, options: AskOptions & { readonly minutes: number }) => {
      const target = namedBox(name, options.dir);
      const result = await ask(target, options, 'open-hotspot', { minutes: options.minutes });
      print(
        `${target.box}: its vigie-root has received the command to open the hotspot for ${result.minutes} min`,
      );
    });
}

/** Throws AgentError, one line. */
async function resume(name: string, options: ResumeOptions): Promise<void> {
  const { suspension } = options;
  const { reason } = checked(options);
  const keys = resumeKeys(options.key);
  const target = namedBox(name, options.dir);
  const [notBefore = '', notAfter = ''] = [Date.now() - VALID_MS, Date.now() + VALID_MS].map((ms) =>
    new Date(ms).toISOString(),
  );
  const { site } = target.room;
  const content = { site, box: target.box, suspension, reason, notBefore, notAfter };
  const envelope = JSON.parse(signResume(content, keys)) as CommandArgs<'resume'>['envelope'];
  tell(target.box, await ask(target, options, 'resume', { envelope }));
}

function checked({ reason }: SuspendOptions): { reason: string } {
  const args = { reason };
  if (Value.Check(SuspendArgs, args)) return args;
  throw new AgentError('config', '--reason: 1 to 500 characters are needed');
}

function tell(box: string, result: CommandResult<'suspend' | 'resume'>): void {
  const { mode, since: sinceTime, framesRead, suspension, recorded = true } = result;
  const id = suspension === null ? '' : `, suspension ${suspension}`;
  print(`${box}: ${mode} since ${sinceTime}, ${framesRead} frames read${id}`);
  if (!recorded)
    printNote(
      `fleet: root’s record on ${box} does not have it: until it does, the agent’s own user could undo it`,
    );
}
