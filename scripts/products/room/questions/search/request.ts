/**
 * Converts a typed search into the arguments of the command.
 *
 * @throws {AgentError} `config`, one line
 */
import type { SiteTime } from '../../../../../agent/base/site-time.ts';
import { wrong } from '../../../../../agent/cli/bad-option.ts';
import { nearest } from '../../../../../agent/config/words.ts';
import { normalCase } from '../../../../../agent/contract/case.ts';
import { argsProblem } from '../../../../../agent/contract/commands.ts';
import { isRuleKind, RULE_KINDS } from '../../../../../agent/contract/rule-config.ts';
import type { SearchArgs } from '../../../../../agent/contract/search.ts';
import { NAME } from '../../../../lib/room-link/room-file.ts';

/** Search options as typed. */
export interface SearchAsked {
  readonly case: string;
  readonly reason: string;
  readonly from: string;
  readonly to: string;
  readonly kind?: readonly string[];
  readonly zone?: readonly string[];
  readonly box?: readonly string[];
}

export function searchArgs(options: SearchAsked, time: SiteTime): SearchArgs {
  const { kind, zone, box } = options;
  const at = (option: string, text: string): string => new Date(time.parse(option, text)).toISOString();
  const [from, to] = [at('--from', options.from), at('--to', options.to)];
  if (from >= to) throw wrong('--to', `${to} is not after --from ${from}`);
  for (const name of kind ?? []) assertKind(name);
  for (const name of [...(zone ?? []), ...(box ?? [])]) {
    if (!NAME.test(name))
      throw wrong('--zone, --box', `invalid name "${name}"; use 1 to 32 characters from a-z, 0-9 and "-"`);
  }
  const query = { from, to, ...(kind && { kinds: [...kind] }), ...(zone && { zones: [...zone] }) };
  const args = { case: normalCase(options.case), reason: options.reason, query };
  const problem = argsProblem('search', args);
  if (problem === undefined) return args;
  throw wrong(`--${problem.path.split('/').at(1) ?? ''}`, problem.message);
}

/**
 * Refuses probable typing errors, which must not look like an empty result. Other unknown kinds pass, because a newer
 * box may know more.
 */
function assertKind(name: string): void {
  const suggestion = isRuleKind(name) ? undefined : nearest(name, RULE_KINDS);
  if (suggestion !== undefined)
    throw wrong('--kind', `no rule is called "${name}"; did you mean "${suggestion}"?`);
  if (!/^[a-z-]{1,40}$/.test(name))
    throw wrong('--kind', `unknown kind "${name}"; use ${RULE_KINDS.join(', ')}`);
}
