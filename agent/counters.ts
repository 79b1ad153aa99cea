/** Every counter of the agent, under the names in which health reports them. */
import type { EventArchive } from './archive/archive.ts';
import type { SearchDesk } from './archive/search.ts';
import type { Bridges } from './bridge/bridges.ts';
import type { CommandDesk } from './command-desk.ts';
import type { JournalDesk } from './journal-desk.ts';
import type { LocalView } from './local-view.ts';
import type { Lookout } from './lookout.ts';
import type { RestraintDesk } from './restraint-desk.ts';
import type { SealedDesk } from './sealed-desk.ts';
import type { VisionDesks } from './vision-desks.ts';
import type { VisionState } from './vision-state.ts';

export interface CountedParts {
  readonly flow: {
    readonly counters: Readonly<Record<'overflow' | 'cooled' | 'heldBack' | 'evidenceMissed', number>>;
    readonly cameraCounters: Readonly<Record<string, number>>;
  };
  readonly visionState: VisionState;
  readonly desks: VisionDesks;
  readonly vision: Lookout;
  readonly archive: EventArchive;
  readonly commands: CommandDesk;
  readonly search: SearchDesk;
  readonly bridges: Bridges;
  readonly journal: JournalDesk;
  readonly restraint: RestraintDesk;
  readonly sealed: SealedDesk;
  readonly view: LocalView;
}

export function agentCounters(parts: CountedParts): Record<string, number> {
  const { flow, visionState, vision, archive: store, commands, search, bridges, journal } = parts;
  const { overflow, cooled, heldBack, evidenceMissed } = flow.counters;
  const { framesHeld, framesShed, observationsDropped, impossible, reconnects, rebuilds } =
    visionState.counters;
  const archive = store.counters;
  const { accepted, refused, repliesLost } = commands.counters;
  const { searches, eventsGiven, limited } = search.counters;
  return {
    ...flow.cameraCounters,
    ...parts.desks.counters,
    incidents_overflow: overflow,
    incidents_cooled: cooled,
    alerts_held_back: heldBack,
    evidence_missed: evidenceMissed,
    frames_held: framesHeld,
    frames_shed: framesShed,
    observations_dropped: observationsDropped,
    detections_impossible: impossible,
    camera_reconnects: reconnects,
    camera_rebuilds: rebuilds,
    ...visionState.limits,
    vision_ends: vision.ends,
    bridge_published: bridges.counters.published,
    bridge_dropped: bridges.counters.dropped,
    archive_events: archive.events,
    archive_bytes: archive.bytes,
    archive_added: archive.added,
    archive_purged: archive.purged,
    archive_evicted: archive.evicted,
    archive_missed: archive.missed,
    archive_pending: archive.pending,
    archive_records_trimmed: archive.recordsTrimmed,
    clock_steps: archive.clockSteps,
    commands_accepted: accepted,
    commands_refused: refused,
    command_replies_lost: repliesLost,
    searches,
    search_events_given: eventsGiven,
    searches_limited: limited,
    ...journal.counters,
    restraint_write_failures: parts.restraint.counters.writeFailures,
    ...parts.view.counters,
    ...parts.sealed.counters,
  };
}
