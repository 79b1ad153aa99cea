/** French texts of the console: frame, queue and incident. */

import { CONDITION_NAMES } from '../../../../../agent/contract/condition-names.ts';
import { ACTING_FR } from './acting-fr.ts';
import type { Subject } from './cause.ts';
import { DUTY_FR } from './duty-fr.ts';
import type { Words } from './en.ts';

const has = (subject: Subject, one: string, several: string) => (subject.isPlural ? several : one);
/** Adds a duration: of what goes on, or of what is over and lasted at least as long. */
const during = (duration: string, isOver: boolean) =>
  duration && (isOver ? ` pendant au moins ${duration}` : `, depuis ${duration}`);

export const FR: Words = {
  kinds: {
    'vehicle-in-pedestrian-zone': 'Véhicule en zone piétonne',
    loitering: 'Présence prolongée',
    'line-crossing': 'Franchissement de ligne',
    'wrong-way': 'Contresens',
    'crowd-gathering': 'Attroupement',
    'illegal-dumping': 'Dépôt sauvage',
    graffiti: 'Graffiti ou tag',
    'illegal-parking': 'Stationnement gênant',
    ...CONDITION_NAMES.fr,
    'present-at-start': 'Véhicule déjà là au démarrage',
  },
  labels: {
    person: ['une personne', 'personnes'],
    bicycle: ['un vélo', 'vélos'],
    car: ['une voiture', 'voitures'],
    motorcycle: ['une moto', 'motos'],
    bus: ['un bus', 'bus'],
    truck: ['un camion', 'camions'],
    dog: ['un chien', 'chiens'],
    backpack: ['un sac à dos', 'sacs à dos'],
    handbag: ['un sac à main', 'sacs à main'],
    suitcase: ['une valise', 'valises'],
    unknown: ['un objet non identifié', 'objets non identifiés'],
  },
  causes: {
    'vehicle-in-pedestrian-zone': (subject, place, { stayed, isOver }) =>
      `${subject.text} ${isOver ? has(subject, 'se trouvait', 'se trouvaient') : has(subject, 'se trouve', 'se trouvent')} dans ${place}${during(stayed, isOver)}`,
    loitering: (subject, place, { stayed, isOver }) =>
      `${subject.text} ${isOver ? has(subject, 'se tenait', 'se tenaient') : has(subject, 'reste', 'restent')} dans ${place}${during(stayed, isOver)}`,
    'line-crossing': (subject, place, { direction }) =>
      `${subject.text} ${has(subject, 'a', 'ont')} franchi ${place}${direction === 'left' ? ' vers la gauche' : direction === 'right' ? ' vers la droite' : ''}`,
    'wrong-way': (subject, place, { isOver }) =>
      `${subject.text} ${isOver ? has(subject, 'allait', 'allaient') : has(subject, 'va', 'vont')} à contresens dans ${place}`,
    'crowd-gathering': (subject, place, { count, stayed, isOver }) => {
      const isPlural = count !== '' || subject.isPlural;
      const verb = isOver ? (isPlural ? 'se tenaient' : 'se tenait') : isPlural ? 'restent' : 'reste';
      const people = count === '' ? subject.text : `${count} personnes`;
      return `${people} ${verb} ensemble dans ${place}${during(stayed, isOver)}`;
    },
    'illegal-dumping': (_subject, place, { unattended }) =>
      `quelque chose a été laissé dans ${place}${unattended && `, ${unattended} sans personne à côté`}`,
    graffiti: (_subject, place, { nearby }) =>
      `l’image d’un mur a changé dans ${place}${nearby && ` ; une personne est restée ${nearby} à proximité`}`,
    'illegal-parking': (subject, place, { stood, presence, isOver }) =>
      `${subject.text} ${isOver ? has(subject, 'stationnait', 'stationnaient') : has(subject, 'stationne', 'stationnent')} dans ${place}${during(stood, isOver)}${
        presence === 'hidden' && !isOver ? ' ; hors de vue pour l’instant' : ''
      }`,
    'present-at-start': (subject, place, { stood, isOver }) =>
      `${subject.text} ${has(subject, 'était', 'étaient')} dans ${place} au démarrage du boîtier${isOver && stood ? ',' : ''}${during(stood, isOver)}`,
  },
  nobody: 'quelque chose',
  unobserved: (time) => ` ; pas d’observation pendant ${time} entre-temps`,
  unknownCause: (subject, place) => `${subject} dans ${place}`,
  unknownKind: 'Ce type d’événement est plus récent que cette console ; il porte son propre nom.',
  placeKinds: { zone: 'la zone', line: 'la ligne', camera: 'la vue de la caméra' },
  places: {
    queue: 'Signalements',
    closed: 'Clôturés',
    cameras: 'Caméras',
    plan: 'Plan',
    search: 'Recherche',
    tracks: 'Passages',
    figures: 'Statistiques',
    week: 'Semaine',
    'hand-over': 'Relève',
    audit: 'Journal d’audit',
  },
  roles: { operator: 'opérateur', supervisor: 'superviseur', auditor: 'auditeur' },
  states: { new: 'en attente', claimed: 'prise en charge', dispatched: 'équipage engagé', closed: 'clôturé' },
  verdicts: { confirmed: 'avéré', 'false-alarm': 'faux positif', unclear: 'levée de doute impossible' },
  escalated: 'délai de prise en charge dépassé',
  priority: (level) => `priorité ${level}`,
  severities: { alert: 'alerte', notice: 'information', system: 'technique' },
  frame: {
    skip: 'Aller au contenu',
    nav: 'Écrans',
    menu: 'Menu',
    language: 'English',
    theme: { system: 'Clair ou sombre : comme le système', light: 'Clair', dark: 'Sombre' },
    logout: 'Se déconnecter',
    help: 'Raccourcis clavier',
    close: 'Fermer',
    dismiss: 'Masquer',
    loading: 'Chargement…',
    links: {
      connecting: 'connexion',
      live: 'en direct',
      unavailable: 'base de données indisponible',
      disconnected: 'hors ligne',
    },
    lostNotice:
      'Pas de connexion au serveur du CSU. L’affichage peut être ancien ; la reconnexion est automatique.',
    unavailableNotice:
      'La base de données du CSU ne répond pas. L’affichage peut être ancien ; les actions sont refusées jusqu’à son retour.',
    roomTime: 'Heure du CSU',
    demoClock:
      'Démonstration : aucune horloge n’est synchronisée par le réseau ici. L’heure des faits peut être fausse.',
    noPlace: 'Votre rôle ne donne pas accès à cet écran.',
    notLoaded: 'Cet écran n’a pas pu être chargé.',
    retry: 'Réessayer',
    unreached: 'Le serveur du CSU ne répond pas.',
    refusal: (status) => `Le serveur a refusé la demande (${status}).`,
  },
  login: {
    title: 'Connexion',
    oidc: 'Se connecter avec son compte',
    demo: 'Démonstration : comptes sans mot de passe, sur cette machine seulement.',
    byLink: 'Ouvrez le lien que la démonstration a affiché.',
    expired: (user) =>
      `La session de ${user} a expiré. Les actions non envoyées sont conservées et partiront à la prochaine connexion de ${user}.`,
    as: (name, role) => `${name} · ${role}`,
    notSent: (user, count) =>
      `Non envoyé : ${count === 1 ? 'une action' : `${count} actions`} de ${user}, qui ne s’est pas reconnecté.`,
    actionsSent: (count) =>
      count === 1 ? 'L’action conservée a été envoyée.' : `${count} actions conservées ont été envoyées.`,
  },
  queue: {
    title: 'Signalements',
    list: 'Incidents ouverts',
    filter: 'Filtrer',
    filterHint: 'boîtier, zone, type, nom…',
    waiting: (count) => `${count} en attente`,
    open: (count) => `${count} ${count > 1 ? 'ouverts' : 'ouvert'}`,
    more: (count) =>
      `${count} autres incidents sont ouverts ; ils s’affichent à mesure que d’autres sont clôturés.`,
    empty: 'Aucun incident ouvert.',
    emptyFilter: 'Aucun incident ouvert ne correspond au filtre.',
    storm: (count, kind) => `${count} × ${kind}`,
    stormBox: (rule) => `même règle, ${rule}, en série`,
    stormKind: (boxes) => `à moins d’une minute l’un de l’autre, sur ${boxes} boîtiers`,
    unfold: 'Entrée pour développer',
    fold: 'Entrée pour réduire',
    announced: (count) => (count === 1 ? 'Une nouvelle alerte' : `${count} nouvelles alertes`),
    you: 'vous',
    doubt: 'heure incertaine',
    endedText: 'terminé',
  },
  actions: {
    open: 'Ouvrir',
    claim: 'Prendre en charge',
    release: 'Libérer',
    dispatch: 'Engager une patrouille',
    confirmed: 'Avéré',
    'false-alarm': 'Faux positif',
    unclear: 'Levée de doute impossible',
    note: 'Main courante',
    answer: 'Réponse de la patrouille',
    another: 'Engager une autre patrouille',
    suppress: 'Inhiber',
    reopen: 'Rouvrir',
    reassign: 'Réaffecter',
    bar: 'Actions',
    none: 'Sélectionnez une ligne avec j et k, ou d’un clic.',
    storm: 'x les sélectionne toutes.',
  },
  note: {
    title: 'Main courante',
    label: 'Informations pour l’opérateur suivant',
    save: 'Enregistrer',
    no: 'Annuler',
  },
  look: ACTING_FR.look,
  notesFirst: ACTING_FR.notesFirst,
  bulk: ACTING_FR.bulk,
  undo: ACTING_FR.undo,
  suppression: DUTY_FR.suppression,
  patrol: DUTY_FR.patrol,
  success: {
    claim: (incidentName) => `Pris en charge : ${incidentName}.`,
    release: (incidentName) => `Libéré : ${incidentName}.`,
    dispatch: (incidentName) => `Patrouille engagée : ${incidentName}.`,
    verdict: (verdict, incidentName) => `Clôturé, ${verdict} : ${incidentName}.`,
    note: 'Inscrit à la main courante.',
    reopen: (no) => `Rouvert sous le numéro ${no}.`,
    reassign: (to) => `Réaffecté à ${to}.`,
    claimsEnded: (nos) =>
      nos.length === 1
        ? `Votre prise en charge de l’incident ${nos[0]} a expiré. Il est de nouveau en attente.`
        : `${nos.length} de vos prises en charge ont expiré. Ces incidents sont de nouveau en attente : ${nos.join(', ')}.`,
  },
  conflict: {
    head: 'Action refusée : ',
    new: 'l’incident est de nouveau en attente, sans prise en charge.',
    claimed: (user) => `${user} l’a pris en charge.`,
    dispatched: (user) => `${user} a engagé une patrouille.`,
    closed: (verdict) => `il est clôturé, ${verdict}.`,
    reopened: (no) => `déjà rouvert sous le n° ${no}.`,
    boxRevoked: 'son boîtier est révoqué ; il faut d’abord l’enrôler de nouveau.',
    otherChange: 'l’incident a changé entre-temps ; vérifiez-le.',
  },
  incident: {
    number: (no) => `Incident ${no}`,
    backToQueue: 'Signalements',
    missing: 'Cet incident n’existe pas, ou sa durée de conservation est échue.',
    moments: { before: 'Avant', deposit: 'À l’apparition', snapshot: 'À l’alerte' },
    pictures: 'Images',
    fullSize: 'Plein écran',
    naturalSize: 'Taille réelle',
    zoomIn: 'Zoomer',
    zoomOut: 'Dézoomer',
    onlyPicture: 'Cet incident n’a que cette image.',
    noStill: 'Pas d’image.',
    absent: (reason) => `Pas d’image : ${reason}`,
    coming: 'L’image n’est pas encore arrivée.',
    broken: 'L’image n’a pas pu être chargée.',
    auditor: 'Les auditeurs n’ont pas accès aux images.',
    onRecord: 'Votre consultation est enregistrée.',
    redacted:
      'Les personnes sont remplacées par des silhouettes dessinées ; la zone et le trajet de l’alerte sont tracés.',
    facts: 'Détails',
    happened: 'Survenu',
    received: 'Reçu',
    lasts: 'en cours',
    box: 'Boîtier',
    rule: 'Règle',
    purpose: 'Finalité',
    legalBasis: 'Base légale',
    validUntil: 'jusqu’au',
    unknown: 'non précisé',
    owner: 'Pris en charge par',
    nobody: 'personne',
    claimLeft: (remaining) => `encore ${remaining}, prolongé tant que cette page est ouverte`,
    sentAt: (user, at) => `${user}, ${at}`,
    dispatched: 'Engagement',
    closed: 'Clôturé',
    closedReasons: {
      'box-revoked': 'clôturé par le CSU : les certificats de son boîtier ont été révoqués',
      'reopening-undone': 'réouverture annulée ; le signalement précédent fait foi',
    },
    closedBriefly: { 'box-revoked': 'boîtier révoqué', 'reopening-undone': 'réouverture annulée' },
    reopens: 'Rouvre l’incident',
    precision: 'Fiabilité de cette règle ici',
    precisionText: (ratio, low, high, reviewedCount) =>
      `${ratio} d’alertes avérées (95 % : ${low}–${high}), ${reviewedCount} levées de doute en 30 jours`,
    noPrecision: 'Aucun verdict ces 30 derniers jours.',
    clockDoubt:
      'L’horloge du boîtier n’est pas fiable. L’heure des faits peut être fausse ; l’heure de réception est juste.',
    degraded: (conditions) => `La vue de la caméra était dégradée (${conditions}) : alerte moins fiable.`,
    nearby: 'Même boîtier, une heure avant et après',
    noNearby: 'Rien d’autre.',
    nearbyMore: (n) => `et ${n} de plus en ces deux heures ; le tableau (CSV) les contient tous`,
    notes: 'Main courante',
    noNotes: 'Aucune inscription.',
    earlierNotes: 'Inscriptions antérieures',
    sealed: 'Image scellée',
    sealedAbout:
      'Le boîtier conserve l’image non floutée, que seule la clé de l’autorité peut ouvrir. La demande est tracée.',
    case: 'Numéro de procédure',
    reason: 'Motif',
    ask: 'La demander au boîtier',
    asking: 'Demande au boîtier…',
    sealedCame: 'Le fichier scellé est arrivé',
    file: 'Fichier',
    recipients: 'Peut être ouvert par',
    giveTo: 'Réaffecter à',
  },
  help: {
    title: 'Raccourcis clavier',
    on: 'Les raccourcis à une touche sont actifs',
    about: 'Sans eux, tout reste accessible avec Tab et Entrée.',
    keys: {
      move: 'ligne suivante, précédente',
      open: 'ouvrir ; développer ou réduire des alertes groupées',
      fullSize: 'image en plein écran ; là, + − 0 zoom, flèches pour déplacer',
      moment: 'avant, après : image suivante de l’incident',
      claim: 'prendre en charge',
      dispatch: 'engager une patrouille',
      verdict: 'verdict : avéré, faux positif, levée de doute impossible',
      note: 'main courante',
      release: 'libérer',
      suppress: 'inhiber la règle ou la caméra pendant une heure',
      undo: 'annuler la dernière action, pendant 10 s',
      select: 'sélectionner une ligne, ou toutes les alertes groupées',
      extend: 'sélectionner d’autres lignes',
      selectStorm: 'sélectionner les alertes groupées de la ligne',
      filter: 'filtrer',
      backToQueue: 'retour aux signalements',
      help: 'cette liste',
    },
    trackKeys: {
      play: 'passages : lire, pause',
      hits: 'passages : précédent, suivant',
      together: 'passages : tous ensemble',
      heat: 'passages : lieux d’arrêt',
    },
  },
  units: { s: 's', min: 'min', h: 'h', d: 'j' },
};
