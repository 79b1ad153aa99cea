/**
 * Names of the lines of the final check, on the technician's page and on the receipt. A terminal shows the code
 * instead.
 */
import type { ConditionKind } from './condition.ts';

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
  'alert-limit': 'Hourly alert limit reached',
  'rule-unauthorised': 'Rule without authorisation',
  suspended: 'Box suspended',
  unauthorised: 'No valid authorisation',
  'stream-lost': 'Camera stream lost',
  frozen: 'Picture frozen',
  covered: 'Camera covered',
  'too-dark': 'Too dark',
  moved: 'Camera moved',
  'cannot-see': 'No visibility',
  defocused: 'Out of focus',
  'detector-down': 'Detector not running',
  'detector-fallback': 'Detector in fallback mode',
  preview: 'Technician preview',
  'config-refused': 'Configuration refused',
  'vision-failed': 'Video analysis failed',
  'decoder-crashloop': 'Vision process keeps crashing',
  'load-shed': 'Fewer frames analysed',
  'storage-readonly': 'Card is read-only',
  'journal-down': 'Journal cannot be written',
  'identity-conflict': 'Box name used twice',
  'certificate-expiring': 'Certificate expires soon',
  'authorisation-expiring': 'Authorisation expires soon',
  'high-false-alarm-rate': 'High false-alarm rate',
  installed: 'Installation receipt',
  'config-changed': 'Configuration changed',
  'mask-removed': 'Privacy mask removed',
  'update-failed': 'Update failed',
  'certificate-refused': 'Certificate refused',
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
  'alert-limit': 'Plafond horaire d’alertes atteint',
  'rule-unauthorised': 'Règle non couverte par l’arrêté',
  suspended: 'Boîtier suspendu',
  unauthorised: 'Aucun arrêté en cours de validité',
  'stream-lost': 'Flux de la caméra perdu',
  frozen: 'Image figée',
  covered: 'Caméra obstruée',
  'too-dark': 'Trop sombre',
  moved: 'Caméra déplacée',
  'cannot-see': 'Visibilité nulle',
  defocused: 'Image floue',
  'detector-down': 'Détecteur à l’arrêt',
  'detector-fallback': 'Détecteur en mode réduit',
  preview: 'Aperçu par un technicien',
  'config-refused': 'Configuration refusée',
  'vision-failed': 'Panne de l’analyse vidéo',
  'decoder-crashloop': 'Pannes répétées de l’analyse vidéo',
  'load-shed': 'Moins d’images analysées',
  'storage-readonly': 'Carte en lecture seule',
  'journal-down': 'Journal impossible à écrire',
  'identity-conflict': 'Identifiant du boîtier en double',
  'certificate-expiring': 'Le certificat expire bientôt',
  'authorisation-expiring': 'L’arrêté expire bientôt',
  'high-false-alarm-rate': 'Taux élevé de faux positifs',
  installed: 'Procès-verbal d’installation',
  'config-changed': 'Configuration modifiée',
  'mask-removed': 'Masque de confidentialité retiré',
  'update-failed': 'Mise à jour échouée',
  'certificate-refused': 'Certificat refusé',
};

export const FINDING_NAMES = { en: ENGLISH, fr: FRENCH } as const;

/** Returns the name of a line; one known only to another version keeps its code. */
export function findingName(code: string, language: keyof typeof FINDING_NAMES): string {
  return (FINDING_NAMES[language] as Readonly<Record<string, string>>)[code] ?? code;
}
