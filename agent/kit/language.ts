/** Languages of the pages. */
export type Language = 'fr' | 'en';
