/** Controls of the replay. The main ones have a key, which they show. */
import type { ComponentChildren } from 'preact';
import { useKeys } from '../keys.ts';
import { count } from '../views/view-texts.ts';
import { trackWords } from '../words/tracks.ts';
import {
  batch,
  isPlaying,
  isTogether,
  SPEEDS,
  setSpeed,
  speed,
  step,
  togglePlay,
  toggleTogether,
  tracks,
  withHeat,
  withPaths,
} from './player.ts';
import { ReplayClock } from './replay-canvas.tsx';

export function Controls() {
  const { replay } = trackWords.value;
  const toggleHeat = (): void => {
    withHeat.value = !withHeat.value;
  };
  useKeys({
    ' ': togglePlay,
    ArrowLeft: () => step('previous'),
    ArrowRight: () => step('next'),
    t: toggleTogether,
    h: toggleHeat,
  });
  const has = tracks.value.length > 0;
  const first = batch.value[0]?.index ?? 0;
  return (
    <section class="t-controls" aria-label={replay.title}>
      <div class="t-group">
        <Tool label={replay.previous} shortcut="ArrowLeft" onPress={() => step('previous')} isOff={!has}>
          <path d="M17 3v14l-9-7zM4 3h2v14h-2z" />
        </Tool>
        <Tool
          label={isPlaying.value ? replay.pause : replay.play}
          shortcut="Space"
          onPress={togglePlay}
          isMain
        >
          <path d={isPlaying.value ? 'M4 3h4.5v14H4zM11.500 3H16v14h-4.500z' : 'M5 2.500v15l12-7.500z'} />
        </Tool>
        <Tool label={replay.next} shortcut="ArrowRight" onPress={() => step('next')} isOff={!has}>
          <path d="M3 3v14l9-7zM14 3h2v14h-2z" />
        </Tool>
      </div>
      <fieldset class="t-joined" aria-label={replay.speed}>
        {SPEEDS.map((one) => (
          <button
            key={one}
            type="button"
            class="button d-small"
            aria-pressed={speed.value === one}
            onClick={() => setSpeed(one)}
          >
            {replay.times(one)}
          </button>
        ))}
      </fieldset>
      <div class="t-group">
        <Toggle
          text={replay.together}
          shortcut="t"
          isOn={isTogether.value}
          onPress={toggleTogether}
          isOff={!has}
        />
        <Toggle text={replay.heat} shortcut="h" isOn={withHeat.value} onPress={toggleHeat} isOff={!has} />
        <Toggle
          text={replay.paths}
          isOn={withPaths.value}
          isOff={!has}
          onPress={() => {
            withPaths.value = !withPaths.value;
          }}
        />
      </div>
      {isTogether.value && (
        <p class="quiet t-batch">
          {replay.togetherOf(first + 1, first + batch.value.length, count(tracks.value.length))}
        </p>
      )}
      <ReplayClock />
    </section>
  );
}

interface ToolProps {
  readonly label: string;
  readonly shortcut: string;
  readonly onPress: () => void;
  readonly isMain?: boolean;
  readonly isOff?: boolean;
  readonly children: ComponentChildren;
}

function Tool({ label, shortcut, onPress, isMain = false, isOff = false, children }: ToolProps) {
  return (
    <button
      type="button"
      class={`button t-tool${isMain ? ' main' : ''}`}
      aria-label={label}
      aria-keyshortcuts={shortcut}
      title={label}
      disabled={isOff}
      onClick={onPress}
    >
      <svg viewBox="0 0 20 20" aria-hidden="true">
        {children}
      </svg>
    </button>
  );
}

interface ToggleProps {
  readonly text: string;
  readonly shortcut?: string;
  readonly isOn: boolean;
  readonly isOff: boolean;
  readonly onPress: () => void;
}

function Toggle({ text, shortcut, isOn, isOff, onPress }: ToggleProps) {
  return (
    <button
      type="button"
      class="button d-small t-toggle"
      aria-pressed={isOn}
      aria-keyshortcuts={shortcut}
      disabled={isOff}
      onClick={onPress}
    >
      {text}
      {shortcut !== undefined && (
        <span aria-hidden="true" class="kbd">
          {shortcut}
        </span>
      )}
    </button>
  );
}
