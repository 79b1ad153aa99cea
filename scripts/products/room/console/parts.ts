/** Assembles the console over one database: the handlers of calls and the source of changes for screens. */
import { readFileSync } from 'node:fs';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { programVersion } from '../../../../agent/base/package-root.ts';
import { openApi } from '../contract/openapi.ts';
import type { Condition } from '../contract/terms.ts';
import type { Sql } from '../database/sql.ts';
import { endClaims } from './acts.ts';
import { camerasOf, changedConditions } from './cameras.ts';
import { CallError } from './handler.ts';
import { dataHandlers } from './handlers.ts';
import { changesSince, type ScreenChanges } from './queue.ts';
import type { DataHandlers } from './routes.ts';
import { signerHandlers } from './searches.ts';
import { peopleOf } from './sessions.ts';
import type { Settings } from './settings.ts';
import { SignerClient } from './signer-client.ts';
import type { ChangesSince } from './stream.ts';
import { endExpired } from './suppressions.ts';
import { trackHandlers } from './tracks.ts';

/** Interval of the check for silent boxes, in ms: the delay, after SILENT_S, until screens show one. */
const SILENCE_EVERY_MS = 15_000;

/** Maximum size of the map: a city's roads and boxes take some megabytes, and a browser cannot draw more at once. */
const PLAN_BYTES_MAX = 16_777_216;

export interface Parts {
  readonly handlers: DataHandlers;
  readonly changesSince: ChangesSince;
}

/**
 * Builds the parts.
 * @throws {AgentError} `config`, with one line, for an unreadable map
 */
export function partsOf(db: Sql, settings: Settings, timeZone: string, clock: () => number): Parts {
  const version = programVersion();
  return {
    handlers: {
      ...dataHandlers(db, {
        timeZone,
        people: () => peopleOf(db, settings.accounts ?? [], clock()),
        plan: settings.plan === undefined ? undefined : planIn(settings.plan),
        patrols: settings.patrols,
      }),
      ...(settings.signer === undefined
        ? NO_SIGNER
        : signed(new SignerClient(settings.signer), db, settings, clock)),
      openapi: async () => JSON.stringify(openApi(version)),
    },
    changesSince: withSilence(db, clock),
  };
}

const noSigner = (): Promise<never> =>
  Promise.reject(
    new CallError(503, 'a signer is not configured in this room; set `signer` to the path of its socket'),
  );
const NO_SIGNER = {
  search: noSigner,
  searchState: noSigner,
  sealed: noSigner,
  tracks: noSigner,
  trackStill: noSigner,
  tracksCsv: noSigner,
  tracksMfJson: noSigner,
};

const signed = (client: SignerClient, db: Sql, { video }: Settings, clock: () => number) => ({
  ...signerHandlers(client, db, clock),
  ...trackHandlers({ client, db, video, clock }),
});

/** Leaves out incidents that no screen has shown: they are reported when their suppression ends. */
function withoutSuppressed(changes: ScreenChanges): ScreenChanges {
  const isShown = ({ isSuppressed, revision }: ScreenChanges['incidents'][number]): boolean =>
    !isSuppressed || revision > 0;
  return { ...changes, incidents: changes.incidents.filter(isShown) };
}

/**
 * Ends claims and suppressions whose time is over before each query for all screens. Adds, every SILENCE_EVERY_MS, the
 * cameras whose condition has changed through time alone, without a change number.
 */
function withSilence(db: Sql, clock: () => number): ChangesSince {
  const sentConditions = new Map<string, Condition>();
  let checkedMs = 0;
  return async (rev, _rowsMax, toAll): Promise<ScreenChanges> => {
    const nowMs = clock();
    if (toAll) {
      await endClaims(db, nowMs);
      await endExpired(db, nowMs);
    }
    const changes = withoutSuppressed(await changesSince(db, rev, nowMs));
    // A reply to a single returning screen must not mark the change as sent to the others.
    if (!toAll) return changes;
    for (const { site, box } of changes.removedCameras) sentConditions.delete(`${site}/${box}`);
    const changedCameras = changedConditions(sentConditions, changes.cameras);
    const sinceMs = nowMs - checkedMs;
    // Negative: the clock was set back.
    if (sinceMs >= 0 && sinceMs < SILENCE_EVERY_MS) return changes;
    checkedMs = nowMs;
    const otherCameras = changedConditions(sentConditions, (await camerasOf(db, nowMs)).cameras);
    const changedKeys = new Set(changedCameras.map(({ site, box }) => `${site}/${box}`));
    const silent = otherCameras.filter(({ site, box }) => !changedKeys.has(`${site}/${box}`));
    return { ...changes, cameras: [...changes.cameras, ...silent] };
  };
}

function planIn(file: string): string {
  try {
    const text = readFileSync(file, 'utf8');
    if (Buffer.byteLength(text) > PLAN_BYTES_MAX) throw new Error(`has more than ${PLAN_BYTES_MAX} bytes`);
    const content = JSON.parse(text) as { type?: unknown } | null;
    if (content?.type !== 'FeatureCollection') throw new Error('not a GeoJSON FeatureCollection (RFC 7946)');
    return text;
  } catch (error) {
    throw new AgentError('config', `plan: ${file}: ${messageOf(error).slice(0, 200)}`, error);
  }
}
