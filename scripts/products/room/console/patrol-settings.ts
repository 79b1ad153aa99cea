/** Defines the list of patrols in the console's settings. Names are functions of the city, never persons. */
import { type Static, Type } from '@sinclair/typebox';
import { Name, strict } from '../contract/schema.ts';
import { PATROL_CHARS_MAX } from '../contract/terms.ts';

/** Maximum number of patrols: more than a chooser can show at a glance. */
const PATROLS_MAX = 50;

export const PatrolsFile = Type.Array(
  Type.Object(
    {
      name: Type.String({
        pattern: `^[A-Za-z0-9À-ɏ][A-Za-z0-9À-ɏ .,'’°/()-]{0,${PATROL_CHARS_MAX - 1}}$`,
        description: `a function as “Patrol north”, 1 to ${PATROL_CHARS_MAX} letters, digits, spaces and . , ' ’ ° / ( ) -`,
      }),
      sites: Type.Optional(Type.Array(Name, { minItems: 1, maxItems: 1000 })),
      webhook: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    },
    strict,
  ),
  { minItems: 1, maxItems: PATROLS_MAX },
);

export interface Patrol {
  readonly name: string;
  /** Sites that it serves; empty for all. */
  readonly sites: readonly string[];
  /** Webhook that reports the incidents to which it is dispatched. */
  readonly webhook: string | undefined;
}

/**
 * Returns the patrols.
 * @throws what `wrong` makes of a place and a line, for a name that is used twice or an unknown webhook
 */
export function patrolsIn(
  patrols: Static<typeof PatrolsFile>,
  webhooks: readonly { readonly name: string }[],
  wrong: (line: string) => Error,
): Patrol[] {
  return patrols.map(({ name, sites = [], webhook }, index) => {
    const isSame = (other: { readonly name: string }): boolean =>
      other.name.trim().toLowerCase() === name.trim().toLowerCase();
    if (patrols.findIndex(isSame) !== index)
      throw wrong(`patrols.${index}.name: two patrols are called ${name}`);
    if (webhook !== undefined && !webhooks.some((one) => one.name === webhook))
      throw wrong(`patrols.${index}.webhook: no webhook is called ${webhook}; use a name of \`webhooks\``);
    return { name: name.trim(), sites, webhook };
  });
}

/** Returns the patrols that a webhook serves; undefined if none names it, because it then reports everything. */
export function patrolsOfWebhook(name: string, patrols: readonly Patrol[]): readonly string[] | undefined {
  const served = patrols.filter(({ webhook }) => webhook === name).map((patrol) => patrol.name);
  return served.length === 0 ? undefined : served;
}
