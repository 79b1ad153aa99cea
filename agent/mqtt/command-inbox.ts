/** The topics on which a box hears commands, for Delivery's inbox. */
import type { IncomingCommand } from '../contract/command.ts';
import type { AnswerProperties } from './session.ts';
import type { Topics } from '../contract/topics.ts';

export type Inbox = ReadonlyMap<string, (payload: Buffer, answer: AnswerProperties) => void>;

/** `take` gets commands that are not yet believed; it must not throw. */
export function commandInbox(topics: Topics, take: (command: IncomingCommand) => void): Inbox {
  const hear =
    (broadcast: boolean) =>
    (payload: Buffer, { responseTopic, correlationData }: AnswerProperties): void =>
      take({ payload, broadcast, replyTo: topics.replyTo(responseTopic), correlation: correlationData });
  return new Map([
    [topics.command, hear(false)],
    [topics.commandAll, hear(true)],
  ]);
}
