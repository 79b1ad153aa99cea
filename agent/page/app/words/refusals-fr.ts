/** Textes des refus et des actions non transmises, en français. */
import type { Words } from './en.ts';

export const FR_ERRORS: Words['errors'] = {
  unreachable: 'Le boîtier ne répond pas. Le téléphone y est-il encore connecté ?',
  unpaired: 'Ce téléphone n’est plus associé. Il lui faut un nouveau code.',
  busy: 'Une autre personne modifie le boîtier. Attendez un instant.',
  bad: 'Le boîtier n’a pas pu lire la demande.',
  'too-many': 'Le téléphone envoie trop de demandes. Attendez une seconde.',
  'too-many-requests': 'Le téléphone envoie trop de demandes. Attendez une seconde.',
  unavailable: 'Une partie du boîtier ne répond pas. Réessayez dans un instant.',
  unreadable: 'La réponse d’une partie du boîtier est illisible.',
  denied: 'Le boîtier a refusé ces valeurs.',
  failed: 'Le boîtier n’a pas pu exécuter la demande.',
  'walk-runs': 'Un test de passage est déjà en cours.',
  'not-started': 'Aucun test de passage n’est en cours.',
  'not-waiting': 'Un passage est en cours : attendez sa fin.',
  'nothing-to-repeat': 'Aucun passage n’a encore été effectué.',
  'no-such-rule': 'Cette règle n’est pas active dans le boîtier.',
  'rule-unauthorised': 'L’arrêté ne permet pas cette règle en ce moment : elle n’est pas active.',
  shadow: 'Cette règle compte sans alerter : elle ne peut pas faire l’objet d’un test de passage.',
  off: 'La règle est inactive à cette heure.',
  'receipt-waits': 'Un procès-verbal est déjà en préparation.',
  'too-often': 'Trop de demandes. Réessayez dans quelques minutes.',
  'not-confirmed': 'Le boîtier n’a pas pu prendre cette vue comme référence.',
};

export const FR_UNSENT: Words['unsent'] = {
  title: 'Pas encore transmis :',
  note: 'La page le transmet dès que le boîtier répond.',
  clear: 'Ne pas transmettre',
  acts: {
    try: 'Tester',
    keep: 'Valider',
    revert: 'Rétablir maintenant',
    'walk-start': 'début du test de passage',
    'walk-answer': 'réponse du test de passage',
    'confirm-view': 'confirmation de la vue',
  },
};
