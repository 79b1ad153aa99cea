/** A TCP proxy on loopback that can hold bytes back: a slow, half-open or cut link between real ends. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #target: number;
  readonly #pairs = new Set<{ near: Socket; far: Socket }>();
  #server: Server | undefined;
  readonly #upBytesPerS: number;
  #holding = { up: false, down: false };
  connections = 0;

  /** `upBytesPerS` is the speed to the target. */
  constructor(targetPort: number, upBytesPerS = Number.POSITIVE_INFINITY) {
    this.#target = targetPort;
    this.#upBytesPerS = upBytesPerS;
  }

  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async start(host = '127.0.0.1'): Promise<void> {
    this.#server = createServer((near) => this.#accept(near));
    this.#server.listen(0, host);
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    this.cutConnections();
    this.#server?.close();
    if (this.#server) await once(this.#server, 'close');
  }

  /** Holds back bytes to the target (`up`) or from it (`down`), without a sign to either end. */
  hold(up: boolean, down: boolean): void {
    this.#holding = { up, down };
    for (const pair of this.#pairs) this.#apply(pair);
  }

  /** Breaks every connection. */
  cutConnections(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  #accept(near: Socket): void {
    this.connections += 1;
    const pair = { near, far: connect(this.#target, '127.0.0.1') };
    this.#pairs.add(pair);
    const { far } = pair;
    near.on('data', (chunk) => {
      far.write(chunk);
      if (this.#upBytesPerS === Number.POSITIVE_INFINITY) return;
      near.pause();
      setTimeout(() => this.#apply(pair), (1000 * chunk.length) / this.#upBytesPerS);
    });
    far.on('data', (chunk) => near.write(chunk));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
    this.#apply(pair);
  }

  #apply({ near, far }: { near: Socket; far: Socket }): void {
    near[this.#holding.up ? 'pause' : 'resume']();
    far[this.#holding.down ? 'pause' : 'resume']();
  }
}
