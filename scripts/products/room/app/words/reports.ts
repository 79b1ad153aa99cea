/** Texts of the list of closed incidents and of the week, in the chosen language. */
import { computed } from '@preact/signals';
import { language } from '../../../../../agent/kit/words.ts';
import { REPORTS_EN } from './reports-en.ts';
import { REPORTS_FR } from './reports-fr.ts';

export const reportWords = computed(() => (language.value === 'fr' ? REPORTS_FR : REPORTS_EN));
