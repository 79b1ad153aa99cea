/**
 * What the journal knows of what restrains the box, so that a file that is missing, or was put back from an older copy,
 * is found: whose orders it obeys, whether it is suspended, which commands it has obeyed, how far root's updates are told,
 * and when its clock was right.
 */
import type {
  ConnectionKnown,
  JournalContent,
  RestraintKnown,
  RolloutsKnown,
} from '../../contract/journal.ts';

export class Known {
  #authority: string | null = null;
  #suspension: RestraintKnown['suspension'] = null;
  readonly #commands = new Map<string, number>();
  #rollouts: RolloutsKnown | null = null;
  #connection: ConnectionKnown | null = null;
  #confirmedMs: number | undefined;

  /** With the same knowledge, to learn what may not get into the journal. */
  copy(): Known {
    const other = new Known();
    other.#restore(this.summary);
    other.#confirmedMs = this.#confirmedMs;
    return other;
  }

  /** Takes the next entry in; they come in the journal's order. */
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
        // The newest counts, though it be lower: the journal tells of that itself.
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

  /** The same; returns it. */
  learnt(content: JournalContent): JournalContent {
    this.learn(content);
    return content;
  }

  /** Fingerprint of the key whose orders the box obeys; undefined: none is known. */
  get authority(): string | undefined {
    return this.#authority ?? undefined;
  }

  /** The suspension that nobody has ended. */
  get suspension(): NonNullable<RestraintKnown['suspension']> | undefined {
    return this.#suspension ?? undefined;
  }

  /** The newest counter of each key that has commanded the box, by its fingerprint. */
  get commands(): ReadonlyMap<string, number> {
    return this.#commands;
  }

  /** The newest line of root's history that is in the journal; null: there is none. */
  get rollouts(): RolloutsKnown | null {
    return this.#rollouts;
  }

  /** What vision was connected to last; null before the first time. */
  get connection(): ConnectionKnown | null {
    return this.#connection;
  }

  /** The newest time of a clock that was set, ms since the epoch. */
  get confirmedMs(): number | undefined {
    return this.#confirmedMs;
  }

  /** For the entries from which `learn` begins anew. */
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

/** The whole of what is known stands in it. */
export const isSummary = (content: JournalContent): boolean => 'restraint' in content;
