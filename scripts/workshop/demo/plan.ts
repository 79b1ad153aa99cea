/** Map of the demo's made-up town, with its one camera: a lawn, a square and a few streets around them. */

/** Somewhere at sea, so that no real street is meant. */
const ORIGIN = { lon: -6, lat: 46 };
/** Degrees of one metre there. */
const METRE = { lon: 1 / 77_300, lat: 1 / 111_200 };

/** Metres to the east and to the north. */
type Point = readonly [east: number, north: number];

/** Streets and places by name. A line is a street, a closed ring is an area. */
const STREETS: Readonly<Record<string, readonly Point[]>> = {
  'East Road': [
    [160, -260],
    [150, -40],
    [165, 120],
    [140, 280],
  ],
  'Chapel Lane': [
    [-300, 140],
    [-80, 120],
    [165, 120],
    [320, 150],
  ],
  'Mill Street': [
    [-320, -160],
    [-60, -150],
    [155, -130],
    [330, -150],
  ],
  'Long Walk': [
    [-210, 290],
    [-200, 130],
    [-190, -155],
    [-215, -270],
  ],
  'Station Road': [
    [165, 120],
    [230, 220],
    [330, 270],
  ],
  'Garden Path': [
    [-195, -20],
    [-30, -10],
    [60, 20],
    [150, -40],
  ],
};
const AREAS: Readonly<Record<string, readonly Point[]>> = {
  Square: [
    [40, 10],
    [130, 0],
    [135, 90],
    [50, 95],
    [40, 10],
  ],
  Lawn: [
    [-170, -130],
    [120, -115],
    [125, -50],
    [20, -25],
    [-170, -35],
    [-170, -130],
  ],
  River: [
    [-330, -290],
    [-100, -250],
    [120, -285],
    [330, -255],
    [330, -300],
    [-330, -330],
    [-330, -290],
  ],
};
/** A corner of the square, where the street clip could have been taken. */
const CAMERA: Point = [138, 40];

/** Returns the map in WGS 84 (RFC 7946), as a city supplies it. */
export function demoPlan(site: string, box: string): object {
  return {
    type: 'FeatureCollection',
    features: [
      ...Object.entries(AREAS).map(([name, ring]) => featureOf({ name }, 'Polygon', [ring.map(positionOf)])),
      ...Object.entries(STREETS).map(([name, line]) =>
        featureOf({ name }, 'LineString', line.map(positionOf)),
      ),
      featureOf({ site, box }, 'Point', positionOf(CAMERA)),
    ],
  };
}

function featureOf(properties: Readonly<Record<string, string>>, type: string, coordinates: unknown): object {
  return { type: 'Feature', properties, geometry: { type, coordinates } };
}

function positionOf([east, north]: Point): readonly [lon: number, lat: number] {
  return [ORIGIN.lon + east * METRE.lon, ORIGIN.lat + north * METRE.lat];
}
