/** What was typed for `vigie search` → what to ask. Throws AgentError `config`, one line. */
import { SiteTime } from '../../base/site-time.ts';
import { nearest } from '../../config/words.ts';
import { argsFault } from '../../contract/commands.ts';
import { isRuleKind, RULE_KINDS } from '../../contract/rule-config.ts';
import type { SearchArgs } from '../../contract/search.ts';
import { wrong } from '../bad-option.ts';
import { NAME, type Room, type RoomOptions } from '../room/room-file.ts';

export interface SearchOptions extends RoomOptions {
  readonly sign: string;
  readonly case: string;
  readonly reason: string;
  readonly from: string;
  readonly to: string;
  readonly kind?: readonly string[];
  readonly zone?: readonly string[];
  readonly box?: readonly string[];
  readonly timeout: number;
  readonly max: number;
  readonly timeZone?: string;
  readonly json?: boolean;
}

/** What is asked, as it was typed. */
export type SearchAsked = Pick<SearchOptions, 'case' | 'reason' | 'from' | 'to' | 'kind' | 'zone' | 'box'>;

/** Where nothing else says it: the zone of this machine. */
export function timeOfSite({ timeZone }: Pick<SearchOptions, 'timeZone'>, room: Room): SiteTime {
  return new SiteTime(timeZone ?? room.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
}

export function searchArgs(options: SearchAsked, time: SiteTime): SearchArgs {
  const { kind, zone, box } = options;
  const at = (option: string, text: string): string => new Date(time.parse(option, text)).toISOString();
  const [from, to] = [at('--from', options.from), at('--to', options.to)];
  if (from >= to) throw wrong('--to', `${to} is not after --from ${from}`);
  for (const name of kind ?? []) assertKind(name);
  for (const name of [...(zone ?? []), ...(box ?? [])]) {
    if (!NAME.test(name)) throw wrong('--zone, --box', `"${name}" is no name; 1 to 32 of a-z, 0-9 and - are`);
  }
  const query = { from, to, ...(kind && { kinds: [...kind] }), ...(zone && { zones: [...zone] }) };
  const args = { case: options.case, reason: options.reason, query };
  const fault = argsFault('search', args);
  if (fault === undefined) return args;
  throw wrong(`--${fault.path.split('/').at(1) ?? ''}`, fault.message);
}

/** A box of a newer version may know more kinds; a typing mistake must not look like "nothing happened". */
function assertKind(name: string): void {
  const meant = isRuleKind(name) ? undefined : nearest(name, RULE_KINDS);
  if (meant !== undefined) throw wrong('--kind', `no rule is called "${name}"; did you mean "${meant}"?`);
  if (!/^[a-z-]{1,40}$/.test(name))
    throw wrong('--kind', `"${name}" is no kind; there are ${RULE_KINDS.join(', ')}`);
}
