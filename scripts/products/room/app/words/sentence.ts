/** Describes an incident in one sentence of the chosen language, from the cause that the box gives. */
import { trackName } from '../../../../../agent/contract/track-name.ts';
import type { Incident } from '../../contract/incident.ts';
import type { CauseTexts, Subject } from './cause.ts';
import type { Words } from './en.ts';
import { plain } from './plain.ts';

type About = Pick<Incident, 'kind' | 'place' | 'objects' | 'cause' | 'endedAt'>;

/** Returns the name of a kind; an unknown kind is shown as its raw name. */
export function kindText(kind: string, words: Words): string {
  return own(words.kinds, kind) ?? plain(kind);
}

export function isKnown(kind: string, words: Words): boolean {
  return own(words.kinds, kind) !== undefined;
}

export function sentence({ kind, place, objects, cause, endedAt }: About, words: Words): string {
  const subject = subjectOf(objects, words);
  const placeName = placeText(place, words);
  const phrase = own(words.causes, kind)?.(subject, placeName, causeTextsOf(cause, endedAt !== null, words));
  const text = phrase ?? words.unknownCause(subject.text, placeName);
  const reason = phrase === undefined ? textOf(cause['reason']) : '';
  const unobservedS = cause['unobservedS'];
  const gap = typeof unobservedS === 'number' ? words.unobserved(lasting(unobservedS, words)) : '';
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${reason && `: ${reason}`}${gap}.`;
}

/** Formats a place: `zone/square` → zone square. */
export function placeText(place: string, words: Words): string {
  const at = place.indexOf('/');
  const sort = at < 0 ? place : place.slice(0, at);
  const name = at < 0 ? '' : ` ${place.slice(at + 1)}`;
  return plain(`${own(words.placeKinds, sort) ?? sort}${name}`);
}

/** Formats a duration: 45 s, 3 min, 2 h 5 min. */
export function lasting(seconds: number, { units }: Words): string {
  const roundedS = Math.max(0, Math.round(seconds));
  if (roundedS < 120) return `${roundedS} ${units.s}`;
  const minutes = Math.round(roundedS / 60);
  if (minutes < 60) return `${minutes} ${units.min}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} ${units.h}${minutes % 60 === 0 ? '' : ` ${minutes % 60} ${units.min}`}`;
  return `${Math.round(hours / 24)} ${units.d}`;
}

/** Formats an age for a column: 0:45, 12:03, 2 h 05, 3 d. */
export function age(ms: number, { units }: Words): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  const h = Math.floor(s / 3600);
  return h < 48 ? `${h} ${units.h} ${two(Math.floor(s / 60) % 60)}` : `${Math.floor(h / 24)} ${units.d}`;
}

function subjectOf(objects: About['objects'], words: Words): Subject {
  const [first] = objects;
  if (first === undefined) return { text: words.nobody, isPlural: false };
  const counts = new Map<string, number>();
  for (const { label } of objects) counts.set(label, (counts.get(label) ?? 0) + 1);
  const parts = [...counts].map(([label, count]) => {
    const [one, several] = own(words.labels, label) ?? [plain(label), plain(label)];
    return count === 1 ? one : `${count} ${several}`;
  });
  // The picture shows the same number next to the figure.
  const name = objects.length === 1 ? ` ${trackName(first.track)}` : '';
  return { text: `${parts.join(', ')}${name}`, isPlural: objects.length > 1 };
}

function causeTextsOf(cause: About['cause'], isOver: boolean, words: Words): CauseTexts {
  const time = (name: string): string => {
    const value = cause[name];
    return typeof value === 'number' ? lasting(value, words) : '';
  };
  return {
    stayed: time('dwellS'),
    stood: time('stationaryS'),
    unattended: time('unattendedS'),
    nearby: time('nearbyS'),
    direction: textOf(cause['direction']),
    presence: textOf(cause['presence']),
    isOver,
    count: typeof cause['count'] === 'number' ? String(cause['count']) : '',
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? plain(value) : '';
}

/** Ignores inherited members, because a box may send a word such as "constructor". */
function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
