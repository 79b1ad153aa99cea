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
  /** Installation authorisation, by its number. */
  underInstallation(order: string): string;
  validUntil(subject: string, time: string): string;
  readonly boxCertificate: string;
  readonly caCertificate: string;
  /** State of camera and detector while no analysis runs. */
  off(mode: string): string;
  readonly cameraOpening: string;
  noPicture(state: string): string;
  analysis(fps: number, analysed: number, droppedFrames: number): string;
  readonly keyFramesAlone: string;
  readonly decodedInFull: string;
  rests(rests: number, idleWakings: number): string;
  detector(model: string, provider: string): string;
  /** An accelerator has time for a larger input. */
  largerInput(size: string): string;
  /** Differs from the configured one; the reason follows. */
  detectorInstead(model: string, provider: string): string;
  readonly detectorLoading: string;
  readonly detectorMissing: string;
  incidents(openCount: number, episodes: number, events: number): string;
  activeSince(time: string): string;
  previewSince(time: string): string;
  outbox(alerts: number, rest: number, kb: number, onDisk: boolean): string;
  unacknowledged(time: string): string;
  lostMessages(count: number): string;
  tooLarge(count: number): string;
  readonly noBroker: string;
  phaseSince(phase: string, time: string): string;
  readonly clockSet: string;
  readonly clockNotSet: string;
  readonly noJournal: string;
  journal(entries: number, head: string): string;
  missed(count: number): string;
  disk(freeMiB: number, percent: number): string;
  readonly noHeat: string;
  /**
   * Heights below which a tenth and half of the people stay, in percent of the frame's height, and the first in pixels
   * of the input.
   */
  viewHeights(tenthPercent: number, halfPercent: number, tenthPx: number): string;
  /** 90th percentile of the movement between two detector runs, in lengths. */
  viewSteps(lengths: number): string;
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
  underInstallation: (order) => `under the installation authorisation ${order}: no rule runs`,
  validUntil: (subject, time) => `${subject} until ${time}`,
  boxCertificate: 'the box’s',
  caCertificate: 'the broker’s authority’s',
  off: (mode) => `off while the box is ${mode}`,
  cameraOpening: 'is being opened',
  noPicture: (state) => `no picture (${state})`,
  analysis: (fps, analysed, droppedFrames) => `${fps} fps, ${analysed} frames, ${droppedFrames} dropped`,
  keyFramesAlone: 'key frames alone are decoded',
  decodedInFull: 'decoded in full',
  rests: (rests, idleWakings) =>
    `${rests} ${rests === 1 ? 'rest' : 'rests'}, ${idleWakings} ended without motion`,
  detector: (model, provider) => `${model} on ${provider}`,
  largerInput: (size) => `; it has time for input ${size}, which finds more of the distant people`,
  detectorInstead: (model, provider) => `${model} runs on ${provider}`,
  detectorLoading: 'is being loaded',
  detectorMissing: 'not loaded: the detector is off',
  incidents: (openCount, episodes, events) =>
    `${openCount} open, ${episodes} since the start, ${events} events`,
  activeSince: (time) => `since ${time}`,
  previewSince: (time) => `a technician has been viewing redacted pictures since ${time}`,
  outbox: (alerts, rest, kb, onDisk) =>
    `${alerts} + ${rest} wait (alerts + rest), ${kb} kB, ${onDisk ? 'on disk' : 'IN MEMORY'}`,
  unacknowledged: (time) => `no archive has acknowledged anything for ${time}`,
  lostMessages: (count) => `${count} lost`,
  tooLarge: (count) => `${count} too large for the broker`,
  noBroker: 'none is configured',
  phaseSince: (phase, time) => `${phase} since ${time}`,
  clockSet: 'set by the network',
  clockNotSet: 'not set by the network',
  noJournal: 'there is none',
  journal: (entries, head) => `${entries} entries, head ${head}`,
  missed: (count) => `${count} missed`,
  disk: (freeMiB, percent) => `${freeMiB} MiB free (${percent} %)`,
  noHeat: 'the board shows none',
  viewHeights: (tenth, half, px) =>
    `a tenth of the people are below ${tenth} % of the frame’s height (${px} px for the detector), half below ${half} %`,
  viewSteps: (lengths) =>
    `nine of ten things move by less than ${lengths} of their length between two detector runs`,
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
  underInstallation: (order) => `sous l’arrêté d’installation ${order} : aucune règle n’est active`,
  validUntil: (subject, time) => `${subject} jusqu’au ${time}`,
  boxCertificate: 'celui du boîtier',
  caCertificate: 'celui de l’autorité du serveur MQTT',
  off: (mode) => `à l’arrêt tant que le boîtier est ${mode}`,
  cameraOpening: 'en cours d’ouverture',
  noPicture: (state) => `pas d’image (${state})`,
  analysis: (fps, analysed, droppedFrames) =>
    `${decimal(fps)} images/s, ${analysed} analysées, ${droppedFrames} abandonnées`,
  keyFramesAlone: 'seules les images clés sont décodées',
  decodedInFull: 'décodé en entier',
  rests: (rests, idleWakings) => `${rests} repos, dont ${idleWakings} terminés sans mouvement`,
  detector: (model, provider) => `${model} sur ${provider}`,
  largerInput: (size) =>
    ` ; il reste du temps pour une entrée de ${size}, qui détecte mieux les personnes éloignées`,
  detectorInstead: (model, provider) => `${model} tourne sur ${provider}`,
  detectorLoading: 'en cours de chargement',
  detectorMissing: 'non chargé : rien n’est détecté',
  incidents: (openCount, episodes, events) =>
    `${openCount} en cours, ${episodes} depuis le démarrage, ${events} événements`,
  activeSince: (time) => `depuis ${time}`,
  previewSince: (time) => `un technicien regarde des images caviardées depuis ${time}`,
  outbox: (alerts, rest, kb, onDisk) =>
    `${alerts} + ${rest} en attente (alertes + reste), ${kb} ko, ${onDisk ? 'sur disque' : 'EN MÉMOIRE'}`,
  unacknowledged: (time) => `aucune archive n’a rien acquitté depuis ${time}`,
  lostMessages: (count) => `${count} perdus`,
  tooLarge: (count) => `${count} trop grands pour le serveur MQTT`,
  noBroker: 'aucun n’est configuré',
  phaseSince: (phase, time) => `${phase} depuis ${time}`,
  clockSet: 'réglée par le réseau',
  clockNotSet: 'non réglée par le réseau',
  noJournal: 'il n’y en a pas',
  journal: (entries, head) => `${entries} inscriptions, tête ${head}`,
  missed: (count) => `${count} manquées`,
  disk: (freeMiB, percent) => `${freeMiB} Mio libres (${percent} %)`,
  noHeat: 'la carte n’en indique pas',
  viewHeights: (tenth, half, px) =>
    `un dixième des personnes sont sous ${tenth} % de la hauteur de l’image (${px} px pour le détecteur), la moitié sous ${half} %`,
  viewSteps: (lengths) =>
    `neuf objets sur dix avancent de moins de ${lengths} de leur longueur entre deux regards`,
  memory: (visionMiB, agentMiB) =>
    `${visionMiB === undefined ? 'pas de vision' : `vision ${visionMiB} Mio`}, agent ${agentMiB} Mio`,
  days: 'jours',
};

export const FINDING_TEXTS: Readonly<Record<Language, FindingTexts>> = { en: ENGLISH, fr: FRENCH };

const decimal = (value: number): string => String(value).replace('.', ',');
