/** Texts of the tracks screen, in the chosen language. */
import { computed } from '@preact/signals';
import { language } from '../../../../../agent/kit/words.ts';
import { TRACKS_EN } from './tracks-en.ts';
import { TRACKS_FR } from './tracks-fr.ts';

export const trackWords = computed(() => (language.value === 'fr' ? TRACKS_FR : TRACKS_EN));
