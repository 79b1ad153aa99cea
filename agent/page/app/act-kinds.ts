/** Kinds of acts that are repeated until the box has answered, with their routes (contract/page-api.ts). */
export const PATHS = {
  try: '/api/config/try',
  keep: '/api/config/keep',
  revert: '/api/config/revert',
  'walk-start': '/api/walk/start',
  'walk-answer': '/api/walk/answer',
  'confirm-view': '/api/view/confirm',
} as const;
export type ActKind = keyof typeof PATHS;
