/** Texts of the views beside the queue, in the chosen language. */
import { computed } from '@preact/signals';
import { language } from '../../../../../agent/kit/words.ts';
import { DESK_EN } from './desk-en.ts';
import { DESK_FR } from './desk-fr.ts';

export const desk = computed(() => (language.value === 'fr' ? DESK_FR : DESK_EN));
