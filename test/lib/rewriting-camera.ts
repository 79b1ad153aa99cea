/**
 * A camera that redirects: a TCP server in front of a real RTSP server. It records each request, sends it to the real
 * server as one for its own stream, and changes the replies to its client.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface Rewriting {
  /** Replies instead of the real server; undefined passes the request on. */
  readonly answer?: (method: string) => string | undefined;
  /** Changes a reply of the real server: its head, and the SDP where it has one. */
  readonly head?: (text: string, method: string) => string;
  readonly sdp?: (text: string) => string;
}

export class RewritingCamera {
  /** `METHOD url` of each request. */
  readonly requests: string[] = [];
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #rewriting: Rewriting = {};

  /** Starts the camera. `realPort`: port of the real server, whose stream is at /main. */
  static async start(t: Test, realPort: number): Promise<RewritingCamera> {
    const camera = new RewritingCamera(realPort);
    await new Promise<void>((resolve) => camera.#server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => camera.#stop());
    return camera;
  }

  private constructor(realPort: number) {
    this.#server = createServer((client) => {
      this.connections += 1;
      const real = connect(realPort, '127.0.0.1');
      for (const socket of [client, real]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => this.#sockets.delete(socket));
      }
      this.#relay(client, real, realPort);
    });
  }

  rewrite(rewriting: Rewriting): void {
    this.#rewriting = rewriting;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #relay(client: Socket, real: Socket, realPort: number): void {
    let method = '';
    client.on('data', (chunk) => {
      // Interleaved receiver reports begin with a $.
      const [line, name = '', url = ''] =
        /^([A-Z_]+) (\S+) RTSP\/1\.0\r\n/.exec(chunk.toString('latin1')) ?? [];
      if (line === undefined) return void real.write(chunk);
      method = name;
      this.requests.push(`${name} ${url}`);
      const text = chunk.toString('latin1');
      const cseq = /^CSeq: (\d+)/im.exec(text)?.[1] ?? '0';
      const own = this.#rewriting.answer?.(name);
      if (own !== undefined) return void client.write(own.replace('\r\n', `\r\nCSeq: ${cseq}\r\n`));
      const realUrl = `rtsp://127.0.0.1:${realPort}/main${name === 'SETUP' ? '/stream=0' : ''}`;
      real.write(`${name} ${realUrl} RTSP/1.0\r\n${text.slice(line.length)}`, 'latin1');
    });
    real.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      const headLength = text.indexOf('\r\n\r\n') + 4;
      if (!text.startsWith('RTSP/1.0 200') || headLength < 4 || method === 'PLAY')
        return void client.write(chunk);
      const body = text.slice(headLength);
      const sdp = method === 'DESCRIBE' ? (this.#rewriting.sdp?.(body) ?? body) : body;
      const head = text.slice(0, headLength).replaceAll(`127.0.0.1:${realPort}`, `127.0.0.1:${this.port}`);
      const newHead = this.#rewriting.head?.(head, method) ?? head;
      client.write(newHead.replace(/^(Content-Length: )\d+/im, `$1${sdp.length}`) + sdp, 'latin1');
    });
    client.on('close', () => real.destroy());
    real.on('close', () => client.destroy());
  }

  #stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
