/** French texts of undo, of bulk verdicts and of verdicts without looking or with unread notes. */
import type { ActingWords } from './acting-en.ts';

export const ACTING_FR: ActingWords = {
  look: {
    title: 'Rendre un verdict sans voir l’image ?',
    one: 'Vous n’avez pas ouvert l’image de cet incident dans cet onglet.',
    several: (unseen, all) =>
      unseen === 1
        ? `Vous n’avez pas ouvert l’image d’un des ${all} incidents sélectionnés.`
        : `Vous n’avez pas ouvert les images de ${unseen} des ${all} incidents sélectionnés.`,
    audited: 'Un verdict sans consultation est signalé dans le journal d’audit.',
    open: 'Ouvrir l’image',
    yes: (verdict) => `Sans voir l’image : ${verdict}`,
    no: 'Annuler',
    refused: 'image non consultée',
  },
  notesFirst: {
    title: 'Main courante non lue',
    more: (count) => `Autres incidents concernés : ${count}.`,
    no: 'Annuler',
  },
  bulk: {
    bar: 'Actions sur la sélection',
    selected: (count) => `${count} ${count > 1 ? 'sélectionnés' : 'sélectionné'}`,
    unseen: (count) => `(dont ${count} ${count > 1 ? 'non consultés' : 'non consulté'})`,
    full: 'Maximum pour un verdict groupé.',
    clear: 'Tout désélectionner',
    leave: 'Les laisser',
    done: (count, verdict) => `${count} ${count > 1 ? 'clôturés' : 'clôturé'}, ${verdict}.`,
    refused: (refused, all, first) =>
      `${refused} sur ${all} ${refused > 1 ? 'non clôturés' : 'non clôturé'}, voir leurs lignes. ${first}`,
  },
  undo: {
    byKey: 'Annuler (z)',
    hint: (seconds) => `Annuler avec z pendant ${seconds} s.`,
    done: (action) => `Annulé. ${action}`,
    nothing: 'Rien à annuler.',
    over: 'le délai d’annulation est écoulé.',
    refused: (reason) => `Annulation refusée : ${reason}`,
    partly: (count, reason) =>
      `Annulation refusée pour ${count} ${count > 1 ? 'actions' : 'action'}. ${reason}`,
  },
};
