/** Screens in their order. A walk test uses the running box, so it comes after the changes are applied. */

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

/** Screens that a paired phone goes through. */
export const STEPS = SCREENS.filter((screen) => screen !== 'pair');
/** Screens that work on the installed configuration. */
export const CONFIGURATION_SCREENS: readonly Screen[] = ['zones', 'rules', 'fires', 'try', 'walk'];
/** Screens that always show the live picture. Previews are journaled and limited, and so end with these screens. */
export const PICTURE_SCREENS: readonly Screen[] = ['aim', 'zones', 'rules', 'fires'];
