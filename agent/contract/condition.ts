/**
 * Closed list of the conditions of a camera and its box. Each is a kind of system event; the content of its event is in
 * kinds.ts. Code that must handle every condition has a table keyed by `ConditionKind`, so the compiler finds a missing
 * entry.
 */

/**
 * Effect on the purpose of the box.
 * - `off`: no analysis, because of a suspension or for lack of an authorisation.
 * - `blind`: no zone and no line is watched, because of a fault.
 * - `degraded`: the rules run and their events are marked.
 * - `impaired`: the rules run, and something else needs a fix.
 * - `ending`: something expires at a date.
 * - `none`: a person should know it, and no function is affected.
 */
export type ConditionEffect = 'off' | 'blind' | 'degraded' | 'impaired' | 'ending' | 'none';

/**
 * Form in which a condition is reported.
 * - `state`: begins and ends, with at most one active at a time.
 * - `moment`: a single occurrence without an end.
 * - `reminder`: a task for a person, with one active for each id.
 * - `of-rule`: begins and ends for one rule.
 */
export type ConditionForm = 'state' | 'moment' | 'reminder' | 'of-rule';

interface ConditionFacts {
  readonly title: string;
  /** Source: `vision` for the picture, `box` for everything else. */
  readonly raisedBy: 'vision' | 'box';
  readonly form: ConditionForm;
  readonly effect: ConditionEffect;
  /**
   * The cause lists the places that are not watched, so that the incident records the gap.
   * The condition `decoder-crashloop` lists none, because it is active beside the incidents of vision's exits. The
   * condition `detector-down` lists none, because a detector fails at load time, before anything is watched.
   */
  readonly listsPlaces: boolean;
  /** The source reports the current state at each start, or as soon as it can. */
  readonly toldAtStart: boolean;
  /** Its event has a redacted still of its moment. */
  readonly hasPicture: boolean;
}

function picture<E extends 'blind' | 'degraded'>(title: string, effect: E) {
  const listsPlaces = effect === 'blind';
  return {
    title,
    raisedBy: 'vision',
    form: 'state',
    effect,
    listsPlaces,
    toldAtStart: false,
    hasPicture: false,
  } as const;
}

function box<F extends ConditionForm, E extends ConditionEffect>(
  form: F,
  title: string,
  effect: E,
  { listsPlaces = false, toldAtStart = false, hasPicture = false } = {},
) {
  return { title, raisedBy: 'box', form, effect, listsPlaces, toldAtStart, hasPicture } as const;
}

/** Condition whose source reports at each start. */
const AT_START = { toldAtStart: true } as const;

export const CONDITIONS = {
  'alert-limit': box(
    'of-rule',
    'a rule has used up its alerts of the hour; further ones are suppressed',
    'impaired',
  ),
  'rule-unauthorised': box(
    'of-rule',
    'a rule does not run: the authorisation does not name it so',
    'impaired',
    AT_START,
  ),
  suspended: box('state', 'the box is suspended and analyses no video', 'off', AT_START),
  unauthorised: box('state', 'no valid authorisation: the box analyses no video', 'off', AT_START),
  'stream-lost': box('state', 'the camera’s stream is lost', 'blind', {
    listsPlaces: true,
    toldAtStart: true,
  }),
  frozen: picture('the camera sends the same picture again and again', 'blind'),
  covered: picture('the camera is covered, or its picture black', 'blind'),
  'too-dark': picture('it is too dark for the camera', 'blind'),
  moved: picture('the camera shows another view than before', 'blind'),
  'cannot-see': picture(
    'no visibility: the picture is hazy, or moving objects are not detected; if it names only some of the watched places, only there',
    'blind',
  ),
  defocused: picture('the camera’s picture is far less sharp than before', 'degraded'),
  'detector-down': box('state', 'the detector cannot run', 'blind', AT_START),
  'detector-fallback': box(
    'state',
    'the detector runs, but not the model or provider that is configured',
    'impaired',
    AT_START,
  ),
  preview: box('state', 'a technician at the box views redacted pictures of its camera', 'none'),
  'config-refused': box(
    'state',
    'the configuration is refused; the last good one runs',
    'impaired',
    AT_START,
  ),
  'vision-failed': box('state', 'vision failed, or is not allowed to run, and is restarted', 'blind', {
    listsPlaces: true,
    toldAtStart: true,
  }),
  'decoder-crashloop': box('state', 'vision ends again and again', 'blind'),
  'load-shed': box('state', 'fewer frames are analysed than configured', 'impaired'),
  'storage-readonly': box('state', 'the disk refuses writes; the outbox is in memory', 'impaired'),
  'journal-down': box('state', 'the tamper-evident journal cannot be written', 'impaired'),
  'identity-conflict': box('state', 'another client uses the box’s name', 'impaired', AT_START),
  'certificate-expiring': box(
    'reminder',
    'a certificate of the broker’s connection ends soon',
    'ending',
    AT_START,
  ),
  'authorisation-expiring': box(
    'reminder',
    'the current authorisation of the box expires soon',
    'ending',
    AT_START,
  ),
  'high-false-alarm-rate': box(
    'reminder',
    'alerts of a rule were repeatedly reviewed as false alarms at one spot; a person should check it',
    'none',
    AT_START,
  ),
  installed: box('moment', 'a technician has issued the receipt of the installation', 'none', {
    hasPicture: true,
  }),
  'config-changed': box('moment', 'the configuration is another than at the start before', 'none'),
  'mask-removed': box(
    'moment',
    'a privacy mask of the configuration was removed or made smaller, and no mask of the authorisation covers the same place',
    'none',
  ),
  'update-failed': box(
    'moment',
    'an update was cancelled or rolled back; the previous version runs',
    'impaired',
  ),
  'certificate-refused': box(
    'state',
    'the broker’s or the box’s certificate is refused',
    'impaired',
    AT_START,
  ),
} as const satisfies Readonly<Record<string, ConditionFacts>>;

type Conditions = typeof CONDITIONS;
export type ConditionKind = keyof Conditions;

/** Kinds that have certain facts. */
type KindsWith<F extends Partial<ConditionFacts>> = {
  [K in ConditionKind]: Conditions[K] extends F ? K : never;
}[ConditionKind];

export type StateCondition = KindsWith<{ readonly form: 'state' }>;
export type MomentCondition = KindsWith<{ readonly form: 'moment' }>;
export type ReminderCondition = KindsWith<{ readonly form: 'reminder' }>;
export type RuleCondition = KindsWith<{ readonly form: 'of-rule' }>;

/** Conditions of the picture itself. */
export type CameraCondition = KindsWith<{ readonly raisedBy: 'vision' }>;
/** Conditions under which the rules run and their events are marked. */
export type DegradingCondition = KindsWith<{ readonly effect: 'degraded' }>;

export const CONDITION_KINDS: readonly ConditionKind[] = Object.keys(CONDITIONS).filter(isConditionKind);
export const CAMERA_CONDITIONS: readonly CameraCondition[] = CONDITION_KINDS.filter(isCameraCondition);
export const DEGRADING: readonly DegradingCondition[] = CONDITION_KINDS.filter(isDegrading);

/** Reports whether a text, for example from another version's report, names a known condition. */
export function isConditionKind(text: string): text is ConditionKind {
  return Object.hasOwn(CONDITIONS, text);
}

function isCameraCondition(kind: ConditionKind): kind is CameraCondition {
  return CONDITIONS[kind].raisedBy === 'vision';
}

function isDegrading(kind: ConditionKind): kind is DegradingCondition {
  return CONDITIONS[kind].effect === 'degraded';
}

/** Reports whether no zone and no line is watched while this condition is active, because of a fault. */
export function isBlinding(kind: ConditionKind): boolean {
  return CONDITIONS[kind].effect === 'blind';
}

/** Current state of a condition of the box or its camera. Each beginning opens an incident. */
export interface Condition {
  readonly kind: StateCondition;
  readonly active: boolean;
  readonly cause: Readonly<Record<string, unknown>>;
}
