/** A receiver of webhooks that stores them and answers as the test requires. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import type { WebhookMessage } from '../../scripts/programs/room/contract/webhook.ts';

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
