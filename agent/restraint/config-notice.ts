/**
 * Reports each change of the monitored configuration to the room once: an edit, a technician's change, or a restored
 * file. A privacy mask that was removed or reduced, and that no mask of the authorisation covers, is an event of its
 * own. The change is detected when the journal is opened (journal/watched.ts).
 *
 * INVARIANT: reported at least once. A change counts as reported only when its event is durable, so a crash in between
 * may repeat it.
 */

import { rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import type { MomentCondition } from '../contract/condition.ts';
import type { Config } from '../contract/config.ts';
import { CHANGED_LISTS, type ChangeOrigin, type ConfigChange } from '../contract/config-change.ts';
import { uncovered } from '../contract/polygon.ts';
import { isOutlined } from './authorisation.ts';
import { WatchedFile } from './journal/watched.ts';

/** Maximum number of places in an event. */
const PLACES_TOLD_MAX = 64;
const REASON_MAX = 500;
/** Maximum length of a list of names, in characters: the room shows as many. */
const NAMES_MAX = 300;

export interface ConfigNoticeOptions {
  readonly config: Config;
  readonly stateDir: string;
  readonly log: Logger;
  readonly journal: { readonly writable: boolean };
  /** Valid authorisation, whose outlines may cover the drawn places. */
  readonly restraint: { readonly authorisation: Authorisation | undefined };
  readonly flow: { happened(kind: MomentCondition, cause: object): void };
}

export class ConfigNotice {
  readonly #options: ConfigNoticeOptions;
  readonly #file: WatchedFile;
  #isDone = false;

  constructor(options: ConfigNoticeOptions) {
    this.#options = options;
    this.#file = new WatchedFile(options.stateDir);
  }

  /** Must be called often, after the authorisation was evaluated. */
  tick(): void {
    const { config, log, journal, restraint, flow } = this.#options;
    // Before the journal is open, nothing has been compared.
    if (this.#isDone || !journal.writable) return;
    this.#isDone = true;
    const change = this.#file.untold;
    if (change === undefined) return;
    flow.happened('config-changed', causeOf(change, config, restraint.authorisation));
    const uncovered = uncoveredMasks(change, config, restraint.authorisation);
    if (uncovered.length > 0) flow.happened('mask-removed', maskCauseOf(uncovered));
    try {
      this.#file.markReported();
    } catch (error) {
      rethrowBug(error);
      log.warn({ reason: error.message }, 'the configuration change will be reported again');
    }
  }
}

function causeOf(
  { lists, places }: ConfigChange,
  config: Config,
  authorisation: Authorisation | undefined,
): object {
  const changedPlaces = places.map(({ list, id }) =>
    list === 'zones' || list === 'lines'
      ? { list, id, outlined: authorisation !== undefined && isOutlined(authorisation, list, id, config) }
      : { list, id },
  );
  const listedPlaces = changedPlaces.slice(0, PLACES_TOLD_MAX);
  const omittedCount = changedPlaces.length - listedPlaces.length;
  const reason = [...CHANGED_LISTS, 'other', 'unknown']
    .filter((list) => (lists as readonly string[]).includes(list))
    .map((list) =>
      listText(
        list,
        changedPlaces.filter((place) => place.list === list),
      ),
    )
    .join('; ')
    .slice(0, REASON_MAX);
  return { lists, changed: listedPlaces, ...(omittedCount > 0 && { more: omittedCount }), reason };
}

type LostMask = ConfigChange['masksLost'][number];

/** Returns the lost masks that are not covered by the authorisation's and the configuration's masks either. */
function uncoveredMasks(
  { masksLost }: ConfigChange,
  { masks }: Config,
  authorisation: Authorisation | undefined,
): readonly LostMask[] {
  const authorisedMasks = authorisation?.masks ?? [];
  return authorisedMasks.length === 0 ? masksLost : uncovered(masksLost, [...masks, ...authorisedMasks]);
}

const ORIGIN_TEXTS: Readonly<Record<ChangeOrigin, string>> = {
  technician: 'by a technician at the page',
  order: 'by an order of the room',
  box: 'on the box itself',
};

function maskCauseOf(masks: readonly LostMask[]): object {
  const reason = masks
    .map(({ id, change, by }) => `mask ${id} ${change} ${ORIGIN_TEXTS[by]}`)
    .join('; ')
    .slice(0, REASON_MAX);
  const names = (wanted: LostMask['change']): string =>
    masks
      .filter(({ change }) => change === wanted)
      .map(({ id }) => id)
      .join(', ')
      .slice(0, NAMES_MAX);
  const [firstOrigin, ...otherOrigins] = new Set(masks.map(({ by }) => by));
  return {
    masks: masks.map(({ id, change, by }) => ({ id, change, by })),
    removed: names('removed'),
    smaller: names('smaller'),
    by: otherOrigins.length === 0 ? firstOrigin : 'several',
    reason,
  };
}

const WITHOUT_PLACES: Readonly<Record<string, string>> = {
  camera: 'camera',
  other: 'something else of the configuration',
  unknown: 'the previous configuration is unknown',
};

function listText(
  list: string,
  changedPlaces: readonly { readonly id: string; readonly outlined?: boolean }[],
): string {
  const ids = changedPlaces.map(({ id, outlined }) => {
    if (outlined === undefined) return id;
    return `${id} (${outlined ? 'inside the outline of the authorisation' : 'not in an outline of an authorisation'})`;
  });
  return WITHOUT_PLACES[list] ?? [list, ids.join(', ')].filter((text) => text !== '').join(' ');
}
