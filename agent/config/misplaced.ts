/**
 * Finds keys that are one level too high or too deep, as after a wrong indentation, and reports one error for all their
 * consequences.
 *
 * INVARIANT: an error is omitted only if the misplaced key that caused it is reported.
 */
import { KindGuard, type TObject } from '@sinclair/typebox';
import { Config } from '../contract/config.ts';
import { type Path, pathText } from './problem.ts';
import { isGroup, type ValidationError } from './shape.ts';

interface Misplaced {
  readonly path: Path;
  readonly key: string;
  /** Group of the schema that defines this key. The data has the group too, without the key. */
  readonly home: Path;
}

interface Group {
  readonly path: Path;
  readonly schema: TObject;
  /** Data of the group; undefined if the file has no data below its name. */
  readonly data: Record<string, unknown> | undefined;
}

/** Finds misplaced keys. Must be called before defaults are filled in, because those would hide missing keys. */
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

/** Returns the groups of the schema that the data names, the complete configuration first. */
function groupsOf(schema: TObject, data: Record<string, unknown> | undefined, path: Path): Group[] {
  const inner = Object.entries(schema.properties).flatMap(([key, value]): Group[] => {
    const content = data?.[key];
    if (!KindGuard.IsObject(value) || (content !== null && !isGroup(content))) return [];
    return groupsOf(value, content ?? undefined, [...path, key]);
  });
  return [{ path, schema, data }, ...inner];
}

/** Returns the errors, with one for all keys that belong together elsewhere and without its consequences. */
export function rootErrors(
  validationErrors: readonly ValidationError[],
  misplaced: readonly Misplaced[],
): ValidationError[] {
  const reportedKeys = misplaced.filter((one) => validationErrors.some(({ path }) => isSame(path, one.path)));
  const belongTogether = (one: Misplaced): Misplaced[] =>
    reportedKeys.filter(
      ({ path, home }) => isSame(home, one.home) && isSame(path.slice(0, -1), one.path.slice(0, -1)),
    );
  return validationErrors.flatMap((validationError): ValidationError[] => {
    const one = reportedKeys.find(({ path }) => isSame(path, validationError.path));
    if (one === undefined)
      return reportedKeys.some((key) => isFollowUp(validationError.path, key)) ? [] : [validationError];
    const together = belongTogether(one);
    if (together[0] !== one) return [];
    const otherKeys = together.slice(1).map(({ key }) => key);
    const also = otherKeys.length === 0 ? '' : ` (${otherKeys.join(', ')} too)`;
    const place = one.home.length === 0 ? 'at the top level' : `below ${pathText(one.home)}`;
    return [{ ...validationError, message: `belongs ${place}${also}; check the indentation` }];
  });
}

/** Consequences are the empty group, the missing key in it, and rules that name items of a misplaced list. */
function isFollowUp(path: Path, { key, home }: Misplaced): boolean {
  if (home.length > 0 && isSame(path, home)) return true;
  if (isSame(path, [...home, key])) return true;
  const ruleKey = { zones: 'zone', lines: 'line' }[key];
  return home.length === 0 && ruleKey !== undefined && path[0] === 'rules' && path[2] === ruleKey;
}

function isSame(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((part, index) => part === b[index]);
}
