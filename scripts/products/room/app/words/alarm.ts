/** Texts of the alarm and of the map beside the queue, in the chosen language. */
import { computed } from '@preact/signals';
import { language } from '../../../../../agent/kit/words.ts';

const EN = {
  on: 'Alarm on',
  off: 'Alarm off',
  about: 'Sound and desktop notification for new alerts of priority 1',
  soundOnly: 'Sound for new alerts of priority 1; this browser shows no notification',
  noNotices: 'Sound only: the browser blocks notifications of this page. Its settings can allow them.',
  blocked: 'The browser blocks the sound of the alarm.',
  enable: 'Enable sound',
  deafTitle: 'No new alerts arrive',
  deaf: 'Log in again, or check the connection.',
  map: 'Map',
  mapKey: 'show or hide the map; with an open incident, map instead of the picture',
  mapOf: 'Map of the open incidents',
  hint: 'Click a camera to select its line; Enter opens it.',
  unplaced: (count: number) =>
    count === 1 ? '1 open alert is not on the map.' : `${count} open alerts are not on the map.`,
};

const FR: typeof EN = {
  on: 'Alarme activée',
  off: 'Alarme coupée',
  about: 'Son et notification pour les nouvelles alertes de priorité 1',
  soundOnly: 'Son pour les nouvelles alertes de priorité 1 ; ce navigateur n’affiche pas de notification',
  noNotices:
    'Son seulement : le navigateur bloque les notifications de cette page. Ses réglages peuvent les autoriser.',
  blocked: 'Le navigateur bloque le son de l’alarme.',
  enable: 'Activer le son',
  deafTitle: 'Plus aucune alerte n’arrive',
  deaf: 'Reconnectez-vous, ou vérifiez la connexion.',
  map: 'Carte',
  mapKey: 'afficher ou masquer la carte ; signalement ouvert : carte à la place de l’image',
  mapOf: 'Carte des signalements ouverts',
  hint: 'Cliquez une caméra pour sélectionner sa ligne ; Entrée l’ouvre.',
  unplaced: (count) =>
    count <= 1
      ? `${count} alerte ouverte n’est pas sur la carte.`
      : `${count} alertes ouvertes ne sont pas sur la carte.`,
};

export const alarmWords = computed(() => (language.value === 'fr' ? FR : EN));
