/**
 * One end of the link: a connected stream socket that sends and receives validated messages.
 *
 * LIMITS: up to 4 MiB unread by the other side are buffered. Beyond that, `send` refuses and counts, so that a stuck
 * reader costs messages and not memory.
 */
import type { Socket } from 'node:net';
import type { Static, TSchema } from '@sinclair/typebox';
import { LinkDecoder, type Received } from './link-frame.ts';

const UNREAD_BYTES_MAX = 4 * 1024 * 1024;
const FLUSH_WITHIN_MS = 500;

export interface LinkEvents<S extends TSchema> {
  onMessage(received: Received<Static<S>>): void;
  /** Called once, if the other side disconnected or sent an invalid message. */
  onClosed(error: Error | undefined): void;
}

export class LinkEnd<S extends TSchema> {
  readonly #socket: Socket;
  #closed = false;

  /** `bytesMax`: maximum size of an incoming message. */
  constructor(socket: Socket, incoming: S, events: LinkEvents<S>, bytesMax?: number) {
    this.#socket = socket;
    const decoder = new LinkDecoder(incoming, bytesMax);
    const close = (error?: Error): void => {
      if (this.#closed) return;
      this.#closed = true;
      socket.destroy();
      events.onClosed(error);
    };
    socket.on('data', (chunk) => {
      try {
        for (const received of decoder.push(chunk)) if (!this.#closed) events.onMessage(received);
      } catch (error) {
        close(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.on('error', close);
    socket.on('close', () => close());
  }

  /** Passes an encoded message to the kernel; returns false if it was refused or the link is closed. */
  send(encoded: Buffer): boolean {
    if (this.#closed) return false;
    if (this.#socket.writableLength > UNREAD_BYTES_MAX) return false;
    this.#socket.write(encoded);
    return true;
  }

  /** Closes the link immediately, dropping unsent data. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Resolves when all data has been sent or the link is closed, and after FLUSH_WITHIN_MS at the latest. */
  flushed(): Promise<void> {
    if (this.#closed || this.#socket.writableLength === 0) return Promise.resolve();
    return new Promise((resolve) => {
      setTimeout(resolve, FLUSH_WITHIN_MS).unref();
      this.#socket.write('', () => resolve());
    });
  }
}
