/** Defines three roles and the actions that each may perform. Server and browser read the same table. */

export const ROLES = ['operator', 'supervisor', 'auditor'] as const;
export type Role = (typeof ROLES)[number];

/** Roles allowed for each action. An auditor reviews the actions of others and sees no pictures. */
const ALLOWED = {
  'see-incidents': ['operator', 'supervisor', 'auditor'],
  'see-still': ['operator', 'supervisor'],
  claim: ['operator', 'supervisor'],
  dispatch: ['operator', 'supervisor'],
  judge: ['operator', 'supervisor'],
  note: ['operator', 'supervisor'],
  suppress: ['operator', 'supervisor'],
  reassign: ['supervisor'],
  reopen: ['supervisor'],
  undo: ['operator', 'supervisor'],
  'see-cameras': ['operator', 'supervisor', 'auditor'],
  search: ['operator', 'supervisor'],
  'ask-tracks': ['operator', 'supervisor'],
  'request-sealed': ['supervisor'],
  'see-figures': ['supervisor', 'auditor'],
  'hand-over': ['supervisor'],
  'see-audit': ['auditor', 'supervisor'],
  export: ['supervisor', 'auditor'],
  'end-sessions': ['supervisor'],
  'resend-webhooks': ['supervisor'],
} as const satisfies Readonly<Record<string, readonly Role[]>>;

export type Action = keyof typeof ALLOWED;
export const ACTIONS = Object.keys(ALLOWED) as readonly Action[];

export function may(role: Role, action: Action): boolean {
  return (ALLOWED[action] as readonly Role[]).includes(role);
}
