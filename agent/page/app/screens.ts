/** The screens in their order. A walk test asks the box that runs, and so comes after the changes are kept. */

export const SCREENS = [
  'pair',
  'camera',
  'aim',
  'zones',
  'rules',
  'fires',
  'try',
  'walk',
  'go',
  'receipt',
] as const;
export type Screen = (typeof SCREENS)[number];

/** Those that a paired phone walks through. */
export const STEPS = SCREENS.filter((screen) => screen !== 'pair');
/** Those that show the live picture: looking is journaled and limited, and so ends with them. */
export const LOOKING: readonly Screen[] = ['aim', 'zones', 'rules', 'fires'];
