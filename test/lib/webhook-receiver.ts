/** A receiver of webhooks that stores them and answers as the test requires, and a console's sender as a process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { WebhookSettings } from '../../scripts/products/room/console/webhook-sender.ts';
import { WEBHOOK_TYPES, type WebhookMessage } from '../../scripts/products/room/contract/webhook.ts';

const WRITER = fileURLToPath(new URL('./webhook-writer.js', import.meta.url));
export const SECRET = `whsec_${randomBytes(32).toString('base64')}`;

/** Settings of a webhook for all kinds of messages. */
export const hook = ({ url }: { url: string }, more: Partial<WebhookSettings> = {}): WebhookSettings => ({
  name: 'city',
  url,
  secret: SECRET,
  patrols: undefined,
  types: WEBHOOK_TYPES,
  ...more,
});

/** Starts a console's webhooks in a process of their own. */
export async function startWriter(
  t: Test,
  address: string,
  settings: WebhookSettings[],
): Promise<ChildProcess> {
  const command = [WRITER, address, JSON.stringify(settings)];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

export interface Received {
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly message: WebhookMessage;
}

export interface Receiver {
  readonly url: string;
  readonly all: Received[];
  /** Replaceable reply; the default is 204. */
  answer: (response: ServerResponse, received: Received) => void;
}

/** Starts a receiver on the loopback, closed when the test ends. */
export async function receiverFor(t: Test): Promise<Receiver> {
  const all: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const id = String(request.headers['webhook-id']);
      const received = { id, headers: request.headers, text, message: JSON.parse(text) as WebhookMessage };
      all.push(received);
      receiver.answer(response, received);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    all,
    answer: (response) => response.writeHead(204).end(),
  };
  return receiver;
}
