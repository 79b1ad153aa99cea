/**
 * Builds the room's map from a GeoJSON file of any origin. Invalid coordinates and unsupported shapes are skipped and
 * counted. A file that would keep the browser busy for seconds is refused.
 */

/** Enough for a large city with 15,000 streets. */
const FEATURES_MAX = 20_000;
/** Enough for 15,000 streets of 20 points, and as many again. */
const POINTS_MAX = 400_000;
/** Names on the map; more would overlap. */
const NAMES_MAX = 200;
const NAME_CHARS_MAX = 40;
/** Width of the drawing in its own units. A tenth of a unit is less than a pixel on every screen. */
export const WIDTH = 1000;
/** Minimum extent in degrees, about the length of a street, for a map of a single point. */
const EXTENT_MIN = 0.002;

type LonLat = readonly [lon: number, lat: number];

interface Place {
  readonly x: number;
  readonly y: number;
}
export interface MapCamera extends Place {
  readonly key: string;
}
export interface MapName extends Place {
  readonly name: string;
}

export interface CityMap {
  readonly width: number;
  readonly height: number;
  /** One path for all shapes of a kind, so that a street is not a separate node. */
  readonly lines: string;
  readonly areas: string;
  readonly cameras: readonly MapCamera[];
  readonly names: readonly MapName[];
  readonly skipped: number;
}
export type MapProblem = 'not-a-collection' | 'too-many' | 'empty';

interface MapContent {
  readonly lines: LonLat[][];
  readonly areas: LonLat[][];
  readonly cameras: { at: LonLat; key: string }[];
  readonly names: { at: LonLat; name: string }[];
  points: number;
  skipped: number;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function lonLat(value: unknown): LonLat | undefined {
  if (!Array.isArray(value)) return undefined;
  const [lon, lat] = value as unknown[];
  if (typeof lon !== 'number' || typeof lat !== 'number') return undefined;
  // The comparison also rejects NaN.
  return Math.abs(lon) <= 180 && Math.abs(lat) <= 90 ? [lon, lat] : undefined;
}

/** Returns undefined if a point is invalid or there are fewer than two. */
function places(value: unknown): LonLat[] | undefined {
  if (!Array.isArray(value) || value.length < 2 || value.length > POINTS_MAX) return undefined;
  const points: LonLat[] = [];
  for (const each of value as unknown[]) {
    const place = lonLat(each);
    if (place === undefined) return undefined;
    points.push(place);
  }
  return points;
}

/** Parses a list of point lists. Returns undefined if one is invalid. */
function rings(value: unknown): LonLat[][] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > FEATURES_MAX) return undefined;
  const all = (value as unknown[]).map(places);
  return all.every((one) => one !== undefined) ? all : undefined;
}

function outlines(type: unknown, coordinates: unknown): LonLat[][] | undefined {
  if (type === 'LineString') return rings([coordinates]);
  if (type === 'MultiLineString' || type === 'Polygon') return rings(coordinates);
  if (type !== 'MultiPolygon' || !Array.isArray(coordinates) || coordinates.length > FEATURES_MAX)
    return undefined;
  const all = (coordinates as unknown[]).map(rings);
  return all.every((one) => one !== undefined) ? all.flat() : undefined;
}

/** Adds a feature. Returns false if it cannot be drawn. */
function take(content: MapContent, feature: unknown): boolean {
  if (!isObject(feature) || !isObject(feature['geometry'])) return false;
  const { type, coordinates } = feature['geometry'];
  const properties = isObject(feature['properties']) ? feature['properties'] : {};
  const { site, box, name } = properties;
  if (type === 'Point') {
    const at = lonLat(coordinates);
    if (at === undefined) return false;
    content.points += 1;
    if (typeof site === 'string' && typeof box === 'string')
      content.cameras.push({ at, key: `${site}/${box}` });
    else if (typeof name === 'string') content.names.push({ at, name });
    return true;
  }
  const outline = outlines(type, coordinates);
  if (outline === undefined) return false;
  const isArea = type === 'Polygon' || type === 'MultiPolygon';
  (isArea ? content.areas : content.lines).push(...outline);
  for (const one of outline) content.points += one.length;
  const [first] = outline;
  if (isArea && typeof name === 'string' && first !== undefined)
    content.names.push({ at: middle(first), name });
  return true;
}

function middle(ring: readonly LonLat[]): LonLat {
  const [west, south, east, north] = extent([ring]);
  return [(west + east) / 2, (south + north) / 2];
}

function extent(groups: readonly (readonly LonLat[])[]): readonly [number, number, number, number] {
  let [west, south, east, north] = [180, 90, -180, -90];
  for (const group of groups) {
    for (const [lon, lat] of group) {
      west = Math.min(west, lon);
      east = Math.max(east, lon);
      south = Math.min(south, lat);
      north = Math.max(north, lat);
    }
  }
  return [west, south, east, north];
}

/**
 * Projects the file: equirectangular, true to scale at the centre of the map. Within a city the error is less than the
 * width of a line.
 */
export function cityMap(file: unknown): CityMap | MapProblem {
  if (!isObject(file) || file['type'] !== 'FeatureCollection' || !Array.isArray(file['features']))
    return 'not-a-collection';
  const features = file['features'] as unknown[];
  if (features.length > FEATURES_MAX) return 'too-many';
  const content: MapContent = { lines: [], areas: [], cameras: [], names: [], points: 0, skipped: 0 };
  for (const feature of features) {
    if (!take(content, feature)) content.skipped += 1;
    if (content.points > POINTS_MAX) return 'too-many';
  }
  if (content.points === 0) return 'empty';
  return projected(content);
}

function projected(content: MapContent): CityMap {
  const all = [
    ...content.lines,
    ...content.areas,
    content.cameras.map(({ at }) => at),
    content.names.map(({ at }) => at),
  ];
  const [west, south, east, north] = extent(all);
  const squeeze = Math.max(0.01, Math.cos(((south + north) / 2) * (Math.PI / 180)));
  const wide = Math.max((east - west) * squeeze, EXTENT_MIN);
  const high = Math.max(north - south, EXTENT_MIN);
  // Keeps a minimum height for a very wide map, and limits that of a very tall one.
  const scale = WIDTH / Math.max(wide, high);
  const x = (lon: number) => Math.round((lon - west) * squeeze * scale * 10) / 10;
  const y = (lat: number) => Math.round((north - lat) * scale * 10) / 10;
  const path = (groups: readonly LonLat[][], end: string) =>
    groups.map((group) => `M${group.map(([lon, lat]) => `${x(lon)} ${y(lat)}`).join('L')}${end}`).join('');
  const place = ([lon, lat]: LonLat) => ({ x: x(lon), y: y(lat) });
  return {
    width: Math.max(wide * scale, WIDTH / 4),
    height: Math.max(high * scale, WIDTH / 4),
    lines: path(content.lines, ''),
    areas: path(content.areas, 'Z'),
    cameras: content.cameras.map(({ at, key }) => ({ ...place(at), key })),
    names: content.names
      .slice(0, NAMES_MAX)
      .map(({ at, name }) => ({ ...place(at), name: name.slice(0, NAME_CHARS_MAX) })),
    skipped: content.skipped,
  };
}
