/** English texts of the console: frame, queue and incident. */
import { CONDITION_NAMES } from '../../../../../agent/contract/condition-names.ts';
import type { EventKindName } from '../../../../../agent/contract/kinds.ts';
import { ACTING_EN } from './acting-en.ts';
import type { CauseTexts, Subject, WatchedKind } from './cause.ts';
import { DUTY_EN } from './duty-en.ts';

/** Names of kinds. A kind that only a newer box knows is shown by its own name. */
const kinds: Readonly<Record<EventKindName, string>> = {
  'vehicle-in-pedestrian-zone': 'Vehicle in a pedestrian zone',
  loitering: 'Loitering',
  'line-crossing': 'Line crossed',
  'wrong-way': 'Wrong way',
  'crowd-gathering': 'Crowd gathering',
  'illegal-dumping': 'Illegal dumping',
  graffiti: 'Graffiti',
  'illegal-parking': 'Illegal parking',
  ...CONDITION_NAMES.en,
  'present-at-start': 'Vehicle already there at the start',
};

/** Singular with its article, and plural. */
const labels: Readonly<Record<string, readonly [one: string, several: string]>> = {
  person: ['a person', 'people'],
  bicycle: ['a bicycle', 'bicycles'],
  car: ['a car', 'cars'],
  motorcycle: ['a motorcycle', 'motorcycles'],
  bus: ['a bus', 'buses'],
  truck: ['a truck', 'trucks'],
  dog: ['a dog', 'dogs'],
  backpack: ['a backpack', 'backpacks'],
  handbag: ['a handbag', 'handbags'],
  suitcase: ['a suitcase', 'suitcases'],
  unknown: ['an unidentified object', 'unidentified objects'],
};

const has = (subject: Subject, one: string, several: string) => (subject.isPlural ? several : one);
const be = (subject: Subject, isOver: boolean) =>
  isOver ? has(subject, 'was', 'were') : has(subject, 'is', 'are');
/** Adds a duration: of what goes on, or of what is over and lasted at least as long. */
const during = (duration: string, isOver: boolean) =>
  duration && (isOver ? ` for at least ${duration}` : `, for ${duration} so far`);

/** Sentences about an incident by kind, without the full stop. */
const causes: Readonly<
  Record<WatchedKind, (subject: Subject, placeName: string, values: CauseTexts) => string>
> = {
  'vehicle-in-pedestrian-zone': (subject, place, { stayed, isOver }) =>
    `${subject.text} ${be(subject, isOver)} in ${place}${during(stayed, isOver)}`,
  loitering: (subject, place, { stayed, isOver }) =>
    `${subject.text} ${isOver ? 'stayed' : has(subject, 'stays', 'stay')} in ${place}${during(stayed, isOver)}`,
  'line-crossing': (subject, place, { direction }) =>
    `${subject.text} crossed ${place}${direction === 'left' ? ' towards the left' : direction === 'right' ? ' towards the right' : ''}`,
  'wrong-way': (subject, place, { isOver }) =>
    `${subject.text} ${isOver ? 'went' : has(subject, 'goes', 'go')} against the direction in ${place}`,
  'crowd-gathering': (subject, place, { count, stayed, isOver }) =>
    `${count === '' ? subject.text : `${count} people`} ${isOver ? 'stayed' : 'stay'} together in ${place}${during(stayed, isOver)}`,
  'illegal-dumping': (_subject, place, { unattended }) =>
    `something was left behind in ${place}${unattended && `, ${unattended} with no one nearby`}`,
  graffiti: (_subject, place, { nearby }) =>
    `the picture of a wall changed in ${place}${nearby && `; a person was next to it for ${nearby}`}`,
  'illegal-parking': (subject, place, { stood, presence, isOver }) =>
    `${subject.text} ${be(subject, isOver)} parked in ${place}${during(stood, isOver)}${
      presence === 'hidden' && !isOver ? '; out of sight now' : ''
    }`,
  'present-at-start': (subject, place, { stood, isOver }) =>
    `${subject.text} ${has(subject, 'was', 'were')} already in ${place} when the box started${
      isOver ? during(stood, isOver) : stood && `, for ${stood} since`
    }`,
};

export const EN = {
  kinds,
  labels,
  causes,
  nobody: 'something',
  unobserved: (time: string) => `; not observed for ${time} in between`,
  unknownCause: (subject: string, place: string) => `${subject} in ${place}`,
  unknownKind: 'This kind of event is newer than this console; it is shown by its own name.',
  placeKinds: { zone: 'zone', line: 'line', camera: 'the camera’s view' } as Readonly<Record<string, string>>,
  places: {
    queue: 'Queue',
    closed: 'Closed',
    cameras: 'Cameras',
    plan: 'Plan',
    search: 'Search',
    tracks: 'Passages',
    figures: 'Statistics',
    week: 'Week',
    'hand-over': 'Shift report',
    audit: 'Audit log',
  },
  roles: { operator: 'operator', supervisor: 'supervisor', auditor: 'auditor' },
  states: { new: 'waiting', claimed: 'claimed', dispatched: 'dispatched', closed: 'closed' },
  verdicts: { confirmed: 'confirmed', 'false-alarm': 'false alarm', unclear: 'unclear' },
  escalated: 'overdue',
  priority: (level: number) => `priority ${level}`,
  severities: { alert: 'alert', notice: 'notice', system: 'condition' },
  frame: {
    skip: 'Skip to the content',
    nav: 'Screens',
    menu: 'Menu',
    language: 'Français',
    theme: { system: 'Light or dark: as the system', light: 'Light', dark: 'Dark' },
    logout: 'Log out',
    help: 'Keyboard shortcuts',
    close: 'Close',
    dismiss: 'Dismiss',
    loading: 'Loading…',
    links: {
      connecting: 'connecting',
      live: 'live',
      unavailable: 'database unavailable',
      disconnected: 'not connected',
    },
    lostNotice:
      'No connection to the control room’s server. The display may be out of date; the console reconnects automatically.',
    unavailableNotice:
      'The control room’s database does not answer. The display may be out of date; actions are refused until it is back.',
    roomTime: 'Time of the control room',
    demoClock:
      'Demonstration: no clock here is synchronised with the network. Times of occurrence may be wrong.',
    noPlace: 'Your role has no access to this screen.',
    notLoaded: 'This screen could not be loaded.',
    retry: 'Try again',
    unreached: 'The control room’s server does not answer.',
    refusal: (status: number) => `The server refused the request (${status}).`,
  },
  login: {
    title: 'Log in',
    oidc: 'Log in with your account',
    demo: 'Demonstration: accounts without a password, on this machine only.',
    byLink: 'Open the link that the demonstration has printed.',
    expired: (user: string) =>
      `The session of ${user} has expired. Unsent actions are saved, and sent once ${user} logs in again.`,
    as: (name: string, role: string) => `${name} · ${role}`,
    notSent: (user: string, count: number) =>
      `Not sent: ${count === 1 ? 'one action' : `${count} actions`} of ${user}, who did not log in again.`,
    actionsSent: (count: number) =>
      count === 1 ? 'The saved action was sent.' : `${count} saved actions were sent.`,
  },
  queue: {
    title: 'Queue',
    list: 'Open incidents',
    filter: 'Filter',
    filterHint: 'box, zone, type, name…',
    waiting: (count: number) => `${count} waiting`,
    open: (count: number) => `${count} open`,
    more: (count: number) => `${count} more incidents are open; they appear as others are closed.`,
    empty: 'No open incident.',
    emptyFilter: 'No open incident matches the filter.',
    storm: (count: number, kind: string) => `${count} × ${kind}`,
    stormBox: (rule: string) => `same rule, ${rule}, in quick succession`,
    stormKind: (boxes: number) => `within a minute of each other, at ${boxes} boxes`,
    unfold: 'Enter expands',
    fold: 'Enter collapses',
    announced: (count: number) => (count === 1 ? 'One new alert' : `${count} new alerts`),
    you: 'you',
    doubt: 'clock in doubt',
    endedText: 'ended',
  },
  actions: {
    open: 'Open',
    claim: 'Claim',
    release: 'Unclaim',
    dispatch: 'Dispatch',
    confirmed: 'Confirmed',
    'false-alarm': 'False alarm',
    unclear: 'Unclear',
    note: 'Note',
    answer: 'Patrol’s answer',
    another: 'Dispatch another patrol',
    suppress: 'Suppress',
    reopen: 'Reopen',
    reassign: 'Reassign',
    bar: 'Actions',
    none: 'Select a line with j and k, or click it.',
    storm: 'Press x to select the whole storm.',
  },
  note: { title: 'Note', label: 'Information for the next operator', save: 'Save the note', no: 'Cancel' },
  look: ACTING_EN.look,
  notesFirst: ACTING_EN.notesFirst,
  bulk: ACTING_EN.bulk,
  undo: ACTING_EN.undo,
  suppression: DUTY_EN.suppression,
  patrol: DUTY_EN.patrol,
  success: {
    claim: (incidentName: string) => `Claimed: ${incidentName}.`,
    release: (incidentName: string) => `Unclaimed: ${incidentName}.`,
    dispatch: (incidentName: string) => `Dispatched: ${incidentName}.`,
    verdict: (verdict: string, incidentName: string) => `Closed as ${verdict}: ${incidentName}.`,
    note: 'The note is saved.',
    reopen: (no: number) => `Reopened as number ${no}.`,
    reassign: (to: string) => `Reassigned to ${to}.`,
    claimsEnded: (nos: readonly number[]) =>
      nos.length === 1
        ? `Your claim of incident ${nos[0]} has expired. It is waiting again.`
        : `${nos.length} of your claims have expired. These incidents are waiting again: ${nos.join(', ')}.`,
  },
  conflict: {
    head: 'Action refused: ',
    new: 'it is waiting again and unclaimed.',
    claimed: (user: string) => `${user} has claimed it.`,
    dispatched: (user: string) => `${user} has dispatched a patrol.`,
    closed: (verdict: string) => `it is closed as ${verdict}.`,
    reopened: (no: number) => `it was reopened as incident ${no}.`,
    boxRevoked: 'its box was revoked; enrol it again first.',
    otherChange: 'it has changed in the meantime; check it again.',
  },
  incident: {
    number: (no: number) => `Incident ${no}`,
    backToQueue: 'Queue',
    missing: 'No such incident, or its retention period is over.',
    moments: { before: 'Before', deposit: 'When it appeared', snapshot: 'At the alert' },
    pictures: 'Pictures',
    fullSize: 'Full size',
    naturalSize: 'Natural size',
    zoomIn: 'Zoom in',
    zoomOut: 'Zoom out',
    onlyPicture: 'This incident has only this picture.',
    noStill: 'No picture.',
    absent: (reason: string) => `No picture: ${reason}`,
    coming: 'The picture has not arrived yet.',
    broken: 'The picture could not be loaded.',
    auditor: 'Auditors have no access to pictures.',
    onRecord: 'Your viewing is audited.',
    redacted: 'People are drawn as figures; the alert’s zone and path are drawn in.',
    facts: 'Details',
    happened: 'Occurred',
    received: 'Received',
    lasts: 'ongoing',
    box: 'Box',
    rule: 'Rule',
    purpose: 'Purpose',
    legalBasis: 'Legal basis',
    validUntil: 'until',
    unknown: 'not stated',
    owner: 'Assigned to',
    nobody: 'no one',
    claimLeft: (remaining: string) => `${remaining} left, renewed while this page is open`,
    sentAt: (user: string, at: string) => `${user}, ${at}`,
    dispatched: 'Dispatched',
    closed: 'Closed',
    closedReasons: {
      'box-revoked': 'closed by the control room: the certificates of its box were revoked',
      'reopening-undone': 'the reopening was undone; the earlier entry is the valid one',
    },
    closedBriefly: { 'box-revoked': 'box revoked', 'reopening-undone': 'reopening undone' },
    reopens: 'Reopens',
    precision: 'Reliability of this rule here',
    precisionText: (ratio: string, low: string, high: string, reviewedCount: number) =>
      `${ratio} confirmed (95 %: ${low}–${high}), ${reviewedCount} reviewed in 30 days`,
    noPrecision: 'No verdict in the last 30 days.',
    clockDoubt:
      'The box’s clock is not reliable. The time of occurrence may be wrong; the time of receipt is right.',
    degraded: (conditions: string) =>
      `The camera’s view was impaired (${conditions}): the alert is less reliable.`,
    nearby: 'Same box, one hour before and after',
    noNearby: 'No other incidents.',
    nearbyMore: (n: number) => `and ${n} more in these two hours; the table (CSV) lists all`,
    notes: 'Notes',
    noNotes: 'None yet.',
    earlierNotes: 'Earlier notes',
    sealed: 'Sealed picture',
    sealedAbout:
      'The box stores the unredacted picture, which only the authority’s key can open. The request is audited.',
    case: 'Case number',
    reason: 'Reason',
    ask: 'Request it from the box',
    asking: 'Requesting…',
    sealedCame: 'The sealed file has arrived',
    file: 'File',
    recipients: 'Can be opened by',
    giveTo: 'Reassign to',
  },
  help: {
    title: 'Keyboard shortcuts',
    on: 'Single-key shortcuts are on',
    about: 'When off, everything still works with Tab and Enter.',
    keys: {
      move: 'next, previous line',
      open: 'open; expand or collapse a storm',
      fullSize: 'picture in full size; there + − 0 zoom, arrows move',
      moment: 'before, after: next picture of the incident',
      claim: 'claim',
      dispatch: 'dispatch',
      verdict: 'verdict: confirmed, false alarm, unclear',
      note: 'note',
      release: 'unclaim',
      suppress: 'suppress the rule or the camera for an hour',
      undo: 'undo the last action, within 10 s',
      select: 'select a line, or a whole storm',
      extend: 'select further lines',
      selectStorm: 'select the storm of the line',
      filter: 'filter',
      backToQueue: 'back to the queue',
      help: 'this list',
    },
    trackKeys: {
      play: 'passages: play, pause',
      hits: 'passages: previous, next hit',
      together: 'passages: hits together',
      heat: 'passages: where tracks stopped',
    },
  },
  units: { s: 's', min: 'min', h: 'h', d: 'd' },
};
export type Words = typeof EN;
