/** French texts of suppressions and patrols. */
import type { DutyWords } from './duty-en.ts';

export const DUTY_FR: DutyWords = {
  suppression: {
    strip: 'Alertes inhibées',
    title: 'Inhiber pendant une heure ?',
    subject: 'Inhiber',
    column: 'Règle ou caméra',
    none: 'Aucune règle n’a été inhibée.',
    begin: 'De',
    endTime: 'À',
    reasonColumn: 'Motif',
    account: 'Par',
    incidents: 'Alertes',
    countHint: 'alertes arrivées pendant l’inhibition de leur règle ou caméra',
    wholeCamera: 'toute la caméra',
    reason: 'Motif, visible par tous',
    about:
      'Les nouvelles alertes n’entrent pas dans les signalements pendant une heure. Tout reste enregistré et compté. La priorité 1 n’est jamais inhibée.',
    yes: 'Inhiber',
    no: 'Annuler',
    until: (time) => `jusqu’à ${time}`,
    count: (count) => `${count} ${count > 1 ? 'inhibées' : 'inhibée'}`,
    listedOf: (listed, all) => `Les ${listed} plus récentes sur ${all}.`,
    end: 'Mettre fin',
    endName: (subject) => `Mettre fin à l’inhibition de ${subject}`,
    done: (subject) => `Inhibée pendant une heure : ${subject}.`,
    ended: (subject) => `Fin d’inhibition : ${subject}.`,
    notice: (until) =>
      until === ''
        ? 'Alerte inhibée : elle n’est pas dans les signalements.'
        : `Alerte inhibée jusqu’à ${until} : elle n’est pas dans les signalements.`,
  },
  patrol: {
    title: 'Engager une patrouille',
    list: 'Patrouilles et réponses',
    answerTitle: (patrol) => `Réponse de ${patrol}`,
    answers: { accepted: 'Acceptée, en route', declined: 'Indisponible', arrived: 'Sur place' },
    answered: { accepted: 'en route', declined: 'indisponible', arrived: 'sur place' },
    unanswered: 'pas encore de réponse',
    unnamed: 'Autre équipage, non précisé',
    otherSite: 'autre site',
    busy: (open) => `${open} engagement${open > 1 ? 's' : ''} en cours`,
    keys: 'Tapez un chiffre, ou choisissez avec les flèches puis Entrée.',
    no: 'Annuler',
    name: 'Patrouille',
    arrival: 'Délai d’arrivée',
    arrivalHint: 'moyenne, de l’engagement à l’arrivée de la patrouille',
    dispatched: (patrol, incidentName) => `Engagement de ${patrol} : ${incidentName}.`,
    reported: (patrol, answer) => `${patrol} : ${answer}.`,
  },
};
