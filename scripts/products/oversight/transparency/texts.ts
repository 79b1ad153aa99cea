/** Texts of the public page, in its languages. */
import type { RuleKind } from '../../../../agent/contract/rule-config.ts';
import type { State } from '../timeline/timeline.ts';
import type { PublicFacts } from './facts.ts';

export const LANGUAGES = ['fr', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

export interface Texts {
  readonly locale: string;
  readonly title: string;
  readonly lead: string;
  readonly now: string;
  readonly madeAt: (time: string) => string;
  readonly sinceText: (time: string) => string;
  readonly modes: Readonly<Record<State, { readonly name: string; readonly means: string }>>;
  readonly authority: string;
  readonly order: (order: string, from: string, to: string) => string;
  readonly installation: string;
  readonly noAuthorisation: string;
  readonly detected: string;
  readonly detectedHeads: readonly [what: string, place: string, purpose: string, basis: string];
  readonly kinds: Readonly<Record<RuleKind, string>>;
  readonly condition: string;
  readonly shadow: string;
  readonly notAuthorised: string;
  readonly nothingDetected: string;
  readonly never: string;
  readonly nevers: readonly string[];
  readonly masks: (count: number) => string;
  readonly leaves: string;
  readonly leaving: readonly string[];
  readonly redaction: string;
  readonly sealed: (days: number, handedOut: string, keys: number) => string;
  readonly tracks: {
    readonly none: string;
    readonly logText: (log: NonNullable<PublicFacts['tracks']>) => string;
  };
  readonly retention: string;
  readonly retentionTexts: (events: number, snapshots: number, sealed: number) => readonly string[];
  readonly counts: string;
  readonly countHeads: readonly [
    month: string,
    states: string,
    frames: string,
    alerts: string,
    searches: string,
    trackQuestions: string,
    unsealings: string,
  ];
  readonly noCounts: string;
  readonly atLeast: string;
  readonly missingResume: (time: string) => string;
  readonly verify: string;
  readonly verifyHow: readonly string[];
  readonly verifyLimits: string;
  readonly notInOrder: string;
  readonly rights: string;
  readonly rightsHow: (contact: string) => string;
  readonly sign: {
    readonly title: string;
    readonly alerts: string;
    readonly alertsNothing: string;
    readonly no: string;
    readonly moreText: string;
  };
}

/**
 * Ratio of the area of people that was hidden in the two annotated films of docs/design/002-redaction.md. A test
 * enforces this limit for both.
 */
const HIDDEN_RATIO = 0.99997;

/** Returns a text such as `99.997%`. */
function hiddenText(locale: string): string {
  return new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 3 }).format(HIDDEN_RATIO);
}

const en: Texts = {
  locale: 'en-GB',
  title: 'A camera here is analysed by a program',
  lead: 'This page is written by the box beside the camera. It says what the program does, what it does not do, and how anyone can check it. It contains no picture.',
  now: 'Now',
  madeAt: (time) => `as of ${time}`,
  sinceText: (time) => `since ${time}`,
  modes: {
    active: { name: 'Active', means: 'The program analyses the pictures of the camera.' },
    suspended: { name: 'Suspended', means: 'The program reads no picture: it was suspended by command.' },
    unauthorised: {
      name: 'Not authorised',
      means: 'The program reads no picture: it has no valid authorisation.',
    },
    down: { name: 'Down', means: 'The program does not run.' },
    unproved: {
      name: 'Not proved',
      means: 'The journal does not show it: an entry was due, and none was written.',
    },
  },
  authority: 'Who decided',
  order: (order, from, to) => `Authorisation ${order}, valid from ${from} to ${to}.`,
  installation:
    'This is an installation authorisation: the program reads pictures so that the camera can be installed. No rule runs under it, and no one is alerted.',
  noAuthorisation: 'No valid authorisation: nothing is analysed.',
  detected: 'What raises an alert',
  detectedHeads: ['What', 'Where', 'Why', 'Legal basis'],
  kinds: {
    'vehicle-in-pedestrian-zone': 'A vehicle where only people on foot may be',
    'illegal-parking': 'A vehicle left where it must not stop',
    'wrong-way': 'A vehicle going the wrong way',
    'line-crossing': 'Someone or something crossing a line',
    loitering: 'A person staying for long in one place',
    'crowd-gathering': 'Many people gathering',
    'illegal-dumping': 'A thing left on the ground',
    graffiti: 'A wall that is being painted on',
  },
  condition: 'The box also reports when the camera itself does not work.',
  shadow: 'On trial: counted only, no one is alerted',
  notAuthorised: 'Not authorised: does not run',
  nothingDetected: 'Nothing.',
  never: 'What it never does',
  nevers: [
    'Recognise a face or compare faces.',
    'Read a number plate.',
    'Establish who a person is, their age, sex or origin.',
    'Follow a person from one camera to another.',
    'Record sound.',
    'Decide anything: a person reviews each alert.',
  ],
  masks: (count) =>
    count === 0
      ? 'No part of the picture is hidden from the program.'
      : `${count} ${count === 1 ? 'part' : 'parts'} of the picture (windows, doors) ${count === 1 ? 'is' : 'are'} blacked out before anything else happens.`,
  leaves: 'What leaves the box',
  leaving: [
    'A short text for each alert: what, where, when.',
    'Stills of the alert in which the people found are not shown: they are replaced by the empty place, as it looked before, and a drawn figure. Vehicles are in coarse blocks.',
    'The state of the box itself. The video never leaves it.',
  ],
  redaction: `What is not shown: every person and cycle that the program finds, with a margin, and whatever else moves. There the still shows the place as the program knows it empty, hatched, or where it does not know it, blocks in the colours around; where a person was found, a figure is drawn. Vehicles, and who sits in them, are shown in blocks too coarse for a number plate or a face; the parts hidden from the program are black. What is shown unchanged: the street itself, animals, bags. A person whom the program does not find and who does not move is not covered, and may be taken for a part of the place. Measured on two annotated films: at least ${hiddenText('en-GB')} of the area of people taller than 40 pixels was not shown; another camera may do worse. What remains: where a person stood, how tall, with whom and when. This may be enough to recognise a person who was there.`,
  sealed: (days, handedOut, keys) =>
    `Each alert also has one sealed still: no part of it is covered but the hidden parts. It is encrypted before it is stored, so that the box itself cannot open it, and is kept for ${days} days. It leaves the box only on a signed request with a case number, which is entered in the journal before it is handed out; handed out in the months below: ${handedOut}. Only ${keys === 1 ? 'this key opens' : `these ${keys} keys open`} it:`,
  tracks: {
    none: 'No log of what passes is kept: anything that raises no alert is forgotten.',
    logText: ({ grade, days, purpose, legalBasis }) =>
      `${{ counts: 'For everything that passes', vehicles: 'For each vehicle that passes', persons: 'For everything and everyone that passes' }[grade]}, the box keeps the path through the picture, the time and the kind for ${days} days, but no picture, face, plate or name${grade === 'counts' ? '; only numbers are given out' : ''}. Purpose: ${purpose}. Legal basis: ${legalBasis}. It answers only signed questions with a case number${grade === 'persons' ? ', about persons by two keys' : ''}, each of which is entered in the journal before it is answered.`,
  },
  retention: 'How long it is kept on the box',
  retentionTexts: (events, snapshots, sealed) => [
    `Texts of alerts: ${events} days.`,
    `Stills, people replaced by drawn figures, vehicles in blocks: ${snapshots} days.`,
    sealed === 0
      ? 'No still as the camera took it is kept or handed out.'
      : `Sealed stills that only the authority can open, on request with a case number: ${sealed} days.`,
  ],
  counts: 'What it did',
  countHeads: [
    'Month',
    'State',
    'Pictures read',
    'Alerts',
    'Searches',
    'Questions about what passed',
    'Sealed stills handed out',
  ],
  noCounts: 'The journal has no entry yet.',
  atLeast: '≥: at least. The program was cut off before it wrote the number, or has not written it yet.',
  missingResume: (time) =>
    `On ${time} the program read pictures again after a suspension, and no entry of the journal says that two keys had signed for it.`,
  verify: 'How to check this page',
  verifyHow: [
    'Every number above is counted from the journal of the box. Ask the authority for a copy; then, on any computer with Vigie:',
    'It must end with at least this many entries, and these first entries must have this fingerprint (the head of the journal):',
  ],
  verifyLimits:
    'What this proves: entries under a head that someone else has kept cannot be changed or left out without being found. Anyone with full access to the box could rewrite the entries after the last head that someone else has kept; so keep the line above. It does not prove that the program on the box was never exchanged, nor that no one else uses the pictures of the same camera.',
  notInOrder: 'The journal of this box is NOT intact: the numbers on this page cannot be relied on.',
  rights: 'Your rights',
  rightsHow: (contact) => `Access, rectification, erasure, objection, complaints: ${contact}.`,
  sign: {
    title: 'Analysed camera',
    alerts: 'A program alerts to:',
    alertsNothing: 'No analysis is authorised here at present.',
    no: 'No faces, no number plates, no identities, no sound. The video stays here.',
    moreText: 'State, statistics, your rights:',
  },
};

const fr: Texts = {
  locale: 'fr-FR',
  title: 'Ici, un programme analyse les images d’une caméra',
  lead: 'Cette page est écrite par le boîtier placé à côté de la caméra. Elle dit ce que fait le programme, ce qu’il ne fait pas, et comment chacun peut le vérifier. Elle ne contient aucune image.',
  now: 'En ce moment',
  madeAt: (time) => `état du ${time}`,
  sinceText: (time) => `depuis le ${time}`,
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
  installation:
    'C’est un permis d’installation : le programme lit des images pour que la caméra puisse être mise en place. Aucune règle ne fonctionne, personne n’est alerté.',
  noAuthorisation: 'Aucune autorisation valable : rien n’est analysé.',
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
    'Des images fixes de l’alerte, où les personnes trouvées ne sont pas montrées : à leur place figurent le lieu vide, tel qu’il était auparavant, et un pictogramme. Les véhicules y sont en blocs grossiers.',
    'L’état du boîtier lui-même. La vidéo n’en sort jamais.',
  ],
  redaction: `Ce qui n’est pas montré : chaque personne et chaque cycle que le programme trouve, avec une marge, et tout ce qui bouge par ailleurs. À la place, l’image montre, hachuré, le lieu vide tel que le programme le connaît ou, là où il ne le connaît pas, des blocs aux couleurs des alentours ; là où une personne a été trouvée, un pictogramme est dessiné. Les véhicules, et les personnes qui s’y trouvent, sont montrés en blocs trop grossiers pour une plaque d’immatriculation ou un visage ; les parties cachées au programme sont noires. Ce qui est montré tel quel : la rue elle-même, les animaux, les sacs. Une personne que le programme ne trouve pas et qui ne bouge pas n’est pas couverte, et peut être prise pour une partie du lieu. Mesuré sur deux films annotés : au moins ${hiddenText('fr-FR')} de la surface des personnes de plus de 40 pixels de haut n’était pas montrée ; une autre caméra peut faire moins bien. Ce qui reste : où quelqu’un se tenait, sa taille dans l’image, avec qui et quand, à quoi une personne présente peut être reconnue.`,
  sealed: (days, handedOut, keys) =>
    `De chaque alerte, aussi une image scellée : rien n’y est couvert, sauf les parties cachées. Elle est chiffrée avant d’être enregistrée, si bien que le boîtier lui-même ne peut l’ouvrir, et gardée ${days} jours. Elle ne sort du boîtier que sur demande signée avec un numéro de procédure, inscrite au journal avant la remise ; remises : ${handedOut} au cours des mois ci-dessous. Seule${keys === 1 ? ' cette clé l’ouvre' : `s ces ${keys} clés l’ouvrent`} :`,
  tracks: {
    none: 'Aucun registre des passages n’est tenu : ce qui ne donne pas l’alerte est oublié.',
    logText: ({ grade, days, purpose, legalBasis }) =>
      `${{ counts: 'De tout ce qui passe', vehicles: 'De chaque véhicule qui passe', persons: 'De tout ce qui passe, personnes comprises' }[grade]}, le boîtier garde pendant ${days} jours le trajet dans l’image, l’heure et le type, sans image, visage, plaque ni nom${grade === 'counts' ? ' ; seuls des nombres sont communiqués' : ''}. Finalité : ${purpose}. Base légale : ${legalBasis}. Il n’est interrogé que par des questions signées, avec un numéro de procédure${grade === 'persons' ? ', par deux clés s’il s’agit de personnes' : ''}, chacune inscrite au journal avant la réponse.`,
  },
  retention: 'Combien de temps le boîtier les garde',
  retentionTexts: (events, snapshots, sealed) => [
    `Textes des alertes : ${events} jours.`,
    `Images fixes, personnes remplacées par des pictogrammes, véhicules en blocs : ${snapshots} jours.`,
    sealed === 0
      ? 'Aucune image telle que la caméra l’a prise n’est gardée ni remise.'
      : `Images scellées que seule l’autorité peut ouvrir, sur demande avec un numéro de procédure : ${sealed} jours.`,
  ],
  counts: 'Ce qu’il a fait',
  countHeads: [
    'Mois',
    'État',
    'Images lues',
    'Alertes',
    'Recherches',
    'Questions sur les passages',
    'Images scellées remises',
  ],
  noCounts: 'Le journal ne contient encore aucune inscription.',
  atLeast:
    '≥ : au moins. Le programme a été interrompu avant d’en inscrire le nombre, ou ne l’a pas encore inscrit.',
  missingResume: (time) =>
    `Le ${time}, le programme a recommencé à lire les images après une suspension, et aucune inscription du journal ne dit que deux clés l’ont signé.`,
  verify: 'Vérifier cette page',
  verifyHow: [
    'Chaque nombre ci-dessus est compté dans le journal du boîtier. Demandez-en une copie à l’autorité ; puis, sur un ordinateur où Vigie est installé :',
    'Il doit contenir au moins ce nombre d’inscriptions, et ces premières inscriptions doivent avoir cette empreinte (la tête du journal) :',
  ],
  verifyLimits:
    'Ce que cela prouve : les inscriptions sous une tête qu’un tiers a conservée ne peuvent être changées ni omises sans qu’on le découvre. Qui a tout accès au boîtier pourrait récrire ce qui est venu après la dernière tête qu’un tiers a conservée ; gardez donc la ligne ci-dessus. Cela ne prouve pas que le programme du boîtier n’a jamais été échangé, ni que personne d’autre n’utilise les images de la même caméra.',
  notInOrder: 'Le journal de ce boîtier n’est PAS en ordre : les nombres de cette page ne sont pas fiables.',
  rights: 'Vos droits',
  rightsHow: (contact) => `Accès, rectification, effacement, opposition, réclamation : ${contact}.`,
  sign: {
    title: 'Caméra analysée',
    alerts: 'Un programme donne l’alerte pour :',
    alertsNothing: 'Aucune analyse n’est autorisée ici en ce moment.',
    no: 'Ni visages, ni plaques, ni identités, ni son. La vidéo reste ici.',
    moreText: 'État, chiffres, vos droits :',
  },
};

export const TEXTS: Readonly<Record<Language, Texts>> = { fr, en };
