/** The words of the screen of tracks, in the language that is chosen. */
import { computed } from '@preact/signals';
import { language } from '../../../../../agent/kit/words.ts';
import { TRACKS_EN } from './tracks-en.ts';
import { TRACKS_FR } from './tracks-fr.ts';

export const trackWords = computed(() => (language.value === 'fr' ? TRACKS_FR : TRACKS_EN));
