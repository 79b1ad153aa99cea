/** Defines the routes of webhook messages that their receivers have refused. */
import { type Static, Type } from '@sinclair/typebox';
import type { Route } from './route.ts';
import { Count, Nullable, strict, Text, Time } from './schema.ts';
import { WEBHOOK_REFUSED_MAX } from './terms.ts';

const WebhookName = Text(64, 'name in the settings of the console');

export const RefusedMessages = Type.Object(
  {
    messages: Type.Array(
      Type.Object(
        {
          webhook: WebhookName,
          id: Text(200, 'its `webhook-id`'),
          at: Time,
          status: { ...Count, description: 'last answer of the receiver' },
          incident: Nullable(Count),
          isDue: Type.Boolean({ description: 'is sent again' }),
        },
        strict,
      ),
      { maxItems: WEBHOOK_REFUSED_MAX, description: 'the newest first' },
    ),
    more: { ...Count, description: 'messages beyond these' },
  },
  { ...strict, $id: 'RefusedMessages' },
);
export type RefusedMessages = Static<typeof RefusedMessages>;

export const WEBHOOK_ROUTES = {
  refusedMessages: {
    method: 'GET',
    path: '/api/webhooks/refused',
    summary: 'webhook messages that their receivers have refused by their content',
    action: 'resend-webhooks',
    gives: RefusedMessages,
  },
  resend: {
    method: 'POST',
    path: '/api/webhooks/resend',
    summary: 'send the refused messages of a webhook again, once',
    action: 'resend-webhooks',
    body: Type.Object({ webhook: WebhookName }, strict),
    gives: Type.Object({ count: Count }, strict),
  },
} as const satisfies Readonly<Record<string, Route>>;
