/**
 * Texts of the findings, in English for the terminal and in both languages for the technician's page. Reasons from
 * other sources (camera, broker, an authorisation) keep their original words.
 */
import type { CameraReport, DeliveryState } from '../contract/health.ts';
import type { Mode } from '../contract/mode.ts';

export type Language = 'en' | 'fr';

export interface FindingTexts {
  readonly modes: Readonly<Record<Mode, string>>;
  readonly cameraStates: Readonly<Record<CameraReport['state'], string>>;
  readonly phases: Readonly<Record<DeliveryState['phase'], string>>;
  readonly unknown: string;
  mode(mode: string, up: string, version: string): string;
  readonly modeFix: string;
  /** Installation authorisation, by its number. */
  underInstallation(order: string): string;
  readonly installationFix: string;
  validUntil(subject: string, time: string): string;
  readonly authorisationFix: string;
  readonly boxCertificate: string;
  readonly caCertificate: string;
  readonly certificateFix: string;
  /** State of camera and detector while no analysis runs. */
  off(mode: string): string;
  readonly cameraOpening: string;
  noPicture(state: string): string;
  readonly cameraFix: string;
  analysis(fps: number, analysed: number, droppedFrames: number): string;
  readonly analysisFix: string;
  readonly keyFramesAlone: string;
  readonly decodedInFull: string;
  rests(rests: number, idleWakings: number): string;
  detector(model: string, provider: string): string;
  /** Differs from the configured one; the reason follows. */
  detectorInstead(model: string, provider: string): string;
  readonly detectorLoading: string;
  readonly detectorMissing: string;
  readonly doctor: string;
  incidents(openCount: number, episodes: number, events: number): string;
  activeSince(time: string): string;
  previewSince(time: string): string;
  outbox(alerts: number, rest: number, kb: number, onDisk: boolean): string;
  unacknowledged(time: string): string;
  lostMessages(count: number): string;
  tooLarge(count: number): string;
  readonly outboxMemoryFix: string;
  readonly outboxUnacknowledgedFix: string;
  readonly outboxLostFix: string;
  readonly outboxTooLargeFix: string;
  readonly noBroker: string;
  phaseSince(phase: string, time: string): string;
  readonly clockSet: string;
  readonly clockNotSet: string;
  readonly clockFix: string;
  readonly noJournal: string;
  readonly noJournalFix: string;
  journal(entries: number, head: string): string;
  missed(count: number): string;
  readonly journalFix: string;
  disk(freeMiB: number, percent: number): string;
  diskFix(neededMiB: number): string;
  readonly noHeat: string;
  readonly heatFix: string;
  /**
   * Heights below which a tenth and half of the people stay, in percent of the frame's height, and the first in pixels
   * of the input.
   */
  viewHeights(tenthPercent: number, halfPercent: number, tenthPx: number): string;
  /** 90th percentile of the movement between two detector runs, in lengths. */
  viewSteps(lengths: number): string;
  viewSmall(widthPx: number, heightPx: number): string;
  readonly viewTall: string;
  viewFast(fps: number): string;
  /** Undefined: there is no vision process. */
  memory(visionMiB: number | undefined, agentMiB: number): string;
  readonly days: string;
}

const ENGLISH: FindingTexts = {
  modes: { active: 'active', suspended: 'suspended', unauthorised: 'unauthorised' },
  cameraStates: { off: 'off', opening: 'opening', streaming: 'streaming', lost: 'lost' },
  phases: { stopped: 'stopped', connecting: 'connecting', online: 'online', waiting: 'waiting' },
  unknown: 'unknown',
  mode: (mode, up, version) => `${mode}, up for ${up}, version ${version}`,
  modeFix: 'the box watches nothing until it has a valid authorisation',
  underInstallation: (order) => `under the installation authorisation ${order}: no rule runs`,
  installationFix: 'install the authorisation (`authorisation`) before this one expires',
  validUntil: (subject, time) => `${subject} until ${time}`,
  authorisationFix: 'ask the authority for the next authorisation; docs/guide/authorisation.md, Renewal',
  boxCertificate: 'the box’s',
  caCertificate: 'the broker’s authority’s',
  certificateFix: 'renew it; docs/guide/operations.md, certificate-expiring',
  off: (mode) => `off while the box is ${mode}`,
  cameraOpening: 'is being opened',
  noPicture: (state) => `no picture (${state})`,
  cameraFix: 'check its power, cable and address; sudo -u vigie vigie doctor tests it and explains more',
  analysis: (fps, analysed, droppedFrames) => `${fps} fps, ${analysed} frames, ${droppedFrames} dropped`,
  keyFramesAlone: 'key frames alone are decoded',
  decodedInFull: 'decoded in full',
  rests: (rests, idleWakings) =>
    `${rests} ${rests === 1 ? 'rest' : 'rests'}, ${idleWakings} ended without motion`,
  analysisFix: 'journalctl -u vigie-vision says why no frame comes through',
  detector: (model, provider) => `${model} on ${provider}`,
  detectorInstead: (model, provider) => `${model} runs on ${provider}`,
  detectorLoading: 'is being loaded',
  detectorMissing: 'not loaded: the detector is off',
  doctor: 'sudo -u vigie vigie doctor tests it and explains more',
  incidents: (openCount, episodes, events) =>
    `${openCount} open, ${episodes} since the start, ${events} events`,
  activeSince: (time) => `since ${time}`,
  previewSince: (time) => `a technician has been viewing redacted pictures since ${time}`,
  outbox: (alerts, rest, kb, onDisk) =>
    `${alerts} + ${rest} wait (alerts + rest), ${kb} kB, ${onDisk ? 'on disk' : 'IN MEMORY'}`,
  unacknowledged: (time) => `no archive has acknowledged anything for ${time}`,
  lostMessages: (count) => `${count} lost`,
  tooLarge: (count) => `${count} too large for the broker`,
  outboxMemoryFix: 'the disk refuses writes: replace the card, or make room on it',
  outboxUnacknowledgedFix:
    'run an archive in the room (docs/guide/room.md), or set mqtt.ack: broker where none is to run',
  outboxLostFix: 'it was full because the broker was unavailable for too long; restore the connection',
  outboxTooLargeFix: 'allow messages of 300000 bytes at the broker (Mosquitto: max_packet_size)',
  noBroker: 'none is configured',
  phaseSince: (phase, time) => `${phase} since ${time}`,
  clockSet: 'set by the network',
  clockNotSet: 'not set by the network',
  clockFix: 'sudo timedatectl set-ntp true, and let NTP out (UDP 123)',
  noJournal: 'there is none',
  noJournalFix: 'journalctl -u vigie says why',
  journal: (entries, head) => `${entries} entries, head ${head}`,
  missed: (count) => `${count} missed`,
  journalFix: 'the disk refused writes; see docs/guide/journal.md',
  disk: (freeMiB, percent) => `${freeMiB} MiB free (${percent} %)`,
  diskFix: (neededMiB) => `make room: ${neededMiB} MiB are needed for outbox and archive`,
  noHeat: 'the board shows none',
  heatFix: 'shade the box, clear its vents, or lower camera.fps',
  viewHeights: (tenth, half, px) =>
    `a tenth of the people are below ${tenth} % of the frame’s height (${px} px for the detector), half below ${half} %`,
  viewSteps: (lengths) =>
    `nine of ten things move by less than ${lengths} of their length between two detector runs`,
  viewSmall: (width, height) =>
    `set detector.input: [${width}, ${height}]: people this small are missed otherwise`,
  viewTall: 'set detector.input: [416, 256]: a larger input misses more of the people this close',
  viewFast: (fps) => `set camera.fps: ${fps}: objects this fast are lost between two detector runs`,
  memory: (visionMiB, agentMiB) =>
    `${visionMiB === undefined ? 'no vision' : `vision ${visionMiB} MiB`}, agent ${agentMiB} MiB`,
  days: 'days',
};

const FRENCH: FindingTexts = {
  modes: { active: 'en marche', suspended: 'suspendu', unauthorised: 'sans autorisation' },
  cameraStates: { off: 'éteinte', opening: 'ouverture en cours', streaming: 'en images', lost: 'perdue' },
  phases: { stopped: 'arrêté', connecting: 'connexion en cours', online: 'connecté', waiting: 'en attente' },
  unknown: 'inconnue',
  mode: (mode, up, version) => `${mode}, démarré depuis ${up}, version ${version}`,
  modeFix: 'le boîtier ne regarde rien tant qu’il n’a pas d’autorisation valable',
  underInstallation: (order) => `sous le permis d’installation ${order} : aucune règle ne tourne`,
  installationFix: 'mettre l’arrêté en place (`authorisation`) avant la fin du permis',
  validUntil: (subject, time) => `${subject} jusqu’au ${time}`,
  authorisationFix: 'demander l’arrêté suivant à l’autorité ; docs/guide/authorisation.md, Renewal',
  boxCertificate: 'celui du boîtier',
  caCertificate: 'celui de l’autorité du serveur MQTT',
  certificateFix: 'le renouveler ; docs/guide/operations.md, certificate-expiring',
  off: (mode) => `à l’arrêt tant que le boîtier est ${mode}`,
  cameraOpening: 'en cours d’ouverture',
  noPicture: (state) => `pas d’image (${state})`,
  cameraFix:
    'vérifier son alimentation, son câble et son adresse ; sudo -u vigie vigie doctor l’essaie et en dit plus',
  analysis: (fps, analysed, droppedFrames) =>
    `${decimal(fps)} images/s, ${analysed} analysées, ${droppedFrames} abandonnées`,
  keyFramesAlone: 'seules les images clés sont décodées',
  decodedInFull: 'décodé en entier',
  rests: (rests, idleWakings) => `${rests} repos, dont ${idleWakings} terminés sans mouvement`,
  analysisFix: 'journalctl -u vigie-vision dit pourquoi aucune image n’arrive',
  detector: (model, provider) => `${model} sur ${provider}`,
  detectorInstead: (model, provider) => `${model} tourne sur ${provider}`,
  detectorLoading: 'en cours de chargement',
  detectorMissing: 'non chargé : rien n’est détecté',
  doctor: 'sudo -u vigie vigie doctor l’essaie et en dit plus',
  incidents: (openCount, episodes, events) =>
    `${openCount} en cours, ${episodes} depuis le démarrage, ${events} événements`,
  activeSince: (time) => `depuis ${time}`,
  previewSince: (time) => `un technicien regarde des images caviardées depuis ${time}`,
  outbox: (alerts, rest, kb, onDisk) =>
    `${alerts} + ${rest} en attente (alertes + reste), ${kb} ko, ${onDisk ? 'sur disque' : 'EN MÉMOIRE'}`,
  unacknowledged: (time) => `aucune archive n’a rien acquitté depuis ${time}`,
  lostMessages: (count) => `${count} perdus`,
  tooLarge: (count) => `${count} trop grands pour le serveur MQTT`,
  outboxMemoryFix: 'le disque refuse l’écriture : remplacer la carte, ou y faire de la place',
  outboxUnacknowledgedFix:
    'faire tourner une archive côté salle (docs/guide/room.md), ou mettre mqtt.ack: broker s’il ne doit pas y en avoir',
  outboxLostFix: 'elle était pleine : le serveur MQTT est resté longtemps absent, y remédier',
  outboxTooLargeFix: 'autoriser des messages de 300000 octets au serveur (Mosquitto : max_packet_size)',
  noBroker: 'aucun n’est configuré',
  phaseSince: (phase, time) => `${phase} depuis ${time}`,
  clockSet: 'réglée par le réseau',
  clockNotSet: 'non réglée par le réseau',
  clockFix: 'sudo timedatectl set-ntp true, et laisser sortir NTP (UDP 123)',
  noJournal: 'il n’y en a pas',
  noJournalFix: 'journalctl -u vigie dit pourquoi',
  journal: (entries, head) => `${entries} inscriptions, tête ${head}`,
  missed: (count) => `${count} manquées`,
  journalFix: 'le disque a refusé l’écriture ; voir docs/guide/journal.md',
  disk: (freeMiB, percent) => `${freeMiB} Mio libres (${percent} %)`,
  diskFix: (neededMiB) => `faire de la place : il faut ${neededMiB} Mio pour la file d’envoi et l’archive`,
  noHeat: 'la carte n’en indique pas',
  heatFix: 'mettre le boîtier à l’ombre, dégager ses aérations, ou baisser camera.fps',
  viewHeights: (tenth, half, px) =>
    `un dixième des personnes sont sous ${tenth} % de la hauteur de l’image (${px} px pour le détecteur), la moitié sous ${half} %`,
  viewSteps: (lengths) =>
    `neuf objets sur dix avancent de moins de ${lengths} de leur longueur entre deux regards`,
  viewSmall: (width, height) =>
    `mettre detector.input: [${width}, ${height}] : des personnes si petites sont manquées sinon`,
  viewTall:
    'mettre detector.input: [416, 256] : une entrée plus grande manque davantage de personnes si proches',
  viewFast: (fps) => `mettre camera.fps: ${fps} : ce qui va si vite se perd entre deux regards`,
  memory: (visionMiB, agentMiB) =>
    `${visionMiB === undefined ? 'pas de vision' : `vision ${visionMiB} Mio`}, agent ${agentMiB} Mio`,
  days: 'jours',
};

export const FINDING_TEXTS: Readonly<Record<Language, FindingTexts>> = { en: ENGLISH, fr: FRENCH };

const decimal = (value: number): string => String(value).replace('.', ',');
