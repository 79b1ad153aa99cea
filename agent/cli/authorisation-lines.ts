/** Describes an authorisation in words, for the person who signs it and for the one who checks its box. */
import type { Authorisation } from '../contract/authorisation.ts';
import { shownAuthorised } from '../contract/camera-address.ts';
import type { Keyholder } from '../contract/config.ts';
import type { TrackGrade, TrackLogGrant } from '../contract/track-log.ts';
import { keyIdOf, publicKeyOf } from '../orders/dsse.ts';

/**
 * Returns the content of an authorisation, one line per field. A key is shown as its fingerprint, for comparison with
 * the one read out by its keyholder.
 */
export function authorisationLines(content: Authorisation): string[] {
  const { order, authority, site, box, camera, rules, notBefore, notAfter, retention, resumeKeys } = content;
  const { substream, outlines = [], masks = [], ageRecipients: recipients = [], tracks } = content;
  return [
    [content.installation === true ? 'permit' : 'order', `${order} of ${authority}`],
    [
      'for',
      `${box} at ${site}, camera ${[camera, ...(substream === undefined ? [] : [substream])].map(shownAuthorised).join(' or ')}`,
    ],
    ['valid', `from ${notBefore} until ${notAfter}`],
    ...rules.map(({ kind, zones, purpose, legalBasis, shadow }, index) => {
      const place = zones === 'all' ? 'everywhere' : `in ${zones.join(', ')}`;
      const shadowNote = shadow === true ? ', only counted (shadow)' : '';
      return [index === 0 ? 'allows' : '', `${kind} ${place} for ${purpose}${shadowNote}: ${legalBasis}`];
    }),
    ...(content.installation === true
      ? [['allows', 'analysis while the box is installed; NO rule runs']]
      : []),
    ...outlines.map(({ id, polygon }, index) => [
      index === 0 ? 'outlines' : '',
      `${id} only inside ${cornersText(polygon)}`,
    ]),
    ...masks.map(({ id, polygon }, index) => [
      index === 0 ? 'masks' : '',
      `${id}: black in every picture: ${cornersText(polygon)}`,
    ]),
    [
      'keeps',
      `events ${retention.eventsDays} days at most, snapshots ${retention.snapshotsDays}, sealed evidence ${retention.sealedDays}`,
    ],
    ...trackLines(tracks),
    ['resumes', 'with two keys of:'],
    ...resumeKeys.map(keyholderLine),
    ['seals', recipients.length === 0 ? 'nothing: no recipient is named' : 'evidence to:'],
    ...recipients.map((recipient) => ['', recipient]),
  ].map(([name = '', text = '']) => `  ${name.padEnd(9)} ${text}`);
}

const keyholderLine = ({ name, publicKey }: Keyholder): string[] => [
  '',
  `${name}  ${keyIdOf(publicKeyOf(publicKey))}`,
];

const GRADES: Readonly<Record<TrackGrade, string>> = {
  counts: 'ALL passing tracks are stored; only numbers are disclosed',
  vehicles: 'passing vehicles are stored and disclosed',
  persons:
    'ALL passing people and vehicles are stored and disclosed; people only with the signature of an approver',
};

/** Describes which tracks are stored; usually none. */
function trackLines(tracks: TrackLogGrant | undefined): string[][] {
  if (tracks === undefined) return [['tracks', 'none: only alerts are stored']];
  const {
    grade,
    days,
    purpose,
    legalBasis,
    magistrate,
    approvers = [],
    zones,
    notKept = [],
    colour,
    spanHours,
    budget,
  } = tracks;
  const by = magistrate === undefined ? '' : `; authorised by ${magistrate}`;
  const { case: number, keyDay, day } = budget;
  return [
    ['tracks', `${GRADES[grade]}, for ${days} days, for ${purpose}: ${legalBasis}${by}`],
    ...(zones === 'all'
      ? []
      : zones.map(({ id, polygon }) => ['', `${id}: only inside ${cornersText(polygon)}`])),
    ...notKept.map(({ id, polygon }) => ['', `${id}: nothing that touches ${cornersText(polygon)}`]),
    ...(colour === true ? [['', 'with the names of the colours of vehicles']] : []),
    [
      '',
      `a query covers at most ${spanHours} h; ${number} tracks a case, ${keyDay} a key and day, ${day} a day`,
    ],
    ...(grade === 'persons' ? approverLines(approvers) : []),
  ];
}

function approverLines(approvers: readonly Keyholder[]): string[][] {
  if (approvers.length === 0)
    return [['approves', 'no one: no question about persons is answered (tracks.approvers)']];
  return [['approves', 'a question about persons, one of:'], ...approvers.map(keyholderLine)];
}

/** Formats corners: `(0.1, 0.25) (0.9, 0.25) (0.9, 0.8)`. */
const cornersText = (polygon: readonly (readonly number[])[]): string =>
  polygon.map(([x = 0, y = 0]) => `(${rounded(x)}, ${rounded(y)})`).join(' ');
const rounded = (coordinate: number): number => Number(coordinate.toFixed(4));
