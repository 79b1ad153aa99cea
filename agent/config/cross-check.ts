/** Checks that a schema cannot express: consistency between parts, and requirements of each command. */
import { isIPv4 } from 'node:net';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { type CameraSource, parseCameraSource, secondStreamProblem } from '../contract/camera-address.ts';
import { ALL_BOXES } from '../contract/command.ts';
import {
  CameraConfig,
  GroundPlaneConfig,
  LineConfig,
  MaskConfig,
  MqttConfig,
  RetentionConfig,
  ZoneConfig,
} from '../contract/config.ts';
import { DETECTOR_BACKENDS, isDetectorBackend, LIBRARY_BACKEND } from '../contract/detector-backend.ts';
import { INFERENCE_ELEMENTS } from '../contract/inference-element.ts';
import { isLibraryProvider, LIBRARY_PROVIDERS } from '../contract/onnxruntime-library.ts';
import { polygonProblem } from '../contract/polygon.ts';
import { displayValue, type Path } from './problem.ts';
import { isGroup, type ValidationError } from './shape.ts';
import { didYouMean } from './words.ts';

/** Purpose for which the configuration is validated. */
export type Use = 'run' | 'replay';

type Data = Record<string, unknown>;

/**
 * Smallest difference in depth of two people, as a ratio of the picture's height. Closer ones yield a slope that is
 * only the error of their marks.
 */
const DEPTHS_APART_NORM = 0.1;
/** Maximum number of ids listed in a message; a longer line would not be read. */
const IDS_LISTED_MAX = 10;

/** Returns all errors. Also works on invalid data: parts of the right shape are checked, others are skipped. */
export function crossCheck(data: Data, use: Use): ValidationError[] {
  return [
    ...['zones', 'lines', 'masks', 'rules'].flatMap((list) => repeatedIds(data, list)),
    ...shapes(data),
    ...groundErrors(data['groundPlane']),
    ...danglingPlaces(data),
    ...controlCharacters(data, []),
    ...repeatedKeys(data['commands']),
    ...calendarErrors(data),
    ...(use === 'run'
      ? [...reservedName(data), ...missingForRun(data), ...evaluationPurposes(data), ...longPictures(data)]
      : []),
    ...elementErrors(data['detector']),
    ...providerErrors(data['detector']),
    ...cameraErrors(data['camera']),
    ...mqttErrors(data['mqtt']),
  ];
}

/** Finds a missing but required element, and properties that it may not have. */
function elementErrors(detector: unknown): ValidationError[] {
  if (!isGroup(detector)) return [];
  const { backend, element } = detector;
  const usesElement =
    typeof backend === 'string' && isDetectorBackend(backend) && DETECTOR_BACKENDS[backend].usesElement;
  if (usesElement && element === undefined) {
    const names = Object.keys(INFERENCE_ELEMENTS).join(', ');
    const message = `${backend} needs detector.element, with a name (one of ${names}) and a model`;
    return [validationError(['detector', 'backend'], backend, message)];
  }
  if (!isGroup(element)) return [];
  const { name, properties } = element;
  if (typeof name !== 'string' || !Object.hasOwn(INFERENCE_ELEMENTS, name)) return [];
  const definition = INFERENCE_ELEMENTS[name];
  if (definition === undefined || !Array.isArray(properties)) return [];
  return properties.flatMap((property: unknown, index) => {
    if (typeof property !== 'string') return [];
    const [key = '', value = ''] = property.split('=');
    if (Object.hasOwn(definition.properties, key) && definition.properties[key]?.includes(value)) return [];
    const right = Object.entries(definition.properties).map(([one, values]) => `${one}=${values.join('|')}`);
    return [
      validationError(
        ['detector', 'element', 'properties', index],
        property,
        `${name} takes only ${right.join(', ')} here`,
      ),
    ];
  });
}

/** Finds providers that an installed ONNX Runtime may not be given. */
function providerErrors(detector: unknown): ValidationError[] {
  if (!isGroup(detector) || detector['backend'] !== LIBRARY_BACKEND) return [];
  const { providers } = detector;
  if (!Array.isArray(providers)) return [];
  const names = Object.keys(LIBRARY_PROVIDERS).join(', ');
  return providers.flatMap((name: unknown, index) => {
    if (typeof name !== 'string' || isLibraryProvider(name)) return [];
    return [
      validationError(['detector', 'providers', index], name, `${LIBRARY_BACKEND} takes only ${names} here`),
    ];
  });
}

function validationError(path: Path, value: unknown, message: string): ValidationError {
  return { path, at: 'value', found: displayValue(value, path), message };
}

function groups(data: Data, list: string): { index: number; group: Data }[] {
  const items = data[list];
  if (!Array.isArray(items)) return [];
  return items.flatMap((group: unknown, index) => (isGroup(group) ? [{ index, group }] : []));
}

/** Returns the items of a list that match their schema. */
function sound<S extends TSchema>(data: Data, list: string, schema: S): { index: number; item: Static<S> }[] {
  return groups(data, list).flatMap(({ index, group }) => {
    const item: unknown = group;
    return Value.Check(schema, item) ? [{ index, item }] : [];
  });
}

function repeatedIds(data: Data, list: string): ValidationError[] {
  const first = new Map<string, number>();
  const validationErrors: ValidationError[] = [];
  for (const { index, group } of groups(data, list)) {
    const id = group['id'];
    if (typeof id !== 'string') continue;
    const before = first.get(id);
    if (before === undefined) first.set(id, index);
    else {
      const message = `${list}[${before}] has the same id; ids are unique in their list`;
      validationErrors.push(validationError([list, index, 'id'], id, message));
    }
  }
  return validationErrors;
}

/** Refuses a name that would give the box the topics of all boxes. */
function reservedName({ box }: Data): ValidationError[] {
  if (box !== ALL_BOXES) return [];
  return [validationError(['box'], box, 'means every box of the site in topics; give this box another name')];
}

/**
 * Finds control characters. YAML can contain ones that occur in no address, path or name, and that move a terminal's
 * cursor.
 */
function controlCharacters(value: unknown, path: Path): ValidationError[] {
  if (typeof value === 'string') {
    const [character] = /\p{Cc}/u.exec(value) ?? [];
    if (character === undefined) return [];
    const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    const message = `must hold no control character; here one is U+${code}`;
    return [validationError(path, undefined, message)];
  }
  if (typeof value !== 'object' || value === null) return [];
  const inner = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return inner.flatMap(([key, item]) => controlCharacters(item, [...path, key]));
}

/** Finds a retention of pictures longer than that of events. A picture is found by its event. */
function longPictures({ retention }: Data): ValidationError[] {
  if (!Value.Check(RetentionConfig, retention)) return [];
  const { eventsDays, snapshotsDays } = retention;
  if (snapshotsDays <= eventsDays) return [];
  const message = `must be at most retention.eventsDays, ${eventsDays}: no picture is kept longer than its event`;
  return [validationError(['retention', 'snapshotsDays'], snapshotsDays, message)];
}

/** Finds repeated names and keys. A name identifies one key in the records, and a key has one set of permissions. */
function repeatedKeys(commands: unknown): ValidationError[] {
  if (!isGroup(commands)) return [];
  const keys = groups(commands, 'keys');
  return (['name', 'publicKey'] as const).flatMap((field) =>
    keys.flatMap(({ index, group }) => {
      const value = group[field];
      const before = keys.findIndex((other) => other.group[field] === value);
      if (typeof value !== 'string' || keys[before]?.index === index) return [];
      const message = `commands.keys[${keys[before]?.index}] has the same; list each key once`;
      return [validationError(['commands', 'keys', index, field], value, message)];
    }),
  );
}

function shapes(data: Data): ValidationError[] {
  const polygons = [
    ...sound(data, 'zones', ZoneConfig).map((entry) => ({ list: 'zones', ...entry })),
    ...sound(data, 'masks', MaskConfig).map((entry) => ({ list: 'masks', ...entry })),
  ];
  return [
    ...polygons.flatMap(({ list, index, item }) => {
      const problem = polygonProblem(item.polygon);
      return problem === undefined ? [] : [validationError([list, index, 'polygon'], undefined, problem)];
    }),
    ...sound(data, 'lines', LineConfig)
      .filter(({ item: { from, to } }) => from[0] === to[0] && from[1] === to[1])
      .map(({ index, item }) =>
        validationError(['lines', index, 'to'], item.to, 'must differ from `from`: a line has a length'),
      ),
  ];
}

/** Checks that the two people define a ground plane: upright, at different depths, the nearer one taller. */
function groundErrors(ground: unknown): ValidationError[] {
  if (!Value.Check(GroundPlaneConfig, ground)) return [];
  const upsideDown = ground.people.flatMap(({ feet, head }, index) =>
    feet[1] > head[1]
      ? []
      : [
          validationError(
            ['groundPlane', 'people', index, 'head'],
            head,
            'must lie above the feet: y grows downwards',
          ),
        ],
  );
  if (upsideDown.length > 0) return upsideDown;
  const [near, far] = [...ground.people].sort((a, b) => b.feet[1] - a.feet[1]);
  if (near === undefined || far === undefined) return [];
  const path = ['groundPlane', 'people'];
  if (near.feet[1] - far.feet[1] < DEPTHS_APART_NORM) {
    const message = `the two must stand at different distances: their feet at least ${DEPTHS_APART_NORM} apart in y`;
    return [validationError(path, undefined, message)];
  }
  if (near.feet[1] - near.head[1] > far.feet[1] - far.head[1]) return [];
  return [validationError(path, undefined, 'the person lower in the picture is nearer and must look taller')];
}

/** Finds rules whose zone or line does not exist. */
function danglingPlaces(data: Data): ValidationError[] {
  return groups(data, 'rules').flatMap(({ index, group }) =>
    (['zone', 'line'] as const).flatMap((key) => {
      const placeId = group[key];
      const ids = groups(data, `${key}s`).map((place) => place.group['id']);
      if (typeof placeId !== 'string' || ids.includes(placeId)) return [];
      // A text that does not have the form of an id is untrusted and is not repeated here.
      const knownIds = ids.filter(
        (id): id is string => typeof id === 'string' && /^[a-z0-9-]{1,32}$/.test(id),
      );
      const list = knownIds.length > IDS_LISTED_MAX ? [...knownIds.slice(0, IDS_LISTED_MAX), '…'] : knownIds;
      const right = list.length > 0 ? `; there are ${list.join(', ')}` : `; the list ${key}s is empty`;
      const message = `no ${key} has this id${didYouMean(placeId, knownIds) || right}`;
      return [validationError(['rules', index, key], placeId, message)];
    }),
  );
}

/** Finds a time zone, dates and times that have the right form but do not exist. */
function calendarErrors(data: Data): ValidationError[] {
  const { timeZone, holidays } = data;
  const validationErrors: ValidationError[] = [];
  if (typeof timeZone === 'string' && timeZone !== '' && !isTimeZone(timeZone)) {
    const message = `no such time zone; IANA names are known${didYouMean(timeZone, Intl.supportedValuesOf('timeZone'))}`;
    validationErrors.push(validationError(['timeZone'], timeZone, message));
  }
  for (const [index, date] of (Array.isArray(holidays) ? holidays : []).entries()) {
    if (typeof date !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(date) || isDate(date)) continue;
    validationErrors.push(validationError(['holidays', index], date, 'no such day in the calendar'));
  }
  for (const { index, group } of groups(data, 'rules')) {
    for (const span of groups(group, 'schedule')) {
      if (span.group['from'] !== '24:00') continue;
      const path = ['rules', index, 'schedule', span.index, 'from'];
      validationErrors.push(validationError(path, '24:00', 'must be 23:59 or earlier; 24:00 is an end only'));
    }
  }
  return validationErrors;
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Reports whether the date exists. 2026-02-30 rolls over to March, so that it is formatted as another text. */
function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

function missingForRun(data: Data): ValidationError[] {
  const needs = [
    { key: 'camera', schema: CameraConfig },
    { key: 'mqtt', schema: MqttConfig },
  ];
  return needs
    .filter(({ key }) => data[key] === undefined)
    .map(({ key, schema }) =>
      validationError(
        [key],
        undefined,
        `missing; \`vigie run\` needs it (${Object.keys(schema.properties).join(', ')})`,
      ),
    );
}

function evaluationPurposes(data: Data): ValidationError[] {
  return groups(data, 'rules')
    .filter(({ group }) => group['purpose'] === 'evaluation')
    .map(({ index }) => {
      const message = 'is for `vigie replay` only; name the purpose for which this street is watched';
      return validationError(['rules', index, 'purpose'], 'evaluation', message);
    });
}

function cameraErrors(camera: unknown): ValidationError[] {
  if (!isGroup(camera)) return [];
  const [main, second] = [streamOf(camera, 'source'), streamOf(camera, 'substream')];
  const streamErrors = [main, second].flatMap((parsed) => (Array.isArray(parsed) ? parsed : []));
  if (main === undefined || second === undefined || Array.isArray(main) || Array.isArray(second))
    return streamErrors;
  const problem = secondStreamProblem(main, second, 'camera.source');
  return problem === undefined
    ? []
    : [validationError(['camera', 'substream'], camera['substream'], problem)];
}

/** Returns the parsed stream or its errors; undefined if there is none or the schema has already refused it. */
function streamOf(camera: Data, key: 'source' | 'substream'): CameraSource | ValidationError[] | undefined {
  const text = camera[key];
  // Control characters are reported for any text.
  if (!Value.Check(CameraConfig.properties[key], text) || typeof text !== 'string' || /\p{Cc}/u.test(text))
    return undefined;
  const parsed = parseCameraSource(text);
  return 'fault' in parsed ? [validationError(['camera', key], text, parsed.fault)] : parsed;
}

/** Checks that the connection to the room is mutually authenticated, or does not leave the machine. */
function mqttErrors(mqtt: unknown): ValidationError[] {
  if (!isGroup(mqtt) || typeof mqtt['url'] !== 'string') return [];
  const path = ['mqtt', 'url'];
  const url = parseUrl(mqtt['url']);
  if (url === undefined) {
    // The schema has already reported an invalid scheme.
    return /^mqtts?:\/\//.test(mqtt['url'])
      ? [validationError(path, mqtt['url'], 'must be mqtts://host:port, the port from 1 to 65535')]
      : [];
  }
  const validationErrors: ValidationError[] = [];
  if (url.username !== '' || url.password !== '') {
    const message =
      'must hold no name and no password: the box is known by its certificate (mqtt.cert, mqtt.key)';
    validationErrors.push(validationError(path, mqtt['url'], message));
  }
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    validationErrors.push(
      validationError(path, mqtt['url'], 'must end after host and port: mqtts://host:port'),
    );
  }
  if (url.protocol === 'mqtt:' && !isLoopback(url.hostname)) {
    const message = 'must begin with mqtts:// (plain mqtt:// is for a broker on this machine only)';
    validationErrors.push(validationError(path, mqtt['url'], message));
  }
  if (url.protocol !== 'mqtts:') return validationErrors;
  const missing = ['ca', 'cert', 'key'].filter((key) => mqtt[key] === undefined);
  return [
    ...validationErrors,
    ...missing.map((key) =>
      validationError(['mqtt', key], undefined, 'missing; mqtts:// needs the PEM files ca, cert and key'),
    ),
  ];
}

function parseUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const usable = ['mqtt:', 'mqtts:'].includes(url.protocol) && url.hostname !== '' && url.port !== '0';
  return usable ? url : undefined;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));
}
