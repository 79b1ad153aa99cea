/**
 * Names of the lines of the final check, on the technician's page and on the receipt. A terminal shows the code
 * instead.
 */
import type { ConditionKind } from './condition.ts';
import { CONDITION_NAMES } from './condition-names.ts';

type Subject =
  | 'mode'
  | 'order'
  | 'certificate'
  | 'ca'
  | 'camera'
  | 'analysis'
  | 'quiet-street'
  | 'detector'
  | 'view'
  | 'incidents'
  | 'outbox'
  | 'broker'
  | 'clock'
  | 'journal'
  | 'disk'
  | 'heat'
  | 'memory';
type Names = Readonly<Record<Subject | ConditionKind, string>>;

const ENGLISH: Names = {
  mode: 'Box',
  order: 'Authorisation',
  certificate: 'Certificate of the box',
  ca: 'Certificate of the server’s authority',
  camera: 'Camera',
  analysis: 'Analysis',
  'quiet-street': 'Quiet street',
  detector: 'Detector',
  view: 'Size of people',
  incidents: 'Incidents',
  outbox: 'Messages to the control room',
  broker: 'Connection to the control room',
  clock: 'Clock',
  journal: 'Journal',
  disk: 'Space on the card',
  heat: 'Temperature',
  memory: 'Memory',
  ...CONDITION_NAMES.en,
};

const FRENCH: Names = {
  mode: 'Boîtier',
  order: 'Arrêté',
  certificate: 'Certificat du boîtier',
  ca: 'Certificat de l’autorité du serveur',
  camera: 'Caméra',
  analysis: 'Analyse',
  'quiet-street': 'Rue calme',
  detector: 'Détecteur',
  view: 'Taille des personnes',
  incidents: 'Incidents',
  outbox: 'Messages vers le CSU',
  broker: 'Connexion au CSU',
  clock: 'Horloge',
  journal: 'Journal',
  disk: 'Place sur la carte',
  heat: 'Température',
  memory: 'Mémoire',
  ...CONDITION_NAMES.fr,
};

export const FINDING_NAMES = { en: ENGLISH, fr: FRENCH } as const;

/** Returns the name of a line; one known only to another version keeps its code. */
export function findingName(code: string, language: keyof typeof FINDING_NAMES): string {
  return (FINDING_NAMES[language] as Readonly<Record<string, string>>)[code] ?? code;
}
