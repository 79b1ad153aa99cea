/** Textes sur l’installation d’une caméra, en français. */
import type { INSTALLATION_EN } from './installation-en.ts';

export const INSTALLATION_FR: typeof INSTALLATION_EN = {
  origins: {
    technician: 'par un technicien sur la page du boîtier',
    order: 'par un ordre du CSU',
    box: 'sur le boîtier lui-même',
    several: 'par plusieurs personnes',
  },
  title: 'Installation',
  issued: (time) => `Installée le ${time}`,
  passed: 'contrôle final : CONFORME',
  failed: 'contrôle final : NON CONFORME',
  problems: 'En défaut à ce moment',
  order: 'Arrêté',
  noOrder: 'aucun',
  rules: 'Règles, tests de passage',
  drawn: 'Zones, lignes, masques',
  configuration: 'Configuration, SHA-256',
  journal: 'Journal',
  entries: (n) => `${n} entrées`,
  session: 'Session sur la page',
  showStill: 'Afficher l’image',
  onRecord: 'Votre consultation est enregistrée dans le journal d’audit.',
  stillAlt: 'Image caviardée de l’installation',
  noStill: 'L’image n’est pas arrivée, ou n’est plus conservée.',
  open: 'Ouvrir le procès-verbal',
  maskRemoved: (names) => `Masque de confidentialité retiré : ${names}`,
  maskSmaller: (names) => `Masque de confidentialité réduit : ${names}`,
};
