/** Topics on which a box receives commands, for Delivery's inbox. */
import type { IncomingCommand } from '../contract/command.ts';
import type { Topics } from '../contract/topics.ts';
import type { Inbox } from './incoming.ts';
import type { AnswerProperties } from './session.ts';

export interface CommandInbox {
  /** Receives unverified commands; must not throw. */
  hear(command: IncomingCommand): void;
  /** Returns false without a connection. */
  reply(topic: string, payload: string, correlation: Uint8Array | undefined): boolean;
}

export function commandInbox(topics: Topics, { hear, reply }: CommandInbox): Inbox {
  const read =
    (broadcast: boolean) =>
    (payload: Buffer, { responseTopic, correlationData }: AnswerProperties): void => {
      const topic = topics.replyTo(responseTopic);
      const answer = topic === undefined ? undefined : (text: string) => reply(topic, text, correlationData);
      hear({ payload, broadcast, reply: answer });
    };
  return new Map([
    [topics.command, read(false)],
    [topics.commandAll, read(true)],
  ]);
}
