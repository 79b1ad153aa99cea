/** Texts of the receipt, in the languages of the page. */
export type Language = 'fr' | 'en';

export interface ReceiptTexts {
  readonly title: string;
  readonly box: string;
  readonly made: string;
  readonly order: string;
  readonly noOrder: string;
  readonly installation: string;
  readonly until: string;
  readonly camera: string;
  readonly verdict: string;
  readonly go: string;
  readonly noGo: string;
  readonly failed: string;
  readonly unknown: string;
  readonly zones: string;
  readonly lines: string;
  readonly masks: string;
  readonly rules: string;
  readonly heads: readonly [rule: string, kind: string, where: string, walk: string];
  readonly none: string;
  readonly notWalked: string;
  readonly seen: (seen: number, passes: number) => string;
  readonly notCovered: string;
  readonly more: (count: number) => string;
  readonly trial: string;
  readonly configuration: string;
  readonly journal: string;
  readonly entries: (count: number) => string;
  readonly notKnown: string;
  readonly code: string;
}

export const RECEIPT_TEXTS: Readonly<Record<Language, ReceiptTexts>> = {
  fr: {
    title: 'Reçu d’installation',
    box: 'Boîtier et site',
    made: 'Établi le',
    order: 'Arrêté',
    noOrder: 'aucun arrêté en vigueur',
    installation: 'permis d’installation : aucune règle',
    until: 'jusqu’au',
    camera: 'Caméra',
    verdict: 'Mise en service',
    go: 'OUI',
    noGo: 'NON',
    failed: 'à corriger',
    unknown: 'non vérifié',
    zones: 'Zones',
    lines: 'Lignes',
    masks: 'Masques',
    rules: 'Règles conservées et essais à pied',
    heads: ['Règle', 'Type', 'Lieu', 'Essai à pied'],
    none: '–',
    notWalked: 'pas d’essai',
    seen: (seen, passes) => `${seen} vus sur ${passes}`,
    notCovered: 'non couverte par l’arrêté',
    more: (count) => `… et ${count} de plus`,
    trial: 'Un essai de configuration est en cours : il n’est pas conservé.',
    configuration: 'Configuration sans identifiants, SHA-256',
    journal: 'Journal',
    entries: (count) => `${count} entrées, racine`,
    notKnown: 'inconnu',
    code: 'Le code contient les mêmes données en bref.',
  },
  en: {
    title: 'Installation receipt',
    box: 'Box and site',
    made: 'Made',
    order: 'Order',
    noOrder: 'no order holds',
    installation: 'permit to install: no rule',
    until: 'until',
    camera: 'Camera',
    verdict: 'Go / no go',
    go: 'GO',
    noGo: 'NO GO',
    failed: 'to be mended',
    unknown: 'not checked',
    zones: 'Zones',
    lines: 'Lines',
    masks: 'Masks',
    rules: 'Rules kept, and walk tests',
    heads: ['Rule', 'Kind', 'Where', 'Walk test'],
    none: '–',
    notWalked: 'no test',
    seen: (seen, passes) => `${seen} seen of ${passes}`,
    notCovered: 'not covered by the order',
    more: (count) => `… and ${count} more`,
    trial: 'A configuration is being tried: it is not kept.',
    configuration: 'Configuration without logins, SHA-256',
    journal: 'Journal',
    entries: (count) => `${count} entries, root`,
    notKnown: 'not known',
    code: 'The code holds the same in short.',
  },
};
