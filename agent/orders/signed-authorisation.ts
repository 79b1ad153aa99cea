/**
 * Opens a signed authorisation and checks that it is the authority's, valid in form, and applies to this place and
 * time. The agent and vision each check independently.
 *
 * INVARIANT: fails closed. An authorisation that is not positively valid is refused with the reason.
 */
import type { KeyObject } from 'node:crypto';
import {
  AUTHORISATION_BYTES_MAX,
  AUTHORISATION_TYPE,
  Authorisation,
  INSTALLATION_MS_MAX,
} from '../contract/authorisation.ts';
import {
  type CameraSource,
  parseAuthorisedStream,
  secondStreamProblem,
  shownAuthorised,
} from '../contract/camera-address.ts';
import { CommandRefused } from '../contract/command.ts';
import { polygonProblem } from '../contract/polygon.ts';
import { mayNameCamera, namesCamera } from './camera-pin.ts';
import { envelopeOpener, envelopeReader, keyIdOf, type OpenedEnvelope, ofForm, parseJson } from './dsse.ts';

const KIND = {
  payloadType: AUTHORISATION_TYPE,
  bytesMax: AUTHORISATION_BYTES_MAX,
  signatures: 1,
  keysIn: 'authorityKey of this box',
};
const openEnvelope = envelopeOpener(KIND);
const readEnvelope = envelopeReader(KIND);

export interface BoxPlace {
  readonly site: string;
  readonly box: string;
}

/** Place where the authorisation must apply. */
export interface Place extends BoxPlace {
  /** The configured main stream; undefined if there is none or it cannot be parsed. */
  readonly camera: CameraSource | undefined;
  /** The configuration is a copy outside the box, in which the keys of the address may be hidden by `***`. */
  readonly isCopy?: boolean;
}

/** Recognises an unsigned authorisation as the clerk wrote it, in YAML or JSON. A signed one holds it in base64. */
const UNSIGNED = /^[{\s]*["']?order["']?\s*:/m;

/** Returns the content if `authority` has signed it and it is valid. Throws CommandRefused. */
export function openAuthorisation(bytes: Uint8Array, authority: KeyObject): Authorisation {
  const { payload } = openedEnvelope(bytes, authority);
  return checkedAuthorisation(parseJson(payload, 'the authorisation'));
}

/**
 * Returns the content of an authorisation without verifying its signature. The result must not be used to permit
 * anything. Throws CommandRefused.
 */
export function claimedAuthorisation(bytes: Uint8Array): Authorisation {
  return checkedAuthorisation(parseJson(readEnvelope(bytes).payload, 'the authorisation'));
}

/** Opens the envelope. The error for a wrong file names the right one. */
function openedEnvelope(bytes: Uint8Array, authority: KeyObject): OpenedEnvelope {
  try {
    return openEnvelope(bytes, new Map([[keyIdOf(authority), authority]]));
  } catch (error) {
    if (!(error instanceof CommandRefused) || error.code !== 'malformed') throw error;
    const message = UNSIGNED.test(Buffer.from(bytes).toString('latin1'))
      ? 'an authorisation without a signature; sign it with `vigie-oversight authorise ORDER --sign KEY --out FILE`, and name that FILE'
      : `not a signed authorisation (${error.message}); \`vigie-oversight authorise\` writes one`;
    throw new CommandRefused('malformed', message, { cause: error });
  }
}

/** Checks the content against the schema, and the rules that the schema cannot express. Throws CommandRefused. */
export function checkedAuthorisation(content: unknown): Authorisation {
  const authorisation = ofForm(Authorisation, content, 'not an authorisation');
  const { notBefore, notAfter, resumeKeys, outlines = [], masks = [] } = authorisation;
  const { zones = 'all', notKept = [], approvers = [] } = authorisation.tracks ?? {};
  // Written so that a time that does not exist (NaN) is refused.
  if (!(Date.parse(notBefore) < Date.parse(notAfter))) {
    throw new CommandRefused('malformed', `notBefore ${notBefore} does not come before notAfter ${notAfter}`);
  }
  const cameraText = cameraProblem(authorisation);
  if (cameraText !== undefined) throw new CommandRefused('malformed', cameraText);
  for (const [list, keys] of Object.entries({ resumeKeys, 'tracks.approvers': approvers })) {
    for (const field of ['name', 'publicKey'] as const) {
      if (new Set(keys.map((key) => key[field])).size < keys.length)
        throw new CommandRefused('malformed', `two of its ${list} have the same ${field}`);
    }
  }
  if (new Set(outlines.map(({ id }) => id)).size < outlines.length) {
    throw new CommandRefused('malformed', 'two of its outlines have the same id; a place has one');
  }
  const shaped = { outlines, masks, 'tracks/zones': zones === 'all' ? [] : zones, 'tracks/notKept': notKept };
  for (const [list, shapes] of Object.entries(shaped)) {
    for (const { id, polygon } of shapes) {
      const shapeProblem = polygonProblem(polygon);
      if (shapeProblem !== undefined)
        throw new CommandRefused('malformed', `${list}: ${id}: ${shapeProblem}`);
    }
  }
  const problem = installationProblem(authorisation) ?? trackLogProblem(authorisation);
  if (problem !== undefined) throw new CommandRefused('malformed', problem);
  return authorisation;
}

/** Returns an error unless both addresses have the form of `authorisedForm` and are streams of the same camera. */
function cameraProblem({ camera, substream }: Authorisation): string | undefined {
  const addresses = { camera, ...(substream === undefined ? {} : { substream }) };
  for (const [key, text] of Object.entries(addresses)) {
    const parsed = parseAuthorisedStream(text);
    if ('fault' in parsed) return `${key} ${parsed.fault}`;
  }
  if (substream === undefined) return undefined;
  const [main, second] = [parseAuthorisedStream(camera), parseAuthorisedStream(substream)];
  if ('fault' in main || 'fault' in second) return undefined;
  const problem = secondStreamProblem(main, second, 'camera');
  return problem === undefined ? undefined : `substream ${problem}`;
}

/** Checks an installation authorisation: it is short, and permits no alerts and no sealing. */
function installationProblem(authorisation: Authorisation): string | undefined {
  const { installation = false, rules, notBefore, notAfter, ageRecipients } = authorisation;
  if (!installation) {
    return rules.length > 0
      ? undefined
      : '/rules is empty: an authorisation names at least one rule; for installation, set `installation: true`';
  }
  if (rules.length > 0) return 'an installation authorisation must not name rules (rules: [])';
  if (authorisation.tracks !== undefined)
    return 'an installation authorisation must not allow tracks; leave tracks out';
  if (ageRecipients !== undefined)
    return 'an installation authorisation must not allow sealing; leave ageRecipients out';
  if (Date.parse(notAfter) - Date.parse(notBefore) <= INSTALLATION_MS_MAX) return undefined;
  return `an installation authorisation is valid for at most 24 hours; this one is valid from ${notBefore} until ${notAfter}`;
}

function trackLogProblem({ tracks }: Authorisation): string | undefined {
  if (tracks === undefined) return undefined;
  const { grade, magistrate, approvers, colour, spanHours, days } = tracks;
  if (grade === 'persons' && magistrate === undefined)
    return '/tracks/grade persons needs /tracks/magistrate, the authorising magistrate';
  if (grade !== 'persons' && magistrate !== undefined)
    return `/tracks/magistrate belongs to the grade persons alone; the grade is ${grade}`;
  if (grade !== 'persons' && approvers !== undefined)
    return `/tracks/approvers belong to the grade persons alone; the grade is ${grade}`;
  if (grade === 'counts' && colour === true)
    return '/tracks/colour serves nothing under the grade counts; leave it out';
  if (spanHours > days * 24) return `/tracks/spanHours is longer than /tracks/days (${days * 24} h)`;
  return undefined;
}

/** Returns the reason why the authorisation does not apply at this place and time, or undefined if it does. */
export function authorisationRefusal(
  authorisation: Authorisation,
  place: Place,
  nowMs: number,
): CommandRefused | undefined {
  return (
    boxRefusal(authorisation, place) ??
    cameraRefusal(authorisation, place) ??
    timeRefusal(authorisation, nowMs)
  );
}

/** Returns the reason why the authorisation does not apply to this box, or undefined if it does. */
export function boxRefusal({ order, site, box }: Authorisation, place: BoxPlace): CommandRefused | undefined {
  if (site === place.site && box === place.box) return undefined;
  const message = `authorisation ${order} is for ${box} at ${site}; this is ${place.box} at ${place.site}`;
  return new CommandRefused('wrong-box', message);
}

function cameraRefusal(
  authorisation: Authorisation,
  { camera: configured, isCopy = false }: Place,
): CommandRefused | undefined {
  const { order, camera, substream } = authorisation;
  if (isCopy ? mayNameCamera(authorisation, configured) : namesCamera(authorisation, configured))
    return undefined;
  const streams = [camera, ...(substream === undefined ? [] : [substream])];
  const start = `authorisation ${order} is for the camera ${streams.map(shownAuthorised).join(' or ')}; camera.source`;
  if (configured === undefined) return new CommandRefused('wrong-box', `${start} cannot be parsed`);
  const keys = configured.pins.map(({ key }) => key).join(', ');
  const pinned =
    keys === '' ? '' : `; ${keys} counts too: \`vigie check\` prints the address for an authorisation`;
  return new CommandRefused('wrong-box', `${start} is ${configured.displayAddress}${pinned}`);
}

/** Returns the reason why the authorisation is not valid at this time, or undefined if it is. */
export function timeRefusal(
  { order, notBefore, notAfter }: Authorisation,
  nowMs: number,
): CommandRefused | undefined {
  if (!(Date.parse(notBefore) <= nowMs)) {
    return new CommandRefused('not-yet-valid', `authorisation ${order} is valid from ${notBefore}`);
  }
  if (!(nowMs < Date.parse(notAfter))) {
    return new CommandRefused('expired', `authorisation ${order} was valid until ${notAfter}`);
  }
  return undefined;
}
