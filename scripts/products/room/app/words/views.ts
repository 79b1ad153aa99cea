/** Texts of the views beside the queue, in the chosen language. */
import { computed } from '@preact/signals';
import { language } from '../../../../../agent/kit/words.ts';
import { VIEWS_EN } from './views-en.ts';
import { VIEWS_FR } from './views-fr.ts';

export const viewWords = computed(() => (language.value === 'fr' ? VIEWS_FR : VIEWS_EN));
