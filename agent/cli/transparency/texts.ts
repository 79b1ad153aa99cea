/** The words of the public page, in the languages in which it can be written. */
import type { State } from '../journal/story.ts';

export const LANGUAGES = ['fr', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

export interface Texts {
  readonly locale: string;
  readonly title: string;
  readonly lead: string;
  readonly now: string;
  readonly madeAt: (when: string) => string;
  readonly since: (when: string) => string;
  readonly modes: Readonly<Record<State, { readonly name: string; readonly means: string }>>;
  readonly authority: string;
  readonly order: (order: string, from: string, to: string) => string;
  readonly noOrder: string;
  readonly detected: string;
  readonly detectedHeads: readonly [what: string, place: string, purpose: string, basis: string];
  readonly kinds: Readonly<Record<string, string>>;
  readonly condition: string;
  readonly shadow: string;
  readonly notAuthorised: string;
  readonly nothingDetected: string;
  readonly never: string;
  readonly nevers: readonly string[];
  readonly masks: (count: number) => string;
  readonly leaves: string;
  readonly leaving: readonly string[];
  readonly retention: string;
  readonly kept: (events: number, snapshots: number, sealed: number) => readonly string[];
  readonly counts: string;
  readonly countHeads: readonly [
    month: string,
    states: string,
    frames: string,
    alerts: string,
    searches: string,
    unsealings: string,
  ];
  readonly noCounts: string;
  readonly atLeast: string;
  readonly missingResume: (when: string) => string;
  readonly verify: string;
  readonly verifyHow: readonly string[];
  readonly notInOrder: string;
  readonly rights: string;
  readonly rightsHow: (contact: string) => string;
  readonly sign: {
    readonly title: string;
    readonly alerts: string;
    readonly alertsNothing: string;
    readonly no: string;
    readonly more: string;
  };
}

const en: Texts = {
  locale: 'en-GB',
  title: 'A camera here is analysed by a program',
  lead: 'This page is written by the box beside the camera. It says what the program does, what it does not do, and how anybody can check it. It holds no picture.',
  now: 'Now',
  madeAt: (when) => `as of ${when}`,
  since: (when) => `since ${when}`,
  modes: {
    active: { name: 'Active', means: 'The program analyses the pictures of the camera.' },
    suspended: { name: 'Suspended', means: 'The program reads no picture, by order.' },
    unauthorised: {
      name: 'Not authorised',
      means: 'The program reads no picture: no valid authorisation is there.',
    },
    down: { name: 'Down', means: 'The program does not run.' },
    unproved: {
      name: 'Not proved',
      means: 'The journal does not say: nothing was written when something was due.',
    },
  },
  authority: 'Who decided',
  order: (order, from, to) => `Order ${order}, valid from ${from} to ${to}.`,
  noOrder: 'No valid authorisation: nothing is analysed.',
  detected: 'What raises an alert',
  detectedHeads: ['What', 'Where', 'Why', 'Legal basis'],
  kinds: {
    'vehicle-in-pedestrian-zone': 'A vehicle where only people on foot may be',
    'illegal-parking': 'A vehicle left where it must not stand',
    'wrong-way': 'A vehicle going the wrong way',
    'line-crossing': 'Somebody or something crossing a line',
    loitering: 'Somebody staying for long in one place',
    'crowd-gathering': 'Many people gathering',
    'illegal-dumping': 'A thing left on the ground',
    graffiti: 'A wall that is being painted on',
  },
  condition: 'The box also tells when the camera itself is out of order.',
  shadow: 'On trial: counted only, nobody is alerted',
  notAuthorised: 'Not authorised: does not run',
  nothingDetected: 'Nothing.',
  never: 'What it never does',
  nevers: [
    'Recognise a face or compare faces.',
    'Read a number plate.',
    'Establish who somebody is, their age, sex or origin.',
    'Follow somebody from one camera to another.',
    'Record sound.',
    'Decide anything: a person looks at each alert.',
  ],
  masks: (count) =>
    count === 0
      ? 'No part of the picture is hidden from the program.'
      : `${count} ${count === 1 ? 'part' : 'parts'} of the picture (windows, doors) ${count === 1 ? 'is' : 'are'} blacked out before anything else happens.`,
  leaves: 'What leaves the box',
  leaving: [
    'A short text for each alert: what, where, when.',
    'One still in which people and number plates have been made unrecognisable.',
    'The video never leaves it.',
  ],
  retention: 'How long it is kept on the box',
  kept: (events, snapshots, sealed) => [
    `Texts of alerts: ${events} days.`,
    `Stills, people unrecognisable: ${snapshots} days.`,
    sealed === 0
      ? 'No other still is kept.'
      : `Sealed stills that only the authority can open, on request with a case number: ${sealed} days.`,
  ],
  counts: 'What it did',
  countHeads: ['Month', 'State', 'Pictures read', 'Alerts', 'Searches', 'Sealed stills handed out'],
  noCounts: 'The journal has no entry yet.',
  atLeast: '≥: at least. The program was cut off before it wrote how many, or has not written it yet.',
  missingResume: (when) =>
    `On ${when} the program looked again after a suspension, and no entry of the journal says that two keys had signed for it.`,
  verify: 'How to check this page',
  verifyHow: [
    'Every figure above is counted from the journal of the box, in which nothing can be changed or left out unnoticed. Ask the authority for a copy; then, on any computer with Vigie:',
    'It must end with at least this many entries, and these first entries must have this fingerprint:',
  ],
  notInOrder: 'The journal of this box is NOT in order: the figures on this page cannot be relied on.',
  rights: 'Your rights',
  rightsHow: (contact) => `Access, rectification, erasure, objection, complaints: ${contact}.`,
  sign: {
    title: 'Analysed camera',
    alerts: 'A program alerts to:',
    alertsNothing: 'No analysis is authorised here at present.',
    no: 'No faces, no number plates, no identities, no sound. The video stays here.',
    more: 'State, figures, your rights:',
  },
};

const fr: Texts = {
  locale: 'fr-FR',
  title: 'Ici, un programme analyse les images d’une caméra',
  lead: 'Cette page est écrite par le boîtier placé à côté de la caméra. Elle dit ce que fait le programme, ce qu’il ne fait pas, et comment chacun peut le vérifier. Elle ne contient aucune image.',
  now: 'En ce moment',
  madeAt: (when) => `état du ${when}`,
  since: (when) => `depuis le ${when}`,
  modes: {
    active: { name: 'En service', means: 'Le programme analyse les images de la caméra.' },
    suspended: { name: 'Suspendu', means: 'Sur ordre, le programme ne lit aucune image.' },
    unauthorised: {
      name: 'Non autorisé',
      means: 'Le programme ne lit aucune image : il n’a pas d’autorisation valable.',
    },
    down: { name: 'À l’arrêt', means: 'Le programme ne fonctionne pas.' },
    unproved: {
      name: 'Non prouvé',
      means: 'Le journal ne le dit pas : rien n’y a été inscrit quand il l’aurait fallu.',
    },
  },
  authority: 'Qui a décidé',
  order: (order, from, to) => `Décision ${order}, valable du ${from} au ${to}.`,
  noOrder: 'Aucune autorisation valable : rien n’est analysé.',
  detected: 'Ce qui donne l’alerte',
  detectedHeads: ['Quoi', 'Où', 'Pourquoi', 'Base légale'],
  kinds: {
    'vehicle-in-pedestrian-zone': 'Un véhicule dans une zone piétonne',
    'illegal-parking': 'Un véhicule arrêté où c’est interdit',
    'wrong-way': 'Un véhicule à contresens',
    'line-crossing': 'Le franchissement d’une ligne',
    loitering: 'Une personne qui reste longtemps au même endroit',
    'crowd-gathering': 'Un attroupement',
    'illegal-dumping': 'Un objet ou des déchets laissés sur place',
    graffiti: 'Un mur que l’on peint',
  },
  condition: 'Le boîtier signale aussi quand la caméra elle-même est hors service.',
  shadow: 'À l’essai : seulement compté, personne n’est alerté',
  notAuthorised: 'Non autorisé : ne fonctionne pas',
  nothingDetected: 'Rien.',
  never: 'Ce qu’il ne fait jamais',
  nevers: [
    'Reconnaître ou comparer des visages.',
    'Lire une plaque d’immatriculation.',
    'Établir qui est quelqu’un, ni son âge, son sexe ou son origine.',
    'Suivre quelqu’un d’une caméra à l’autre.',
    'Enregistrer le son.',
    'Décider : une personne examine chaque alerte.',
  ],
  masks: (count) =>
    count === 0
      ? 'Aucune partie de l’image n’est cachée au programme.'
      : count === 1
        ? 'Une partie de l’image (fenêtres, portes) est noircie avant tout traitement.'
        : `${count} parties de l’image (fenêtres, portes) sont noircies avant tout traitement.`,
  leaves: 'Ce qui sort du boîtier',
  leaving: [
    'Un court texte par alerte : quoi, où, quand.',
    'Une image fixe où personnes et plaques ont été rendues méconnaissables.',
    'La vidéo n’en sort jamais.',
  ],
  retention: 'Combien de temps le boîtier les garde',
  kept: (events, snapshots, sealed) => [
    `Textes des alertes : ${events} jours.`,
    `Images fixes, personnes méconnaissables : ${snapshots} jours.`,
    sealed === 0
      ? 'Aucune autre image n’est gardée.'
      : `Images scellées que seule l’autorité peut ouvrir, sur demande avec un numéro d’affaire : ${sealed} jours.`,
  ],
  counts: 'Ce qu’il a fait',
  countHeads: ['Mois', 'État', 'Images lues', 'Alertes', 'Recherches', 'Images scellées remises'],
  noCounts: 'Le journal ne contient encore aucune inscription.',
  atLeast:
    '≥ : au moins. Le programme a été interrompu avant d’en inscrire le nombre, ou ne l’a pas encore inscrit.',
  missingResume: (when) =>
    `Le ${when}, le programme a recommencé à lire les images après une suspension, et aucune inscription du journal ne dit que deux clés l’ont signé.`,
  verify: 'Vérifier cette page',
  verifyHow: [
    'Chaque nombre ci-dessus est compté dans le journal du boîtier, où rien ne peut être changé ni omis sans que cela se voie. Demandez-en une copie à l’autorité ; puis, sur un ordinateur où Vigie est installé :',
    'Il doit contenir au moins ce nombre d’inscriptions, et ces premières inscriptions doivent avoir cette empreinte :',
  ],
  notInOrder: 'Le journal de ce boîtier n’est PAS en ordre : les nombres de cette page ne sont pas fiables.',
  rights: 'Vos droits',
  rightsHow: (contact) => `Accès, rectification, effacement, opposition, réclamation : ${contact}.`,
  sign: {
    title: 'Caméra analysée',
    alerts: 'Un programme donne l’alerte pour :',
    alertsNothing: 'Aucune analyse n’est autorisée ici en ce moment.',
    no: 'Ni visages, ni plaques, ni identités, ni son. La vidéo reste ici.',
    more: 'État, chiffres, vos droits :',
  },
};

export const TEXTS: Readonly<Record<Language, Texts>> = { fr, en };
