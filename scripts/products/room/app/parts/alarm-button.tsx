/** Switch of the alarm in the header, and the line that says that its sound is blocked. */
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import { enableSound, isAlarmOn, isSoundBlocked, showsNotices, switchAlarm } from '../alarm/alarm.ts';
import { may } from '../session.ts';
import { alarmWords } from '../words/alarm.ts';

export function AlarmButton() {
  if (!may('claim')) return null;
  const { on, off, about, soundOnly } = alarmWords.value;
  const isOn = isAlarmOn.value;
  return (
    <button
      type="button"
      class={isOn ? 'small alarm on' : 'small alarm'}
      id="alarm"
      title={isOn && !showsNotices.value ? soundOnly : about}
      onClick={() => void switchAlarm()}
    >
      <svg class="mark" viewBox="0 0 20 20" aria-hidden="true">
        <path d="M4 14.5c1.5-1 1.5-3 1.5-5a4.5 4.5 0 0 1 9 0c0 2 0 4 1.5 5zM8.5 17h3" class="drawn" />
        {!isOn && <path d="M3.5 3.5l13 13" class="drawn" />}
      </svg>
      {isOn ? on : off}
    </button>
  );
}

/** Always in view, because a blocked alarm is silent. */
export function SoundLine() {
  const { blocked, enable } = alarmWords.value;
  return (
    <div aria-live="polite" class="connection">
      {isSoundBlocked.value && (
        <Notice tone="warn">
          {blocked}{' '}
          <Button id="enable-sound" onClick={() => void enableSound()}>
            {enable}
          </Button>
        </Notice>
      )}
    </div>
  );
}
