/**
 * Keys that stand one level too high or too deep, as a wrong indentation leaves them: one mistake for all that follows
 * from it.
 *
 * INVARIANT: a mistake is only left out where the misplaced key that it follows from is told.
 */
import { KindGuard, type TObject } from '@sinclair/typebox';
import { Config } from '../contract/config.ts';
import { type Path, pathText } from './problem.ts';
import { isGroup, type Mistake } from './shape.ts';

interface Misplaced {
  readonly path: Path;
  readonly key: string;
  /** The group of the schema that has this key, which the data has too, without the key. */
  readonly home: Path;
}

interface Group {
  readonly path: Path;
  readonly schema: TObject;
  /** As the file has it; undefined where nothing stands below the group's name. */
  readonly data: Record<string, unknown> | undefined;
}

/** Call before defaults are filled in: they would hide what is missing. */
export function misplacedKeys(data: Record<string, unknown>): Misplaced[] {
  const groups = groupsOf(Config, data, []);
  return groups.flatMap((at) => {
    const unknown = Object.keys(at.data ?? {}).filter((key) => !Object.hasOwn(at.schema.properties, key));
    return unknown.flatMap((key): Misplaced[] => {
      const homes = groups.filter(
        (group) => Object.hasOwn(group.schema.properties, key) && group.data?.[key] === undefined,
      );
      const [home] = homes;
      return home === undefined || homes.length > 1
        ? []
        : [{ path: [...at.path, key], key, home: home.path }];
    });
  });
}

/** Groups of the schema that the data names, the whole first. */
function groupsOf(schema: TObject, data: Record<string, unknown> | undefined, path: Path): Group[] {
  const inner = Object.entries(schema.properties).flatMap(([key, value]): Group[] => {
    const found = data?.[key];
    if (!KindGuard.IsObject(value) || (found !== null && !isGroup(found))) return [];
    return groupsOf(value, found ?? undefined, [...path, key]);
  });
  return [{ path, schema, data }, ...inner];
}

/** The mistakes, with one for all keys that belong together elsewhere and none of what follows from that. */
export function rootMistakes(mistakes: readonly Mistake[], misplaced: readonly Misplaced[]): Mistake[] {
  const told = misplaced.filter((one) => mistakes.some(({ path }) => isSame(path, one.path)));
  const belongTogether = (one: Misplaced): Misplaced[] =>
    told.filter(
      ({ path, home }) => isSame(home, one.home) && isSame(path.slice(0, -1), one.path.slice(0, -1)),
    );
  return mistakes.flatMap((mistake): Mistake[] => {
    const one = told.find(({ path }) => isSame(path, mistake.path));
    if (one === undefined) return told.some((key) => isFollowUp(mistake.path, key)) ? [] : [mistake];
    const together = belongTogether(one);
    if (together[0] !== one) return [];
    const others = together.slice(1).map(({ key }) => key);
    const also = others.length === 0 ? '' : ` (${others.join(', ')} too)`;
    const where = one.home.length === 0 ? 'at the top level' : `below ${pathText(one.home)}`;
    return [{ ...mistake, message: `belongs ${where}${also}; check the indentation` }];
  });
}

/** The group that is empty, the key that is missing in it, and rules that name what a misplaced list holds. */
function isFollowUp(path: Path, { key, home }: Misplaced): boolean {
  if (home.length > 0 && isSame(path, home)) return true;
  if (isSame(path, [...home, key])) return true;
  const named = { zones: 'zone', lines: 'line' }[key];
  return home.length === 0 && named !== undefined && path[0] === 'rules' && path[2] === named;
}

function isSame(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((part, index) => part === b[index]);
}
