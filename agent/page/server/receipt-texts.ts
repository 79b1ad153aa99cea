/** Texts of the receipt, in the languages of the page. */
export type Language = 'fr' | 'en';

export interface ReceiptTexts {
  readonly title: string;
  readonly box: string;
  readonly issuedAt: string;
  readonly authorisation: string;
  readonly noAuthorisation: string;
  readonly installation: string;
  readonly validUntil: string;
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
  readonly seenPasses: (seenCount: number, passes: number) => string;
  readonly notCovered: string;
  readonly moreItems: (count: number) => string;
  readonly trial: string;
  readonly configuration: string;
  readonly journal: string;
  readonly entries: (count: number) => string;
  readonly notKnown: string;
  readonly code: string;
  readonly sentToRoom: string;
  readonly still: string;
  readonly noStill: string;
}

export const RECEIPT_TEXTS: Readonly<Record<Language, ReceiptTexts>> = {
  fr: {
    title: 'Procès-verbal d’installation',
    box: 'Boîtier et site',
    issuedAt: 'Établi le',
    authorisation: 'Arrêté',
    noAuthorisation: 'aucun arrêté en cours de validité',
    installation: 'arrêté d’installation : aucune règle',
    validUntil: 'jusqu’au',
    camera: 'Caméra',
    verdict: 'Contrôle final',
    go: 'CONFORME',
    noGo: 'NON CONFORME',
    failed: 'à corriger',
    unknown: 'non vérifié',
    zones: 'Zones',
    lines: 'Lignes',
    masks: 'Masques',
    rules: 'Règles et tests de passage',
    heads: ['Règle', 'Type', 'Lieu', 'Test de passage'],
    none: '–',
    notWalked: 'aucun test',
    seenPasses: (seenCount, passes) =>
      `${seenCount} sur ${passes} ${seenCount <= 1 ? 'détecté' : 'détectés'}`,
    notCovered: 'non couverte par l’arrêté',
    moreItems: (count) => `… et ${count} autres`,
    trial: 'Une configuration est en cours de test : elle n’est pas encore validée.',
    configuration: 'Configuration sans identifiants, SHA-256',
    journal: 'Journal',
    entries: (count) => `${count} entrées, empreinte racine`,
    notKnown: 'inconnu',
    code: 'Le code contient les mêmes données, abrégées.',
    sentToRoom: 'Envoyé au CSU',
    still: 'Image caviardée, SHA-256',
    noStill: 'aucune image',
  },
  en: {
    title: 'Installation receipt',
    box: 'Box and site',
    issuedAt: 'Date',
    authorisation: 'Authorisation',
    noAuthorisation: 'no valid authorisation',
    installation: 'authorisation to install: no rule',
    validUntil: 'until',
    camera: 'Camera',
    verdict: 'Final check',
    go: 'PASS',
    noGo: 'FAIL',
    failed: 'to be fixed',
    unknown: 'not checked',
    zones: 'Zones',
    lines: 'Lines',
    masks: 'Masks',
    rules: 'Rules and walk tests',
    heads: ['Rule', 'Type', 'Place', 'Walk test'],
    none: '–',
    notWalked: 'no test',
    seenPasses: (seenCount, passes) => `${seenCount} of ${passes} detected`,
    notCovered: 'not covered by the authorisation',
    moreItems: (count) => `… and ${count} more`,
    trial: 'A configuration is being tested: it is not applied yet.',
    configuration: 'Configuration without credentials, SHA-256',
    journal: 'Journal',
    entries: (count) => `${count} entries, root`,
    notKnown: 'unknown',
    code: 'The code contains the same data in short form.',
    sentToRoom: 'Sent to the room',
    still: 'Redacted still, SHA-256',
    noStill: 'no still',
  },
};
