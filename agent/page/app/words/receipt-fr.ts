/** Textes de l’écran du procès-verbal, en français. */
import type { RECEIPT_EN } from './receipt-en.ts';

export const RECEIPT_FR: typeof RECEIPT_EN = {
  intro:
    'Le procès-verbal nomme l’installation, l’arrêté qui l’autorise, le contrôle final et la tête du journal. Il contient une image caviardée.',
  issue: 'Établir le procès-verbal et l’envoyer au CSU',
  issueAgain: 'Établir un nouveau procès-verbal',
  issuing: 'Le boîtier prépare l’image…',
  notPassed: 'Le contrôle final a des échecs. Le procès-verbal le dira.',
  issuedAt: (time) => `Établi le ${time}`,
  passed: { yes: 'Contrôle final : CONFORME', no: 'Contrôle final : NON CONFORME' },
  delivered: 'Le CSU l’a reçu.',
  notDelivered: 'Le boîtier le garde et l’envoie dès que le CSU répond. Vous pouvez partir.',
  noStill: (reason) => `Sans image : ${reason}`,
  stillAlt: 'Image caviardée de l’installation',
  download: 'Télécharger le procès-verbal (PDF)',
  more: 'Un téléphone de plus',
  moreGo: 'Créer un nouveau code',
  code: (code, minutes) => `${code} – valable une fois, pendant ${minutes} minutes`,
  leave: 'Se déconnecter',
  leaveNote: 'Termine la session de ce téléphone. Le boîtier reste en service.',
  leaveGo: 'Dissocier ce téléphone',
  sessionLeft: (clock) => `Cette session se termine automatiquement dans ${clock}.`,
  bye: 'Ce téléphone n’est plus associé. Vous pouvez fermer la page.',
};
