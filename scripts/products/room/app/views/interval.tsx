/** Input fields for an interval, in the room's time zone. */
import { useSignal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { nowMs, session } from '../session.ts';
import { viewWords } from '../words/views.ts';
import { wallMs, wallTime } from './zone.ts';

export interface Interval {
  /** ISO 8601, UTC. */
  readonly from: string;
  readonly to: string;
}

const HOUR_MS = 3600_000;

/**
 * Returns the interval of the last `hours` hours, to the minute. It ends with the present minute, or with `isPast` before
 * it.
 */
export function lastHours(hours: number, isPast = false): Interval {
  const minutes = nowMs() / 60_000;
  const to = (isPast ? Math.floor(minutes) : Math.ceil(minutes)) * 60_000;
  return { from: new Date(to - hours * HOUR_MS).toISOString(), to: new Date(to).toISOString() };
}

/** Formats the interval as a query string. */
export function queryOf({ from, to }: Interval): string {
  return `from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`;
}

interface Props {
  readonly value: Interval;
  /** Called with valid intervals only. */
  readonly onChange: (interval: Interval) => void;
  /** Preset durations in hours. */
  readonly presets: readonly number[];
  /** True if the interval must not end in the future, as a box requires of a question. */
  readonly isPast?: boolean;
}

export function IntervalFields({ value, onChange, presets, isPast = false }: Props) {
  const { interval } = viewWords.value;
  const zone = session.value?.timeZone ?? 'UTC';
  const typed = useSignal<Partial<Interval>>({});
  const problem = useSignal<string | undefined>(undefined);
  const id = useId();
  const take = (end: 'from' | 'to', wall: string) => {
    typed.value = { ...typed.value, [end]: wall };
    const walls = { from: wallTime(Date.parse(value.from), zone), to: wallTime(Date.parse(value.to), zone) };
    const { from, to } = { ...walls, ...typed.value };
    const [fromMs, toMs] = [wallMs(from, zone), wallMs(to, zone)];
    if (fromMs === undefined || toMs === undefined) {
      problem.value = interval.missing;
    } else if (toMs <= fromMs) {
      problem.value = interval.bad;
    } else if (isPast && toMs > nowMs()) {
      problem.value = interval.ahead;
    } else {
      problem.value = undefined;
      typed.value = {};
      onChange({ from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() });
    }
  };
  const field = (end: 'from' | 'to') => (
    <div class="field">
      <label for={`${id}-${end}`}>{interval[end]}</label>
      <input
        id={`${id}-${end}`}
        name={end}
        type="datetime-local"
        value={typed.value[end] ?? wallTime(Date.parse(value[end]), zone)}
        aria-invalid={problem.value !== undefined}
        aria-describedby={`${id}-told`}
        onChange={(event) => take(end, event.currentTarget.value)}
      />
    </div>
  );
  return (
    <div class="d-interval">
      {field('from')}
      {field('to')}
      <div class="d-presets">
        <span class="quiet">{interval.last}</span>
        {presets.map((hours) => (
          <button
            key={hours}
            type="button"
            class="button d-small"
            onClick={() => {
              problem.value = undefined;
              typed.value = {};
              onChange(lastHours(hours, isPast));
            }}
          >
            {hours < 48 ? interval.lastHours(hours) : interval.lastDays(hours / 24)}
          </button>
        ))}
      </div>
      <p id={`${id}-told`} class={problem.value === undefined ? 'hint' : 'fault'}>
        {problem.value ?? interval.zone(zone)}
      </p>
    </div>
  );
}
