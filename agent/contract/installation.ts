/** Receipt of an installation, which a technician issues before leaving the site: the cause of the event `installed`. */
import { type Static, Type } from '@sinclair/typebox';
import { Time } from './time.ts';

/** Maximum length of a text, in characters: the room shows as many. */
export const INSTALLATION_TEXT_MAX = 300;

const Text = (description: string) => Type.String({ maxLength: INSTALLATION_TEXT_MAX, description });
const Count = (description: string) => Type.Integer({ minimum: 0, description });

/** Fields of the cause. None names a person, and none has a login. */
export const INSTALLATION = {
  passed: Type.Boolean({ description: 'the final check has no failure, and rules may run' }),
  problems: Text('findings of the final check that are not good, by name'),
  order: Text('number of the authorisation; empty without one'),
  orderUntil: Type.String({ ...Time, description: 'end of the authorisation' }),
  version: Text('version of the agent'),
  configuration: Type.String({
    pattern: '^[0-9a-f]{64}$',
    description: 'SHA-256 of the configuration without logins, as the fleet knows it',
  }),
  journalEntries: Count('size of the journal'),
  journalRoot: Type.String({ maxLength: 64, description: 'root hash of the journal' }),
  zones: Count('number of zones'),
  lines: Count('number of lines'),
  masks: Count('number of privacy masks of the configuration'),
  rules: Text('rules with their last walk test: passes detected of passes made'),
  reason: Text('result of the final check, in one line'),
  session: Type.String({ pattern: '^[0-9a-f]{16}$', description: 'session on the page, as in the journal' }),
};

const Installation = Type.Object({
  ...INSTALLATION,
  orderUntil: Type.Optional(INSTALLATION.orderUntil),
  configuration: Type.Optional(INSTALLATION.configuration),
  journalEntries: Type.Optional(INSTALLATION.journalEntries),
  journalRoot: Type.Optional(INSTALLATION.journalRoot),
});
export type Installation = Static<typeof Installation>;
