/** The languages that our pages speak. */
export type Language = 'fr' | 'en';
