/** Defines the audit log: who did what, and who saw which picture. Each entry holds the hash of the entry before it. */
import { type Static, Type } from '@sinclair/typebox';
import { ACTIONS, ROLES } from './roles.ts';
import { Name, Nullable, OneOf, strict, Text, Time } from './schema.ts';

/** Actions recorded in the audit log: those of the table of roles, and further ones. */
export const AUDITED = [
  ...ACTIONS,
  'login',
  'login-refused',
  'logout',
  'session-ended',
  'refused',
  'release',
  'claim-ended',
  'purge',
  'verdict-delivered',
  'box-revoked',
  'patrol-answer',
  'unsuppress',
  'suppression-ended',
] as const;
export type Audited = (typeof AUDITED)[number];

/** Hash that precedes the first entry. */
export const GENESIS = '0'.repeat(64);

const Hash = Type.String({ pattern: '^[0-9a-f]{64}$' });

export const AuditEntry = Type.Object(
  {
    no: Type.Integer({ minimum: 1 }),
    at: Time,
    account: Text(64, 'name of the account; `room` for automatic actions of the program'),
    role: OneOf([...ROLES, 'program', 'room'] as const),
    act: OneOf(AUDITED),
    site: Nullable(Name),
    box: Nullable(Name),
    incident: Nullable(Type.Integer({ minimum: 1 })),
    more: Type.Record(Type.String(), Type.Unknown(), {
      description: 'picture, case, reason, verdict, counts',
    }),
    previous: { ...Hash, description: 'hash of the entry before; 64 zeros before the first' },
    hash: { ...Hash, description: 'SHA-256 of this entry without its hash, in JCS (RFC 8785)' },
  },
  { ...strict, $id: 'AuditEntry' },
);
export type AuditEntry = Static<typeof AuditEntry>;

export interface AuditDraft extends Pick<AuditEntry, 'account' | 'role' | 'act'> {
  readonly site?: string;
  readonly box?: string;
  readonly incident?: number;
  readonly more?: Readonly<Record<string, unknown>>;
}

/**
 * Number and hash of the last entry. A copy stored elsewhere, on paper for instance, later shows that no earlier entry
 * was changed or removed.
 */
export const AuditHead = Nullable(Type.Object({ no: Type.Integer({ minimum: 1 }), hash: Hash }, strict));
export type AuditHead = Static<typeof AuditHead>;

export const AuditPage = Type.Object(
  {
    entries: Type.Array(AuditEntry, { maxItems: 500 }),
    next: Nullable(Type.Integer({ description: '`before` of the page after this one' })),
    /** Checked by a walk over all stored entries. */
    isIntact: Type.Boolean({ description: 'every entry holds the hash of the one before' }),
    fault: Nullable(Text(300, 'where the chain breaks')),
    head: AuditHead,
  },
  strict,
);
export type AuditPage = Static<typeof AuditPage>;
