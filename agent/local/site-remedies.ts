/**
 * Actions that fix a failure, for a technician on site without a shell. Each is done with hands, with the page, or by a
 * call to the control room.
 */
import type { ConditionKind } from '../contract/condition.ts';
import type { DeliveryFaultCode } from '../contract/health.ts';
import type { Language } from './finding-texts.ts';

/**
 * Form in which an active condition is reported.
 * - `to-fix`: a failure, whose fix is in the operations guide.
 * - `known`: ok, because a person does it on purpose.
 * - `elsewhere`: expiries and the detector have their own lines, the room reviews rules that are often false, and an
 *   installation needs no fix.
 */
export const REPORT_FORMS = {
  'alert-limit': 'to-fix',
  'rule-unauthorised': 'to-fix',
  suspended: 'to-fix',
  unauthorised: 'to-fix',
  'stream-lost': 'to-fix',
  frozen: 'to-fix',
  covered: 'to-fix',
  'too-dark': 'to-fix',
  moved: 'to-fix',
  'cannot-see': 'to-fix',
  defocused: 'to-fix',
  'detector-down': 'to-fix',
  'detector-fallback': 'elsewhere',
  preview: 'known',
  'config-refused': 'to-fix',
  'vision-failed': 'to-fix',
  'decoder-crashloop': 'to-fix',
  'load-shed': 'to-fix',
  'storage-readonly': 'to-fix',
  'journal-down': 'to-fix',
  'identity-conflict': 'to-fix',
  'certificate-expiring': 'elsewhere',
  'authorisation-expiring': 'elsewhere',
  'high-false-alarm-rate': 'elsewhere',
  installed: 'elsewhere',
  'config-changed': 'to-fix',
  'mask-removed': 'to-fix',
  'update-failed': 'to-fix',
  'certificate-refused': 'to-fix',
} as const satisfies Readonly<Record<ConditionKind, 'to-fix' | 'known' | 'elsewhere'>>;

type ConditionToFix = {
  [K in ConditionKind]: (typeof REPORT_FORMS)[K] extends 'to-fix' ? K : never;
}[ConditionKind];

/** Failures that are not conditions. */
type Failure =
  | 'mode'
  | 'installation'
  | 'authorisation'
  | 'certificate'
  | 'camera'
  | 'analysis'
  | 'other-detector'
  | 'no-detector'
  | 'view'
  | 'outbox-in-memory'
  | 'outbox-unacknowledged'
  | 'outbox-lost'
  | 'outbox-too-large'
  | 'no-connection'
  | 'clock'
  | 'no-journal'
  | 'journal'
  | 'disk'
  | 'heat'
  | 'other';

/** Reason for which the final check fails. `other`: known only to another version. */
export type Remedy = Failure | ConditionToFix | `broker-${DeliveryFaultCode}`;

const RESTART_EN = 'Switch the box off for 10 seconds and on again.';
const RESTART_FR = 'Coupez l’alimentation du boîtier 10 secondes, puis rallumez-le.';
const CALL_EN = 'Call the control room';
const CALL_FR = 'Appelez le CSU';

const ENGLISH: Readonly<Record<Remedy, string>> = {
  mode: `${CALL_EN}: it has to send a valid authorisation. You cannot fix this on site.`,
  installation: `${CALL_EN}: it has to send the authorisation before this one expires. The installation can go on.`,
  authorisation: `Tell the control room the date: it needs the next authorisation. There is nothing to do on site.`,
  certificate: `Tell the control room the date: it renews the certificate. There is nothing to do on site.`,
  camera:
    'Check the camera’s power and both ends of its cable. Then check address and password (step Camera).',
  analysis: `Unplug the camera’s cable for 10 seconds. ${CALL_EN} if there is still no picture after a minute.`,
  'other-detector': `${RESTART_EN} ${CALL_EN} if this line stays: it decides whether the box may remain so.`,
  'no-detector': `${RESTART_EN} ${CALL_EN} if this line stays: the box detects nothing and must be exchanged.`,
  view: 'Turn the camera or its zoom until people are large enough (step Aim). If that is impossible, read this line to the control room.',
  'outbox-in-memory': `The card refuses writes. Replace it with a new card from the office, or call the control room.`,
  'outbox-unacknowledged': `${CALL_EN}: its archive confirms nothing. The box keeps everything until it does.`,
  'outbox-lost': `Check the network cable, the modem and its antenna: the box was offline for too long. Tell the control room what was lost.`,
  'outbox-too-large': `${CALL_EN}: its server refuses large messages.`,
  'no-connection': `Check the network cable and the modem, and wait two minutes. ${CALL_EN} if this line stays.`,
  clock: `The time comes over the network: check the network cable and the modem, and wait five minutes. ${CALL_EN} if this line stays: its network must let the box get the time (UDP 123).`,
  'no-journal': `${RESTART_EN} ${CALL_EN} if this line stays: without its journal the box may not watch.`,
  journal: `The card refused writes. Replace it with a new card from the office, or call the control room.`,
  disk: `The card is full. ${CALL_EN}: it needs a larger card or shorter retention.`,
  heat: 'Shade the box and clear its vents. Move it if it stays this hot.',
  other: `${CALL_EN} and read this line to it.`,
  'alert-limit': `Something triggers this rule all the time: look at its zone, and draw it smaller if a tree, a flag or a road lies in it.`,
  'rule-unauthorised': `Delete the rule or change it to what the authorisation allows (step Rules), or call the control room.`,
  suspended: `${CALL_EN}: the authority has suspended the box. You cannot fix this on site.`,
  unauthorised: `${CALL_EN}: it has to send a valid authorisation. You cannot fix this on site.`,
  'stream-lost':
    'Check the camera’s power and both ends of its cable. Then check address and password (step Camera).',
  frozen: `Unplug the camera’s power for 10 seconds. Exchange the camera if the picture still stands.`,
  covered: 'Look at the camera: remove what covers it, and its lens cap. Clean the lens.',
  'too-dark': 'Switch on the camera’s infra-red light, or tell the control room that the place needs light.',
  moved: 'Turn the camera back, or tap “This is the right view” above if you have turned it on purpose.',
  'cannot-see':
    'Clean the lens and the housing. In fog or rain, wait. Turn the camera away from the sun or a lamp.',
  defocused: 'Clean the lens, then focus the camera.',
  'detector-down': `${RESTART_EN} ${CALL_EN} if this line stays: the box detects nothing and must be exchanged.`,
  'config-refused': `${CALL_EN} and read this line to it: the box goes on with its last good configuration.`,
  'vision-failed': `Wait a minute: the analysis starts again automatically. ${CALL_EN} if this line stays.`,
  'decoder-crashloop': `Check the camera’s cable. ${RESTART_EN} ${CALL_EN} if this line stays.`,
  'load-shed':
    'Shade the box and clear its vents. If it is not hot, call the control room: the camera sends too much for it.',
  'storage-readonly':
    'The card refuses writes. Replace it with a new card from the office, or call the control room.',
  'journal-down':
    'The card refuses writes. Replace it with a new card from the office, or call the control room.',
  'identity-conflict': `${CALL_EN}: a second box uses the name of this one.`,
  'config-changed': 'If it was not you, call the control room.',
  'mask-removed': 'If it was not you, draw the mask again (step Zones) and call the control room.',
  'update-failed': `${CALL_EN}: the previous version runs. There is nothing to do on site.`,
  'certificate-refused': `${CALL_EN}: it has to accept the box or renew its certificate.`,
  'broker-unreachable': `Check the network cable, the modem and its antenna, and wait two minutes. ${CALL_EN} if this line stays.`,
  'broker-certificate': `Look whether the clock is right (line “Clock”). If it is, call the control room: it has to renew the certificate.`,
  'broker-denied': `${CALL_EN}: its server does not admit this box.`,
  'broker-identity-conflict': `${CALL_EN}: a second box uses the name of this one.`,
  'broker-protocol': `${CALL_EN}: its server cannot take what the box sends.`,
  'broker-configuration': `${CALL_EN}: the address or the files for its server are wrong on this card.`,
};

const FRENCH: Readonly<Record<Remedy, string>> = {
  mode: `${CALL_FR} : il doit envoyer un arrêté en cours de validité. Rien à faire sur place.`,
  installation: `${CALL_FR} : il doit envoyer l’arrêté avant la fin de celui d’installation. L’installation peut continuer.`,
  authorisation: `Signalez la date au CSU : il lui faut l’arrêté suivant. Rien à faire sur place.`,
  certificate: `Signalez la date au CSU : il renouvelle le certificat. Rien à faire sur place.`,
  camera:
    'Vérifiez l’alimentation de la caméra et les deux bouts de son câble, puis l’adresse et le mot de passe (étape Caméra).',
  analysis: `Débranchez le câble de la caméra 10 secondes. ${CALL_FR} si l’image manque encore après une minute.`,
  'other-detector': `${RESTART_FR} ${CALL_FR} si cette ligne reste : il décide si le boîtier peut rester ainsi.`,
  'no-detector': `${RESTART_FR} ${CALL_FR} si cette ligne reste : le boîtier ne détecte rien et doit être remplacé.`,
  view: 'Tournez la caméra ou son zoom jusqu’à ce que les personnes soient assez grandes (étape Cadrage). Si c’est impossible, lisez cette ligne au CSU.',
  'outbox-in-memory':
    'La carte refuse l’écriture. Mettez une carte neuve préparée au bureau, ou appelez le CSU.',
  'outbox-unacknowledged': `${CALL_FR} : son archive n’acquitte rien. Le boîtier garde tout en attendant.`,
  'outbox-lost':
    'Vérifiez le câble réseau, le modem et son antenne : le boîtier est resté trop longtemps hors ligne. Signalez au CSU ce qui est perdu.',
  'outbox-too-large': `${CALL_FR} : son serveur refuse les gros messages.`,
  'no-connection': `Vérifiez le câble réseau et le modem, puis attendez deux minutes. ${CALL_FR} si cette ligne reste.`,
  clock: `L’heure vient du réseau : vérifiez le câble réseau et le modem, puis attendez cinq minutes. ${CALL_FR} si cette ligne reste : son réseau doit laisser le boîtier se mettre à l’heure (UDP 123).`,
  'no-journal': `${RESTART_FR} ${CALL_FR} si cette ligne reste : sans journal, le boîtier ne doit rien analyser.`,
  journal: 'La carte a refusé l’écriture. Mettez une carte neuve préparée au bureau, ou appelez le CSU.',
  disk: `La carte est pleine. ${CALL_FR} : il faut une carte plus grande ou une conservation plus courte.`,
  heat: 'Mettez le boîtier à l’ombre et dégagez ses aérations. Déplacez-le s’il reste aussi chaud.',
  other: `${CALL_FR} et lisez-lui cette ligne.`,
  'alert-limit':
    'Quelque chose déclenche cette règle sans arrêt : regardez sa zone et réduisez-la si un arbre, un drapeau ou une route s’y trouve.',
  'rule-unauthorised':
    'Supprimez la règle ou ramenez-la à ce que l’arrêté permet (étape Règles), ou appelez le CSU.',
  suspended: `${CALL_FR} : l’autorité a suspendu le boîtier. Rien à faire sur place.`,
  unauthorised: `${CALL_FR} : il doit envoyer un arrêté en cours de validité. Rien à faire sur place.`,
  'stream-lost':
    'Vérifiez l’alimentation de la caméra et les deux bouts de son câble, puis l’adresse et le mot de passe (étape Caméra).',
  frozen: 'Coupez l’alimentation de la caméra 10 secondes. Remplacez la caméra si l’image reste figée.',
  covered: 'Regardez la caméra : retirez ce qui l’obstrue et le cache de l’objectif. Nettoyez l’objectif.',
  'too-dark':
    'Allumez l’éclairage infrarouge de la caméra, ou signalez au CSU que l’endroit manque de lumière.',
  moved:
    'Remettez la caméra en place, ou touchez « C’est la bonne vue » ci-dessus si vous l’avez tournée exprès.',
  'cannot-see':
    'Nettoyez l’objectif et le caisson. Par brouillard ou pluie, attendez. Écartez la caméra du soleil ou d’une lampe.',
  defocused: 'Nettoyez l’objectif, puis faites la mise au point.',
  'detector-down': `${RESTART_FR} ${CALL_FR} si cette ligne reste : le boîtier ne détecte rien et doit être remplacé.`,
  'config-refused': `${CALL_FR} et lisez-lui cette ligne : le boîtier garde sa dernière configuration valable.`,
  'vision-failed': `Attendez une minute : l’analyse redémarre automatiquement. ${CALL_FR} si cette ligne reste.`,
  'decoder-crashloop': `Vérifiez le câble de la caméra. ${RESTART_FR} ${CALL_FR} si cette ligne reste.`,
  'load-shed':
    'Mettez le boîtier à l’ombre et dégagez ses aérations. S’il n’est pas chaud, appelez le CSU : la caméra envoie trop d’images pour lui.',
  'storage-readonly':
    'La carte refuse l’écriture. Mettez une carte neuve préparée au bureau, ou appelez le CSU.',
  'journal-down': 'La carte refuse l’écriture. Mettez une carte neuve préparée au bureau, ou appelez le CSU.',
  'identity-conflict': `${CALL_FR} : un second boîtier porte le nom de celui-ci.`,
  'config-changed': 'Si ce n’est pas vous, appelez le CSU.',
  'mask-removed': 'Si ce n’est pas vous, redessinez le masque (étape Zones) et appelez le CSU.',
  'update-failed': `${CALL_FR} : la version précédente est active. Rien à faire sur place.`,
  'certificate-refused': `${CALL_FR} : il doit accepter le boîtier ou renouveler son certificat.`,
  'broker-unreachable': `Vérifiez le câble réseau, le modem et son antenne, puis attendez deux minutes. ${CALL_FR} si cette ligne reste.`,
  'broker-certificate':
    'Regardez si l’heure est bonne (ligne « Horloge »). Si oui, appelez le CSU : il doit renouveler le certificat.',
  'broker-denied': `${CALL_FR} : son serveur n’admet pas ce boîtier.`,
  'broker-identity-conflict': `${CALL_FR} : un second boîtier porte le nom de celui-ci.`,
  'broker-protocol': `${CALL_FR} : son serveur ne peut pas recevoir ce que le boîtier envoie.`,
  'broker-configuration': `${CALL_FR} : l’adresse ou les fichiers de son serveur sont faux sur cette carte.`,
};

export const SITE_REMEDIES: Readonly<Record<Language, Readonly<Record<Remedy, string>>>> = {
  en: ENGLISH,
  fr: FRENCH,
};

/** Returns the remedy for a condition; one known only to another version has no table entry. */
export function remedyFor(kind: string): Remedy {
  return isToFix(kind) ? kind : 'other';
}

function isToFix(kind: string): kind is ConditionToFix {
  return (REPORT_FORMS as Readonly<Record<string, string>>)[kind] === 'to-fix';
}
