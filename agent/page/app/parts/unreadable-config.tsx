/**
 * Notice that the installed configuration cannot be read, with the reason and what to do. Until it was read once, a
 * screen that works on it would show an empty box.
 */
import { Notice } from '../../../kit/controls.tsx';
import { CONFIGURATION_SCREENS, type Screen } from '../screens.ts';
import { isConfigUnreadable, page, wasConfigRead } from '../store.ts';
import { words } from '../words/words.ts';
import { Detail } from './detail.tsx';

/** True if the notice replaces the screen. */
export function lacksConfiguration(screen: Screen): boolean {
  return isConfigUnreadable.value && !wasConfigRead.value && CONFIGURATION_SCREENS.includes(screen);
}

export function UnreadableConfig({ screen }: { readonly screen: Screen }) {
  if (!isConfigUnreadable.value || !CONFIGURATION_SCREENS.includes(screen)) return null;
  const { configUnavailable, configFix } = words.value;
  return (
    <Notice tone="bad">
      <strong id="unreadable-config">{configUnavailable}</strong>
      <Detail text={page.value?.configReason} />
      <p>{configFix}</p>
    </Notice>
  );
}
