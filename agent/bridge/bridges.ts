/**
 * Enabled bridges: convert accepted events to notices in the formats of other systems.
 *
 * INVARIANTS:
 * - A notice contains no information beyond its event, and no picture but the event's own redacted still.
 * - No notice is stored for an unreachable broker; unsent notices are counted.
 * - The main topics never wait for a bridge.
 *
 * LIMITS: EPISODES_MAX episodes are stored; the oldest is dropped first.
 */

import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import { type Notice, removalNotice } from '../contract/bridge.ts';
import type { Config } from '../contract/config.ts';
import type { EventPicture, UnnumberedEvent } from '../contract/event-sink.ts';
import {
  type HomeAssistantBox,
  homeAssistantEvent,
  homeAssistantImage,
  homeAssistantRetained,
  homeAssistantState,
  isRetainedTopic,
} from './home-assistant.ts';
import { onvifNotices } from './onvif.ts';
import { RetainedTopics } from './retained-topics.ts';

const DAY_S = 86_400;

/** 64 rules with 64 active incidents each. */
const EPISODES_MAX = 4096;

export interface BridgesOptions {
  readonly config: Pick<Config, 'bridges' | 'rules'>;
  readonly box: HomeAssistantBox;
  /** Returns false if the broker is unreachable or slow, and the notice is lost. */
  readonly publisher: { notice(notice: Notice): boolean } | undefined;
  /** Stores which retained topics must be removed when their rule is removed. */
  readonly stateDir: string;
  readonly log: Logger;
  /** Maximum time for which any client may keep a redacted still. */
  readonly retention: { snapshotsDays(): number };
}

interface Episode {
  readonly rule: string;
  readonly tracks: readonly number[];
}

export class Bridges {
  readonly #options: BridgesOptions;
  /** Active episodes, oldest first. */
  readonly #episodes = new Map<string, Episode>();
  /** Number of incidents of each rule since the start. */
  readonly #counted = new Map<string, number>();
  readonly #retained: RetainedTopics;
  #published = 0;
  #droppedCount = 0;

  constructor(options: BridgesOptions) {
    const { stateDir, log, box } = options;
    this.#options = options;
    this.#retained = new RetainedTopics({ stateDir, log, own: (topic) => isRetainedTopic(box, topic) });
  }

  get counters(): Counters {
    return {
      bridge_published: this.#published,
      bridge_dropped: this.#droppedCount,
      bridge_forgotten: this.#retained.forgotten,
    };
  }

  /**
   * Publishes all retained notices after a connection, because the broker may have lost its retained messages. Removes
   * the topics of deleted rules, or of the disabled bridge.
   */
  online(): void {
    const { config, box } = this.#options;
    const on = config.bridges.homeAssistant;
    const openCount = (rule: string): number => this.#openEpisodes(rule).length;
    const retained = on ? homeAssistantRetained(box, config.rules, openCount) : [];
    const staleTopics = this.#retained.fill(retained.map(({ topic }) => topic));
    const removed = staleTopics.map((topic) => this.#publish(removalNotice(topic)));
    if (removed.every(Boolean)) this.#retained.removed();
    if (!on) return;
    for (const notice of retained) this.#publish(notice);
  }

  /** Publishes the notices of an event that the outbox has accepted, with its pictures. */
  accepted(event: UnnumberedEvent, pictures: readonly EventPicture[]): void {
    const { config, box } = this.#options;
    const { onvif, homeAssistant } = config.bridges;
    if (!onvif && !homeAssistant) return;
    const { rule, severity } = event.data;
    // A `notice` event existed before and is not an alarm; neither system has a term for it.
    if (severity === 'notice') return;
    const ruleId = severity === 'system' ? rule.kind : rule.id;
    this.#remember(event, ruleId);
    const openEpisodes = this.#openEpisodes(ruleId);
    if (onvif) {
      const counted = this.#counted.get(ruleId) ?? 0;
      const inside = openEpisodes.flatMap(({ tracks }) => tracks);
      for (const notice of onvifNotices(box.root, event, { inside, counted })) this.#publish(notice);
    }
    if (homeAssistant && severity === 'alert') this.#tellHomeAssistant(event, pictures, openEpisodes.length);
  }

  /** Publishes the picture first, so that an automation triggered by the event finds it. */
  #tellHomeAssistant(event: UnnumberedEvent, pictures: readonly EventPicture[], openCount: number): void {
    const { config, box, retention } = this.#options;
    const rule = config.rules.find(({ id }) => id === event.data.rule.id);
    if (rule === undefined) return;
    const still = pictures.find(({ moment }) => moment === 'snapshot')?.picture;
    const expiryS = retention.snapshotsDays() * DAY_S;
    if (still !== undefined) this.#publish(homeAssistantImage(box.root, still, expiryS));
    for (const notice of homeAssistantEvent(box.root, rule, event)) this.#publish(notice);
    for (const notice of homeAssistantState(box.root, rule, openCount)) this.#publish(notice);
  }

  #remember({ data: { episode, phase, objects } }: UnnumberedEvent, rule: string): void {
    if (phase === 'start') this.#counted.set(rule, (this.#counted.get(rule) ?? 0) + 1);
    this.#episodes.delete(episode);
    if (phase === 'end') return;
    this.#episodes.set(episode, { rule, tracks: objects.map(({ track }) => track) });
    const oldest = this.#episodes.keys().next().value;
    if (this.#episodes.size > EPISODES_MAX && oldest !== undefined) this.#episodes.delete(oldest);
  }

  #openEpisodes(rule: string): Episode[] {
    return [...this.#episodes.values()].filter((episode) => episode.rule === rule);
  }

  #publish(notice: Notice): boolean {
    const wasAccepted = this.#options.publisher?.notice(notice) ?? false;
    if (wasAccepted) this.#published += 1;
    else this.#droppedCount += 1;
    return wasAccepted;
  }
}
