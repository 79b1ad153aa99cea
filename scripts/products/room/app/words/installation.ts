/** Texts about the installation of a camera, in the chosen language. */
import { computed } from '@preact/signals';
import { language } from '../../../../../agent/kit/words.ts';
import { INSTALLATION_EN } from './installation-en.ts';
import { INSTALLATION_FR } from './installation-fr.ts';

export const installationWords = computed(() =>
  language.value === 'fr' ? INSTALLATION_FR : INSTALLATION_EN,
);
