/** The topics on which a box hears commands, for Delivery's inbox. */
import type { IncomingCommand } from '../contract/command.ts';
import type { Inbox } from './incoming.ts';
import type { AnswerProperties } from './session.ts';
import type { Topics } from './topics.ts';

/** `onCommand` gets commands that nobody has verified yet; it must not throw. */
export function commandInbox(topics: Topics, onCommand: (command: IncomingCommand) => void): Inbox {
  const hear =
    (broadcast: boolean) =>
    (payload: Buffer, { responseTopic, correlationData }: AnswerProperties): void =>
      onCommand({ payload, broadcast, replyTo: topics.replyTo(responseTopic), correlation: correlationData });
  return new Map([
    [topics.command, hear(false)],
    [topics.commandAll, hear(true)],
  ]);
}
