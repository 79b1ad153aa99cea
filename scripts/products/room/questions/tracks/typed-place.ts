/** Parses the typed place of a query: a line, or an area with an action. */

import { wrong } from '../../../../../agent/cli/bad-option.ts';
import { AREA_DEEDS, type TrackPlace } from '../../../../../agent/contract/track-log.ts';

type Point = [number, number];

export interface PlaceOptions {
  readonly line?: string;
  readonly direction?: string;
  readonly area?: string;
  readonly does?: string;
  readonly atLeast?: number;
}

const CORNERS_MAX = 64;
const DIRECTIONS = ['left', 'right', 'both'] as const;

/**
 * Returns the place, or undefined if none is given.
 * @throws {AgentError} `config`, one line
 */
export function placeOf(options: PlaceOptions): TrackPlace | undefined {
  const { line, area } = options;
  if (line !== undefined && area !== undefined)
    throw wrong('--area', 'a question has a line or an area; leave out one');
  const [ownOptions, otherOptions] =
    line === undefined ? [AREA_OPTIONS, LINE_OPTIONS] : [LINE_OPTIONS, AREA_OPTIONS];
  const foreign = (line ?? area) === undefined ? [...ownOptions, ...otherOptions] : otherOptions;
  for (const [name, option, of] of foreign) {
    if (options[name] !== undefined)
      throw wrong(option, `is for ${of} only; name one, or leave ${option} out`);
  }
  if (line !== undefined) return lineOf(line, options);
  return area === undefined ? undefined : areaOf(area, options);
}

const LINE_OPTIONS = [['direction', '--direction', '--line']] as const;
const AREA_OPTIONS = [
  ['does', '--does', '--area'],
  ['atLeast', '--at-least', '--area'],
] as const;

function lineOf(text: string, { direction = 'both' }: PlaceOptions): TrackPlace {
  const numbers = text
    .trim()
    .split(/\s*[,\s]\s*/)
    .map(ratioOf);
  const [x1, y1, x2, y2, ...rest] = numbers;
  if (x1 === undefined || y1 === undefined || x2 === undefined || y2 === undefined || rest.length > 0) {
    throw wrong(
      '--line',
      `"${text.slice(0, 80)}" is not x1,y1,x2,y2, each from 0 to 1, from the top left of the picture`,
    );
  }
  if (x1 === x2 && y1 === y2) throw wrong('--line', 'its two ends are one point; draw them apart');
  const side = DIRECTIONS.find((name) => name === direction);
  if (side === undefined)
    throw wrong('--direction', `"${direction}" must be one of ${DIRECTIONS.join(', ')}`);
  return {
    line: [
      [x1, y1],
      [x2, y2],
    ],
    direction: side,
  };
}

function areaOf(text: string, { does, atLeast }: PlaceOptions): TrackPlace {
  const polygon = text.trim().split(/\s+/).map(pointOf);
  const points = polygon.filter((point): point is Point => point !== undefined);
  if (points.length < polygon.length) {
    throw wrong(
      '--area',
      `"${text.slice(0, 80)}" is not "x,y x,y x,y", each from 0 to 1, from the top left of the picture`,
    );
  }
  if (points.length < 3 || points.length > CORNERS_MAX) {
    throw wrong('--area', `has ${points.length} corners; 3 to ${CORNERS_MAX} are needed`);
  }
  const deed = AREA_DEEDS.find((name) => name === does);
  if (deed === undefined) {
    throw wrong(
      '--does',
      `${does === undefined ? 'is needed with --area' : `"${does}" is not known`}; it must be one of ${AREA_DEEDS.join(', ')}`,
    );
  }
  const hasTime = deed === 'stays' || deed === 'stops';
  if (hasTime && atLeast === undefined)
    throw wrong('--at-least', `is needed with --does ${deed}: how long at least, s`);
  if (!hasTime && atLeast !== undefined)
    throw wrong('--at-least', `is for stays and stops only, not for ${deed}; leave it out`);
  return { polygon: points, does: deed, atLeastS: atLeast ?? 0 };
}

function pointOf(text: string): Point | undefined {
  const [x, y, ...rest] = text.split(',').map(ratioOf);
  return x === undefined || y === undefined || rest.length > 0 ? undefined : [x, y];
}

/** Parses a decimal number from 0 to 1. */
function ratioOf(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?|\.\d+)$/.test(text)) return undefined;
  const value = Number(text);
  return value <= 1 ? value : undefined;
}
