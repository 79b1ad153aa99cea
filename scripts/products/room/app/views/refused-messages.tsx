/** Lists the webhook messages that their receivers have refused, which a supervisor may send again. */
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import type { RefusedMessages } from '../../contract/webhook-routes.ts';
import { explain } from '../acts.ts';
import { post } from '../api.ts';
import { tell } from '../toasts.ts';
import { viewWords } from '../words/views.ts';
import { useLoad } from './load.ts';
import { plain } from './view-texts.ts';

/** Message ids that are shown for each webhook. */
const SHOWN_MAX = 5;

export function RefusedMessageList() {
  const texts = viewWords.value.refusedMessages;
  const load = useLoad<RefusedMessages>('/api/webhooks/refused');
  const messages = load.data.value?.messages ?? [];
  const send = async (webhook: string): Promise<void> => {
    try {
      const { count } = await post<{ count: number }>('/api/webhooks/resend', { webhook });
      tell('good', texts.sent(count));
    } catch (error) {
      tell('bad', explain(error));
    }
    load.reload();
  };
  return [...new Set(messages.map(({ webhook }) => webhook))].map((webhook) => {
    const own = messages.filter((message) => message.webhook === webhook);
    const lines = own.slice(0, SHOWN_MAX).map(({ id, status }) => `${plain(id)} (${status})`);
    return (
      <Notice key={webhook} tone="warn">
        <strong>{texts.title(plain(webhook), own.length)}</strong>
        <p>{lines.join(', ') + (own.length > lines.length ? ' …' : '')}</p>
        <Button onClick={() => void send(webhook)}>{texts.send}</Button>
      </Notice>
    );
  });
}
