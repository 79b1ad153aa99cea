/**
 * The bridges that are switched on: from accepted events to notices in the forms of other systems.
 *
 * INVARIANTS: a notice says nothing that its event does not say; nothing is kept for a broker that is away,
 * what could not be sent is counted; the main topics never wait for a bridge.
 * LIMITS: EPISODES_MAX episodes are remembered, the oldest goes first.
 */
import type { Notice } from '../contract/bridge.ts';
import type { Config } from '../contract/config.ts';
import type { Counters } from '../contract/counters.ts';
import type { UnnumberedEvent } from '../contract/event-sink.ts';
import type { SizePx } from '../contract/geometry.ts';
import { type FrigateState, frigateNotice, frigateState } from './frigate.ts';
import { type HomeAssistantBox, homeAssistantConfigs, homeAssistantState } from './home-assistant.ts';
import { onvifNotices } from './onvif.ts';

/** 64 rules with 64 standing incidents each. */
const EPISODES_MAX = 4096;

export interface BridgesOptions {
  readonly config: Pick<Config, 'bridges' | 'rules'>;
  readonly box: HomeAssistantBox;
  /** Size of the camera's picture while it is open. */
  readonly status: { readonly frameSize: SizePx | undefined };
  /** False: the broker is away or slow, and the notice is lost. */
  readonly publisher: { notice(notice: Notice): boolean } | undefined;
}

interface Episode {
  readonly rule: string;
  readonly tracks: readonly number[];
  readonly frigate: FrigateState | undefined;
}

export class Bridges {
  readonly #options: BridgesOptions;
  /** Episodes that stand, the oldest first. */
  readonly #episodes = new Map<string, Episode>();
  /** Incidents of each rule since the start. */
  readonly #counted = new Map<string, number>();
  #frame: SizePx | undefined;
  #published = 0;
  #dropped = 0;

  constructor(options: BridgesOptions) {
    this.#options = options;
  }

  get counters(): Counters {
    return { bridge_published: this.#published, bridge_dropped: this.#dropped };
  }

  /** A connection was opened: the broker may know nothing. */
  online(): void {
    const { config, box } = this.#options;
    if (!config.bridges.homeAssistant) return;
    for (const notice of homeAssistantConfigs(box, config.rules)) this.#publish(notice);
    for (const { id } of config.rules) {
      this.#publish(homeAssistantState(box.root, id, this.#standing(id).length));
    }
  }

  /** An event has been accepted by the outbox. */
  accepted(event: UnnumberedEvent): void {
    const { config, box } = this.#options;
    const { onvif, homeAssistant, frigate } = config.bridges;
    if (!onvif && !homeAssistant && !frigate) return;
    const { episode, phase, rule, severity } = event.data;
    // What was there before is no alarm: none of the three has a word for it.
    if (severity === 'notice') return;
    const ruleId = severity === 'system' ? rule.kind : rule.id;
    const before = this.#episodes.get(episode)?.frigate;
    const after = frigate ? this.#frigateState(event, before) : undefined;
    this.#remember(event, ruleId, after);
    const standing = this.#standing(ruleId);
    if (onvif) {
      const counted = this.#counted.get(ruleId) ?? 0;
      const inside = standing.flatMap(({ tracks }) => tracks);
      for (const notice of onvifNotices(box.root, event, { inside, counted })) this.#publish(notice);
    }
    if (homeAssistant && severity !== 'system') {
      this.#publish(homeAssistantState(box.root, ruleId, standing.length));
    }
    if (after !== undefined) this.#publish(frigateNotice(box.root, phase, before, after));
  }

  #frigateState(event: UnnumberedEvent, before: FrigateState | undefined): FrigateState | undefined {
    if (event.data.objects.length === 0) return undefined;
    // A camera that is lost just now had a size.
    this.#frame = this.#options.status.frameSize ?? this.#frame;
    if (this.#frame !== undefined) return frigateState(event, this.#frame, before);
    this.#dropped += 1;
    return undefined;
  }

  #remember(
    { data: { episode, phase, objects } }: UnnumberedEvent,
    rule: string,
    frigate?: FrigateState,
  ): void {
    if (phase === 'start') this.#counted.set(rule, (this.#counted.get(rule) ?? 0) + 1);
    this.#episodes.delete(episode);
    if (phase === 'end') return;
    this.#episodes.set(episode, { rule, tracks: objects.map(({ track }) => track), frigate });
    const oldest = this.#episodes.keys().next().value;
    if (this.#episodes.size > EPISODES_MAX && oldest !== undefined) this.#episodes.delete(oldest);
  }

  #standing(rule: string): Episode[] {
    return [...this.#episodes.values()].filter((episode) => episode.rule === rule);
  }

  #publish(notice: Notice): void {
    if (this.#options.publisher?.notice(notice)) this.#published += 1;
    else this.#dropped += 1;
  }
}
