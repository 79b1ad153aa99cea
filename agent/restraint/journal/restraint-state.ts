/**
 * State of the restraints as the journal records it, so that missing files, and files restored from an older copy, are
 * detected. It holds the authority's key, the suspension and the commands obeyed. It also holds the reported progress
 * of root's updates, the camera connection, and the last time of a correct clock.
 */
import type {
  ConnectionKnown,
  JournalContent,
  RestraintKnown,
  RolloutsKnown,
} from '../../contract/journal.ts';

export class RestraintState {
  #authority: string | null = null;
  #suspension: RestraintKnown['suspension'] = null;
  readonly #commands = new Map<string, number>();
  #rollouts: RolloutsKnown | null = null;
  #connection: ConnectionKnown | null = null;
  #confirmedMs: number | undefined;

  /** Returns a copy, to learn entries that may not get into the journal. */
  copy(): RestraintState {
    const other = new RestraintState();
    other.#restore(this.summary);
    other.#confirmedMs = this.#confirmedMs;
    return other;
  }

  /** Takes the next entry; entries come in the journal's order. */
  learn(content: JournalContent): void {
    switch (content.type) {
      case 'start':
      case 'heartbeat':
        this.#restore(content.restraint);
        if (content.clockSynced) this.#confirmedMs = Date.parse(content.at);
        return;
      case 'authority':
        this.#authority = content.after;
        return;
      case 'suspend': {
        const { id, reason, by, at } = content;
        this.#suspension = { id, reason, by, since: at };
        return;
      }
      case 'mode':
        if (content.mode === 'suspended' && content.suspension !== null) this.#suspendedAs(content);
        return;
      case 'resume':
        this.#suspension = null;
        return;
      case 'command':
        this.#obeyed(content.keyid, content.counter);
        return;
      case 'rollout': {
        const { n, noted } = content;
        // The newest counts even if it is lower: the journal records that itself.
        this.#rollouts = { n, noted };
        return;
      }
      case 'connected':
        this.#connection = { camera: content.camera, to: content.to };
        return;
      default:
        return;
    }
  }

  /** Learns the entry and returns it. */
  learnt(content: JournalContent): JournalContent {
    this.learn(content);
    return content;
  }

  /** Fingerprint of the key whose authorisations the box obeys; undefined if none is known. */
  get authority(): string | undefined {
    return this.#authority ?? undefined;
  }

  /** Suspension that has not been ended. */
  get suspension(): NonNullable<RestraintKnown['suspension']> | undefined {
    return this.#suspension ?? undefined;
  }

  /** Newest counter of each key that has commanded the box, by its fingerprint. */
  get commands(): ReadonlyMap<string, number> {
    return this.#commands;
  }

  /** Newest line of root's history that is in the journal; null if there is none. */
  get rollouts(): RolloutsKnown | null {
    return this.#rollouts;
  }

  /** Last connection of vision; null before the first. */
  get connection(): ConnectionKnown | null {
    return this.#connection;
  }

  /** Newest time of a clock that was set, ms since the epoch. */
  get confirmedMs(): number | undefined {
    return this.#confirmedMs;
  }

  /** State for the entries from which `learn` starts again. */
  get summary(): RestraintKnown {
    const commands = Object.fromEntries(this.#commands);
    return {
      authority: this.#authority,
      suspension: this.#suspension,
      commands,
      rollouts: this.#rollouts,
      connection: this.#connection,
    };
  }

  #restore({ authority, suspension, commands, rollouts, connection }: RestraintKnown): void {
    this.#connection = connection;
    this.#authority = authority;
    this.#suspension = suspension;
    this.#rollouts = rollouts;
    for (const [keyid, counter] of Object.entries(commands)) this.#obeyed(keyid, counter);
  }

  #suspendedAs({ suspension, since, reason }: Extract<JournalContent, { type: 'mode' }>): void {
    if (suspension === null || suspension === this.#suspension?.id) return;
    this.#suspension = { id: suspension, since, reason: reason ?? '', by: 'agent' };
  }

  #obeyed(keyid: string, counter: number): void {
    this.#commands.set(keyid, Math.max(counter, this.#commands.get(keyid) ?? 0));
  }
}

/** True if the entry holds the complete state. */
export const isSummary = (content: JournalContent): boolean => 'restraint' in content;
